/** What {@link connect} takes. Everything may be left out. */
export interface Options {
  /** The stream's address. Without it: the module's own, less `.js`. */
  url?: string;
  /** Who this is, where there is no key. */
  id?: string;
  /** What presence shows of this client, where there is no key: JSON of at most 1 KiB. A string is sent as it is. */
  info?: unknown;
  /**
   * Gives the right to read these tokens: a signed query (`…&sign=…`), or one with `auth=JWT`, to which the tokens are
   * added. Called for each connection, and shortly before a JWT ends.
   */
  query?: (tokens: string[]) => string | Promise<string>;
  /** Whose rights these are. Where the daemon asks for a key, only tabs of the same identity share a stream. */
  identity?: unknown;
  /** `false`: this tab has a stream of its own. */
  share?: boolean;
  /** `true` sends cookies to another origin. */
  credentials?: boolean;
}

/** What was published. */
export interface Event {
  /** Grows with each event; microseconds since 1970 in most cases. */
  id: number;
  /** A token, `prefix*` or `*`; several where it was published to a list. */
  to: string | string[];
  /** The event's name, if it has one. */
  event?: string;
  data: string;
}

/** Somebody who listens to a token. */
export interface Member {
  id: string;
  info?: unknown;
}

/**
 * `connecting` at first; `live`; `lost`: the connection is gone and comes back by itself; `denied`: the daemon refused, and
 * is asked again.
 */
export type State = 'connecting' | 'live' | 'lost' | 'denied';

/** A page's connection. */
export interface Live {
  /**
   * Listens to a token: a whole name, or `*` for everything. `recent`: the last kept events come first, so many of them.
   * @returns a function that stops it
   */
  on(token: string, callback: (data: string, event: Event) => void, options?: { recent?: number }): () => void;
  /**
   * Tells who listens to a token, now and whenever that changes; of more than 1,000 members their number alone.
   * @returns a function that stops it
   */
  presence(
    token: string,
    callback: (members: Member[] | { total: number }, more: { anonymous: number }) => void,
  ): () => void;
  /** Called with the tokens that may have lost events: the page loads what it shows anew. */
  onGap: ((tokens: string[]) => void) | null;
  /**
   * Called at once with the present state, and whenever that changes. With `tokens`, only these are denied and the others
   * go on. Where nobody sets it, the reasons are warnings in the console.
   */
  onState: ((state: State, reason: string, tokens?: string[]) => void) | null;
  /** Ends it. */
  close(): void;
}

/** Connects a page. */
export function connect(options?: Options): Live;
