// What is known of each room: its messages in order, and who is typing there. Nothing here is shown.

/** How many messages of a room a page keeps. */
const MOST = 500;
/** Milliseconds for which somebody who typed counts as typing. */
const TYPING = 4000;

export const roomName = (text) => {
  const name = text.trim().normalize('NFC').toLowerCase();
  return /^[\p{L}\p{N}_-]{1,32}$/u.test(name) ? name : null;
};

export class Room {
  /** Messages `{id, from, name, text}` and gaps `{id, gap: true}`, the oldest first. */
  entries = [];
  /** Who is there: `[{ id, info: { name } }]`, of very many `{ total }`, or nothing that is known. */
  members = [];
  #typing = new Map();

  /** `seen` is the id of the last message that was seen here. */
  constructor(seen) {
    this.seen = seen;
  }

  get newest() {
    return this.entries.at(-1)?.id ?? 0;
  }

  /** Adds what is not known yet; says where it went: "end", "between", or nothing. */
  add(entry) {
    if (!entry.gap) this.#typing.delete(entry.from);
    const at = this.entries.findLastIndex(({ id }) => id <= entry.id) + 1;
    if (this.entries[at - 1]?.id === entry.id) return null;
    this.entries.splice(at, 0, entry);
    if (this.entries.length > MOST) this.entries.shift();
    return this.entries.at(-1) === entry ? 'end' : 'between';
  }

  /** Messages may be missing after the newest. */
  addGap() {
    // Ids are whole numbers: this one lies between the newest and whatever comes.
    const after = Math.floor(this.newest);
    return after ? this.add({ id: after + 0.5, gap: true }) : null;
  }

  unread(me) {
    return this.entries.filter(({ id, gap, from }) => !gap && id > this.seen && from !== me).length;
  }

  typed(from, name) {
    this.#typing.set(from, { name, until: Date.now() + TYPING });
  }

  /** The names of those who are typing. */
  get typists() {
    const now = Date.now();
    return [...this.#typing.values()].filter(({ until }) => until > now).map(({ name }) => name);
  }
}
