// A tab among the others: one of them leads, and has the stream; the others follow. HANDOVER.md has the drawing.
import { Feed } from './feed.js';

/** The version of what tabs tell each other: only equal ones understand each other. */
const PROTOCOL = 1;
/** Milliseconds after which a tab that is seen asks whether the leader is there, and how often in vain. */
const ASK = 400;
const VAIN = 3;
/** Milliseconds between two looks at which tabs are still there. */
const LOOK = 30_000;

/**
 * What a tab wants of one token: the token; how many kept events a new listener begins with, or null; the position
 * from which a listener that missed something goes on, or null; whether members are wanted (2 = none are known yet).
 * @typedef {[string, number | null, number | null, 0 | 1 | 2]} Want
 */

/**
 * What all tabs know of a stream. `covers` has the version of each tab's wants that it meets.
 * @typedef {{ name: string, tokens: Set<string>, after: number | null, position: number | null, live: boolean, covers: Record<string, number> }} Voice
 */

const random = () => Math.random().toString(36).slice(2);

export class Tab {
  /** This tab's name. */
  me = random() + random();
  /** The version of its wants: what is told next has this one. */
  version = 1;
  /** @type {Map<string, Voice>} */
  voices = new Map();
  /** The newest id of any stream. */
  position = null;
  /** What is so at the moment. */
  state = ['connecting', ''];
  denied = new Map();

  #options;
  #told;
  #channel = null;
  #name;
  /** What each tab wants: this one too, and those that are frozen or stuck. */
  #tabs = new Map();
  #client = null;
  #absent = new Set();
  #looked = 0;

  #leader = null;
  #count = 0;
  #positions = new Map();
  #feed = null;
  #heard = Date.now();
  #asked = 0;
  #called = 0;

  #waiting = null;
  #release = null;
  #frozen = false;
  #changing = false;
  #closed = false;
  #timer = 0;
  #ears = [];

  /**
   * @param {import('../sse.js').Options & { url: string }} options
   * @param {{ wants(): Want[], look(): boolean, rewind(): void, members(tokens: string[]): object[],
   *   items(voice: Voice, items: object[]): void, state(): void }} told
   */
  constructor(options, told) {
    this.#options = options;
    this.#told = told;
    const { url, id = null, info = null, identity = null } = options;
    this.#name = `hasses-${PROTOCOL} ${JSON.stringify([url, id, info, identity])}`;
    this.#listen(globalThis, 'online', () => this.#wake(true));
    this.#listen(globalThis, 'pagehide', () => this.#hide());
    this.#listen(globalThis, 'pageshow', (event) => this.#show(event.persisted));
    this.#listen(globalThis.document, 'freeze', () => this.#freeze());
    this.#listen(globalThis.document, 'resume', () => this.#thaw());
    this.#listen(globalThis.document, 'visibilitychange', () => this.#seen());
  }

