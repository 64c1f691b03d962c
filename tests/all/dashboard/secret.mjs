// The page asks for the secret, says if it is wrong, and keeps it in the tab.
import { accessible, check, inBrowser, picture, state } from './page.mjs';

await inBrowser(async (page) => {
  await state(page, 'locked');
  const word = page.getByLabel('Secret', { exact: true });
  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme });
    await accessible(page, `secret, ${scheme}`);
  }
  await word.fill('wrong');
  await word.press('Enter');
  await page.getByText('This secret is wrong.').waitFor();
  await picture(page, 'dashboard-secret');
  // Whoever closes the question can have it again.
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Enter the secret' }).click();
  await word.fill('sésame');
  await word.press('Enter');
  await state(page, 'live');
  check(!await page.locator('#secret').isVisible(), 'the question is still there');
  await page.fill('#to', 'room1');
  await page.click('#publish button');
  await page.waitForSelector('#answer[data-kind=good]');
  await page.reload();
  await state(page, 'live');
  check(!page.url().includes('same') && await page.inputValue('#secret-word') === '', 'the secret is shown');
  check(await page.evaluate(() => localStorage.length) === 0, 'it outlives the tab');
  // Another secret holds from now on: the open page asks for it.
  console.log('known');
  await page.waitForFunction(() => document.getElementById('secret').open);
  await word.fill('another');
  await word.press('Enter');
  await state(page, 'live');
  await page.locator('#secret').waitFor({ state: 'hidden' });
  await page.getByRole('button', { name: 'Forget the secret' }).click();
  await state(page, 'locked');
  check(await page.evaluate(() => sessionStorage.length) === 0, 'it is not forgotten');
}, ['status of 401']);
