// The tabs' protocol in a simulated browser: whatever happens to tabs and connections, no listener misses an event or
// gets one twice, and there is one stream.
//   node model.mjs SCRIPT [SEED...]
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { World } from './world.mjs';

const [file, ...seeds] = process.argv.slice(2);
const code = readFileSync(file, 'utf8');

/** A listener that remembers what it got. */
class Watcher {
  got = [];
  gaps = [];
  states = [];

  constructor(tab, token, { recent, live = tab.live } = {}) {
    Object.assign(this, { tab, token, recent });
    this.stop = live.on(token, (data, event) => this.got.push({ ...event, at: tab.world.now }), { recent });
    live.onGap = (tokens) => {
      this.gaps.push(...tokens);
      this.got.push('gap');
    };
    live.onState = (state, reason, tokens) => this.states.push([state, reason, tokens && [...tokens]]);
  }

  get data() {
    return this.got.map(({ data }) => data);
  }
}

function open(world, options = {}, connect = {}) {
  const tab = world.tab(options);
  tab.live = tab.connect(connect);
  return tab;
}

/** Whether a listener got all events of each address from the first on, each once and in order. */
function isWhole(world, watcher, name) {
  const addressOf = ({ to }) => ([to].flat().includes(watcher.token) ? watcher.token : String(to));
  const first = new Map();
  for (const event of watcher.got) if (!first.has(addressOf(event))) first.set(addressOf(event), event.id);
  // From where on it got everything, to whatever address.
  const whole = watcher.recent ? Math.max(0, ...watcher.got.filter(({ at }) => at === watcher.got[0].at).map(({ id }) => id)) : 0;
  const ids = watcher.got.map(({ id }) => id);
  const wanted = world.server.kept.filter((event) => meets(watcher.token, event.to)
    && event.id >= (first.get(addressOf(event)) ?? (ids.length ? Math.max(whole, ids[0]) : Infinity))).map(({ id }) => id);
  const missing = wanted.filter((id) => !ids.includes(id)).map((id) => id - world.began * 1000);
  const twice = ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => id - world.began * 1000);
  assert.deepEqual({ missing, twice }, { missing: [], twice: [] }, `${name}: ${watcher.token} of tab ${world.tabs.indexOf(watcher.tab)}`);
  assert.deepEqual(ids, [...ids].sort((one, other) => one - other), `${name}: ${watcher.token} is out of order`);
}

const meets = (token, to) => token === '*' || [to].flat().some((name) => name === token || (name.endsWith('*') && token.startsWith(name.slice(0, -1))));

/** As many tabs as it says, live, each listening to `a`. */
async function several(world, count) {
  const tabs = Array.from({ length: count }, (_, at) => open(world, { hidden: at > 0 && at < count - 1 }));
  const watchers = tabs.map((tab) => new Watcher(tab, 'a'));
  await world.until('live', () => watchers.every(({ states }) => states.at(-1)?.[0] === 'live'));
  await world.pass(1000);
  return { tabs, watchers };
}

const leaderOf = (world) => {
  const [stream] = world.server.open;
  return stream?.connection.tab;
};

/** Publishes to `a` all the time, until it is told to stop. */
function flood(world, every = 5) {
  let count = 0;
  let on = true;
  const next = () => {
    if (!on) return;
    world.server.publish('a', count++);
    world.later(every, null, 'network', next);
  };
  next();
  return () => { on = false; return count; };
}

