// Plays the chat in headless Chromium.
//   node scenes.mjs HASSES OUTPUT-PREFIX COMMAND...
// COMMAND starts the chat; screenshots are put where OUTPUT-PREFIX says.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { Stage, eventually } from './stage.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const [hasses, output, ...command] = process.argv.slice(2);
const stage = await Stage.open(hasses, command);
process.once('SIGTERM', () => stage.close().finally(() => process.exit(1)));
let ann;
let ben;

const scenes = {
  async 'history on open, and a name that is remembered'() {
    ann = await stage.person('Ann');
    await ann.says('before Ben came');
    ben = await stage.person('Ben');
    await ben.sees('before Ben came');
    await ann.visit();
    await ann.page.reload();
    await ann.is('connected');
    assert.equal(await ann.page.getByLabel('Your name').inputValue(), 'Ann');
    await ann.sees('before Ben came');
  },

  async 'two people talk'() {
    await ben.says('hello Ann');
    await ann.sees('hello Ann');
    await ben.sees('hello Ann');
    const message = (person) => person.page.locator('.message', { hasText: 'hello Ann' });
    assert.match(await message(ann).textContent(), /Ben/);
    assert.match(await message(ben).getAttribute('class'), /mine/);
    assert.doesNotMatch(await message(ann).getAttribute('class'), /mine/);
    await ann.box.fill('one line');
    await ann.box.press('Shift+Enter');
    await ann.box.pressSequentially('and another');
    await ann.page.getByRole('button', { name: 'Send' }).click();
    await ben.sees('one line\nand another');
  },

  async 'typing is shown to the others only'() {
    await ann.box.pressSequentially('I think');
    await ben.seesTyping('Ann is typing…');
    // What was sent to Ann before this has come too.
    await ben.says('do you?');
    await ann.sees('do you?');
    assert.equal(await ann.typing(), '');
    await ann.says('I think so');
    await ben.sees('I think so');
    await ben.seesTyping('');
    await ann.box.pressSequentially('well');
    await ben.seesTyping('Ann is typing…');
    // Without more it ends by itself.
    await ben.seesTyping('');
    await ann.box.fill('');
  },

  async 'whatever is written is shown as it is'() {
    const texts = [
      '<img src=x onerror="window.hurt = 1"><script>window.hurt = 1</script>',
      'javascript:window.hurt=1 and https://example.org/"onmouseover="window.hurt=1',
      'a;b=c-d*=e; {"to":"*"} \\ " \u2028 %2A &amp;',
      'héllo wörld, 你好, שלום, 👩‍👩‍👧‍👦 🇪🇺',
      '🎉',
      '  indented\n\n\ttabbed',
      'long '.repeat(580).trim(),
    ];
    for (const text of texts) {
      await ann.says(text);
      await ben.sees(text);
    }
    await ben.isCalled('<i>Ben</i> & co');
    await ben.says('my name');
    await ann.sees('my name');
    assert.equal(await ann.page.locator('bdi', { hasText: '<i>Ben</i> & co' }).count(), 1);
    for (const { page } of [ann, ben]) {
      assert.equal(await page.evaluate('window.hurt'), undefined);
      assert.equal(await page.locator('#messages :is(img, script, i)').count(), 0);
      const links = await page.locator('#messages a').evaluateAll((all) => all.map(({ href }) => href));
      assert.deepEqual(links, ['https://example.org/']);
    }
    await ben.isCalled('Ben');
  },

  async 'what is too long is kept and told'() {
    for (const text of ['x'.repeat(3001), 'é'.repeat(1501)]) {
      await ann.box.fill(text);
      await ann.box.press('Enter');
      await ann.page.getByRole('alert').filter({ hasText: /too long/ }).waitFor();
      assert.equal(await ann.box.inputValue(), text);
      await isForEverybody(ann.page, 'too-long');
      await ann.says('shorter');
      assert.equal(await ann.page.getByRole('alert').textContent(), '');
    }
  },

  async 'rooms'() {
    await ann.joins('café-2');
    assert.deepEqual(await ann.texts(), []);
    await ann.says('only here');
    await ann.sees('only here');
    await ann.page.getByRole('link', { name: 'lobby' }).click();
    await ann.says('in the lobby again');
    await ben.sees('in the lobby again');
    assert(!(await ben.texts()).includes('only here'));
    // A room's address can be handed on.
    await ben.visit('caf%C3%A9-2');
    await ben.sees('only here');
    await ben.page.getByRole('link', { name: 'lobby' }).click();
    await ben.sees('in the lobby again');
    await ann.page.getByRole('link', { name: 'café-2' }).click();
    await ann.says('who is here?');
    const unread = ben.page.getByRole('link', { name: 'café-2 1 unread' });
    await unread.waitFor();
    assert.match(await ben.page.title(), /^\(1\) lobby/);
    await isForEverybody(ben.page, 'unread');
    await unread.click();
    await ben.sees('who is here?');
    assert.match(await ben.page.title(), /^café-2/);
    for (const { page } of [ann, ben]) {
      await page.getByRole('button', { name: 'Leave café-2' }).click();
      await page.getByRole('heading', { name: 'lobby' }).waitFor();
      assert.equal(await page.getByRole('link', { name: 'café-2' }).count(), 0);
    }
    assert.deepEqual([...ann.complaints, ...ben.complaints], []);
  },

  async 'all tabs of a browser share one stream, and what is unread'() {
    const streams = () => stage.daemon.streams();
    const before = await streams();
    const other = await ann.anotherTab();
    await ben.says('do you see this twice?');
    for (const tab of [ann, other]) await tab.sees('do you see this twice?');
    assert.equal(await streams(), before);
    // Who leaves the tab that has the stream takes it from nobody.
    await other.page.goto('about:blank');
    await ben.says('and now?');
    await ann.sees('and now?');
    await other.page.close();
    assert.equal(await streams(), before);
  },

  async 'who is in the room'() {
    const here = (person) => person.page.locator('#members');
    await here(ann).filter({ hasText: /^Here: you, Ben$/ }).waitFor();
    await here(ben).filter({ hasText: /^Here: you, Ann$/ }).waitFor();
    const cleo = await stage.person('Cleo');
    await here(ann).filter({ hasText: /^Here: you, Ben, Cleo$/ }).waitFor();
    await cleo.joins('elsewhere');
    await here(cleo).filter({ hasText: /^Nobody else is here$/ }).waitFor();
    await cleo.page.context().close();
    // Who goes is missed only when they do not come back at once.
    await here(ann).filter({ hasText: /^Here: you, Ben$/ }).waitFor();
  },

  async 'for everybody, in light and dark, on a phone too'() {
    const phone = await stage.person('Cleo', { viewport: { width: 360, height: 640 }, hasTouch: true, isMobile: true });
    await phone.sees('hello Ann');
    const sideways = 'document.documentElement.scrollWidth - innerWidth';
    assert.equal(await phone.page.evaluate(sideways), 0);
    assert(await phone.page.getByRole('button', { name: 'Send' }).isVisible());
    // Enter begins a line there.
    await phone.box.fill('from');
    await phone.box.press('Enter');
    await phone.box.pressSequentially('the bus');
    await phone.page.getByRole('button', { name: 'Send' }).tap();
    await ann.sees('from\nthe bus');
    for (const [name, { page }] of [['wide', ann], ['phone', phone]]) {
      await isForEverybody(page, name);
    }
    assert.deepEqual(phone.complaints, []);
    await phone.page.context().close();
  },

  async 'a restart of the daemon loses and doubles nothing'() {
    await stage.daemon.stop();
    for (const person of [ann, ben]) await person.is('reconnecting');
    await ann.box.fill('still there?');
    await ann.box.press('Enter');
    await ann.page.getByRole('alert').filter({ hasText: /Not (sent|confirmed)/ }).waitFor();
    assert.equal(await ann.box.inputValue(), 'still there?');
    await isForEverybody(ann.page, 'lost');
    await stage.daemon.start();
    await publish('while they were away');
    await eachSeesAfterReturn('while they were away');
    await ann.says('still there?');
    await ben.sees('still there?');
    assert.deepEqual([await ann.gaps(), await ben.gaps()], [0, 0]);
  },

  async 'a proxy that answered with an error is asked again'() {
    await stage.daemon.stop();
    const before = [ann, ben].map(({ streams }) => streams.length);
    await stage.daemon.isBehindAFailingProxy(2);
    // Each had its 502, and the browser gave up.
    for (const [at, person] of [ann, ben].entries()) {
      await eventually('a failed request', () => person.streams.length > before[at]);
    }
    await stage.daemon.start();
    await publish('behind the proxy again');
    await eachSeesAfterReturn('behind the proxy again');
    assert.deepEqual([await ann.gaps(), await ben.gaps()], [0, 0]);
    for (const { streams } of [ann, ben]) assert.match(streams.at(-1), /lastEventId=\d+/);
  },

  async 'a restart without a history is a gap'() {
    await stage.daemon.stop();
    for (const person of [ann, ben]) await person.is('reconnecting');
    await stage.daemon.start('--history-file');
    await seeGaps(1);
    await ann.says('all is well');
    await eachSeesAfterReturn('all is well');
    // What the page had it still shows, once, before the gap.
    await ben.sees('hello Ann');
    await ben.sees('behind the proxy again');
    const order = await ben.page.locator('#messages > :not(.day)').allTextContents();
    assert.match(order.at(-2), /missing/);
    await isForEverybody(ann.page, 'gap');
    await stage.daemon.stop();
    for (const person of [ann, ben]) await person.is('reconnecting');
    await stage.daemon.start();
  },

  async 'a crash of the daemon is a gap, and what was kept comes back'() {
    await stage.daemon.stop('SIGKILL');
    for (const person of [ann, ben]) await person.is('reconnecting');
    await stage.daemon.start();
    await publish('after the crash');
    await eachSeesAfterReturn('after the crash');
    await seeGaps(2);
    const shown = await ann.texts();
    assert.equal(shown.at(-1), 'after the crash');
    assert.equal(new Set(shown).size, shown.length - 1, '"shorter" was said twice');
  },

  async 'a chat that was started again is found, though hasses is elsewhere'() {
    const before = stage.daemon.listen;
    await stage.endChat();
    for (const person of [ann, ben]) await person.is('reconnecting');
    await stage.startChatAgain();
    assert.notEqual(stage.daemon.listen, before);
    await publish('in the new chat');
    await eachSeesAfterReturn('in the new chat');
    await seeGaps(3);
    await ben.says('here I am');
    await ann.sees('here I am');
  },

  async 'nothing was complained of but what was broken'() {
    const expected = /^Failed to load resource: |^Access to (resource|fetch) at '?\S+\/sse/;
    for (const { complaints } of [ann, ben]) {
      assert.deepEqual(complaints.filter((text) => !expected.test(text)), []);
    }
  },
};

