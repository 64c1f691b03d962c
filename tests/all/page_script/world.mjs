// A browser of several tabs and a hasses, simulated: one clock, locks, channels and connections. Tabs can be killed,
// frozen, stuck, hidden or kept in the back/forward cache; connections can be refused, silent or cut.
import vm from 'node:vm';

const LATENCY = 2;

export class World {
  now = 1_800_000_000_000;
  began = this.now;
  #tasks = [];
  #serial = 0;
  tabs = [];
  locks = new Map();
  channels = new Set();
  log = [];

  constructor(code, seed = 1) {
    // The script is run as it is served, less what only a module may say.
    this.code = code.replace('export function', 'function').replaceAll('import.meta.url', '"http://site/sse.js"');
    this.seed = seed;
    this.server = new Server(this);
  }

  /** Numbers from 0 to 1 that chance would give; the same for the same seed. */
  random = () => {
    this.seed = (this.seed + 0x6d2b79f5) | 0;
    let t = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };

  /** Runs `run` in `tab` after `delay` milliseconds. */
  later(delay, tab, kind, run) {
    const task = { at: this.now + delay, serial: this.#serial++, tab, kind, run };
    let at = this.#tasks.length;
    while (at > 0 && (this.#tasks[at - 1].at > task.at)) at -= 1;
    this.#tasks.splice(at, 0, task);
    return task;
  }

  /** Lets this many milliseconds pass. */
  async pass(milliseconds) {
    const end = this.now + milliseconds;
    await settled();
    for (;;) {
      const at = this.#tasks.findIndex((task) => task.at <= end && !task.tab?.holdsBack(task.kind));
      if (at < 0) break;
      const [task] = this.#tasks.splice(at, 1);
      this.now = Math.max(this.now, task.at);
      if (task.cancelled || task.tab?.dead) continue;
      task.run();
      await settled();
    }
    this.now = end;
  }

  /** Lets time pass until `look` finds something; returns how long that took. */
  async until(what, look, most = 60_000) {
    const begin = this.now;
    while (!look()) {
      if (this.now - begin > most) throw new Error(`${what}: not within ${most} ms`);
      await this.pass(10);
    }
    return this.now - begin;
  }

  tab(options) {
    const tab = new SimulatedTab(this, options);
    this.tabs.push(tab);
    return tab;
  }

  get alive() {
    return this.tabs.filter((tab) => !tab.dead);
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

const aborted = () => Object.assign(new Error('aborted'), { name: 'AbortError' });

class Ears {
  #ears = new Map();
  addEventListener = (name, ear) => {
    if (!this.#ears.has(name)) this.#ears.set(name, new Set());
    this.#ears.get(name).add(ear);
  };
  removeEventListener = (name, ear) => this.#ears.get(name)?.delete(ear);
  fire(name, event = {}) {
    for (const ear of [...(this.#ears.get(name) ?? [])]) ear(event);
  }
}

class SimulatedTab {
  dead = false;
  frozen = false;
  stuck = false;
  cached = false;
  connections = new Set();
  errors = [];
  warnings = [];

  constructor(world, { locks = true, channel = true, hidden = false } = {}) {
    this.world = world;
    this.client = `client-${world.tabs.length}`;
    this.window = new Ears();
    this.document = Object.assign(new Ears(), { hidden });
    const later = (delay, repeat) => (run, milliseconds = 0) => {
      const timer = { cancelled: false };
      const arm = () => {
        timer.task = world.later(this.#throttled(milliseconds), this, 'timer', () => {
          if (timer.cancelled) return;
          if (repeat) arm();
          run();
        });
      };
      arm();
      return timer;
    };
    const cancel = (timer) => { if (timer) timer.cancelled = true; };
    const globals = {
      setTimeout: later(0, false), setInterval: later(0, true), clearTimeout: cancel, clearInterval: cancel,
      queueMicrotask, AbortController, TextDecoder, URL, atob, console: { ...console, warn: (who, text) => this.warnings.push(text) },
      fetch: (url, request) => this.#fetch(url, request),
      document: this.document,
      location: { href: 'http://site/page' },
      addEventListener: this.window.addEventListener,
      removeEventListener: this.window.removeEventListener,
      reportError: (error) => this.errors.push(error),
      navigator: locks ? { locks: new Locks(this) } : {},
    };
    const tab = this;
    if (channel) globals.BroadcastChannel = class extends Channel { constructor(name) { super(tab, name); } };
    this.context = vm.createContext(globals);
    vm.runInContext('globalThis.globalThis = globalThis', this.context);
    this.context.now = () => world.now;
    this.context.random = world.random;
    vm.runInContext('Date.now = now; Math.random = random;', this.context);
    this.connect = vm.runInContext(`${world.code}\nconnect;`, this.context, { filename: 'sse.js' });
  }

  /** Timers of hidden tabs run once a second. */
  #throttled(milliseconds) {
    if (!this.document.hidden) return milliseconds;
    const { now } = this.world;
    return Math.ceil((now + milliseconds) / 1000) * 1000 - now;
  }

  /** Whether a task waits: nothing runs in a stuck tab, and in a frozen one what comes from other tabs alone. */
  holdsBack(kind) {
    if (this.dead) return false;
    if (this.stuck || this.cached) return true;
    return this.frozen && kind !== 'channel' && kind !== 'lock';
  }

  /** It is gone without a word. */
  kill() {
    this.dead = true;
    for (const connection of [...this.connections]) connection.cut();
    for (const channel of [...this.world.channels]) if (channel.tab === this) this.world.channels.delete(channel);
    for (const lock of this.world.locks.values()) lock.forget(this);
  }

  /** It is closed as people close tabs. */
  closeTab() {
    this.window.fire('pagehide', { persisted: false });
    this.kill();
  }

  /** Somebody goes to another page, from which they may come back. */
  async leave() {
    this.window.fire('pagehide', { persisted: true });
    await settled();
    this.cached = true;
    // Whatever is open then would keep the page out of the cache.
    for (const channel of this.world.channels) if (channel.tab === this) throw new Error('a channel is open in the cache');
    for (const lock of this.world.locks.values()) if (lock.holder?.tab === this && lock.holder.granted) throw new Error('a lock is held in the cache');
    for (const connection of [...this.connections]) connection.cut();
  }

  comeBack() {
    this.cached = false;
    this.window.fire('pageshow', { persisted: true });
  }

  freeze() {
    this.document.hidden = true;
    this.document.fire('visibilitychange');
    this.document.fire('freeze');
    this.frozen = true;
  }

  thaw() {
    this.frozen = false;
    this.document.fire('resume');
    this.show();
  }

  hide() {
    this.document.hidden = true;
    this.document.fire('visibilitychange');
  }

  show() {
    this.document.hidden = false;
    this.document.fire('visibilitychange');
  }

  #fetch(url, { signal }) {
    return new Promise((resolve, reject) => {
      const connection = new Connection(this, resolve, reject);
      if (signal.aborted) return reject(aborted());
      signal.addEventListener('abort', () => connection.abort());
      this.world.later(LATENCY, null, 'network', () => this.world.server.take(connection, url));
    });
  }
}

/** A connection, from the tab's side. */
class Connection {
  #waiting = null;
  #chunks = [];
  #over = null;
  onCut = () => {};

  constructor(tab, resolve, reject) {
    Object.assign(this, { tab, resolve, reject });
    tab.connections.add(this);
  }

  /** The head of an answer. */
  head(status, fields, text = null) {
    const headers = new Map(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]));
    const response = {
      status,
      ok: status >= 200 && status < 300,
      headers: { get: (name) => headers.get(name.toLowerCase()) ?? null, has: (name) => headers.has(name.toLowerCase()) },
      text: async () => text ?? '',
      body: { getReader: () => ({ read: () => this.#read() }) },
    };
    this.#later(() => this.resolve(response));
  }

  write(text) {
    const bytes = new TextEncoder().encode(text);
    this.#later(() => {
      this.#chunks.push(bytes);
      this.#serve();
    });
  }

  /** It ends, or breaks. */
  end(error = null) {
    this.#later(() => {
      this.#over = { error };
      this.reject(error ?? new Error('it ended'));
      this.#serve();
    });
  }

  refuse(error) {
    this.#later(() => this.reject(error));
  }

  #later(run) {
    this.tab.world.later(LATENCY, this.tab, 'network', () => !this.gone && run());
  }

  /** The tab does not want it any more. */
  abort() {
    this.cut();
    this.#over = { error: aborted() };
    this.reject(aborted());
    this.#serve();
  }

  cut() {
    this.gone = true;
    this.tab.connections.delete(this);
    this.tab.world.later(LATENCY, null, 'network', () => this.onCut());
  }

  #read() {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#serve();
    });
  }

  #serve() {
    if (!this.#waiting) return;
    const { resolve, reject } = this.#waiting;
    if (this.#chunks.length) resolve({ value: this.#chunks.shift(), done: false });
    else if (this.#over?.error) reject(this.#over.error);
    else if (this.#over) resolve({ value: undefined, done: true });
    else return;
    this.#waiting = null;
  }
}

class Channel {
  #closed = false;
  onmessage = null;

  constructor(tab, name) {
    Object.assign(this, { tab, name });
    tab.world.channels.add(this);
  }

  postMessage(message) {
    if (this.#closed) throw Object.assign(new Error('closed'), { name: 'InvalidStateError' });
    const { world } = this.tab;
    world.messages = (world.messages ?? 0) + 1;
    const copy = structuredClone(message);
    for (const other of world.channels) {
      if (other === this || other.name !== this.name) continue;
      // Late, but in order.
      other.last = Math.max(other.last ?? 0, world.now + LATENCY + Math.floor(world.random() * 5));
      world.later(other.last - world.now, other.tab, 'channel', () => {
        if (world.channels.has(other)) other.onmessage?.({ data: structuredClone(copy) });
      });
    }
  }

  close() {
    this.#closed = true;
    this.tab.world.channels.delete(this);
  }
}

/** One name's lock. */
class Lock {
  holder = null;
  queue = [];

  constructor(world, name) {
    Object.assign(this, { world, name });
  }

  next() {
    if (this.holder || !this.queue.length) return;
    const holder = this.holder = this.queue.shift();
    this.world.later(LATENCY, holder.tab, 'lock', async () => {
      holder.granted = true;
      let value;
      try { value = await holder.run({ name: this.name }); } finally {
        if (this.holder === holder) {
          this.holder = null;
          this.next();
        }
      }
      holder.resolve(value);
    });
  }

  steal(request) {
    const old = this.holder;
    if (old) this.world.later(LATENCY, old.tab, 'lock', () => old.reject(aborted()));
    this.holder = null;
    this.queue.unshift(request);
    this.next();
  }

  forget(tab) {
    this.queue = this.queue.filter((request) => request.tab !== tab);
    if (this.holder?.tab === tab) {
      this.holder = null;
      this.next();
    }
  }
}

class Locks {
  constructor(tab) {
    this.tab = tab;
  }

  request(name, options, run) {
    if (!run) [options, run] = [{}, options];
    const { world } = this.tab;
    if (!world.locks.has(name)) world.locks.set(name, new Lock(world, name));
    const lock = world.locks.get(name);
    return new Promise((resolve, reject) => {
      const request = { tab: this.tab, run, resolve, reject };
      options.signal?.addEventListener('abort', () => {
        if (!lock.queue.includes(request)) return;
        lock.queue = lock.queue.filter((other) => other !== request);
        reject(aborted());
      });
      if (options.steal) lock.steal(request);
      else {
        lock.queue.push(request);
        lock.next();
      }
    });
  }

  async query() {
    const all = [...this.tab.world.locks.values()];
    const told = (lock, request) => ({ name: lock.name, clientId: request.tab.client, mode: 'exclusive' });
    return {
      held: all.filter(({ holder }) => holder).map((lock) => told(lock, lock.holder)),
      pending: all.flatMap((lock) => lock.queue.map((request) => told(lock, request))),
    };
  }
}

/** A hasses as its stream is told of: tokens, replay, `recent`, gap, ping, JSON, presence. */
class Server {
  streams = new Set();
  kept = [];
  most = Infinity;
  lost = 0;
  requests = [];
  heartbeat = 15;
  /** 'well', 'refused', 'hanging', 'silent', or a status. */
  network = 'well';
  key = null;
  denies = new Set();
  last = 1000;

  constructor(world) {
    this.world = world;
    const beat = () => {
      for (const stream of this.streams) if (this.heartbeat) this.write(stream, this.#ping());
      world.later((this.heartbeat || 15) * 1000, null, 'network', beat);
    };
    world.later(this.heartbeat * 1000, null, 'network', beat);
  }

  get open() {
    return [...this.streams];
  }

  publish(to, data) {
    const event = { id: this.last = Math.max(this.last + 1, this.begins ? 0 : this.world.now * 1000), to, data: String(data) };
    this.kept.push(event);
    if (this.kept.length > this.most) this.lost = this.kept.shift().id;
    for (const stream of this.streams) if (meets(stream, event)) this.write(stream, block(event));
    return event;
  }

  write(stream, text) {
    if (this.network === 'silent' || stream.held) stream.held = (stream.held ?? '') + text;
    else stream.connection.write(text);
  }

  /** What was held back comes now. */
  speak() {
    this.network = 'well';
    for (const stream of this.streams) if (stream.held) stream.connection.write(stream.held);
    for (const stream of this.streams) stream.held = '';
  }

  /** All streams end; with `retry`, that is their last block. */
  cutAll(retry = null) {
    for (const stream of [...this.streams]) {
      if (retry) stream.connection.write(`retry: ${retry}\n\n`);
      this.streams.delete(stream);
      stream.connection.end(retry ? null : new Error('reset'));
    }
  }

  #ping() {
    return `event: ping\nid: ${this.last}\ndata: ${this.heartbeat}\n\n`;
  }

  take(connection, url) {
    const query = new URL(url).search.slice(1);
    this.requests.push({ at: this.world.now, query, tab: this.world.tabs.indexOf(connection.tab) });
    if (connection.gone) return;
    if (this.network === 'refused') return connection.refuse(new TypeError('Failed to fetch'));
    if (this.network === 'hanging') return;
    if (typeof this.network === 'number') return connection.head(this.network, { 'Content-Type': 'text/html' }, '<h1>Bad');
    const has = new URLSearchParams(query);
    const tokens = new Set([...has.getAll('token'), ...has.getAll('subscribe')]);
    const head = this.key ? { 'Hasses-Auth': 'url' } : {};
    if (this.key && !this.key(query)) return connection.head(401, { ...head, 'Content-Type': 'text/plain' }, 'no right');
    const denied = [...tokens].filter((token) => this.denies.has(token));
    if (denied.length) {
      const names = denied.map(encodeURIComponent).join(',');
      return connection.head(403, { ...head, 'Content-Type': 'text/plain', 'Hasses-Denied': names }, `not allowed: ${names}`);
    }
    if (has.get('ping') !== '1' || has.get('format') !== 'json' || !tokens.size) return connection.head(400, { 'Content-Type': 'text/plain' }, 'bad');
    connection.head(200, { ...head, 'Content-Type': 'text/event-stream; charset=utf-8' });
    const stream = { connection, tokens, id: has.get('id'), query, since: this.world.now };
    connection.onCut = () => this.streams.delete(stream);
    let text = 'retry: 3000\n';
    const after = has.get('lastEventId') === null ? null : Number(has.get('lastEventId'));
    if (after !== null && after < this.lost) {
      text += `event: gap\ndata: ${JSON.stringify({ after, oldest: this.kept[0]?.id ?? null, tokens: tokens.has('*') ? '*' : [...tokens] })}\n\n`;
    }
    const replayed = new Set(after === null ? [] : this.kept.filter((event) => event.id > after && meets(stream, event)));
    for (const recent of has.getAll('recent')) {
      const [count, ...name] = recent.split(':');
      const token = name.join(':');
      if (!tokens.has(token)) throw new Error(`recent=${recent} of ${[...tokens]}`);
      const groups = new Map();
      for (const event of [...this.kept].reverse()) {
        if (!meets({ tokens: new Set([token]) }, event)) continue;
        const group = [event.to].flat().includes(token) ? token : String(event.to);
        groups.set(group, (groups.get(group) ?? 0) + 1);
        if (groups.get(group) <= Number(count)) replayed.add(event);
      }
    }
    for (const event of [...replayed].sort((one, other) => one.id - other.id)) text += block(event, after);
    this.streams.add(stream);
    this.write(stream, text + this.#ping());
  }
}

function block(event, after = null) {
  const { id, to, data } = event;
  return `${after === null || id > after ? `id: ${id}\n` : ''}data: ${JSON.stringify({ id, to, data })}\n\n`;
}

function meets({ tokens }, { to }) {
  return tokens.has('*') || [to].flat().some((name) => name.endsWith('*')
    ? [...tokens].some((token) => token.startsWith(name.slice(0, -1)))
    : tokens.has(name));
}