const scenes = {
  async 'twelve tabs have one stream'(world) {
    const { watchers } = await several(world, 12);
    assert.equal(world.server.open.length, 1);
    const stop = flood(world);
    await world.pass(3000);
    const count = stop();
    await world.pass(1000);
    for (const watcher of watchers) assert.equal(watcher.got.length, count);
    assert.equal(world.server.open.length, 1);
    assert(world.server.requests.length <= 3, `${world.server.requests.length} requests`);
  },

  ...Object.fromEntries(['kill', 'closeTab', 'freeze', 'stick', 'leave', 'live.close'].map((end) => [
    `the leader ends in a flood: ${end}`,
    async (world) => {
      const { tabs, watchers } = await several(world, 5);
      const stop = flood(world);
      await world.pass(500);
      const leader = leaderOf(world);
      const at = tabs.indexOf(leader);
      if (end === 'stick') leader.stuck = true;
      else if (end === 'live.close') leader.live.close();
      else await leader[end]();
      const others = watchers.filter((_, which) => which !== at);
      const took = await world.until('a new leader', () => world.server.open.some(({ connection }) => connection.tab !== leader), 2000);
      assert(took <= 2000);
      await world.pass(3000);
      // What was asleep comes back, and has missed nothing either.
      if (end === 'stick') leader.stuck = false;
      if (end === 'freeze') leader.thaw();
      if (end === 'leave') leader.comeBack();
      await world.pass(3000);
      const count = stop();
      await world.pass(5000);
      const whole = ['stick', 'freeze', 'leave'].includes(end) ? watchers : others;
      for (const watcher of whole) {
        assert.equal(watcher.got.length, count, `${end}`);
        isWhole(world, watcher, end);
        assert.deepEqual(watcher.gaps, []);
      }
      assert.equal(world.server.open.length, 1);
    },
  ])),

  async 'two leaders for a moment'(world) {
    const { tabs, watchers } = await several(world, 4);
    const stop = flood(world, 2);
    await world.pass(300);
    for (let round = 0; round < 4; round += 1) {
      const leader = leaderOf(world);
      leader.stuck = true;
      await world.until('a new leader', () => world.server.open.some(({ connection }) => connection.tab !== leader), 2500);
      leader.stuck = false;
      await world.pass(400);
    }
    const count = stop();
    await world.pass(5000);
    for (const watcher of watchers) {
      assert.equal(watcher.got.length, count);
      isWhole(world, watcher, 'two leaders');
    }
    assert.equal(world.server.open.length, 1);
    assert.equal(tabs.length, 4);
  },

  async 'a follower that was stuck or frozen has missed nothing'(world) {
    const { tabs, watchers } = await several(world, 4);
    const leader = leaderOf(world);
    const [one, other] = tabs.filter((tab) => tab !== leader);
    const stop = flood(world);
    one.stuck = true;
    other.freeze();
    await world.pass(5000);
    leader.kill();
    await world.pass(5000);
    one.stuck = false;
    other.thaw();
    await world.pass(3000);
    const count = stop();
    await world.pass(3000);
    for (const watcher of watchers) {
      if (watcher.tab === leader) continue;
      assert.equal(watcher.got.length, count);
      isWhole(world, watcher, 'follower');
    }
  },

  async 'what frozen tabs want the new leader knows'(world) {
    const { tabs } = await several(world, 4);
    const leader = leaderOf(world);
    const frozen = tabs.find((tab) => tab !== leader);
    const quiet = new Watcher(frozen, 'quiet');
    await world.pass(2000);
    frozen.freeze();
    leader.kill();
    await world.pass(3000);
    assert(world.server.open[0].tokens.has('quiet'));
    world.server.publish('quiet', 'x');
    await world.pass(100);
    frozen.thaw();
    await world.pass(2000);
    assert.deepEqual(quiet.data, ['x']);
  },

  async 'a tab that was killed is forgotten'(world) {
    const { tabs } = await several(world, 3);
    const gone = tabs.find((tab) => tab !== leaderOf(world));
    new Watcher(gone, 'gone');
    await world.pass(2000);
    assert(world.server.open[0].tokens.has('gone'));
    gone.kill();
    await world.pass(120_000);
    assert(!world.server.open[0].tokens.has('gone'));
  },

  async 'a crowd of components makes few streams'(world) {
    const tab = open(world);
    const watchers = Array.from({ length: 20 }, (_, at) => new Watcher(tab, `t${at}`));
    await world.pass(1000);
    assert.equal(world.server.requests.length, 1);
    for (let at = 0; at < 20; at += 1) world.server.publish(`t${at}`, at);
    await world.pass(100);
    watchers.forEach((watcher, at) => assert.deepEqual(watcher.data, [String(at)]));
  },

  async 'on and stop in storms hold nothing up'(world) {
    const { tabs, watchers } = await several(world, 3);
    const stop = flood(world);
    const stops = [];
    let seen = 0;
    let longest = 0;
    for (let round = 0; round < 300; round += 1) {
      const tab = tabs[round % 3];
      stops.push(tab.live.on(`x${round % 17}`, () => {}));
      if (stops.length > 5) stops.shift()();
      await world.pass(20);
      const count = watchers[0].got.length;
      longest = count > seen ? 0 : longest + 20;
      seen = count;
      assert(longest < 500, `nothing for ${longest} ms`);
    }
    const late = new Watcher(tabs[1], 'late');
    await world.pass(1500);
    world.server.publish('late', 1);
    const count = stop();
    await world.pass(3000);
    for (const watcher of watchers) {
      assert.equal(watcher.got.length, count);
      isWhole(world, watcher, 'storm');
    }
    assert.deepEqual(late.data, ['1']);
    assert.equal(world.server.open.length, 1);
    assert(world.server.requests.length < 50, `${world.server.requests.length} requests`);
    assert.equal(world.server.open[0].tokens.size, 7);
  },

  async 'a component that is mounted again loses nothing'(world) {
    const { tabs: [tab] } = await several(world, 2);
    const stopFlood = flood(world);
    const got = [];
    let stop = tab.live.on('a', (data) => got.push(Number(data)));
    for (let round = 0; round < 100; round += 1) {
      await world.pass(7);
      stop();
      stop = tab.live.on('a', (data) => got.push(Number(data)));
    }
    stopFlood();
    await world.pass(2000);
    assert.deepEqual(got, got.map((_, at) => got[0] + at));
    assert.equal(got.at(-1), world.server.kept.length - 1);
  },

  async 'recent values come first, for each who asks'(world) {
    for (let at = 0; at < 30; at += 1) world.server.publish('a', at);
    const one = open(world);
    const plain = new Watcher(one, 'a');
    const five = new Watcher(one, 'a', { recent: 5 });
    await world.pass(1000);
    const other = open(world);
    const ten = new Watcher(other, 'a', { recent: 10 });
    const none = new Watcher(other, 'a');
    await world.pass(1000);
    world.server.publish('a', 30);
    await world.pass(500);
    assert.deepEqual(plain.data, ['30']);
    assert.deepEqual(five.data, ['25', '26', '27', '28', '29', '30']);
    assert.deepEqual(ten.data, Array.from({ length: 11 }, (_, at) => String(at + 20)));
    assert.deepEqual(none.data, ['30']);
  },

  async 'what came before is not told to those who did not ask'(world) {
    const tab = open(world);
    const a = new Watcher(tab, 'a');
    await world.pass(1000);
    world.server.publish('b', 'early');
    await world.pass(1000);
    const b = new Watcher(tab, 'b');
    await world.pass(1000);
    world.server.publish('b', 'late');
    await world.pass(100);
    assert.deepEqual(b.data, ['late']);
    assert.deepEqual(a.data, []);
  },

  async 'lists, prefixes and everything'(world) {
    const tab = open(world);
    const got = new Map(['ab', 'ac', 'b', '*'].map((token) => [token, new Watcher(tab, token)]));
    await world.pass(1000);
    world.server.publish(['ab', 'b'], 1);
    world.server.publish('a*', 2);
    world.server.publish('*', 3);
    world.server.publish('c', 4);
    await world.pass(100);
    assert.deepEqual(got.get('ab').data, ['1', '2', '3']);
    assert.deepEqual(got.get('ac').data, ['2', '3']);
    assert.deepEqual(got.get('b').data, ['1', '3']);
    assert.deepEqual(got.get('*').data, ['1', '2', '3', '4']);
  },

  async 'a callback that throws disturbs nobody'(world) {
    const tab = open(world);
    tab.live.on('a', () => { throw new Error('mine'); });
    const other = new Watcher(tab, 'a');
    await world.pass(1000);
    world.server.publish('a', 1);
    world.server.publish('a', 2);
    await world.pass(100);
    assert.deepEqual(other.data, ['1', '2']);
    assert.deepEqual(tab.errors.map(({ message }) => message), ['mine', 'mine']);
  },

  async 'it comes back as it promised, and loses nothing'(world) {
    const { watchers } = await several(world, 3);
    world.server.publish('a', 1);
    await world.pass(100);
    world.server.network = 502;
    world.server.cutAll();
    const begin = world.server.requests.length;
    const gone = world.now;
    world.server.publish('a', 2);
    await world.pass(30_000);
    const tries = world.server.requests.slice(begin).map(({ at }) => at - gone);
    assert(tries.length >= 4, `${tries}`);
    for (const [at, time] of tries.entries()) {
      const pause = time - (tries[at - 1] ?? 0);
      assert(pause <= Math.min(30_000, 500 * 2 ** at) + 20, `${pause} before attempt ${at}`);
    }
    assert.equal(watchers[0].states.at(-1)[0], 'lost');
    world.server.network = 'well';
    await world.until('live again', () => world.server.open.length === 1, 31_000);
    await world.pass(100);
    for (const watcher of watchers) {
      assert.deepEqual(watcher.data, ['1', '2']);
      assert.equal(watcher.states.at(-1)[0], 'live');
      assert.deepEqual(watcher.gaps, []);
    }
  },

  async 'a lost position is a gap in every tab'(world) {
    const { watchers } = await several(world, 3);
    world.server.most = 2;
    world.server.network = 'refused';
    world.server.cutAll();
    for (let at = 0; at < 5; at += 1) world.server.publish('a', at);
    await world.pass(2000);
    world.server.network = 'well';
    await world.until('live again', () => world.server.open.length === 1, 31_000);
    await world.pass(100);
    for (const watcher of watchers) {
      // What comes behind the gap comes after it is told.
      assert.deepEqual(watcher.got.map((event) => event.data ?? event), ['gap', '3', '4']);
      assert.deepEqual(watcher.gaps, ['a']);
    }
  },

  async 'a daemon whose ids are lower than those of the one before is heard'(world) {
    const { tabs, watchers } = await several(world, 3);
    world.server.publish('a', 1);
    await world.pass(16_000);
    const { server } = world;
    server.cutAll();
    // It was started anew, by a clock that is behind, and knows nothing of what was.
    server.last = 500;
    server.kept = [];
    server.begins = true;
    server.lost = Infinity;
    await world.until('live again', () => server.open.length === 1);
    await world.pass(100);
    server.lost = 0;
    server.publish('a', 2);
    await world.pass(100);
    server.publish('a', 3);
    await world.pass(16_000);
    leaderOf(world).kill();
    await world.pass(3000);
    server.publish('a', 4);
    await world.pass(1000);
    for (const watcher of watchers.filter(({ tab }) => !tab.dead)) {
      assert.deepEqual(watcher.got.map((event) => event.data ?? event), ['1', 'gap', '2', '3', '4']);
    }
    assert.equal(tabs.length, 3);
  },

  async 'one stream is enough to come back, however quiet the other tokens were'(world) {
    const tab = open(world);
    const watchers = ['a', 'b', 'c'].map((token) => new Watcher(tab, token, { recent: 5 }));
    await world.pass(1000);
    world.server.publish('a', 1);
    await world.pass(100);
    const asked = world.server.requests.length;
    world.server.cutAll();
    world.server.most = 1;
    for (const number of [2, 3, 4]) world.server.publish('b', number);
    await world.until('live again', () => world.server.open.length === 1);
    await world.pass(3000);
    assert.equal(world.server.requests.length, asked + 1);
    assert.deepEqual(watchers.at(-1).gaps, ['a', 'b', 'c']);
  },

  async 'a `retry:` that was the last word holds'(world) {
    const { tabs } = await several(world, 2);
    const begin = world.server.requests.length;
    const gone = world.now;
    world.server.cutAll(5000);
    await world.pass(1000);
    for (const tab of tabs) tab.window.fire('online');
    tabs[0].show();
    await world.until('live again', () => world.server.open.length === 1, 9000);
    const [{ at }] = world.server.requests.slice(begin);
    assert(at - gone >= 5000, `${at - gone}`);
    // Without it, the first attempt is soon.
    world.server.cutAll();
    const took = await world.until('live again', () => world.server.open.length === 1, 9000);
    assert(took <= 550, `${took}`);
  },

  async 'silence of two and a half heartbeats is a loss'(world) {
    world.server.heartbeat = 2;
    const { watchers } = await several(world, 2);
    await world.pass(15_000);
    const begin = world.server.requests.length;
    world.server.network = 'silent';
    world.server.publish('a', 1);
    const took = await world.until('noticed', () => watchers[0].states.at(-1)[0] === 'lost', 8000);
    assert(took >= 2900 && took <= 5100, `${took}`);
    world.server.network = 'well';
    world.server.streams.clear();
    await world.pass(12_000);
    assert(world.server.requests.length > begin);
    for (const watcher of watchers) assert.deepEqual(watcher.data, ['1']);
  },

  async 'who is seen again, or has a network again, does not wait'(world) {
    for (const wake of [(tab) => tab.window.fire('online'), (tab) => tab.window.fire('pageshow', {}), (tab) => tab.show()]) {
      const tab = open(world, {}, { id: String(world.random()) });
      new Watcher(tab, 'a');
      await world.pass(500);
      world.server.network = 502;
      world.server.cutAll();
      await world.pass(40_000);
      world.server.network = 'well';
      wake(tab);
      const took = await world.until('live again', () => world.server.open.length === 1, 200);
      assert(took < 100);
      tab.live.close();
      await world.pass(100);
      tab.kill();
    }
  },

  async 'without locks or a channel, each has its own'(world) {
    const tabs = [open(world, { locks: false }), open(world, { channel: false }), open(world, {}, { share: false }), open(world), open(world)];
    const watchers = tabs.map((tab) => new Watcher(tab, 'a'));
    await world.pass(2000);
    assert.equal(world.server.open.length, 4);
    world.server.publish('a', 1);
    world.server.cutAll();
    world.server.publish('a', 2);
    await world.pass(2000);
    for (const watcher of watchers) assert.deepEqual(watcher.data, ['1', '2']);
  },

  async 'only equals share'(world) {
    const options = [{}, { id: 'x' }, { info: { a: 1 } }, { identity: 'ann' }, { identity: 'ann' }, { url: 'http://other/sse' }];
    const tabs = options.map((connect) => open(world, {}, connect));
    tabs.forEach((tab) => new Watcher(tab, 'a'));
    await world.pass(3000);
    assert.equal(world.server.open.length, 5);
  },

  async 'where there is a key, nobody shares without an identity'(world) {
    world.server.key = (query) => query.includes('sign=');
    const query = (tokens) => `${tokens.map((token) => `token=${token}`).join('&')}&expires=9&sign=0`;
    const apart = [0, 1, 2].map(() => open(world, {}, { query }));
    const same = [0, 1, 2].map(() => open(world, {}, { query, identity: 'ann' }));
    const watchers = [...apart, ...same].map((tab) => new Watcher(tab, 'a', { recent: 1 }));
    await world.pass(5000);
    assert.equal(world.server.open.length, 4);
    world.server.publish('a', 1);
    world.server.cutAll();
    world.server.publish('a', 2);
    await world.pass(3000);
    for (const watcher of watchers) assert.deepEqual(watcher.data, ['1', '2']);
    assert.equal(world.server.open.length, 4);
  },

  async 'rights: denied, asked again, and without what may not be read'(world) {
    let user = null;
    world.server.key = (query) => query.includes('sign=');
    world.server.denies.add('secret');
    const asked = [];
    const query = async (tokens) => {
      asked.push(tokens);
      return user ? `${tokens.map((token) => `token=${token}`).join('&')}&expires=9&sign=0` : 'log in first';
    };
    const tab = open(world, {}, { query, identity: 'ann' });
    const a = new Watcher(tab, 'a');
    await world.pass(3000);
    assert.equal(a.states.at(-1)[0], 'denied');
    assert.equal(a.states.at(-1)[1], 'no right');
    user = 'ann';
    await world.until('live', () => a.states.at(-1)[0] === 'live', 31_000);
    const secret = new Watcher(tab, 'secret');
    await world.pass(2000);
    assert.deepEqual(secret.states.find(([state, , tokens]) => state === 'denied' && tokens)[2], ['secret']);
    assert.equal(secret.states.at(-1)[0], 'live');
    world.server.publish('a', 1);
    world.server.denies.clear();
    await world.pass(31_000);
    world.server.publish('secret', 2);
    await world.pass(100);
    assert.deepEqual([a.data, secret.data], [['1'], ['2']]);
    assert(asked.length < 20);
    assert.deepEqual(a.gaps, []);
  },

  async 'who sets no onState is warned, once for each reason'(world) {
    world.server.key = (query) => query.includes('sign=');
    const query = () => 'token=a&expires=9&sign=0';
    const tab = open(world, {}, { query, identity: 'ann' });
    const quiet = open(world, {}, { query, identity: 'bob' });
    new Watcher(quiet, 'b');
    tab.live.on('a', () => {});
    tab.live.on('b', () => {});
    await world.pass(60_000);
    assert.deepEqual(tab.warnings, ['denied: the signed query does not name it: b']);
    world.server.key = () => false;
    world.server.cutAll();
    await world.pass(60_000);
    assert.equal(tab.warnings.filter((text) => text === 'denied: no right').length, 1, tab.warnings);
    assert.deepEqual(quiet.warnings, []);
  },

  async 'a right is renewed before it ends'(world) {
    const jwt = () => {
      const seconds = Math.floor(world.now / 1000);
      return `auth=x.${Buffer.from(JSON.stringify({ iat: seconds, exp: seconds + 10 })).toString('base64url')}.y`;
    };
    const tab = open(world, {}, { query: () => jwt(), identity: 'ann' });
    const a = new Watcher(tab, 'a');
    let missing = 0;
    const stop = flood(world, 10);
    await world.pass(1000);
    for (let at = 0; at < 600; at += 1) {
      await world.pass(100);
      if (!world.server.open.length) missing += 1;
    }
    stop();
    await world.pass(500);
    assert.equal(missing, 0);
    assert(world.server.requests.length >= 6 && world.server.requests.length <= 10, `${world.server.requests.length}`);
    isWhole(world, a, 'renewed');
    assert.deepEqual([...new Set(a.states.map(([state]) => state))], ['connecting', 'live']);
  },

  async 'many tokens are several streams'(world) {
    const tab = open(world);
    const watchers = Array.from({ length: 450 }, (_, at) => new Watcher(tab, `token-${at}`, { recent: 1 }));
    await world.pass(2000);
    assert.equal(world.server.open.length, 3);
    for (const { query, tokens } of world.server.open) assert(tokens.size <= 200 && query.length <= 12 * 1024, `${tokens.size} ${query.length}`);
    for (const watcher of watchers) world.server.publish(watcher.token, watcher.token);
    world.server.publish('*', 'all');
    await world.pass(500);
    for (const watcher of watchers) assert.deepEqual(watcher.data, [watcher.token, 'all']);
    for (const watcher of watchers.slice(10)) watcher.stop();
    await world.pass(3000);
    assert.equal(world.server.open.length, 1);
  },

  async 'handlers that come late are told how things stand'(world) {
    const { tabs: [tab] } = await several(world, 2);
    const states = [];
    tab.live.onState = (state) => states.push(state);
    assert.deepEqual(states, ['live']);
    const other = open(world);
    const first = new Watcher(other, 'a');
    assert.equal(first.states[0][0], 'connecting');
    await world.pass(1000);
    assert.equal(first.states.at(-1)[0], 'live');
  },
};

