// Plays examples/job: a login, a job whose progress is seen in two tabs.
//   node job.mjs HASSES
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { eventually } from './stage.mjs';

const [hasses] = process.argv.slice(2);
const example = spawn('examples/job/run', [], { env: { ...process.env, HASSES: hasses }, stdio: ['ignore', 'pipe', 'inherit'] });
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
try {
  const [line] = await once(createInterface({ input: example.stdout }), 'line');
  const [url] = line.match(/http:[^ ]+\//);
  // Who is not logged in may read nothing.
  assert.equal((await fetch(`${url}signed`)).status, 401);
  assert.equal((await fetch(`${url}sse?token=user:ann`)).status, 401);
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(url);
  await page.getByLabel('Your name').fill('ann');
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('button', { name: 'Start a job' }).click();
  const bar = (page) => page.locator('progress');
  await bar(page).first().waitFor();
  const other = await context.newPage();
  await other.goto(url);
  for (const tab of [page, other]) {
    await eventually('the job is done', async () => await bar(tab).first().evaluate(({ value }) => value).catch(() => 0) === 100);
  }
  console.log('all played');
} finally {
  await browser.close();
  example.kill('SIGTERM');
  await once(example, 'exit');
}
