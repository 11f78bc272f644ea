// A page of https: in Chromium that opens a tunnel over wss: to the server it
// came from. The browser knows the private authority, and no error is waived.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { browse } from './chromium.mjs';
import { certificates, check, echo, serve } from './peers.mjs';

const { authority, options } = certificates();
// Chromium believes what the user's NSS database does.
const store = path.resolve('.pki/nssdb');
fs.mkdirSync(store, { recursive: true });
const nss = (...args) => execFileSync('certutil', ['-d', `sql:${store}`, ...args]);
nss('-N', '--empty-password');
nss('-A', '-n', 'adit', '-t', 'C,,', '-i', authority);

const address = await serve(await echo(), ...options);
const context = await browse({ env: { ...process.env, HOME: process.cwd() } });
const page = context.pages()[0] ?? (await context.newPage());
page.setDefaultTimeout(15_000);

// adit has no page there, but its answer has an origin.
const url = `https://localhost:${address.split(':')[1]}/`;
const answer = await page.goto(url);
const { protocol } = await answer.securityDetails();
check(protocol === 'TLS 1.3', `the page came over ${protocol}`);

const seen = await page.evaluate(async (url) => {
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  const happens = (what) => new Promise((resolve, reject) => {
    socket.addEventListener(what, resolve, { once: true });
    socket.addEventListener('error', () => reject(new Error(`no ${what}`)), { once: true });
  });
  await happens('open');

  socket.send('hello');
  const hello = new TextDecoder().decode((await happens('message')).data);

  const story = new Uint8Array(1 << 20).map((_, n) => (n * 2654435761) >>> 13);
  const heard = new Uint8Array(story.length);
  let length = 0;
  const whole = new Promise((resolve) => {
    socket.addEventListener('message', ({ data }) => {
      heard.set(new Uint8Array(data), length);
      length += data.byteLength;
      if (length === story.length) resolve();
    });
  });
  socket.send(story);
  await whole;

  const closed = happens('close');
  socket.close(1000, 'done');
  const { code, wasClean } = await closed;
  return { hello, same: story.every((byte, n) => byte === heard[n]), code, wasClean };
}, url.replace('https:', 'wss:'));

check(seen.hello === 'hello', 'a message comes back over wss');
check(seen.same, 'a mebibyte comes back as it was');
check(seen.code === 1000 && seen.wasClean, 'the close is clean');
await context.close();
process.exit(0);
