/**
 * hasses in a page: one stream for all tabs, which never gives up.
 *
 *     import { connect } from 'https://example.org/sse.js';
 *     const live = connect();
 *     const stop = live.on('room1', (data, event) => show(data), { recent: 20 });
 *     live.onGap = (tokens) => location.reload();
 */
import { call, Listeners } from './sse/listeners.js';
import { Tab } from './sse/tab.js';

/**
 * What `connect` takes. Everything may be left out.
 * @typedef {object} Options
 * @property {string} [url]  the stream's address; without it this module's own, less `.js`
 * @property {string} [id]  who this is, where there is no key
 * @property {unknown} [info]  what presence shows of it, where there is no key: JSON of at most 1 KiB
 * @property {(tokens: string[]) => string | Promise<string>} [query]  gives the right to read these tokens: a signed
 *   query, or one with `auth=JWT`. It is asked for each connection.
 * @property {unknown} [identity]  whose rights these are: tabs of the same identity share a stream
 * @property {boolean} [share]  `false` = this tab has a stream of its own
 * @property {boolean} [credentials]  `true` sends cookies to another origin
 */

/**
 * What was published.
 * @typedef {object} Event
 * @property {number} id  grows with each event
 * @property {string | string[]} to  a token, `prefix*`, `*`, or several
 * @property {string} [event]  the event's name
 * @property {string} data
 */

/**
 * Connects a page.
 * @param {Options} [options]
 * @returns {Live}
 */
export function connect(options) {
  return new Live(options ?? {});
}

const warned = new Set();

/** Who sets no onState finds in the console why nothing comes, each reason once. */
function complain(...told) {
  const text = told.join(': ');
  if (told[1] && !warned.has(text)) console.warn('hasses:', text);
  warned.add(text);
}

/** A page's connection. */
class Live {
  #tab;
  #listeners = new Listeners();
  #onGap = null;
  #onState = null;
  #gaps = new Set();
  #said = '';
  #denied = new Map();

  /** @param {Options} options */
  constructor(options) {
    const own = import.meta.url.replace(/\.js([?#].*)?$/, '');
    const url = new URL(options.url ?? own, globalThis.location?.href ?? own).href;
    this.#tab = new Tab({ ...options, url }, {
      wants: () => this.#listeners.wants(this.#tab.me, this.#voices),
      look: () => this.#listeners.look(this.#tab.me, this.#voices, this.#tab.version),
      rewind: () => this.#listeners.rewind(this.#tab.version),
      members: (tokens) => this.#listeners.members(tokens),
      items: (voice, items) => this.#items(voice, items),
      state: () => this.#state(),
    });
    this.#tab.begin();
  }

  get #voices() {
    return [...this.#tab.voices.values()];
  }

  /**
   * Listens to a token.
   * @param {string} token  a whole name, or `*` for everything
   * @param {(data: string, event: Event) => void} callback
   * @param {{ recent?: number }} [options]  how many of the last kept events come first
   * @returns {() => void} stops it
   */
  on(token, callback, { recent = 0 } = {}) {
    const tab = this.#tab;
    const listener = this.#listeners.add(String(token), callback, Math.max(0, Math.trunc(recent) || 0), tab.version);
    if (!listener.recent) {
      const voice = this.#voices.find(({ live, tokens }) => live && tokens.has(listener.token));
      if (voice) {
        // It is on its way to this tab already.
        listener.position = voice.position;
        listener.version = 0;
      } else if (tab.state[0] !== 'live' && tab.position !== null) {
        // What is published until the stream is back is not lost.
        listener.position = tab.position;
      }
    }
    tab.change();
    return () => {
      this.#listeners.remove(listener);
      tab.change();
    };
  }

  /**
   * Tells who listens to a token: now, and whenever that changes.
   * @param {string} token
   * @param {(members: { id: string, info?: unknown }[] | { total: number }, more: { anonymous: number }) => void} callback
   * @returns {() => void} stops it
   */
  presence(token, callback) {
    const own = (...told) => callback(...told);
    this.#listeners.addPresence(String(token), own);
    this.#tab.change();
    return () => {
      this.#listeners.removePresence(String(token), own);
      this.#tab.change();
    };
  }

  /**
   * Called with the tokens that may have lost events.
   * @type {((tokens: string[]) => void) | null}
   */
  set onGap(callback) {
    this.#onGap = callback;
    this.#gap([]);
  }

  get onGap() {
    return this.#onGap;
  }

  /**
   * Called when the state changes, and at once with the present one: `connecting`, `live`, `lost` (it is coming back)
   * or `denied`, with the reason. With `tokens`, only these are denied, and the others go on. Where nobody sets it,
   * the reasons are warnings in the console.
   * @type {((state: 'connecting' | 'live' | 'lost' | 'denied', reason: string, tokens?: string[]) => void) | null}
   */
  set onState(callback) {
    this.#onState = callback;
    this.#said = '';
    this.#denied = new Map();
    this.#state();
  }

  get onState() {
    return this.#onState;
  }

  /** Ends it. */
  close() {
    this.#tab.close();
  }

  #items(voice, items) {
    this.#listeners.take(this.#tab.me, this.#voices, voice, items, (tokens) => this.#gap(tokens));
  }

  /** A gap that nobody could be told of yet waits. */
  #gap(tokens) {
    for (const token of tokens) this.#gaps.add(token);
    if (!this.#onGap || !this.#gaps.size) return;
    const all = [...this.#gaps];
    this.#gaps.clear();
    call(this.#onGap, all);
  }

  #state() {
    const { denied, state: [state, reason] } = this.#tab;
    const mine = this.#listeners.tokens;
    const fresh = [...denied].filter(([token]) => mine.has(token) && !this.#denied.has(token));
    this.#denied = denied;
    if (fresh.length && state !== 'denied') {
      this.#said = '';
      call(this.#onState ?? complain, 'denied', fresh[0][1], fresh.map(([token]) => token));
    }
    const said = `${state} ${reason}`;
    if (said === this.#said) return;
    this.#said = said;
    call(this.#onState ?? complain, state, reason);
  }
}
