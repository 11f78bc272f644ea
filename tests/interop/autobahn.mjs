// The Autobahn test suite as a client, in front of records that come back as
// they went: every case, opening and closing, has to be OK.
//
// The results are compared with autobahn.txt as well, so that a change of a
// close code shows even where the suite does not mind; `--bless` rewrites it.

import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

import { check, serve, start, within, wrote } from './peers.mjs';

const CASES = ['1.*', '2.*', '3.*', '4.*', '5.*', '6.*', '7.*', '9.*', '10.*'];
const COUNT = 301;
const GOOD = ['OK', 'INFORMATIONAL'];
const HEADING = '# case behavior behaviorClose remoteCloseCode\n';
const table = path.join(process.env.ADIT_INTEROP_SOURCE, 'autobahn.txt');

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

const results = Object.entries(JSON.parse(fs.readFileSync('report/index.json', 'utf8')).adit);
results.sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
const bad = results.filter(([, { behavior, behaviorClose }]) => !GOOD.includes(behavior) || !GOOD.includes(behaviorClose));
for (const [name, { behavior, behaviorClose, reportfile }] of bad) {
  const { description, expectation, result, resultClose } = JSON.parse(fs.readFileSync(path.join('report', reportfile), 'utf8'));
  console.error({ name, behavior, behaviorClose, description, expectation, result, resultClose });
}
check(results.length === COUNT, `${results.length} cases of ${COUNT} were run`);
check(bad.length === 0, `all but ${bad.length} of them are ${GOOD.join(' or ')}`);

const seen = HEADING + results.map(row).join('');
if (process.env.ADIT_INTEROP_BLESS) fs.writeFileSync(table, seen);
const known = fs.readFileSync(table, 'utf8').split('\n');
const changed = seen.split('\n').filter((line, n) => line !== known[n]);
check(changed.length === 0 && seen.split('\n').length === known.length, `the table holds: ${changed.join('; ') || 'all'}`);
process.exit(0);

/** A line of the table. Where a case only informs, the code may be either's. */
function row([name, { behavior, behaviorClose, remoteCloseCode }]) {
  const informs = behavior === 'INFORMATIONAL' || behaviorClose === 'INFORMATIONAL';
  return `${name} ${behavior} ${behaviorClose} ${informs ? '-' : remoteCloseCode}\n`;
}
