// noVNC in Chromium draws the desktop of a VNC server that only listens on
// TCP: the pixels come through one direction, a new size through the other.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import { once } from 'node:events';
import path from 'node:path';

import { browse, listenFor } from './chromium.mjs';
import { check, freePort, serve, start, within, wrote } from './peers.mjs';

const PAGE = `<!DOCTYPE html><link rel="icon" href="data:,"><style>body{margin:0}#screen{width:900px;height:500px}</style>
<div id="screen"></div><script type="module">
import RFB from './core/rfb.js';
window.join = (url) => new Promise((resolve, reject) => {
  window.rfb = new RFB(document.getElementById('screen'), url);
  rfb.addEventListener('connect', resolve);
  rfb.addEventListener('disconnect', (event) => reject(new Error('disconnected, clean: ' + event.detail.clean)));
});
</script>`;
const TYPES = { '.js': 'text/javascript' };

const rfbPort = await freePort();
const desktop = start('Xtigervnc', [
  '-displayfd', '3', '-rfbport', String(rfbPort), '-localhost', '-SecurityTypes', 'None',
  '-geometry', '640x480', '-depth', '24', '-nolisten', 'tcp', '-ac',
], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
const [number] = await within(30, 'a display', () => once(desktop.stdio[3], 'data'));
const display = { ...process.env, DISPLAY: `:${String(number).trim()}` };
execFileSync('xsetroot', ['-solid', '#336699'], { env: display });

const files = http.createServer((request, response) => {
  const name = new URL(request.url, 'http://localhost').pathname;
  const file = path.join('node_modules/@novnc/novnc', name);
  if (name === '/') return response.setHeader('content-type', 'text/html').end(PAGE);
  response.setHeader('content-type', TYPES[path.extname(file)] ?? 'application/octet-stream');
  fs.createReadStream(path.join(process.env.ADIT_INTEROP_NPM, file)).on('error', () => response.destroy()).pipe(response);
});
await once(files.listen(0, '127.0.0.1'), 'listening');
const origin = `http://127.0.0.1:${files.address().port}`;
const address = await serve(rfbPort, '--frame-type', 'binary', '--origin', origin);

const context = await browse({ viewport: { width: 1000, height: 700 } });
const page = context.pages()[0] ?? (await context.newPage());
listenFor(page);
await page.goto(`${origin}/`);
await page.waitForFunction(() => window.join);
await within(30, 'the desktop', () => page.evaluate((url) => window.join(url), `ws://${address}/`));

/** Waits until the canvas has that size and that colour in all its corners. */
const drawn = (width, height, colour) => page.waitForFunction(
  ([width, height, colour]) => {
    const canvas = document.querySelector('canvas');
    if (canvas?.width !== width || canvas.height !== height) return false;
    const context = canvas.getContext('2d');
    return [[1, 1], [width - 2, 1], [1, height - 2], [width - 2, height - 2]].every(
      ([x, y]) => String(context.getImageData(x, y, 1, 1).data) === colour,
    );
  },
  [width, height, colour],
  { timeout: 30_000 },
);

await drawn(640, 480, '51,102,153,255');
check(true, 'a desktop of 640x480 shows its colour');
execFileSync('xsetroot', ['-solid', '#cc9933'], { env: display });
await drawn(640, 480, '204,153,51,255');
check(true, 'a new colour arrives');
await page.evaluate(() => { window.rfb.resizeSession = true; });
await drawn(900, 500, '204,153,51,255');
const size = /current (\d+) x (\d+)/.exec(execFileSync('xrandr', { env: display, encoding: 'utf8' }));
check(size[1] === '900' && size[2] === '500', 'the desktop takes the size that the page asks for');
await page.evaluate(() => window.rfb.disconnect());
await wrote(desktop, /Connections: closed/);
check(true, 'the server sees the end');
await context.close();
process.exit(0);