  get #shares() {
    return this.#options.share !== false && Boolean(globalThis.navigator?.locks && globalThis.BroadcastChannel);
  }

  #listen(target, name, ear) {
    if (!target?.addEventListener) return;
    target.addEventListener(name, ear);
    this.#ears.push(() => target.removeEventListener(name, ear));
  }

  begin() {
    try {
      if (this.#shares) this.#channel = new BroadcastChannel(this.#name);
    } catch { /* a page without an origin of its own has none */ }
    if (!this.#channel) {
      this.#tell(true);
      this.#lead();
      return;
    }
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#heard = Date.now();
    this.#tell(true);
    this.#queue();
    this.#identify();
    this.#seen();
  }

  // What this tab wants

  /** The page wants something else. What changes in one go is told once. */
  change() {
    if (this.#changing) return;
    this.#changing = true;
    queueMicrotask(() => {
      this.#changing = false;
      if (!this.#closed) this.#tell(false);
    });
  }

  /** Tells the others what this tab wants; `hello` = the leader is to answer. */
  #tell(hello) {
    const wants = this.#told.wants();
    this.#say({ kind: 'want', version: this.version++, wants, client: this.#client, hello });
  }

  /** Something was missed: what came since then is asked for. */
  #rejoin() {
    this.#told.rewind();
    this.#tell(true);
  }

  close() {
    this.#closed = true;
    for (const deafen of this.#ears) deafen();
    this.#hide();
  }

  // Who leads

  /** Waits until it is this tab's turn to lead. */
  #queue(steal = false) {
    const waiting = this.#waiting = new AbortController();
    const lead = () => {
      // A tab that is frozen would lead without a stream.
      if (this.#frozen || this.#waiting !== waiting) return;
      this.#lead();
      return new Promise((release) => { this.#release = release; });
    };
    const options = steal ? { steal: true } : { signal: waiting.signal };
    navigator.locks.request(this.#name, options, lead).then(() => {
      if (this.#waiting === waiting) this.#waiting = null;
    }, (error) => {
      if (this.#waiting !== waiting) return;
      this.#waiting = this.#release = null;
      // Another tab took the lead; or there are locks, but not for this page.
      if (error.name === 'AbortError') this.#resign();
      else this.#part();
    });
  }

  #lead() {
    this.#remember();
    this.#leader = this.me;
    this.#feed = new Feed(this.#options, this.me, this.#tabs, this.#positions, {
      head: (response) => this.#head(response),
      changed: () => this.#announce(),
      items: ({ name }, items) => this.#say({ kind: 'items', name, items, count: ++this.#count }),
    });
    this.#announce(true);
    this.#feed.plan();
    this.#look();
  }

  /** Does not lead any more, and waits for its next turn. */
  #resign() {
    this.#stop();
    if (this.#channel) this.#queue();
  }

  #stop() {
    this.#feed?.stop();
    this.#feed = null;
  }

  /** Where a key decides who may read what, and nobody says who this is, each tab has its own stream. */
  #head(response) {
    const { identity } = this.#options;
    if (identity !== undefined && identity !== null) return;
    if (response.status === 401 || response.headers.has('Hasses-Auth')) {
      this.#say({ kind: 'part' });
    }
  }

  /** Shares with nobody from now on. */
  #part() {
    if (!this.#channel) return;
    this.#leave();
    for (const tab of [...this.#tabs.keys()]) if (tab !== this.me) this.#tabs.delete(tab);
    if (this.#feed) return;
    this.#leader = null;
    this.#told.rewind();
    this.#tell(false);
    this.#lead();
  }

  /** No channel, no lock. */
  #leave() {
    this.#channel?.close();
    this.#channel = null;
    clearInterval(this.#timer);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (this.#release) this.#release();
    else waiting?.abort();
    this.#release = null;
  }

  // What tabs tell each other

  #say(message) {
    message.from = this.me;
    this.#channel?.postMessage(message);
    this.#hear(message);
  }

  /** Tells all how things stand; `whole` = what each tab wants, too. */
  #announce(whole = false) {
    const streams = this.#feed.streams.map(({ name, tokens, after, position, live, covers }) => ({ name, tokens, after, position, live, covers }));
    const versions = Object.fromEntries([...this.#tabs].map(([tab, { version }]) => [tab, version]));
    const { state, denied } = this.#feed;
    this.#say({ kind: 'lead', streams, versions, state, denied, tabs: whole ? this.#tabs : null, count: ++this.#count });
  }

  #hear(message) {
    if (this.#closed) return;
    const { kind, from } = message;
    if (from === this.#leader) {
      this.#heard = Date.now();
      this.#asked = 0;
    }
    if (kind === 'want') this.#note(message);
    else if (kind === 'bye' && from !== this.me) this.#tabs.delete(from);
    else if (kind === 'lead') this.#follow(message);
    else if (kind === 'items') this.#take(message);
    else if (kind === 'part') this.#part();
    if (!this.#feed) return;
    if (kind === 'wake') this.#feed.wake(message.changed);
    else if (kind === 'want' || kind === 'bye' || kind === 'ask') this.#feed.plan();
    if (kind === 'ask') this.#say({ kind: 'here' });
  }

  #note({ from, version, wants, client, hello }) {
    this.#tabs.set(from, { version, wants, client });
    if (!this.#feed || from === this.me) return;
    if (hello) this.#announce(true);
    const items = this.#told.members(wants.filter(([, , , presence]) => presence === 2).map(([token]) => token));
    for (const item of items) {
      const voice = [...this.voices.values()].find(({ tokens }) => tokens.has(item.members.token));
      if (voice) this.#say({ kind: 'items', name: voice.name, items: [item], count: ++this.#count });
    }
  }

  #follow({ from, streams, versions, state, denied, tabs, count }) {
    if (from !== this.me && this.#feed) {
      this.#stop();
      // Who has the lock is right. If it is still here then, the other one had it before.
      setTimeout(() => {
        if (this.#release && !this.#feed && !this.#closed) this.#lead();
      }, 200);
    }
    const isNew = from !== this.#leader;
    this.#remember();
    // Of a leader that this tab did not follow so far it has not heard everything, nor where a message is lacking.
    const missed = from !== this.me && (isNew
      ? streams.some(({ tokens, position }) => [...tokens].some((token) => this.#positions.get(token) < position))
      : count !== this.#count + 1);
    this.#leader = from;
    this.#count = count;
    this.#heard = Date.now();
    for (const [tab, entry] of tabs ?? []) {
      if (tab !== this.me && !(this.#tabs.get(tab)?.version >= entry.version)) this.#tabs.set(tab, entry);
    }
    this.voices = new Map(streams.map((voice) => [voice.name, voice]));
    for (const voice of streams) if (voice.live) this.#met(voice);
    this.#reach(...streams.map(({ position }) => position));
    this.state = state;
    this.denied = denied;
    const behind = this.#told.look();
    this.#told.state();
    if (this.#closed) return;
    const known = versions[this.me];
    if (missed) this.#rejoin();
    else if (behind || known === undefined || (isNew && known !== this.#tabs.get(this.me)?.version)) this.#tell(false);
  }

  /** How far each token is, for the time when no stream carries it. */
  #remember() {
    const positions = new Map();
    for (const { tokens, position } of this.voices.values()) {
      for (const token of tokens) if (position !== null) positions.set(token, Math.max(position, positions.get(token) ?? 0));
    }
    for (const [token, position] of positions) this.#positions.set(token, position);
    const wanted = new Set([...this.#tabs.values()].flatMap(({ wants }) => wants.map(([token]) => token)));
    for (const token of [...this.#positions.keys()]) if (!wanted.has(token)) this.#positions.delete(token);
  }

  #take({ from, name, items, count }) {
    if (from !== this.#leader) {
      // Somebody leads of whom this tab does not know yet.
      this.#ask();
      return;
    }
    const missed = from !== this.me && count !== this.#count + 1;
    this.#count = count;
    if (missed) {
      this.#rejoin();
      return;
    }
    const voice = this.voices.get(name);
    if (!voice) return;
    for (const item of items) {
      if (item.ping !== undefined) {
        voice.live = true;
        voice.position = item.anew ? item.ping : Math.max(voice.position ?? 0, item.ping);
        voice.after = item.anew ? item.ping : voice.after ?? item.ping;
        if (item.anew) this.position = null;
        this.#met(voice);
      } else if (item.to !== undefined && voice.position !== null) {
        voice.position = Math.max(voice.position, item.id);
      }
    }
    this.#reach(voice.position);
    this.#told.items(voice, items);
    if (Date.now() - this.#looked > LOOK) this.#look();
  }

  #reach(...positions) {
    for (const position of positions) if (position !== null) this.position = Math.max(this.position ?? 0, position);
  }

  /** A live stream has met what the tabs wanted: who leads next need not ask for it again. */
  #met({ tokens, covers }) {
    for (const [tab, { version, wants }] of this.#tabs) {
      if ((covers[tab] ?? 0) < version) continue;
      for (const want of wants) if (tokens.has(want[0])) want[1] = want[2] = null;
    }
  }

  /** Asks who leads, not more often than once a second. */
  #ask() {
    if (Date.now() - this.#called < 1000) return;
    this.#called = Date.now();
    this.#tell(true);
  }

  // Who is there

  /** Finds out how the browser calls this tab where it lists who holds a lock, or waits for one. */
  async #identify() {
    const name = `${this.#name} ${this.me}`;
    try {
      await navigator.locks.request(name, async () => {
        const { held } = await navigator.locks.query();
        this.#client = held.find((lock) => lock.name === name)?.clientId ?? null;
      });
      this.change();
    } catch { /* then it is never taken for gone */ }
  }

  /** Forgets tabs that ended without a word: those that were missing in two looks. */
  async #look() {
    if (!this.#feed || !this.#channel) return;
    this.#looked = Date.now();
    try {
      const { held, pending } = await navigator.locks.query();
      const there = new Set([...held, ...pending].filter(({ name }) => name === this.#name).map(({ clientId }) => clientId));
      for (const [tab, { client }] of this.#tabs) {
        if (tab === this.me || client === null || there.has(client)) this.#absent.delete(tab);
        else if (this.#absent.has(tab)) this.#tabs.delete(tab);
        else this.#absent.add(tab);
      }
    } catch { return; }
    this.#feed?.plan();
  }

  // What happens to a page

  /** Where somebody looks, a leader that says nothing is not waited for. */
  #seen() {
    clearInterval(this.#timer);
    if (globalThis.document?.hidden) return;
    // Not all at the same moment.
    if (this.#channel) this.#timer = setInterval(() => this.#watch(), ASK * (0.8 + 0.2 * Math.random()));
    this.#asked = 0;
    this.#wake(false);
    this.#watch();
  }

  #watch() {
    if (this.#feed || !this.#channel || Date.now() - this.#heard < ASK * 0.75) return;
    if (this.#asked < VAIN) {
      this.#asked += 1;
      this.#say({ kind: 'ask' });
      return;
    }
    this.#asked = 0;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.abort();
    this.#queue(true);
  }

  #wake(changed) {
    this.#say({ kind: 'wake', changed });
  }

  /** The page goes, perhaps to come back. */
  #hide() {
    this.#stop();
    this.#channel?.postMessage({ kind: 'bye', from: this.me });
    this.#leave();
    this.#leader = null;
  }

  #show(persisted) {
    if (persisted && !this.#closed) {
      this.voices = new Map();
      this.#tabs = new Map();
      this.#told.rewind();
      this.begin();
    } else {
      this.#wake(false);
    }
  }

  /** In a frozen page streams stop, but it still hears the others: it cannot lead, and may follow. */
  #freeze() {
    this.#frozen = true;
    if (!this.#feed || !this.#channel) return;
    this.#stop();
    this.#leader = null;
    this.#waiting = null;
    this.#release?.();
    this.#release = null;
    this.#queue();
  }

  #thaw() {
    this.#frozen = false;
    if (!this.#channel) this.#wake(false);
    else if (!this.#waiting) this.#queue();
    if (this.#channel) this.#tell(true);
  }
}
