// The chat's stream. All that keeps a stream alive, and shares it between tabs, is hasses' own script; here is where
// hasses is, which may be elsewhere after the chat was started again.
import { connect } from './sse.js';

/** How many of a room's last messages a page that opens gets at once. */
const RECENT = 50;
/** Milliseconds between two looks at where hasses is, while there is no stream. */
const LOOK = 2000;

export class Stream {
  #where;
  #told;
  #me = {};
  #live = null;
  #server = '';
  #state = 'connecting';
  /** For each room, what ends listening to it. */
  #rooms = new Map();

  /**
   * `where()` promises the URL of hasses' event stream. `told` is called back: `state(name)` as hasses' script
   * names it; `gap()` where events may be missing; `event(event)` for each; `members(room, members)`.
   */
  constructor(where, told) {
    this.#where = where;
    this.#told = told;
    this.#look();
    setInterval(() => this.#state === 'live' || this.#look(), LOOK);
  }

  /** Who this is: `{ id, info }`. */
  is(me) {
    this.#me = me;
    if (this.#live) this.#open();
  }

  /** Follows these rooms from now on; the last messages of new ones come first. */
  follow(rooms) {
    for (const [room, stop] of this.#rooms) {
      if (rooms.includes(room)) continue;
      stop();
      this.#rooms.delete(room);
    }
    for (const room of rooms) if (!this.#rooms.has(room)) this.#listen(room);
  }

  #listen(room) {
    const live = this.#live;
    const stops = live ? [
      live.on(`chat:${room}`, (_, event) => this.#told.event(event), { recent: RECENT }),
      live.presence(`chat:${room}`, (members) => this.#told.members(room, members)),
    ] : [];
    this.#rooms.set(room, () => stops.forEach((stop) => stop()));
  }

  async #look() {
    const server = await this.#where().catch(() => '');
    if (!server) this.#told.state('lost');
    if (!server || server === this.#server) return;
    if (this.#server) this.#told.gap();
    this.#server = server;
    this.#open();
  }

  #open() {
    this.#live?.close();
    this.#live = connect({ url: this.#server, ...this.#me });
    this.#live.onState = (state) => {
      this.#state = state;
      this.#told.state(state);
    };
    this.#live.onGap = () => this.#told.gap();
    for (const room of this.#rooms.keys()) this.#listen(room);
  }
}
