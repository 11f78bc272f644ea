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

/** Starts a program; its `output` is what it has written to either stream. With
 * `reads` false its standard output is left to the caller, as bytes. */
export function start(command, args, options = {}, reads = true) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  child.title = [command, ...args].join(' ');
  child.output = '';
  for (const stream of reads ? [child.stdout, child.stderr] : [child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      child.output = (child.output + text).slice(-1_000_000);
      child.emit('output');
    });
  }
  children.add(child);
  child.on('error', (error) => Promise.reject(error));
  child.on('exit', () => child.emit('output'));
  child.on('close', () => child.output || children.delete(child));
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

/** Starts `adit serve` on a free port, for a port of this machine or another
 * address, and returns its address. */
export async function serve(backend, ...options) {
  const place = `${backend}`.includes(':') ? backend : `127.0.0.1:${backend}`;
  const child = start(process.env.ADIT, ['serve', '127.0.0.1:0', place, ...options]);
  const [, address] = await wrote(child, /listening on (127\.0\.0\.1:\d+)/);
  return address;
}

/** Starts `adit connect` on a free port and returns the port. */
export async function listen(url, ...options) {
  const child = start(process.env.ADIT, ['connect', ...options, '0', url]);
  const [, port] = await wrote(child, /listening on 127\.0\.0\.1:(\d+)/);
  return port;
}

/** Starts `adit connect` on standard input and output, as bytes. */
export function connectTo(url, ...options) {
  return start(process.env.ADIT, ['connect', ...options, '-', url], { stdio: ['pipe', 'pipe', 'pipe'] }, false);
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

const GOOD = ['OK', 'INFORMATIONAL'];
const HEADING = '# case behavior behaviorClose remoteCloseCode\n';

/** Checks that all cases of the Autobahn suite's report are good, and as in the table. */
export async function compare(report, count, table) {
  const results = Object.entries(JSON.parse(fs.readFileSync(`${report}/index.json`, 'utf8')).adit);
  results.sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  const bad = results.filter(([, { behavior, behaviorClose }]) => !GOOD.includes(behavior) || !GOOD.includes(behaviorClose));
  for (const [name, { behavior, behaviorClose, reportfile }] of bad) {
    const { description, expectation, result, resultClose } = JSON.parse(fs.readFileSync(path.join(report, reportfile), 'utf8'));
    console.error({ name, behavior, behaviorClose, description, expectation, result, resultClose });
  }
  check(results.length === count, `${results.length} cases of ${count} were run`);
  check(bad.length === 0, `all but ${bad.length} of them are ${GOOD.join(' or ')}`);

  const seen = HEADING + results.map(row).join('');
  if (process.env.ADIT_INTEROP_BLESS) fs.writeFileSync(table, seen);
  const known = fs.readFileSync(table, 'utf8').split('\n');
  const changed = seen.split('\n').filter((line, n) => line !== known[n]);
  check(changed.length === 0 && seen.split('\n').length === known.length, `the table holds: ${changed.join('; ') || 'all'}`);
}

/** A line of the table. Where a case only informs, the code may be either's. */
function row([name, { behavior, behaviorClose, remoteCloseCode }]) {
  const informs = behavior === 'INFORMATIONAL' || behaviorClose === 'INFORMATIONAL';
  return `${name} ${behavior} ${behaviorClose} ${informs ? '-' : remoteCloseCode}\n`;
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
