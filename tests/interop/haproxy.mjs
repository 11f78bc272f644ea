// HAProxy in front, which passes TLS on behind a PROXY header, and another
// behind, which takes one from adit: the last one knows the first one's client.

import { once } from 'node:events';
import fs from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import WebSocket from 'ws';

import { certificates, check, echo, freePort, serve, start, within, wrote } from './peers.mjs';

const { ca, options } = certificates();
const backend = await echo();

for (const front of ['send-proxy', 'send-proxy-v2']) {
  for (const version of ['v1', 'v2']) {
    const behind = await freePort();
    const last = await proxy(`behind-${front}-${version}`, behind, `
frontend behind
  bind 127.0.0.1:${behind} accept-proxy
  log-format "client %ci:%cp"
  default_backend echo
backend echo
  server echo 127.0.0.1:${backend}
`);
    const trust = ['--accept-proxy', '--trusted-proxies', '127.0.0.0/8'];
    const address = await serve(behind, ...trust, `--send-proxy=${version}`, '--framing', 'lines', ...options);
    const port = await freePort();
    await proxy(`front-${front}-${version}`, port, `
frontend front
  bind 127.0.0.1:${port}
  log-format "client %ci:%cp"
  default_backend adit
backend adit
  server adit ${address} ${front}
`);

    const socket = new WebSocket(`wss://localhost:${port}/`, { ca, family: 4 });
    const [local] = await Promise.all([
      once(socket, 'upgrade').then(([{ socket }]) => socket.localPort),
      once(socket, 'open'),
    ]);
    const story = 'x'.repeat(200_000);
    const heard = [];
    socket.on('message', (data) => heard.push(data.toString()));
    ['hello', story].forEach((text) => socket.send(text));
    await within(15, 'two messages through HAProxy', async () => {
      while (heard.length < 2) await once(socket, 'message');
    });
    check(heard[0] === 'hello' && heard[1] === story, `${front}, ${version}: messages come back`);
    socket.close(1000);
    await once(socket, 'close');
    const [, seen] = await wrote(last, /client (\S+)\n/);
    check(seen === `127.0.0.1:${local}`, `${front}, ${version}: the last one knows the client`);
  }
}
process.exit(0);

async function proxy(name, port, sections) {
  fs.writeFileSync(`${name}.cfg`, `
global
  log stdout format raw daemon info
defaults
  mode tcp
  log global
  timeout connect 10s
  timeout client 60s
  timeout server 60s
${sections}`);
  // -d keeps it in the foreground. It says nothing once it listens, and who
  // connects to see would be a client in its log.
  const child = start('haproxy', ['-d', '-f', `${name}.cfg`]);
  const listening = `:${port.toString(16).toUpperCase().padStart(4, '0')} 00000000:0000 0A `;
  await within(15, `HAProxy at port ${port}`, async () => {
    while (!fs.readFileSync('/proc/net/tcp', 'utf8').includes(listening)) await pause(10);
  });
  return child;
}
