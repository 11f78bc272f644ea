// What every part needs: programs that are started, watched and ended with the
// part, and waits that end.
//
// A part is one program. It passes by coming to its end; whatever it waits for
// in vain, and whatever goes wrong anywhere, is its failure.

import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

const children = new Set();

process.on('exit', (code) => {
  for (const child of children) {
    if (code !== 0) console.error(`--- ${child.title}\n${child.output.slice(-8000)}`);
    child.kill('SIGKILL');
  }
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));
process.on('unhandledRejection', (error) => {
  console.error(error);
  process.exit(1);
});

/** Starts a program; its `output` is what it has written to either stream. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  child.title = [command, ...args].join(' ');
  child.output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      child.output = (child.output + text).slice(-1_000_000);
      child.emit('output');
    });
  }
  children.add(child);
  child.on('error', (error) => Promise.reject(error));
  child.on('exit', () => child.emit('output'));
  return child;
}

/** The first match of `pattern` in what the program writes. */
export function wrote(child, pattern) {
  return within(30, `${pattern} from ${child.title}`, async () => {
    for (;;) {
      const match = pattern.exec(child.output);
      if (match) return match;
      if (child.exitCode !== null) throw new Error(`${child.title} ended: ${child.exitCode}`);
      await once(child, 'output');
    }
  });
}

/** Starts `adit serve` on a free port and returns its address. */
export async function serve(backend, ...options) {
  const child = start(process.env.ADIT, ['serve', '127.0.0.1:0', `127.0.0.1:${backend}`, ...options]);
  const [, address] = await wrote(child, /listening on (127\.0\.0\.1:\d+)/);
  return address;
}

/** A server that says back what it hears, on a free port. */
export async function echo() {
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

/** A private authority and a certificate of it for localhost, and adit's options for it. */
export function certificates() {
  const script = path.join(process.env.ADIT_INTEROP_SOURCE, '../../scripts/certs.sh');
  execFileSync(script, ['tls']);
  const [authority, cert, key] = ['ca', 'cert', 'key'].map((name) => path.resolve('tls', `${name}.pem`));
  return { authority, ca: fs.readFileSync(authority), options: ['--tls-cert', cert, '--tls-key', key] };
}

/** A port of the loopback that nobody listens on. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** What `make` promises, or an error after so many seconds. */
export async function within(seconds, what, make) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${seconds} s passed without ${what}`)), seconds * 1000);
  });
  try {
    return await Promise.race([make(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Says what holds, or fails. */
export function check(holds, what) {
  if (!holds) throw new Error(`not so: ${what}`);
  console.log(`ok: ${what}`);
}
