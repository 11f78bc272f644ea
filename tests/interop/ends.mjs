// Other people's servers at the far end of `adit connect`: lighttpd's
// mod_wstunnel and websockify, each in front of an echo.

import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import { check, connectTo, echo, freePort, start, within, wrote } from './peers.mjs';

const backend = await echo();

const lighttpdPort = await freePort();
fs.writeFileSync('lighttpd.conf', `
server.modules = ("mod_wstunnel")
server.document-root = "${path.resolve('.')}"
server.bind = "127.0.0.1"
server.port = ${lighttpdPort}
server.errorlog = "${path.resolve('lighttpd.log')}"
wstunnel.frame-type = "binary"
wstunnel.server = ("" => (("host" => "127.0.0.1", "port" => ${backend})))
`);
const lighttpd = start('lighttpd', ['-D', '-f', 'lighttpd.conf']);
// It says that binary is spoken whether or not it was asked for that.
await through('lighttpd', `ws://127.0.0.1:${lighttpdPort}/`, '--subprotocol', 'binary');
check(lighttpd.exitCode === null, 'lighttpd is still there');

const websockifyPort = await freePort();
const websockify = start('websockify', [`127.0.0.1:${websockifyPort}`, `127.0.0.1:${backend}`]);
await wrote(websockify, /proxying from/);
await through('websockify', `ws://127.0.0.1:${websockifyPort}/`, '--subprotocol', 'binary');
process.exit(0);

/** Sends much there and expects all of it back, then ends. */
async function through(name, url, ...options) {
  const bytes = randomBytes(8 << 20);
  const child = connectTo(url, '--retry', ...options);
  const chunks = [];
  let length = 0;
  const whole = new Promise((resolve) => {
    child.stdout.on('data', (chunk) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= bytes.length) resolve();
    });
  });
  child.stdin.on('error', () => {});
  child.stdin.write(bytes);
  await within(60, `all of it back from ${name}`, () => whole);
  check(Buffer.concat(chunks).equals(bytes), `8 MiB pass ${name} both ways`);
  child.stdin.end();
  const [status] = await within(30, `the end through ${name}`, () => once(child, 'close'));
  console.log(`${name}: exit status ${status}${child.output && `, ${child.output.trim()}`}`);
  check(status === 0 || /gone without a close|server close/.test(child.output), `${name} ends as it does`);
}