/** Nothing serious keeps anybody from using the page as it is now; a picture of it is left. */
async function isForEverybody(page, name) {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: `${output}-${name}-${colorScheme}.png` });
    const { violations } = await page.evaluate(`${axe}; axe.run()`);
    const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
    const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`);
    assert.deepEqual(told, [], `${name}, ${colorScheme}`);
  }
}

/** Says something without a page. */
async function publish(text) {
  const body = JSON.stringify({ room: 'lobby', id: 'nobody', name: 'Dora', text });
  await eventually(`${text} is taken`, async () => {
    const headers = { 'Content-Type': 'application/json' };
    return (await fetch(`${stage.url}say`, { method: 'POST', headers, body })).ok;
  });
}

async function eachSeesAfterReturn(text) {
  for (const person of [ann, ben]) {
    await person.is('connected');
    await person.sees(text);
  }
}

async function seeGaps(count) {
  for (const person of [ann, ben]) {
    await eventually(`${count} gaps`, async () => await person.gaps() === count);
  }
}

try {
  for (const [name, play] of Object.entries(scenes)) {
    await play();
    console.log(`played: ${name}`);
  }
  console.log('all played');
} catch (error) {
  for (const [name, person] of Object.entries({ ann, ben })) {
    await person?.page.screenshot({ path: `${output}-failed-${name}.png` });
    console.error(name, await person?.texts(), person?.complaints, person?.streams.slice(-7));
  }
  throw error;
} finally {
  await stage.close();
}
