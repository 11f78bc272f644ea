// The Autobahn test suite as a client, in front of records that come back as
// they went: every case, opening and closing, has to be OK.
//
// The results are compared with autobahn.txt as well, so that a change of a
// close code shows even where the suite does not mind; `--bless` rewrites it.

import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

import { check, compare, serve, start, within, wrote } from './peers.mjs';

const CASES = ['1.*', '2.*', '3.*', '4.*', '5.*', '6.*', '7.*', '9.*', '10.*'];
const COUNT = 301;

const echo = start('python3', [path.join(process.env.ADIT_INTEROP_SOURCE, 'record_echo.py')]);
const [, port] = await wrote(echo, /listening on 127\.0\.0\.1:(\d+)/);
const address = await serve(port, '--framing', 'record', '--max-message', '32MiB');

const specification = {
  options: { failByDrop: false },
  outdir: 'report',
  servers: [{ agent: 'adit', url: `ws://${address}/`, options: { version: 18 } }],
  cases: CASES,
  'exclude-cases': [],
  'exclude-agent-cases': {},
};
fs.writeFileSync('spec.json', JSON.stringify(specification));
const suite = start(process.env.WSTEST, ['-m', 'fuzzingclient', '-s', 'spec.json']);
const [status] = await within(900, 'the end of the suite', () => once(suite, 'exit'));
check(status === 0, `the suite ends by itself: ${status}`);

await compare('report', COUNT, path.join(process.env.ADIT_INTEROP_SOURCE, 'autobahn.txt'));
process.exit(0);
