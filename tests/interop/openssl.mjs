// OpenSSL's s_client: both versions, a session resumed, and what is too old.

import { certificates, check, echo, serve, start, wrote } from './peers.mjs';

const { authority, options } = certificates();
const address = await serve(await echo(), ...options);

const request = [
  'GET / HTTP/1.1',
  'Host: localhost',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
  '\r\n',
].join('\r\n');

function connect(...args) {
  const usual = ['-connect', address, '-servername', 'localhost', '-verify_hostname', 'localhost'];
  const trust = ['-CAfile', authority, '-verify_return_error'];
  const child = start('openssl', ['s_client', ...usual, ...trust, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  // A refused client leaves before it has read anything.
  child.stdin.on('error', () => {});
  child.stdin.write(request);
  return child;
}

for (const [version, name] of [['-tls1_2', 'TLSv1.2'], ['-tls1_3', 'TLSv1.3']]) {
  const session = `session${version}`;
  const first = connect(version, '-alpn', 'h2,http/1.1', '-sess_out', session);
  await wrote(first, new RegExp(`New, ${name.replace('.', '\\.')}, Cipher is `));
  await wrote(first, /ALPN protocol: http\/1\.1/);
  await wrote(first, /HTTP\/1\.1 101 /);
  check(true, `${name} is spoken`);
  first.kill();

  const second = connect(version, '-sess_in', session);
  await wrote(second, new RegExp(`Reused, ${name.replace('.', '\\.')}`));
  await wrote(second, /HTTP\/1\.1 101 /);
  check(true, `${name}: a session is resumed`);
  second.kill();
}

// Without the lower security level OpenSSL would not even ask.
const old = connect('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0');
await wrote(old, /alert (protocol version|handshake failure)/);
check(true, 'TLS 1.1 is refused with an alert');
process.exit(0);
