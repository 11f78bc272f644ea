// Whoever opens sockets for others: openbsd-inetd, xinetd, BusyBox's inetd and
// systemd-socket-activate, one process for each client or one for all.

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import WebSocket from 'ws';

import { certificates, check, echo, freePort, start, within } from './peers.mjs';

const { ca, options } = certificates();
const backend = `127.0.0.1:${await echo()}`;
const adit = process.env.ADIT;
const superservers = `${process.env.SUPERSERVERS}/usr/sbin`;
const user = os.userInfo().username;
process.env.LD_LIBRARY_PATH = process.env.SUPERSERVER_LIBRARIES;
const tls = options.map((file) => (file.startsWith('/') ? path.resolve(file) : file));

/** The ways in which a service can be served: its options, and how a client comes. */
const services = [
  { name: 'nowait', wait: false, args: ['inetd', backend, '-q'] },
  { name: 'nowait, wss', wait: false, args: ['inetd', backend, '-q', ...tls], secure: true },
  { name: 'wait', wait: true, args: ['inetd', backend, '-q', '--exit-idle', '300ms'] },
];

/** A message there and back, and a clean close. */
async function greets(name, port, secure) {
  const socket = new WebSocket(`${secure ? 'wss' : 'ws'}://localhost:${port}/`, { ca, family: 4 });
  await within(15, `a tunnel through ${name}`, () => once(socket, 'open'));
  const story = 'x'.repeat(200_000);
  let heard = 0;
  socket.on('message', (data) => { heard += data.length; });
  socket.send(story);
  await within(15, `an answer through ${name}`, async () => {
    while (heard < story.length) await once(socket, 'message');
  });
  socket.close(1000);
  const [code] = await within(15, `the close through ${name}`, () => once(socket, 'close'));
  check(heard === story.length && code === 1000, `${name}: a message comes back`);
}

/** Whether a process of the daemon's serves now. */
function served(daemon) {
  try {
    return execFileSync('pgrep', ['-P', daemon.pid]).toString().trim() !== '';
  } catch {
    return false;
  }
}

/** Clients one after the other, and with `wait` also after adit has ended. */
async function serves(name, daemon, port, { wait, secure }) {
  await within(15, `${name} to listen`, async () => {
    while (!reachable(port)) await new Promise((resolve) => setTimeout(resolve, 50));
  });
  for (let n = 0; n < 3; n += 1) await greets(name, port, secure);
  if (wait) {
    await within(15, `${name}: the end when idle`, async () => {
      while (served(daemon)) await new Promise((resolve) => setTimeout(resolve, 50));
    });
    check(true, `${name}: adit ends when it is idle`);
    await greets(`${name}, started again`, port, secure);
  }
}

/** Whether somebody listens there on IPv4, as the kernel sees it: a connection would start adit. */
function reachable(port) {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return new RegExp(`:${hex} \\S+ 0A `).test(fs.readFileSync('/proc/net/tcp', 'utf8'));
}

for (const [name, command] of [
  ['openbsd-inetd', (file) => [`${superservers}/inetd`, ['-d', '-i', file]]],
  ['busybox inetd', (file) => [process.env.BUSYBOX, ['inetd', '-f', file]]],
]) {
  for (const service of services) {
    const port = await freePort();
    const file = `${name}-${port}.conf`.replace(' ', '-');
    const wait = service.wait ? 'wait' : 'nowait';
    fs.writeFileSync(file, `${port} stream tcp ${wait} ${user} ${adit} adit ${service.args.join(' ')}\n`);
    const daemon = start(...command(path.resolve(file)));
    await serves(`${name}, ${service.name}`, daemon, port, service);
    daemon.kill();
  }
}

for (const service of services) {
  const port = await freePort();
  const file = `xinetd-${port}.conf`;
  fs.writeFileSync(file, `
service adit
{
    type        = UNLISTED
    port        = ${port}
    bind        = 127.0.0.1
    socket_type = stream
    protocol    = tcp
    wait        = ${service.wait ? 'yes' : 'no'}
    user        = ${user}
    server      = ${adit}
    server_args = ${service.args.join(' ')}
}
`);
  const daemon = start(`${superservers}/xinetd`, ['-dontfork', '-filelog', path.resolve('xinetd.log'), '-f', path.resolve(file)]);
  await serves(`xinetd, ${service.name}`, daemon, port, service);
  daemon.kill();
}

for (const [name, flags, args] of [
  ['sockets', [], ['serve', 'systemd', backend]],
  ['a named socket', ['--fdname=web'], ['serve', 'systemd:web', backend]],
  ['standard input', ['--inetd', '-a'], ['inetd', backend]],
]) {
  const port = await freePort();
  const daemon = start('systemd-socket-activate', [`--listen=127.0.0.1:${port}`, ...flags, adit, ...args]);
  await serves(`systemd-socket-activate, ${name}`, daemon, port, {});
  daemon.kill();
}
process.exit(0);
