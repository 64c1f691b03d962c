// Requests, the control secret, small helpers. Text from outside becomes text nodes alone.

const SECRET = 'hasses control secret';
const $ = (id) => document.getElementById(id);

/** An element with text in it. */
function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Text that may be long, or run in another direction: cut on screen, whole in its title. */
function word(text, name = 'span', className = 'word') {
  const made = element(name, className, text);
  made.title = text;
  return made;
}

/** What the daemon refused, and why. */
class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

/** The secret lives in this tab, where the browser lets it, and never in an address. */
const secret = {
  word: '',
  /** Whether it is that of --watch-secret: it opens the figures, and nothing else. */
  figuresOnly: false,
  read() {
    try { this.word = sessionStorage.getItem(SECRET) ?? ''; } catch { /* memory will do */ }
  },
  keep(word) {
    this.word = word;
    this.figuresOnly = false;
    try {
      if (word) sessionStorage.setItem(SECRET, word);
      else sessionStorage.removeItem(SECRET);
    } catch { /* memory will do */ }
    $('lock').hidden = !word;
  },
  /** A header field takes bytes: the secret's UTF-8. */
  field() {
    return this.word ? { Authorization: `Bearer ${String.fromCharCode(...new TextEncoder().encode(this.word))}` } : {};
  },
};

/** One request to the daemon; fails with its reason unless it was answered with success. */
async function ask(path, { headers, ...options } = {}) {
  const used = secret.word;
  const answer = await fetch(path, {
    cache: 'no-store', credentials: 'omit', redirect: 'error', ...options,
    headers: { ...headers, ...secret.field() },
  });
  if (answer.ok) return answer;
  let why = `the daemon answered ${answer.status}`;
  try { why = (await answer.json()).error ?? why; } catch { /* not its own words */ }
  if (answer.status === 401) {
    if (path !== 'live' && await opensFigures()) {
      secret.figuresOnly = true;
      $('unlock').hidden = false;
    } else locked(used);
  }
  throw new Refused(answer.status, why);
}

/** Whether the secret opens the figures at least. */
async function opensFigures() {
  if (!secret.word) return false;
  try {
    return (await fetch('status', { method: 'HEAD', cache: 'no-store', credentials: 'omit', headers: secret.field() })).ok;
  } catch {
    return false;
  }
}

const post = (path, body) => ask(path, body === undefined ? { method: 'POST' } : {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
});

/** Why something failed, for a person. */
const reason = (error) => error instanceof Refused ? error.message : 'the daemon cannot be reached';

let unlocked = () => {};

/** Asks for the secret, and says so if the one that was `used` is wrong. */
function locked(used) {
  if (used && used === secret.word) {
    secret.keep('');
    $('secret-why').textContent = 'This secret is wrong.';
    $('secret-word').select();
  }
  if (!secret.word && !$('secret').open) $('secret').showModal();
}

$('secret-form').addEventListener('submit', (event) => {
  event.preventDefault();
  $('secret-why').textContent = '';
  secret.keep($('secret-word').value.trim());
  unlocked();
});
$('unlock').addEventListener('click', () => $('secret').showModal());
$('lock').addEventListener('click', () => {
  secret.keep('');
  location.reload();
});

/** 1,234; from a hundred thousand 123k, 1.23M. */
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
function count(n) {
  if (n >= 100_000) return short.format(n).replace('K', 'k');
  return (n < 10 ? tenths : whole).format(n);
}

function bytes(n) {
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (n < 1000 || unit === 'GB') return `${(n < 10 && unit !== 'B' ? tenths : whole).format(n)} ${unit}`;
    n /= 1000;
  }
}

/** Seconds that something took. */
function delay(seconds) {
  if (seconds < 0.001) return `${whole.format(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds < 0.01 ? tenths : whole).format(seconds * 1e3)} ms`;
  return `${tenths.format(seconds)} s`;
}

/** Seconds that something lasts: 12 s, 3 min, 2 h 5 min, 4 d 1 h. */
function lasting(seconds) {
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${seconds} s`;
}
