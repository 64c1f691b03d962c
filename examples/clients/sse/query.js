// The query of a request: which tokens are asked for, with what right, and from where on.

/** Seconds before its end at which a right is renewed, at most. */
const AHEAD = 30;

/**
 * What a stream is to ask for.
 * @typedef {object} Wish
 * @property {string[]} tokens    whole names, or `*`
 * @property {Map<string, number>} recent  how many kept events each new token is to begin with
 * @property {number | null} after  the newest event that is known
 * @property {boolean} presence   whether members are to be told
 */

/**
 * Writes the query.
 * @param {import('../sse.js').Options} options
 * @param {Wish} wish
 * @returns {Promise<{ query: string, carries: string[], ends: number }>} the query, the tokens that it
 *   asks for, and the time at which its right ends (milliseconds; Infinity = not known)
 */
export async function write({ id, info, query: ask }, { tokens, recent, after, presence }) {
  const given = ask ? String(await ask(tokens)).trim().replace(/^\?/, '') : '';
  const parts = given ? [given] : [];
  const add = (name, value) => parts.push(`${name}=${encodeURIComponent(value)}`);
  const says = (name) => values(given, name).length > 0;

  let named = new Set(tokens);
  const signed = says('sign');
  if (signed) {
    named = namesIn(given);
  } else {
    for (const token of tokens) {
      if (token === '*') parts.push('subscribe=*');
      else add('token', token);
    }
    if (id != null && id !== '' && !says('id')) add('id', id);
    if (info !== undefined && !says('info')) add('info', typeof info === 'string' ? info : JSON.stringify(info));
    if (presence && !says('presence')) parts.push('presence=1');
  }
  // These may follow a signature. What the signed part says already may not be said again.
  if (!says('ping')) parts.push('ping=1');
  if (!says('format')) parts.push('format=json');
  if (after !== null) parts.push(`lastEventId=${after}`);
  if (!says('recent')) {
    for (const token of tokens) {
      const count = recent.get(token);
      // Of everything together the last values of each token are told to a first connection alone.
      if (named.has(token) && count) add('recent', token === '*' ? count : `${count}:${token}`);
    }
  }
  const carries = tokens.filter((token) => named.has(token) || named.has('*'));
  return { query: parts.join('&'), carries, ends: endOf(given, signed) };
}

/** Bytes that a token takes in the query, with its `recent`. */
export function lengthOf(token, recent) {
  const length = encodeURIComponent(token).length;
  return 7 + length + (recent ? 14 + length : 0);
}

/** The raw values of a parameter. */
function values(query, name) {
  return query.split('&').filter((part) => part.startsWith(`${name}=`)).map((part) => part.slice(name.length + 1));
}

function decode(text) {
  try { return decodeURIComponent(text.replace(/\+/g, ' ')); } catch { return text; }
}

/** The tokens that a query names. `subscribe` is split at `-` before it is decoded. */
function namesIn(query) {
  const names = [...values(query, 'subscribe').flatMap((list) => list.split('-')), ...values(query, 'token')];
  return new Set(names.map(decode));
}

/** When the right ends that a query carries: the `exp` of its JWT, or `expires` where that ends the stream. */
function endOf(query, signed) {
  const now = Date.now();
  let lasts = 0;
  try {
    if (signed) {
      if (values(query, 'until')[0] === '1') lasts = values(query, 'expires')[0] * 1000 - now;
    } else {
      const claims = values(query, 'auth')[0].split('.')[1].replace(/-/g, '+').replace(/_/g, '/');
      const { exp, iat } = JSON.parse(atob(claims));
      lasts = exp * 1000 - now;
      // A clock that is ahead makes a fresh JWT look as if it had ended.
      if (lasts <= 0) lasts = (exp - iat) * 1000;
    }
  } catch { /* there is none, or it tells nothing */ }
  return lasts > 0 ? now + lasts - Math.min(AHEAD * 1000, lasts / 5) : Infinity;
}
