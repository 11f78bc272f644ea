// websockify's own token files: it and adit read the very same ones, in front
// of the same backends, and the same requests lead to the same place in both.

import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import WebSocket from 'ws';

import { check, freePort, start, within, wrote } from './peers.mjs';

/** A backend that says its name to everyone; where it is, as a token file has it. */
async function named(name, where) {
  const server = net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.write(name);
  });
  server.listen(...where);
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'string' ? `unix_socket:${address}` : `${address.address}:${address.port}`;
}

const one = await named('one', [0, '127.0.0.1']);
const two = await named('two', [0, '127.0.0.1']);
const local = await named('local', [path.resolve('local.sock')]);
const port = two.split(':')[1];
const first = `# who leads where
one: ${one}

   # a comment that is indented
  two:\t localhost:${port}  \t
with:colon: ${one}
`;
const second = `vm 3: ${two}\r\n\r\nlocal: ${local}\n#none: ${one}\n`;
fs.writeFileSync('tokens', first + second);
fs.mkdirSync('folder');
fs.writeFileSync('folder/first', first);
fs.writeFileSync('folder/second', second);

/** Both programs with this file or directory: where each listens. */
async function both(source) {
  const listen = `127.0.0.1:${await freePort()}`;
  const websockify = start('websockify', [listen, '--token-plugin', 'TokenFile', '--token-source', source]);
  await wrote(websockify, /proxying from/);
  const adit = start(process.env.ADIT, ['serve', '127.0.0.1:0', '--token-map', source]);
  const [, address] = await wrote(adit, /listening on (127\.0\.0\.1:\d+)/);
  return { websockify: listen, adit: address };
}

/** Which backend speaks to a request with this query; `nobody` if there is no tunnel. */
function reached(address, query) {
  return within(30, `an answer to ${query}`, () => new Promise((resolve) => {
    const client = new WebSocket(`ws://${address}/${query}`, ['binary']);
    client.on('error', () => resolve('nobody'));
    client.on('close', () => resolve('nobody'));
    client.on('message', (data) => {
      resolve(data.toString());
      client.close();
    });
  }));
}

const requests = [
  ['?token=one', 'one'],
  ['?token=two', 'two'],
  ['websockify?a=b&token=one', 'one'],
  ['?token=with:colon', 'one'],
  ['?token=with%3Acolon', 'one'],
  ['?token=vm%203', 'two'],
  ['?token=local', 'local'],
  ['?token=none', 'nobody'],
  ['?token=%23none', 'nobody'],
  ['?token=ONE', 'nobody'],
  ['?token=with', 'nobody'],
  ['?token=', 'nobody'],
  ['?Token=one', 'nobody'],
  ['', 'nobody'],
];

for (const source of ['tokens', 'folder']) {
  const addresses = await both(path.resolve(source));
  for (const [query, expected] of requests) {
    for (const [program, address] of Object.entries(addresses)) {
      const found = await reached(address, query);
      check(found === expected, `${source}: ${program} leads /${query} to ${found}`);
    }
  }
  // Both look at the file again when a client comes.
  const file = source === 'tokens' ? 'tokens' : 'folder/third';
  fs.appendFileSync(file, `late: ${two}\n`);
  for (const [program, address] of Object.entries(addresses)) {
    await within(30, `a new token in ${program}`, async () => {
      while (await reached(address, '?token=late') !== 'two');
    });
    check(true, `${source}: ${program} reads a token that was added`);
  }
}
process.exit(0);
