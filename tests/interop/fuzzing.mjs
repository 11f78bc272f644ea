// The Autobahn test suite as a server, and `adit connect` as the client that it
// tests: on standard input and output, where each record goes back as it came.
// Every case has to be OK.
//
// The results are compared with fuzzing.txt as well, so that a change of a
// close code shows even where the suite does not mind; `--bless` rewrites it.

import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';

import { check, compare, connectTo, freePort, start, within, wrote } from './peers.mjs';

const CASES = ['1.*', '2.*', '3.*', '4.*', '5.*', '6.*', '7.*', '9.*', '10.*'];
const COUNT = 301;

const port = await freePort();
const url = `ws://127.0.0.1:${port}`;
const specification = { url, outdir: 'report', cases: CASES, 'exclude-cases': [], 'exclude-agent-cases': {} };
fs.writeFileSync('spec.json', JSON.stringify(specification));
const suite = start(process.env.WSTEST, ['-m', 'fuzzingserver', '-s', 'spec.json', '-w', '0']);
await wrote(suite, /Ok, will run/);
suite.on('exit', (code) => Promise.reject(new Error(`the suite ended: ${code}`)));

const count = Number(await ask('/getCaseCount'));
check(count === COUNT, `the suite has ${count} cases of ${COUNT}`);
for (let number = 1; number <= count; number++) {
  const child = connect(`/runCase?case=${number}&agent=adit`);
  child.stdout.pipe(child.stdin);
  child.stdin.on('error', () => {});
  await within(120, `the end of case ${number}`, () => once(child, 'close'));
}
await ask('/updateReports?agent=adit');
await compare('report', COUNT, path.join(process.env.ADIT_INTEROP_SOURCE, 'fuzzing.txt'));
process.exit(0);

/** Connects to a path of the suite. */
function connect(resource) {
  return connectTo(`${url}${resource}`, '--framing', 'record', '--max-message', '32MiB', '--retry');
}

/** The text of the one message that comes. */
async function ask(resource) {
  const child = connect(resource);
  const chunks = [];
  child.stdout.on('data', (chunk) => chunks.push(chunk));
  await within(30, `an answer from ${resource}`, () => once(child, 'close'));
  return Buffer.concat(chunks).subarray(5).toString();
}
