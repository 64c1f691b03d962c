// One event stream for all of a page's rooms, which never gives up.

/** How many of a room's last messages a page that opens gets at once. */
const RECENT = 50;

export class Stream {
  #server;
  #id;
  #told;
  #rooms = [];
  #source = null;
  #lastEventId = '';
  #timer = 0;

  /**
   * `server` is the URL of hasses' event stream, and `id` names this page to it, so that a publisher can
   * spare it. `told` is called back: `state(name)` with "connecting", "live" or "lost"; `gap()` where
   * events may be missing; `event(kind, data, eventId)` for each event.
   */
  constructor(server, id, told) {
    this.#server = server;
    this.#id = id;
    this.#told = told;
  }

  /** Follows these rooms from now on; their last messages come first. */
  follow(rooms) {
    this.#rooms = rooms;
    this.#told.state('connecting');
    this.#open({ recent: RECENT });
  }

  #open(from) {
    clearTimeout(this.#timer);
    this.#source?.close();
    const query = new URLSearchParams({ id: this.#id, ...from });
    // `token` takes the name whole; `subscribe` would split it at a `-`.
    for (const room of this.#rooms) query.append('token', `chat:${room}`);
    const source = new EventSource(`${this.#server}?${query}`);
    this.#source = source;
    source.onopen = () => this.#told.state('live');
    source.onmessage = (event) => this.#pass('message', event);
    source.addEventListener('typing', (event) => this.#pass('typing', event));
    source.addEventListener('gap', () => {
      this.#told.gap();
      // What is still kept comes anew; the page knows what it has already by its id.
      this.#open({ recent: RECENT });
    });
    source.onerror = () => {
      this.#told.state('lost');
      // A broken connection the browser opens again by itself, and asks for what it missed. After an
      // error status, such as a proxy's 502 during a restart, it gives up for good: then it is for us.
      if (source.readyState !== EventSource.CLOSED) return;
      const after = this.#lastEventId;
      const again = () => this.#open(after ? { lastEventId: after } : { recent: RECENT });
      this.#timer = setTimeout(again, 1500 + 1500 * Math.random());
    };
  }

  #pass(kind, event) {
    this.#lastEventId = event.lastEventId;
    this.#told.event(kind, event.data, Number(event.lastEventId));
  }
}
