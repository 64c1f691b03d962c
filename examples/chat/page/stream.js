// One event stream for all of a page's rooms, which never gives up.

/** How many of a room's last messages a page that opens gets at once. */
const RECENT = 50;

export class Stream {
  #where;
  #id;
  #told;
  #rooms = [];
  #server = '';
  #source = null;
  #lastEventId = '';
  #timer = 0;
  /** Counts the streams that were asked for: an answer for an earlier one is of no use. */
  #asked = 0;

  /**
   * `where()` promises the URL of hasses' event stream, and `id` names this page to hasses, so that a
   * publisher can spare it. `told` is called back: `state(name)` with "connecting", "live" or "lost"; `gap()`
   * where events may be missing; `event(kind, data, eventId)` for each event.
   */
  constructor(where, id, told) {
    this.#where = where;
    this.#id = id;
    this.#told = told;
  }

  /** Follows these rooms from now on; their last messages come first. */
  follow(rooms) {
    this.#rooms = rooms;
    this.#lastEventId = '';
    this.#told.state('connecting');
    this.#open();
  }

  /** Opens the stream behind the last event that the page has, or else with the newest ones. */
  async #open() {
    this.#asked += 1;
    const asked = this.#asked;
    this.#source?.close();
    this.#source = null;
    this.#calm();
    const server = await this.#where().catch(() => '');
    if (asked !== this.#asked) return;
    if (!server) {
      this.#lost();
      return;
    }
    this.#server = server;
    const after = this.#lastEventId;
    const from = after ? { lastEventId: after } : { recent: RECENT };
    const query = new URLSearchParams({ id: this.#id, ...from });
    // `token` takes the name whole; `subscribe` would split it at a `-`.
    for (const room of this.#rooms) query.append('token', `chat:${room}`);
    const source = new EventSource(`${server}?${query}`);
    this.#source = source;
    source.onopen = () => {
      this.#calm();
      this.#told.state('live');
    };
    source.onmessage = (event) => this.#pass('message', event);
    source.addEventListener('typing', (event) => this.#pass('typing', event));
    source.addEventListener('gap', () => {
      this.#told.gap();
      // What is still kept comes anew; the page knows what it has already by its id.
      this.#lastEventId = '';
      this.#open();
    });
    source.onerror = () => this.#lost();
  }

  #calm() {
    clearTimeout(this.#timer);
    this.#timer = 0;
  }

  #lost() {
    this.#told.state('lost');
    this.#timer ||= setTimeout(() => this.#lookAgain(), 1500 + 1500 * Math.random());
  }

  /**
   * A broken connection the browser opens again by itself, and asks for what it missed. Two cases are for us:
   * after an error status, such as a proxy's 502 during a restart, the browser gives up for good; and hasses
   * may be elsewhere now.
   */
  async #lookAgain() {
    this.#timer = 0;
    const asked = this.#asked;
    const server = await this.#where().catch(() => '');
    if (asked !== this.#asked || this.#source?.readyState === EventSource.OPEN) return;
    if (!server) {
      this.#lost();
    } else if (this.#source?.readyState !== EventSource.CONNECTING || server !== this.#server) {
      this.#open();
    }
  }

  #pass(kind, event) {
    this.#lastEventId = event.lastEventId;
    this.#told.event(kind, event.data, Number(event.lastEventId));
  }
}
