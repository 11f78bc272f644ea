// Prometheus: promtool finds nothing to say of the metrics, and a server that
// scrapes them knows what the clients did.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import WebSocket from 'ws';

import { check, echo, freePort, start, within, wrote } from './peers.mjs';

const backend = await echo();
const adit = start(process.env.ADIT, [
  ...['serve', '127.0.0.1:0', `127.0.0.1:${backend}`],
  ...['--framing', 'lines', '--subprotocol', 'chat', '--admin', '127.0.0.1:0'],
]);
const [, address] = await wrote(adit, /listening on (127\.0\.0\.1:\d+)/);
const [, admin] = await wrote(adit, /admin pages at (127\.0\.0\.1:\d+)/);

const sockets = [1, 2].map(() => new WebSocket(`ws://${address}/`, 'chat'));
await Promise.all(sockets.map((socket) => once(socket, 'open')));
for (const text of ['one', 'three', '']) {
  sockets[0].send(text);
  await once(sockets[0], 'message');
}
sockets[1].close(1000);
await wrote(adit, / closed: client close, 1000, /);

const text = await (await fetch(`http://${admin}/metrics`)).text();
const lint = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
check(lint.status === 0 && !lint.stdout && !lint.stderr, `promtool: ${lint.stderr || 'nothing to say'}`);

const port = await freePort();
fs.writeFileSync('prometheus.yml', `
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: adit
    static_configs:
      - targets: ['${admin}']
`);
const server = start('prometheus', [
  '--config.file=prometheus.yml',
  '--storage.tsdb.path=data',
  `--web.listen-address=127.0.0.1:${port}`,
]);
await wrote(server, /Server is ready to receive web requests/);

const route = 'route="/",subprotocol="chat"';
for (const [query, expected] of [
  ['up', 1],
  [`adit_tunnels_open{${route}}`, 1],
  [`adit_tunnels_opened_total{${route}}`, 2],
  [`adit_messages_total{${route},direction="in"}`, 3],
  [`adit_payload_bytes_total{${route},direction="out"}`, 8],
  ['adit_tunnels_closed_total{cause="client_close",code="1000"}', 1],
  ['sum(adit_requests_refused_total)', 0],
  [`adit_backend_connect_seconds_count{${route}}`, 2],
  [`histogram_quantile(1, adit_backend_connect_seconds_bucket{${route}}) <= bool 10`, 1],
  [`adit_backend_up{backend="127.0.0.1:${backend}"}`, 1],
  ['process_open_fds < bool process_max_fds', 1],
]) {
  await within(30, `${query} = ${expected}`, async () => {
    while ((await value(query)) !== expected) await sleep(200);
  });
  check(true, `${query} is ${expected}`);
}
process.exit(0);

/** What Prometheus says, once it has scraped. */
async function value(query) {
  const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(query)}`;
  const { data } = await (await fetch(url)).json();
  return data?.result?.[0] && Number(data.result[0].value[1]);
}
