// What the leading tab does: it opens streams for all that the tabs want, and keeps them alive.
import { lengthOf, write } from './query.js';
import { Stream } from './stream.js';

/** Tokens, and bytes of query, of one stream. */
const MOST_TOKENS = 200;
const MOST_BYTES = 12_000;
/** Milliseconds between two streams that are opened because somebody wants more. */
const PACE = 300;
/** Milliseconds for which a stream still carries what nobody wants any more. */
const LULL = 1000;
/** Heartbeats after which a tab that is seen again does not trust the connection. */
const DOUBT = 1.2;

const backoff = (tries) => Math.random() * Math.min(30_000, 500 * 2 ** tries);

/** The place of one stream. While a new stream connects (`next`), the old one goes on. */
class Slot {
  tokens = new Set();
  bytes = 0;
  /** @type {Stream | null} */
  stream = null;
  /** @type {Stream | null} */
  next = null;
  /** Attempts since the last that succeeded, and when the next may begin: at the earliest, and even if all is well again. */
  tries = 0;
  due = 0;
  floor = 0;
  /** When the last attempt began, and when the tokens changed. */
  opened = 0;
  changed = 0;
  /** The stream may be dead without a sign: another is to take its place. */
  doubtful = false;
  /** Tokens that may not be read, with the reason; when they are asked for again. */
  denied = new Map();
  again = 0;
  refusals = 0;
  failure = null;
}

export class Feed {
  #slots = [];
  #timer = 0;
  #count = 0;
  #stopped = false;

  /**
   * @param {import('../sse.js').Options & { url: string }} options
   * @param {string} me   the tab's name
   * @param {Map<string, { version: number, wants: import('./tab.js').Want[] }>} tabs  what each tab wants
   * @param {Map<string, number>} positions  how far the tabs are, by token, from the leader before
   * @param {{ head(response: Response): void, changed(): void, items(stream: Stream, items: import('./stream.js').Item[]): void }} told
   */
  constructor(options, me, tabs, positions, told) {
    Object.assign(this, { options, me, tabs, positions, told });
  }

  /** The streams that speak. */
  get streams() {
    return this.#slots.flatMap(({ stream, next }) => [stream, next?.headed ? next : null]).filter(Boolean);
  }

  /** @returns {['connecting' | 'live' | 'lost' | 'denied', string]} */
  get state() {
    const wanted = this.#slots.filter((slot) => slot.tokens.size);
    const broken = wanted.find((slot) => !slot.stream);
    if (broken) return broken.failure ?? ['connecting', ''];
    return [wanted.length ? 'live' : 'connecting', ''];
  }

  /** The tokens that may not be read, with the reason. */
  get denied() {
    return new Map(this.#slots.flatMap((slot) => [...slot.denied]));
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const slot of this.#slots) {
      slot.stream?.close();
      slot.next?.close();
    }
  }

  /**
   * The network may be there again, or somebody looks: no attempt waits for its time.
   * @param {boolean} changed  the network is another one: what is open may be dead
   */
  wake(changed) {
    const now = Date.now();
    for (const slot of this.#slots) {
      if (changed && slot.next && !slot.next.headed) slot.next.lose('the network changed');
      if (slot.stream && (changed || now - slot.stream.heard > DOUBT * slot.stream.beat)) slot.doubtful = true;
      slot.due = Math.min(slot.due, Math.max(now, slot.floor));
      slot.again = Math.min(slot.again, Math.max(now, slot.floor));
    }
    this.plan();
  }

  /** Does what is due, and comes back when something else is. Timers may be late: whoever asks calls it too. */
  plan() {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    const needs = this.#needs();
    this.#place(needs);
    let at = Infinity;
    for (const slot of this.#slots) at = Math.min(at, this.#tend(slot, needs));
    if (this.#stopped || at === Infinity) return;
    this.#timer = setTimeout(() => this.plan(), Math.min(Math.max(at - Date.now(), 0), 60_000));
  }

  /** What all tabs together need of each token. */
  #needs() {
    const needs = new Map();
    for (const { wants } of this.tabs.values()) {
      for (const [token, recent, after, presence] of wants) {
        const need = needs.get(token) ?? { recent: 0, after: Infinity, follows: false, presence: false };
        needs.set(token, need);
        if (recent !== null) need.recent = Math.max(need.recent, recent);
        if (after !== null) need.after = Math.min(need.after, after);
        if (recent === null && after === null) need.follows = true;
        need.presence ||= presence > 0;
      }
    }
    return needs;
  }

  /** Gives each token a slot, in which it stays. */
  #place(needs) {
    const placed = new Set();
    for (const slot of this.#slots) {
      for (const token of slot.tokens) {
        if (needs.has(token)) {
          placed.add(token);
        } else {
          slot.tokens.delete(token);
          slot.denied.delete(token);
          this.positions.delete(token);
          slot.bytes -= lengthOf(token, true);
          slot.changed = Date.now();
        }
      }
    }
    for (const token of needs.keys()) {
      if (placed.has(token)) continue;
      const bytes = lengthOf(token, true);
      let slot = this.#slots.find((slot) => slot.tokens.size < MOST_TOKENS && slot.bytes + bytes <= MOST_BYTES);
      if (!slot) this.#slots.push(slot = new Slot());
      slot.tokens.add(token);
      slot.bytes += bytes;
      slot.changed = Date.now();
    }
  }

