// Two thousand clients: pages, a search, disconnecting.
import { check, inBrowser, state, until } from './page.mjs';

const shown = (page) => page.locator('#rows tr td:first-child').allTextContents();

await inBrowser(async (page) => {
  const fetched = [];
  page.on('response', async (response) => {
    if (response.url().includes('/clients')) fetched.push((await response.body()).length);
  });
  await state(page, 'live');
  await until(page, () => document.querySelectorAll('#rows tr').length === 25);
  check(await page.locator('#chart-clients .now').textContent() === '2,000', 'all are counted');
  const first = await shown(page);
  await page.click('#next');
  await until(page, () => document.getElementById('page').textContent === 'Page 2, 25 of 2,000 clients');
  const second = await shown(page);
  check(!second.some((id) => first.includes(id)), 'a page repeats another');
  await page.click('#back');
  await until(page, () => document.getElementById('page').textContent.startsWith('Page 1,'));
  check((await shown(page)).join() === first.join(), 'back is not where it began');
  check(await page.isDisabled('#back'), 'there is nothing before the first page');

  await page.fill('#query', 'OWN1999');
  await until(page, () => document.getElementById('page').textContent === 'Page 1, 1 client');
  check((await shown(page)).join() === 'client 1999', 'the search finds it');
  check(await page.isDisabled('#next'), 'there is one page');
  await page.getByRole('button', { name: 'Disconnect client 1999' }).click();
  await page.locator('#sure').getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Disconnect client 1999' }).click();
  await page.locator('#sure').getByRole('button', { name: 'Disconnect' }).click();
  await until(page, () => document.getElementById('page').textContent === '1 stream of client 1999 closed');
  check(await page.textContent('#none') === 'Nobody matches “OWN1999”.', 'it is gone from the list');
  await until(page, () => document.querySelector('#chart-clients .now').textContent === '1,999');
  check(Math.max(...fetched) < 20_000, `an answer of ${Math.max(...fetched)} bytes: never all clients at once`);
});
