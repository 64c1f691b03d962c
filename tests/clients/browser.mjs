// Opens a page in headless Chromium and waits until it shows each of the given texts.
//   node browser.mjs PAGE-URL USER-DATA-DIR [--script FILE] TEXT...
// Says `answer STATUS` for each answer to a subscription, `ready` once the page is subscribed, then
// `shown TEXT` for each text. With --script the page runs that file, and what it writes to the
// console is looked at instead of the page.
import { readFileSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [page_url, data_dir, ...rest] = process.argv.slice(2);
const script = rest[0] === '--script' ? readFileSync(rest.splice(0, 2)[1], 'utf8') : null;

// Who made a test's certificate is known to nobody.
const strangers = page_url.includes('=https:') ? ['--ignore-certificate-errors'] : [];
const context = await chromium.launchPersistentContext(data_dir, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync', ...strangers],
});
try {
  const page = await context.newPage();
  const written = [];
  page.on('console', (message) => written.push(message.text()));
  page.on('response', (response) => {
    if (response.url().includes('/sse?')) console.log(`answer ${response.status()}`);
  });
  await page.goto(page_url);
  if (script) {
    const answered = page.waitForResponse((response) => response.url().includes('/sse?'));
    await page.evaluate(script);
    await answered;
  } else {
    await page.waitForSelector('#state[data-state=open]');
  }
  console.log('ready');
  const shown = async (text) => script
    ? written.some((line) => line.includes(text))
    : (await page.locator('#events .data').allTextContents()).includes(text);
  const deadline = Date.now() + 20_000;
  for (const text of rest) {
    while (!await shown(text)) {
      if (Date.now() > deadline) throw new Error(`never shown: ${text}`);
      await page.waitForTimeout(20);
    }
    console.log(`shown ${text}`);
  }
} finally {
  await context.close();
}