  /** Does what is due for a slot. Returns when to look again. */
  #tend(slot, needs) {
    const now = Date.now();
    for (const stream of [slot.next, slot.stream]) {
      if (stream && now >= stream.deadline) stream.lose('nothing came for too long');
    }
    // A stream that still connects is left alone: who wants something else waits until it is live.
    let at = Infinity;
    if (!slot.next) {
      at = this.#dueOf(slot, needs, now);
      if (at <= now) {
        at = Infinity;
        if (slot.tokens.size) this.#open(slot, needs, now);
        else this.#close(slot);
      }
    }
    return Math.min(at, slot.stream?.deadline ?? Infinity, slot.next?.deadline ?? Infinity);
  }

  /** When a slot needs another stream, or none at all. */
  #dueOf(slot, needs, now) {
    const { stream } = slot;
    const wanted = [...slot.tokens].filter((token) => !slot.denied.has(token));
    const again = slot.denied.size ? slot.again : Infinity;
    if (!slot.tokens.size) return slot.changed + LULL;
    if (!wanted.length) {
      this.#drop(slot);
      return again;
    }
    if (!stream) return slot.due;
    let at = Math.min(again, Math.max(stream.ends, slot.opened + PACE));
    if (slot.doubtful) at = now;
    if (this.#lacks(stream, wanted, needs)) at = Math.min(at, slot.opened + PACE);
    else if ([...stream.tokens].some((token) => !slot.tokens.has(token))) at = Math.min(at, slot.changed + LULL);
    return Math.max(at, slot.due);
  }

  /** Whether somebody wants what the stream does not carry. Tabs whose wants it meets are noted. */
  #lacks(stream, wanted, needs) {
    let lacks = wanted.some((token) => !stream.tokens.has(token) || (needs.get(token).presence && !stream.presence));
    for (const [tab, { version, wants }] of this.tabs) {
      if ((stream.covers[tab] ?? 0) >= version) continue;
      if (wants.some(([token, recent, after]) => wanted.includes(token) && (recent > 0 || (after !== null && after < stream.position)))) {
        lacks = true;
      } else if (!lacks) {
        stream.covers[tab] = version;
        queueMicrotask(() => this.#changed());
      }
    }
    return lacks;
  }

  #open(slot, needs, now) {
    const tokens = [...slot.tokens].filter((token) => !slot.denied.has(token) || now >= slot.again);
    let after = Infinity;
    for (const token of tokens) {
      const need = needs.get(token);
      if (need.follows) after = Math.min(after, this.#position(slot, token) ?? Infinity);
      after = Math.min(after, need.after);
    }
    if (after === Infinity) after = null;
    const stream = new Stream(`${this.me}.${++this.#count}`, new Set(tokens), after, {
      head: (response) => {
        this.told.head(response);
        stream.headed = response.ok;
        this.#changed();
      },
      items: (items) => this.#items(slot, stream, items),
      end: (end) => this.#ended(slot, stream, end),
    });
    stream.covers = Object.fromEntries([...this.tabs].map(([tab, { version }]) => [tab, version]));
    stream.presence = tokens.some((token) => needs.get(token).presence);
    slot.next = stream;
    slot.opened = now;
    slot.doubtful = false;
    const recent = new Map(tokens.map((token) => [token, needs.get(token).recent]));
    const wish = { tokens, recent, after, presence: stream.presence };
    stream.open(this.options.url, write(this.options, wish), this.options.credentials);
  }

  #position({ stream }, token) {
    return stream?.tokens.has(token) ? stream.position : this.positions.get(token);
  }

  #items(slot, stream, items) {
    this.told.items(stream, items);
    if (this.#stopped || stream !== slot.next || !stream.live) return;
    slot.stream?.close();
    slot.stream = stream;
    slot.next = null;
    Object.assign(slot, { tries: 0, due: 0, floor: 0, failure: null });
    for (const token of stream.tokens) slot.denied.delete(token);
    if (!slot.denied.size) slot.refusals = 0;
    this.#changed();
    this.plan();
  }

  #ended(slot, stream, { state, reason, tokens = [], pause }) {
    if (this.#stopped) return;
    const now = Date.now();
    if (stream === slot.stream) this.#drop(slot);
    else slot.next = null;
    const denied = tokens.filter((token) => stream.tokens.has(token));
    for (const token of denied) slot.denied.set(token, reason);
    if (denied.length) {
      // The others go on at once.
      slot.again = now + backoff(slot.refusals++);
      if (slot.denied.size >= slot.tokens.size) slot.failure = [state, reason];
    } else {
      slot.failure = [state, reason];
      slot.floor = now + pause;
      slot.due = now + Math.max(backoff(slot.tries++), pause);
    }
    this.#changed();
    this.plan();
  }

  /** The slot has no stream for now; where it stood is kept. */
  #drop(slot) {
    if (!slot.stream) return;
    for (const token of slot.stream.tokens) this.positions.set(token, slot.stream.position);
    slot.stream.close();
    slot.stream = null;
  }

  #close(slot) {
    this.#drop(slot);
    this.#slots = this.#slots.filter((other) => other !== slot);
    this.#changed();
  }

  #changed() {
    if (!this.#stopped) this.told.changed();
  }
}
