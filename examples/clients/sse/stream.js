// One connection: from its request to its end.
import { Blocks } from './blocks.js';

/** Milliseconds that an answer and the first ping may take, counted anew with each byte that comes. */
const PATIENCE = 10_000;
/** Heartbeats for which a connection may be silent. */
const SILENCE = 2.5;

/**
 * What a stream hands on, in the order in which it came. One of:
 * an event `{ id, to, event?, data }`; `{ ping: position, anew }`, where ids may begin below what is known; `{ gap: tokens or '*' }`;
 * `{ members | join | leave: { token, … } }`.
 * @typedef {object} Item
 */

/**
 * Why a stream ended.
 * @typedef {{ state: 'lost' | 'denied', reason: string, tokens?: string[], pause?: number }} End
 */

export class Stream {
  /** The newest id that was handed on; null where nothing is known. */
  position;
  /** Whether the first ping has come: everything before it was kept, everything after it is new. */
  live = false;
  /** When the connection counts as lost if nothing comes until then. */
  deadline = Date.now() + PATIENCE;
  /** When something came last, and the milliseconds of a heartbeat (0 = unknown, or off). */
  heard = Date.now();
  beat = 0;
  /** When its right is to be renewed. */
  ends = Infinity;
  #abort = new AbortController();
  #blocks = new Blocks();
  #pause = 0;
  #closed = false;

  /**
   * @param {string} name           unlike that of any other stream
   * @param {Set<string>} tokens    what it is to carry; those that a signed query lacks go
   * @param {number | null} after   where it begins
   * @param {{ head(response: Response): void, items(items: Item[]): void, end(end: End): void }} told
   */
  constructor(name, tokens, after, told) {
    Object.assign(this, { name, tokens, after, position: after, told });
  }

  /**
   * Opens it, and reads until it ends.
   * @param {string} url
   * @param {Promise<{ query: string, carries: string[], ends: number }>} asked
   * @param {boolean} [credentials]
   */
  async open(url, asked, credentials) {
    try {
      const { query, carries, ends } = await asked;
      if (this.#closed) return;
      const left = [...this.tokens].filter((token) => !carries.includes(token));
      if (left.length) return this.#end({ state: 'denied', reason: 'the signed query does not name it', tokens: left });
      this.ends = ends;
      const response = await fetch(`${url}?${query}`, {
        headers: { Accept: 'text/event-stream' },
        cache: 'no-store',
        credentials: credentials ? 'include' : 'same-origin',
        signal: this.#abort.signal,
      });
      this.#alive();
      if (this.#closed) return;
      this.told.head(response);
      if (this.#closed) return;
      if (!response.ok) return this.#end(await refusal(response));
      if (!/^text\/event-stream/i.test(response.headers.get('Content-Type') ?? '')) {
        throw new Error(`the answer to ${url} is no event stream`);
      }
      await this.#read(response.body.getReader());
      throw new Error('the connection ended');
    } catch (error) {
      this.#end({ state: 'lost', reason: String(error?.message ?? error) });
    }
  }

  /** Ends it without a word. */
  close() {
    this.#closed = true;
    this.#abort.abort();
  }

  /** It was silent for too long, or is not needed any more. */
  lose(reason) {
    this.#end({ state: 'lost', reason });
  }

  async #read(reader) {
    const decoder = new TextDecoder();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.#closed) return;
      this.#alive();
      const items = this.#blocks.cut(decoder.decode(value, { stream: true })).map((block) => this.#item(block)).filter(Boolean);
      if (items.length) this.told.items(items);
    }
  }

  #alive() {
    this.heard = Date.now();
    this.deadline = this.heard + (this.live ? this.beat * SILENCE || Infinity : PATIENCE);
  }

  /** Hands nothing on any more. */
  #end(end) {
    if (this.#closed) return;
    this.close();
    // An unfinished block counts too: a refusal may be a line alone.
    const pause = Number(this.#blocks.open.retry ?? this.#pause) || 0;
    this.told.end({ pause, ...end });
  }

  /** @returns {Item | null} */
  #item({ event, data, id, retry }) {
    // A stream begins with `retry:` too, but only that of its last block is meant for us.
    this.#pause = event === 'ping' && !this.live ? 0 : Number(retry) || 0;
    try {
      switch (event) {
        case 'ping': {
          const ping = Number(id);
          // A daemon that was started without what the old one knew may be behind its ids: there was a gap, and all begins anew.
          const anew = !this.live && ping < this.after;
          if (anew) this.after = this.position = ping;
          this.beat = Number(data) * 1000;
          this.live = true;
          this.#alive();
          this.position = Math.max(this.position ?? 0, ping);
          this.after ??= this.position;
          return { ping: this.position, anew };
        }
        case 'gap': {
          return { gap: JSON.parse(data).tokens ?? '*' };
        }
        case 'members':
        case 'join':
        case 'leave':
          return { [event]: JSON.parse(data) };
        case undefined: {
          const item = data ? JSON.parse(data) : {};
          if (!item.to) return null;
          // What a new token begins with may be older than what the stream stands at.
          if (this.position !== null) this.position = Math.max(this.position, item.id);
          return item;
        }
      }
    } catch { /* no daemon writes that */ }
    return null;
  }
}

/** Why a request was refused. */
async function refusal(response) {
  const { status } = response;
  const text = (await response.text().catch(() => '')).trim().slice(0, 300);
  const reason = /^text\/plain/i.test(response.headers.get('Content-Type') ?? '') && text || `HTTP ${status}`;
  if (status !== 401 && status !== 403) return { state: 'lost', reason };
  const names = status === 403 && response.headers.get('Hasses-Denied');
  return { state: 'denied', reason, tokens: names ? names.split(',').map((name) => decodeURIComponent(name.trim())) : undefined };
}
