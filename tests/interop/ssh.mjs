// OpenSSH from end to end: ssh's ProxyCommand is `adit connect -`, which goes
// through tinyproxy, with a password, and over TLS to `adit serve` and sshd.

import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { certificates, check, connectTo, echo, freePort, serve, start, within, wrote } from './peers.mjs';

const SIZE = 100 << 20;
const user = os.userInfo().username;

const { authority, options } = certificates();
for (const name of ['host', 'own']) {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', name]);
}
const sshPort = await freePort();
const config = [
  `Port ${sshPort}`,
  'ListenAddress 127.0.0.1',
  `HostKey ${path.resolve('host')}`,
  `AuthorizedKeysFile ${path.resolve('own.pub')}`,
  'StrictModes no',
  'PidFile none',
  'PasswordAuthentication no',
  'PermitRootLogin yes',
];
fs.writeFileSync('sshd_config', config.join('\n') + '\n');
const sshd = start('/usr/sbin/sshd', ['-D', '-e', '-f', path.resolve('sshd_config')]);
await wrote(sshd, /Server listening on 127\.0\.0\.1/);
const address = await serve(sshPort, ...options);
const port = address.split(':')[1];
const proxy = await tinyproxy(port);

fs.writeFileSync('password', 'me:secret\n', { mode: 0o600 });
const way = (file) => [
  process.env.ADIT, 'connect', '--proxy', `http://127.0.0.1:${proxy}`, '--proxy-auth-file', file,
  '--ca-only', authority, '-', `wss://localhost:${port}/`,
].join(' ');
const ssh = (command, file = 'password') => start('ssh', [
  '-F', 'none', '-i', 'own', '-o', `ProxyCommand=${way(file)}`, '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no',
  '-o', `UserKnownHostsFile=${path.resolve('known')}`, '-o', 'RekeyLimit=16M', '-o', 'LogLevel=DEBUG1', `${user}@inside`, command,
], { stdio: ['pipe', 'pipe', 'pipe'] }, false);

const bytes = randomBytes(SIZE);
const sum = createHash('sha256').update(bytes).digest('hex');
fs.writeFileSync('large', bytes);

const up = ssh('sha256sum; exit 7');
up.stdin.end(bytes);
const [status, told] = await ended(up);
check(told.toString().startsWith(sum), '100 MiB arrive as they went');
check(status === 7, `the remote exit status is kept: ${status}`);
check(rekeyed(up) > 1, `keys were changed ${rekeyed(up)} times on the way there`);

const down = ssh(`cat ${path.resolve('large')}`);
down.stdin.end();
const [ok, came] = await ended(down);
check(ok === 0 && createHash('sha256').update(came).digest('hex') === sum, '100 MiB come as they are');
check(rekeyed(down) > 1, `keys were changed ${rekeyed(down)} times on the way back`);

fs.writeFileSync('wrong', 'me:wrong\n');
const refused = ssh('true', 'wrong');
refused.stdin.end();
const [failed] = await ended(refused);
const reason = refused.output.split('\n').find((line) => line.startsWith('adit: '));
check(failed === 255, `without the password ssh ends with ${failed}`);
check(/the proxy answered "HTTP\/1\.\d 40[17] [^"]*"/.test(reason), `and says why: ${reason}`);
check(!/secret|wrong|bWU6/.test(reason), 'without the password');

// A proxy that dies half-way is the end, and a failure.
const backend = await serve(await echo(), ...options);
const mortal = await tinyproxy(backend.split(':')[1], true);
const child = connectTo(`wss://localhost:${backend.split(':')[1]}/`, '--proxy', `http://127.0.0.1:${mortal.port}`,
  '--proxy-auth-file', 'password', '--ca-only', authority);
child.stdin.write('hello');
await within(30, 'an echo', () => once(child.stdout, 'data'));
mortal.child.kill('SIGKILL');
const [code] = await ended(child);
check(code === 1 && /^adit: server gone without a close, 1006\n$/.test(child.output), `a dead proxy is told: ${child.output.trim()}`);
process.exit(0);

/** tinyproxy with a password, that leads to one port only. */
async function tinyproxy(target, whole = false) {
  const port = await freePort();
  const lines = [
    `Port ${port}`, 'Listen 127.0.0.1', 'Timeout 600', 'Allow 127.0.0.1', 'BasicAuth me secret', `ConnectPort ${target}`, 'LogLevel Info',
  ];
  fs.writeFileSync(`tinyproxy.${port}`, lines.join('\n') + '\n');
  const child = start('tinyproxy', ['-d', '-c', `tinyproxy.${port}`]);
  await wrote(child, /Accepting connections|Starting main loop/);
  return whole ? { port, child } : port;
}

/** The exit status and all of the output. */
async function ended(child) {
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  const [status] = await within(300, `the end of ${child.title}`, () => once(child, 'close'));
  return [status, Buffer.concat(chunks)];
}

/** How often the client says that new keys hold. */
function rekeyed(child) {
  return child.output.split('rekey in after').length - 1;
}
