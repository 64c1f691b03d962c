// Under a prefix, behind a proxy: figures come, and what is published there is taken in.
import { check, inBrowser, state } from './page.mjs';

await inBrowser(async (page) => {
  await state(page, 'live');
  await page.fill('#to', 'room1');
  await page.fill('#data', 'by nginx');
  await page.click('#publish button');
  await page.waitForSelector('#answer[data-kind=good]');
  await page.locator('#rows tr', { hasText: 'room1' }).first().waitFor();
  check(page.url().endsWith('/hasses/'), page.url());
});
