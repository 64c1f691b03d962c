// The daemon is restarted: the page says so, and comes back by itself with what was typed.
import { check, inBrowser, state, until } from './page.mjs';

await inBrowser(async (page, faults) => {
  await state(page, 'live');
  await page.fill('#data', 'not lost');
  console.log('live');
  await state(page, 'lost');
  await page.fill('#to', 'room1');
  await page.click('#publish button');
  await page.getByText('Not confirmed: the daemon cannot be reached.').waitFor();
  console.log('lost');
  await state(page, 'live');
  await until(page, () => document.querySelectorAll('#rows tr').length === 1);
  check(await page.inputValue('#data') === 'not lost', 'what was typed is lost');
  // The time without a daemon is a hole in the curve: a second run begins.
  await until(page, () => document.querySelector('#chart-history path.a').getAttribute('d').split('M').length > 2);
  check(faults.some((fault) => fault.includes('ERR_')), 'it was gone');
}, ['ERR_']);