/** What chance brings. */
async function byChance(world) {
  const pick = (list) => list[Math.floor(world.random() * list.length)];
  const watchers = [];
  const tokens = ['a', 'b', 'c', 'd'];
  const add = () => {
    const tab = open(world, { hidden: world.random() < 0.3 });
    for (let count = 1 + Math.floor(world.random() * 3); count > 0; count -= 1) watchers.push(new Watcher(tab, pick(tokens), { recent: pick([0, 0, 3]) }));
  };
  for (let count = 0; count < 3; count += 1) add();
  let count = 0;
  const told = [];
  for (let step = 0; step < 150; step += 1) {
    for (let times = Math.floor(world.random() * 6); times > 0; times -= 1) world.server.publish(pick([...tokens, ['a', 'b'], '*']), count++);
    const tab = pick(world.alive);
    const action = pick(['open', 'kill', 'close', 'freeze', 'thaw', 'stick', 'stick', 'free', 'free', 'hide', 'show', 'leave', 'back', 'on', 'on', 'stop', 'network', 'well', 'cut', 'nothing', 'nothing']);
    told.push(`${world.now - world.began} ${action} ${world.tabs.indexOf(tab)}`);
    const idle = tab && !tab.stuck && !tab.cached && !tab.frozen;
    if (action === 'open' && world.alive.length < 7) add();
    if (action === 'kill' && tab && world.alive.length > 2) tab.kill();
    if (action === 'close' && idle && world.alive.length > 2) tab.closeTab();
    if (action === 'freeze' && idle) tab.freeze();
    if (action === 'thaw' && tab?.frozen && !tab.stuck && !tab.cached) tab.thaw();
    if (action === 'stick' && idle) tab.stuck = true;
    if (action === 'free') for (const stuck of world.alive.filter((tab) => tab.stuck)) stuck.stuck = false;
    if (action === 'hide' && idle) tab.hide();
    if (action === 'show' && idle) tab.show();
    if (action === 'leave' && idle) await tab.leave();
    if (action === 'back' && tab?.cached) tab.comeBack();
    if (action === 'on' && idle) watchers.push(new Watcher(tab, pick(tokens), { recent: pick([0, 0, 2]) }));
    if (action === 'stop') {
      const watcher = pick(watchers);
      if (!watcher.tab.dead && !watcher.tab.stuck && !watcher.tab.cached && !watcher.tab.frozen) { watcher.stop(); watchers.splice(watchers.indexOf(watcher), 1); }
    }
    if (action === 'network') world.server.network = pick([502, 'refused', 'hanging', 'silent']);
    if (action === 'well' && world.server.network !== 'well') world.server.speak();
    if (action === 'cut') world.server.cutAll(pick([null, 2000]));
    await world.pass(Math.floor(world.random() ** 3 * 4000));
  }
  if (world.server.network !== 'well') world.server.speak();
  for (const tab of world.alive) {
    tab.stuck = false;
    if (tab.frozen) tab.thaw();
    if (tab.cached) tab.comeBack();
    tab.show();
  }
  await world.pass(60_000);
  for (const token of tokens) world.server.publish(token, count++);
  await world.pass(60_000);
  if (process.env.TELL) {
    const all = [...told.map((line) => [Number(line.split(' ')[0]), line]),
      ...world.server.requests.map(({ at, query, tab }) => [at - world.began, `${at - world.began}    GET by ${tab} ${query.slice(0, 200)}`]),
      ...watchers.flatMap((w) => w.got.map((e) => [e.at - world.began, `${e.at - world.began}        tab ${world.tabs.indexOf(w.tab)} ${w.token} gets ${e.id - world.began * 1000}`]))];
    console.log(all.sort((a, b) => a[0] - b[0]).map(([, line]) => line).join('\n'));
  }
  for (const watcher of watchers.filter(({ tab }) => !tab.dead)) {
    isWhole(world, watcher, `seed ${world.seedOf}`);
    assert(watcher.got.length > 0, `seed ${world.seedOf}: nothing came to ${watcher.token}`);
    assert.deepEqual(watcher.gaps, [], `seed ${world.seedOf}`);
  }
  assert.equal(world.server.open.length, 1, `seed ${world.seedOf}`);
  for (const tab of world.alive) assert.deepEqual(tab.errors, []);
}

const only = process.env.SCENE;
if (seeds.length && only === '') for (const name of Object.keys(scenes)) delete scenes[name];
for (const [name, play] of Object.entries(scenes)) {
  if (only && !name.includes(only)) continue;
  const world = new World(code);
  await play(world);
  for (const tab of world.tabs) if (!name.includes('throws')) assert.deepEqual(tab.errors, [], name);
  console.log(`played: ${name}`);
}
for (const seed of only ? [] : seeds.flatMap((range) => {
  const [from, to = from] = range.split('-').map(Number);
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
})) {
  const world = new World(code, seed);
  world.seedOf = seed;
  await byChance(world);
}
console.log(`played by chance: ${seeds}`);
