// curl: an upgrade over https, which it verifies, and a plain request that is
// sent there.

import { certificates, check, echo, serve, start, wrote } from './peers.mjs';

const { authority, options } = certificates();
const address = await serve(await echo(), ...options);
const port = address.split(':')[1];
const curl = (...args) => start('curl', ['-sS', '--max-time', '20', '--http1.1', ...args]);

const upgrade = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
].flatMap((header) => ['-H', header]);
// What it says of its doings comes at once; what it outputs, in blocks.
const secure = curl('-v', '--cacert', authority, ...upgrade, `https://localhost:${port}/`);
await wrote(secure, /^< HTTP\/1\.1 101 /m);
await wrote(secure, /^< sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/im);
check(true, 'an upgrade over https is a 101');
secure.kill();

const stranger = curl(...upgrade, `https://localhost:${port}/`);
await wrote(stranger, /curl: \(60\)/);
check(true, 'who does not know the authority goes no further');

const format = '%{http_code} %{redirect_url}\n';
const plain = curl('-o', '/dev/null', '-w', format, `http://localhost:${port}/chat?room=1`);
const [, seen] = await wrote(plain, /^(.+)\n/);
check(seen === `301 https://localhost:${port}/chat?room=1`, `plain HTTP: ${seen}`);
process.exit(0);
