// Charts, busiest tokens, publishing, log level, hostile names; how it looks.
import { accessible, check, fits, inBrowser, picture, state, until } from './page.mjs';

const HOSTILE = '<img src=x onerror=hacked=1>';

await inBrowser(async (page) => {
  await state(page, 'live');
  // Its curves move while something is published.
  for (const chart of ['messages-in', 'events-out', 'bytes-out', 'delay', 'history', 'clients']) {
    const curve = await page.getAttribute(`#chart-${chart} path.a`, 'd');
    await until(page, ([chart, curve]) => {
      const card = document.getElementById(`chart-${chart}`);
      const now = card.querySelector('.now').textContent;
      return card.querySelector('path.a').getAttribute('d') !== curve && /[1-9]/.test(now);
    }, [chart, curve]);
    console.log(`moves: ${chart}`);
  }
  await until(page, () => document.querySelector('#messages button')?.textContent === 'busy');
  await page.locator('#chart-events-out svg').hover();
  await until(page, () => /^\d\d:\d\d:\d\d/.test(document.querySelector('#chart-events-out .most').textContent));

  // A test event is taken in; a wrong one is refused with the reason.
  await page.fill('#to', 'test-room');
  await page.fill('#data', 'two\nlines');
  await page.fill('#event', 'news');
  await page.fill('#except', 'spared');
  await page.click('#publish button');
  await page.waitForSelector('#answer[data-kind=good]');
  check((await page.textContent('#answer')).includes('for 1 stream.'), await page.textContent('#answer'));
  await page.fill('#to', 'a*b');
  await page.press('#data', 'Control+Enter');
  await page.waitForSelector('#answer[data-kind=bad]');
  check((await page.textContent('#answer')).includes('a*b'), await page.textContent('#answer'));

  // The log level is switched by the keyboard, and shown as it is.
  await page.focus('#levels input[value=normal]');
  await page.keyboard.press('ArrowLeft');
  // Nothing happens by mistake.
  check(await page.evaluate(() => !document.getElementById('level-set').disabled), 'it can be set');
  await page.keyboard.press('Enter');
  console.log('switched');
  await until(page, () => document.querySelector('#levels input[value=quiet]').checked);

  // Whatever a client calls itself is text.
  const row = page.locator('#rows tr', { hasText: HOSTILE }).first();
  await row.waitFor();
  check((await row.textContent()).split(HOSTILE).length >= 4, 'its id, token and agent are shown as they are');
  await row.getByRole('button').click();
  await page.getByRole('heading', { name: `Disconnect ${HOSTILE}?` }).waitFor();
  await accessible(page, 'dialog');
  await page.keyboard.press('Escape');
  const token = page.locator('#streams button', { hasText: HOSTILE });
  await token.click();
  check(await page.inputValue('#query') === HOSTILE, 'a token is searched for');
  check(await page.inputValue('#watched') === HOSTILE, 'a token is watched');
  // A token is watched live.
  await page.fill('#watched', 'busy');
  await page.press('#watched', 'Enter');
  await page.locator('#events li', { hasText: 'the busiest' }).first().waitFor();
  await page.getByText('1 stream, with').waitFor();
  // Everyone is not meant by mistake.
  await page.fill('#to', '*');
  await page.click('#publish button');
  await page.getByText('Publish to everyone?').waitFor();
  await accessible(page, 'everyone');
  await page.getByRole('button', { name: 'Cancel' }).last().click();
  // What was refused is shown with its reason.
  await page.locator('#refused li', { hasText: 'bad request' }).waitFor();
  await page.locator('#recent li', { hasText: 'a*b' }).first().waitFor();
  check((await page.textContent('#health')).includes('anyone may subscribe by name'), 'health');
  await page.getByRole('button', { name: 'Events', exact: true }).click();
  check(await page.locator('th[aria-sort=descending]').count() === 1, 'the list is sorted');
  await page.fill('#query', '');
  check(await page.evaluate(() => typeof hacked) === 'undefined', 'a name became a script');
  check(await page.locator('img').count() === 0, 'a name became an element');

  for (const scheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width: 1280, height: 900 });
    await accessible(page, scheme);
    await picture(page, `dashboard-${scheme}`);
    await page.setViewportSize({ width: 360, height: 780 });
    await fits(page);
    await accessible(page, `${scheme}, 360 px`);
    await picture(page, `dashboard-${scheme}-360`);
  }
  // Everything that can be used is reached by Tab, and shows that it has the focus.
  await page.focus('.skip');
  const reached = new Set();
  for (let i = 0; i < 200 && !reached.has('next') && !reached.has('query'); i++) {
    await page.keyboard.press('Tab');
    const [id, shown] = await page.evaluate(() => {
      const one = document.activeElement;
      const styles = [one, one.nextElementSibling].filter(Boolean).map((e) => getComputedStyle(e));
      return [one.id || one.name || one.type, styles.some((style) => style.outlineStyle === 'solid') || one.className === 'skip'];
    });
    check(shown, `the focus is not seen: ${id}`);
    reached.add(id);
  }
  for (const id of ['to', 'data', 'event', 'except', 'retain', 'submit', 'query']) check(reached.has(id), `${id} is not reached: ${[...reached]}`);
}, ['status of 400']);
