// The demo's page in Chromium: what a first visitor does, and what they see.
//
// With ADIT_INTEROP_SHOTS set to a directory, pictures of the page are kept there.

import path from 'node:path';

import { browse, listenFor } from './chromium.mjs';
import { check, start, wrote } from './peers.mjs';

const demo = start(process.env.ADIT, ['demo', '--listen', '127.0.0.1:0']);
const [address] = await wrote(demo, /http:\/\/127\.0\.0\.1:\d+\/?/);

const context = await browse();
const page = context.pages()[0] ?? (await context.newPage());
page.setDefaultTimeout(15_000);
listenFor(page);
await page.goto(address);

const text = (id) => page.locator(`#${id}`).textContent();
const state = (wanted) => page.locator('#state', { hasText: wanted }).waitFor();
const logged = (kind, wanted) => page.locator(`#log .${kind}`, { hasText: wanted }).first().waitFor();

async function say(message) {
  await page.fill('#message', message);
  await page.click('#send');
}

await state('open');
check((await text('chosen')) === 'json.adit.demo', 'the page connects by itself and its subprotocol is chosen');

await say('{"do":"echo","value":"<b>Grüße</b> 世界"}');
await logged('out', '{"id":1,"do":"echo","value":"<b>Grüße</b> 世界"}');
await logged('in', '{"id":1,"value":"<b>Grüße</b> 世界"}');
check(/^\d+\.\d ms$/.test(await text('rtt')), `an answer is timed: ${await text('rtt')}`);

await page.getByRole('button', { name: 'Count to 5' }).click();
for (let n = 1; n <= 5; n++) await logged('in', `{"id":2,"value":${n}}`);
check((await page.locator('#log .in').count()) === 6, 'a count is five messages');

await page.getByRole('button', { name: 'Bad JSON' }).click();
await logged('in', '"error":"not JSON: at byte 6"');
check((await text('state')) === 'open', 'bad JSON is answered and the tunnel goes on');

await say(`{"do":"echo","value":"${'x'.repeat(300_000)}"}`);
await logged('in', /300\d\d\d bytes/);
check(true, 'a message of 300,000 bytes comes back');

await page.selectOption('#code', '3000');
await page.click('#connect');
await state('closed: 3000, clean');
check(true, 'a close code of the page comes back to it');

await page.click('#connect');
await state('open');
await page.getByRole('button', { name: 'Bye' }).click();
await logged('in', '"value":"bye"');
await state(/closed: 1000.*, clean/);
check(true, 'the end of the backend is a close with 1000');

await page.fill('#url', (await page.inputValue('#url')).replace('/tunnel', '/nowhere'));
await page.evaluate(() => console.clear());
page.removeAllListeners('console');
await page.click('#connect');
await state('closed: 1006, not clean');
check(true, 'a path that is not served is refused');

if (process.env.ADIT_INTEROP_SHOTS) await pictures(process.env.ADIT_INTEROP_SHOTS);
await context.close();
process.exit(0);

async function pictures(directory) {
  const sizes = { phone: { width: 390, height: 844 }, desktop: { width: 1280, height: 900 } };
  for (const [name, size] of Object.entries(sizes)) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize(size);
      await page.emulateMedia({ colorScheme });
      await page.goto(address);
      await state('open');
      await page.getByRole('button', { name: 'Echo' }).click();
      await page.getByRole('button', { name: 'Count to 5' }).click();
      await logged('in', '"value":5');
      await page.screenshot({ path: path.join(directory, `${name}-${colorScheme}.png`) });
    }
  }
}
