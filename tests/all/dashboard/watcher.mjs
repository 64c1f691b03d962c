// With the watch secret the page shows the figures, and says what it lacks for the rest.
import { accessible, check, inBrowser, picture, state, until } from './page.mjs';

await inBrowser(async (page) => {
  let refused = 0;
  page.on('response', (answer) => { if (answer.status() === 401) refused += 1; });
  await state(page, 'locked');
  const word = page.getByLabel('Secret', { exact: true });
  await word.fill('watcher');
  await word.press('Enter');
  await state(page, 'live');
  await page.getByText('The list of clients needs the control secret.').waitFor();
  check(!await page.locator('#secret').isVisible(), 'the secret is asked for again');
  await page.fill('#watched', 'room1');
  await page.click('#watch button[type=submit]');
  await until(page, () => document.getElementById('token-facts').textContent.startsWith('2 streams · its events'));
  await accessible(page, 'figures alone');
  await picture(page, 'dashboard-watcher');
  // The search does not ask either.
  const before = refused;
  await page.fill('#query', 'ann');
  await page.press('#query', 'Enter');
  await page.getByRole('button', { name: 'Enter the secret' }).click();
  await word.fill('control');
  check(refused === before, 'it asked for the list again');
  await word.press('Enter');
  await page.locator('#rows').getByText('ann').waitFor();
  // Who is there. The page's own stream is one without an id.
  await page.click('#watch button[type=submit]');
  await until(page, () => document.getElementById('token-facts').textContent.includes('2 without an id'));
  check((await page.textContent('#token-facts')).includes('ann'), 'the member is not named');
}, ['status of 401']);
