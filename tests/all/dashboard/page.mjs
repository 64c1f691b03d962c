// The dashboard in headless Chromium, for the tests and for the screenshots. Each script is run as
//   node SCRIPT CONTROL-URL USER-DATA-DIR OUTPUT-DIR
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [url, data_dir, output] = process.argv.slice(2);
const AXE = fileURLToPath(import.meta.resolve('axe-core/axe.min.js'));

/** Runs `test` with a page that is at the dashboard; fails if it throws, or if something went wrong
 * in the page that `expected` does not name: parts of messages, such as those that Chromium itself
 * writes to the console for each answer with an error status. */
export async function inBrowser(test, expected = []) {
  mkdirSync(output, { recursive: true });
  const context = await chromium.launchPersistentContext(data_dir, {
    executablePath: '/usr/bin/chromium',
    headless: true,
    colorScheme: 'light',
    // The authority is the test's own.
    ignoreHTTPSErrors: true,
    viewport: { width: 1280, height: 900 },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    await context.addInitScript({ path: AXE });
    const page = context.pages()[0] ?? await context.newPage();
    page.setDefaultTimeout(60_000);
    const faults = [];
    page.on('pageerror', (error) => faults.push(`pageerror: ${error}`));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) faults.push(`console: ${message.text()}`);
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith('data:')) faults.push(`loaded ${request.url()}`);
    });
    await page.goto(url);
    await test(page, faults);
    const unexpected = faults.filter((fault) => !expected.some((part) => fault.includes(part)));
    if (unexpected.length) throw new Error(unexpected.join('\n'));
    console.log('passed');
  } finally {
    await context.close();
  }
}

/** Waits until `look`, which runs in the page, finds something. */
export const until = (page, look, argument) => page.waitForFunction(look, argument, { polling: 50 });

/** Waits for the connection's state. */
export const state = (page, name) => page.waitForSelector(`#state[data-state=${name}]`);

/** Keeps a picture of the whole page, once it is painted as it now is. */
export async function picture(page, name) {
  await page.evaluate(() => new Promise((painted) => {
    requestAnimationFrame(() => requestAnimationFrame(painted));
  }));
  await page.screenshot({ path: `${output}/${name}.png`, fullPage: true });
}

/** Fails if axe finds something serious or critical. */
export async function accessible(page, what) {
  const found = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
  const bad = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const told = bad.map(({ id, nodes }) => `${what}: ${id}: ${nodes.map((node) => `${node.html} ${node.failureSummary}`).join('\n')}`);
  if (bad.length) throw new Error(told.join('\n'));
  const rest = found.violations.map(({ id, impact }) => `${id} (${impact})`);
  console.log(`axe, ${what}: ${rest.join(', ') || 'nothing'}`);
}

/** Fails if something that can be used, or the page itself, is wider than the window or cut by what it
 * stands in. */
export async function fits(page) {
  const outside = await page.evaluate(() => {
    const cut = [...document.querySelectorAll('button, input, textarea, td')].filter((one) => {
      const [box, around] = [one, one.closest('.card, header, .levels')].map((e) => e?.getBoundingClientRect());
      return around && box.width > 0 && (box.right > around.right + 0.5 || box.left < around.left - 0.5);
    });
    if (document.documentElement.scrollWidth > innerWidth) cut.push(document.documentElement);
    return cut.map((one) => `${one.outerHTML.slice(0, 100)}: ${one.scrollWidth} px`);
  });
  if (outside.length) throw new Error(`too wide: ${outside.join('\n')}`);
}

/** Fails with `why` unless `fact`. */
export function check(fact, why) {
  if (!fact) throw new Error(why);
}
