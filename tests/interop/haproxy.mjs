// HAProxy in front, which passes TLS on behind a PROXY header, and another
// behind, which takes one from adit: the last one knows the first one's client.

import { once } from 'node:events';
import fs from 'node:fs';

import WebSocket from 'ws';

import { certificates, check, echo, freePort, serve, start, within, wrote } from './peers.mjs';

const { ca, options } = certificates();
const backend = await echo();

for (const front of ['send-proxy', 'send-proxy-v2']) {
  for (const version of ['v1', 'v2']) {
    const behind = await freePort();
    const last = await proxy(`behind-${front}-${version}`, `
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
    await proxy(`front-${front}-${version}`, `
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

async function proxy(name, sections) {
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
  // -d says when it polls, and it stays in the foreground.
  const child = start('haproxy', ['-d', '-f', `${name}.cfg`]);
  await wrote(child, /Using epoll\(\)/);
  return child;
}
