// nginx in front with the lines that every guide has, to adit with and without
// TLS.

import { once } from 'node:events';
import fs from 'node:fs';

import WebSocket from 'ws';

import { certificates, check, echo, freePort, serve, start, within, wrote } from './peers.mjs';

const { authority, options } = certificates();
const backend = await echo();
const terms = ['--trusted-proxies', '127.0.0.0/8', '--framing', 'lines', '--greeting', '%a\\n'];
const plain = await serve(backend, ...terms);
const secure = await serve(backend, ...terms, ...options);
const port = await freePort();
fs.writeFileSync('nginx.conf', `
daemon off;
master_process off;
pid nginx.pid;
error_log stderr notice;
events {}
http {
  access_log off;
  client_body_temp_path temp;
  proxy_temp_path temp;
  fastcgi_temp_path temp;
  uwsgi_temp_path temp;
  scgi_temp_path temp;
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    location /plain {
      proxy_pass http://${plain}/;
    }
    location /secure {
      proxy_pass https://${secure}/;
      proxy_ssl_trusted_certificate ${authority};
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
    }
  }
}
`);
fs.mkdirSync('temp');
const nginx = start('nginx', ['-p', process.cwd(), '-e', 'stderr', '-c', `${process.cwd()}/nginx.conf`]);
await wrote(nginx, /start(ed)? (worker|signal|using)|using the "epoll"/);

for (const path of ['plain', 'secure']) {
  const url = `ws://127.0.0.1:${port}/${path}`;
  // The second connection finds a session to resume.
  for (let n = 1; n <= 2; n++) {
    const socket = new WebSocket(url, {
      origin: `http://127.0.0.1:${port}`,
      headers: { 'X-Forwarded-For': '203.0.113.9' },
    });
    const heard = [];
    socket.on('message', (data) => heard.push(data.toString()));
    const story = 'x'.repeat(200_000);
    socket.on('open', () => ['hello', story].forEach((text) => socket.send(text)));
    await within(15, `three messages through nginx, ${path}`, async () => {
      while (heard.length < 3) await once(socket, 'message');
    });
    check(heard[0] === '203.0.113.9', `${path}: nginx says whom it speaks for`);
    check(heard[1] === 'hello' && heard[2] === story, `${path}: messages come back`);
    socket.close(1000);
    const [code] = await once(socket, 'close');
    check(code === 1000, `${path}: the close comes back`);
  }
}
process.exit(0);
