// What the page listens to: who gets which event, and from where on.

/** Hands something to the page. What its callback throws disturbs nobody, and is told where errors are. */
export function call(callback, ...values) {
  try {
    callback?.(...values);
  } catch (error) {
    if (globalThis.reportError) reportError(error);
    else console.error(error);
  }
}

/** Whether what was published to `to` reaches those who listen to `token`. */
function meets(token, to) {
  if (Array.isArray(to)) return to.some((name) => meets(token, name));
  return token === '*' || to === token || (to.endsWith('*') && token.startsWith(to.slice(0, -1)));
}

class Listener {
  /** The newest event that it has; null before the first stream that carries its token is live. */
  position = null;
  /** What came before that. */
  batch = [];
  batchOf = '';

  constructor(token, callback, recent, version) {
    Object.assign(this, { token, callback, recent, version });
  }

  /** The last kept events, as many as it asked for: of those to each address its own number. */
  settle(position) {
    const left = new Map();
    const last = this.batch.reverse().filter(({ to }) => {
      const address = [to].flat().includes(this.token) ? this.token : String(to);
      const count = left.get(address) ?? this.recent;
      left.set(address, count - 1);
      return count > 0;
    }).reverse();
    this.batch = [];
    this.position = position;
    for (const event of last) this.give(event);
  }

  give(event) {
    this.position = Math.max(this.position, event.id);
    if (!this.stopped) call(this.callback, event.data, event);
  }
}

/** The members of a token, as they are told. */
class Room {
  callbacks = new Set();
  stream = '';
  known = false;
  total = null;
  anonymous = 0;
  members = new Map();

  /** @returns {boolean} whether something changed */
  take(stream, { members, join, leave }) {
    const said = members ?? join ?? leave;
    if (members) {
      Object.assign(this, { stream, known: true, total: said.total ?? null, anonymous: said.anonymous ?? 0 });
      this.members = new Map((said.members ?? []).map((member) => [member.id, member]));
    } else if (stream !== this.stream) {
      // A stream whose place another has taken tells what is known already.
      return false;
    } else if (join) {
      this.members.set(said.id, { id: said.id, info: said.info });
    } else {
      this.members.delete(said.id);
    }
    return true;
  }

  /** As the daemon told it, for a tab that came later. */
  get told() {
    const { total, anonymous } = this;
    return total === null ? { members: [...this.members.values()], anonymous } : { total, anonymous };
  }

  tell(callback) {
    if (this.known) call(callback, this.total === null ? [...this.members.values()] : { total: this.total }, { anonymous: this.anonymous });
  }
}

export class Listeners {
  #all = new Set();
  #rooms = new Map();

  /**
   * @param {number} version  the version of this tab's wants that a stream must meet
   * @returns {Listener}
   */
  add(token, callback, recent, version) {
    const listener = new Listener(token, callback, recent, version);
    this.#all.add(listener);
    return listener;
  }

  remove(listener) {
    listener.stopped = true;
    this.#all.delete(listener);
  }

  addPresence(token, callback) {
    const room = this.#room(token);
    room.callbacks.add(callback);
    room.tell(callback);
  }

  removePresence(token, callback) {
    this.#rooms.get(token)?.callbacks.delete(callback);
  }

  #room(token) {
    if (!this.#rooms.has(token)) this.#rooms.set(token, new Room());
    return this.#rooms.get(token);
  }

  /** What is known of the members of these tokens. */
  members(tokens) {
    return tokens.flatMap((token) => {
      const room = this.#rooms.get(token);
      return room?.known ? [{ members: { token, ...room.told } }] : [];
    });
  }

  /**
   * What the leader is to be told, for each token once.
   * @param {string} me
   * @param {Iterable<import('./tab.js').Voice>} voices
   * @returns {import('./tab.js').Want[]}
   */
  wants(me, voices) {
    const wants = new Map();
    const want = (token) => {
      if (!wants.has(token)) wants.set(token, [token, null, null, 0]);
      return wants.get(token);
    };
    for (const listener of this.#all) {
      const entry = want(listener.token);
      if (listener.position === null) entry[1] = Math.max(entry[1] ?? 0, listener.recent);
      else if (!carried(listener, me, voices).length) entry[2] = Math.min(entry[2] ?? Infinity, listener.position);
    }
    for (const [token, { callbacks, known }] of this.#rooms) {
      if (callbacks.size) want(token)[3] = known ? 1 : 2;
    }
    return [...wants.values()];
  }

  /** Takes what a stream hands on; `gap` is told the tokens that may have lost something, before what comes behind that. */
  take(me, voices, voice, items, gap) {
    const rooms = new Set();
    for (const item of items) {
      const listeners = [...this.#all].filter((listener) => listensTo(listener, me, voice));
      if (item.to !== undefined) {
        for (const listener of listeners) {
          const met = meets(listener.token, item.to);
          if (listener.position === null) {
            if (listener.batchOf !== voice.name) Object.assign(listener, { batch: [], batchOf: voice.name });
            if (met) listener.batch.push(item);
          } else if (item.id > listener.position) {
            // A stream tells what all its tokens get in the order of ids, so this one is as far, whomever it was for.
            if (met) listener.give(item);
            else listener.position = item.id;
          }
        }
      } else if (item.ping !== undefined) {
        for (const listener of listeners) {
          if (listener.position !== null) listener.position = item.anew ? item.ping : Math.max(listener.position, item.ping);
          else {
            if (listener.batchOf !== voice.name) listener.batch = [];
            listener.settle(item.ping);
          }
        }
      } else if (item.gap !== undefined) {
        const lost = listeners.filter((listener) => {
          // Who is new, or follows another stream as well, has lost nothing.
          const others = carried(listener, me, voices).filter(({ live, name }) => live && name !== voice.name);
          return listener.position !== null && !others.length && (item.gap === '*' || item.gap.includes(listener.token));
        });
        gap(lost.map(({ token }) => token));
      } else {
        const { token } = item.members ?? item.join ?? item.leave;
        const room = this.#room(token);
        if (room.take(voice.name, item)) rooms.add(room);
      }
    }
    for (const room of rooms) for (const callback of [...room.callbacks]) room.tell(callback);
  }

  /**
   * Looks at the streams that the leader tells of.
   * @returns {boolean} whether a listener missed something, and must be told from where it was
   */
  look(me, voices, version) {
    let missed = false;
    // Of a token that no stream carries nobody tells who comes and goes.
    for (const [token, room] of this.#rooms) room.known &&= voices.some(({ tokens }) => tokens.has(token));
    for (const listener of this.#all) {
      const carriers = carried(listener, me, voices);
      if (listener.position === null) {
        // A stream that is live already has nothing to begin with; where nothing is asked for, that is right.
        const live = listener.recent ? null : carriers.find((voice) => voice.live);
        if (live) listener.settle(live.position);
      } else if (carriers.length && carriers.every(({ after }) => (after ?? Infinity) > listener.position)) {
        listener.version = version;
        missed = true;
      }
    }
    return missed;
  }

  /** Every listener is to be told from where it was. */
  rewind(version) {
    for (const listener of this.#all) listener.version = version;
  }

  /** The tokens of this page. */
  get tokens() {
    const present = [...this.#rooms].filter(([, { callbacks }]) => callbacks.size).map(([token]) => token);
    return new Set([...[...this.#all].map(({ token }) => token), ...present]);
  }
}

const listensTo = ({ token, version }, me, { tokens, covers }) => tokens.has(token) && (covers[me] ?? 0) >= version;

const carried = (listener, me, voices) => [...voices].filter((voice) => listensTo(listener, me, voice));
