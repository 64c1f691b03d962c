// The page: rooms, a name, messages that come and go.
import { Room, roomName } from './rooms.js';
import { itemsFor, membersText, roomItem, typingText } from './show.js';
import { Stream } from './stream.js';

const $ = (id) => document.getElementById(id);
const [log, list, text, nameField] = ['log', 'messages', 'text', 'name'].map($);
const STATES = { connecting: 'connecting', live: 'connected', lost: 'reconnecting', denied: 'not let in' };
/** Bytes of UTF-8 that a message may have; the servers check it too. */
const MOST_BYTES = 3000;

// Where a browser keeps nothing for us, the page works as on a first visit.
function recall(store, key) {
  try { return JSON.parse(store.getItem(`chat.${key}`)); } catch { return null; }
}
function remember(store, key, value) {
  try { store.setItem(`chat.${key}`, JSON.stringify(value)); } catch { /* it is for this visit only */ }
}

/** Names who sits here, in all tabs of this browser, which share one stream: so nobody is told what they do themselves. */
const me = recall(localStorage, 'id')
  ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (part) => part.toString(36)).join('');
remember(localStorage, 'id', me);

const pick = (...words) => words[Math.floor(Math.random() * words.length)];
let name = recall(localStorage, 'name') ?? `${pick('Calm', 'Kind', 'Merry', 'Quiet', 'Swift')} ${pick('Finch', 'Fox', 'Hare', 'Otter', 'Wren')}`;
nameField.value = name;

const now = () => Date.now() * 1000;
const known = recall(localStorage, 'rooms') ?? ['lobby', 'ideas', 'music'].map((room) => [room, now()]);
const rooms = new Map(known.map(([room, seen]) => [room, new Room(seen)]));
let current = null;
const drafts = new Map();

function rememberRooms() {
  remember(localStorage, 'rooms', [...rooms].map(([room, { seen }]) => [room, seen]));
}

// What is shown

/** Whether the newest message is looked at, and so is the next. */
let following = true;
function toEnd() {
  log.scrollTop = log.scrollHeight;
}

function showRooms() {
  const room = rooms.get(current);
  if (!document.hidden && room.newest > room.seen) {
    room.seen = Math.floor(room.newest);
    rememberRooms();
  }
  // Who goes through the list by keyboard stays where they are.
  const parts = () => [...$('rooms').querySelectorAll('a, button')];
  const focused = parts().indexOf(document.activeElement);
  let all = 0;
  $('rooms').replaceChildren(...[...rooms].map(([name, room]) => {
    const unread = room.unread(me);
    all += unread;
    // At once: the browser tells of a new hash later, and what is typed until then would go to the room before.
    const enter = () => goTo(name);
    const leave = rooms.size > 1 ? () => leaveRoom(name) : null;
    return roomItem(name, { current: name === current, unread, enter, leave });
  }));
  parts()[focused]?.focus();
  document.title = `${all ? `(${all}) ` : ''}${current} – Chat`;
}

function showMessages() {
  const { entries } = rooms.get(current);
  list.replaceChildren(...entries.flatMap((entry, at) => itemsFor(entry, entries[at - 1], me)));
  $('empty').hidden = entries.length > 0;
  toEnd();
}

function showNewest(entry) {
  const { entries } = rooms.get(current);
  const follow = following || entry.from === me;
  list.append(...itemsFor(entry, entries.at(-2), me));
  $('empty').hidden = true;
  if (follow) toEnd();
  else $('newer').hidden = false;
}

function showTyping() {
  $('typing').textContent = typingText(rooms.get(current).typists);
}

function showMembers() {
  $('members').textContent = membersText(rooms.get(current).members, me);
}

function showEntry(roomName, entry, place) {
  if (!place) return;
  if (roomName === current) {
    if (place === 'end') showNewest(entry);
    else showMessages();
  }
  showRooms();
  showTyping();
}

// What comes from hasses

function take({ id: eventId, event: kind, data }) {
  let said;
  try { said = JSON.parse(data); } catch { return; }
  const room = rooms.get(said?.room);
  const { id: from, name, text } = said ?? {};
  if (!room || ![from, name].every((value) => typeof value === 'string' && value)) return;
  if (kind === 'typing') {
    room.typed(from, name);
    showTyping();
  } else if (typeof text === 'string') {
    const entry = { id: eventId, from, name, text };
    showEntry(said.room, entry, room.add(entry));
  }
}

function gap() {
  for (const room of rooms.values()) room.addGap();
  showMessages();
}

/** Who is in a room: hasses knows by the streams that listen to it. */
function members(roomName, present) {
  const room = rooms.get(roomName);
  if (!room) return;
  room.members = present;
  if (roomName === current) showMembers();
}

function state(name) {
  $('state').dataset.state = name;
  $('state').textContent = STATES[name];
}

// What goes to the server

async function post(message) {
  let answer;
  try {
    answer = await fetch('say', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ room: current, id: me, name, ...message }),
    });
  } catch {
    throw new Error('Not confirmed: the server cannot be reached');
  }
  if (answer.ok) return;
  const told = await answer.json().catch(() => ({}));
  // What hasses did not answer to may be in the room all the same.
  const known = answer.status < 500 ? 'Not sent' : 'Not confirmed';
  throw new Error(`${known}: ${told.error ?? `the server answered ${answer.status}`}`);
}

let sending = false;
async function say() {
  const written = text.value;
  // Empty lines around it say nothing, nor do control characters that came along with a paste.
  const said = written.replace(/[^\P{Cc}\n\t]/gu, '').replace(/^\s*\n/, '').trimEnd();
  if (!said || sending) return;
  const bytes = new TextEncoder().encode(said).length;
  if (bytes > MOST_BYTES) {
    problem(`This is too long: ${bytes} bytes, and ${MOST_BYTES} are the most`);
    return;
  }
  sending = true;
  try {
    await post({ text: said });
    problem('');
    lastTyped = 0;
    // What was typed meanwhile stays.
    if (text.value === written) text.value = '';
  } catch (error) {
    problem(error.message);
  } finally {
    sending = false;
  }
}

function problem(told) {
  $('problem').textContent = told;
}

let lastTyped = 0;
function typing() {
  if (!text.value.trim() || Date.now() - lastTyped < 2000) return;
  lastTyped = Date.now();
  // Nobody misses one of these.
  post({}).catch(() => {});
}

// Going from room to room; the address names the current one

function enter() {
  let asked = location.hash.slice(1);
  try { asked = decodeURIComponent(asked); } catch { /* then it is no room's name */ }
  const room = roomName(asked) ?? current ?? rooms.keys().next().value;
  if (room === current) return;
  drafts.set(current, text.value);
  const isNew = !rooms.has(room);
  if (isNew) rooms.set(room, new Room(now()));
  current = room;
  rememberRooms();
  if (isNew) stream.follow([...rooms.keys()]);
  $('room').textContent = room;
  $('newer').hidden = true;
  text.value = drafts.get(room) ?? '';
  problem('');
  showMessages();
  showRooms();
  showTyping();
  showMembers();
}

function goTo(room) {
  if (room === current) return;
  history.pushState(null, '', `#${encodeURIComponent(room)}`);
  enter();
}

function leaveRoom(room) {
  rooms.delete(room);
  rememberRooms();
  if (room === current) goTo(rooms.keys().next().value);
  showRooms();
  stream.follow([...rooms.keys()]);
}

$('say').onsubmit = (event) => {
  event.preventDefault();
  say();
};
text.oninput = typing;
text.onkeydown = (event) => {
  // On a phone Enter begins a line, as there is no Shift to hold; while a word is composed it is not ours.
  const sends = event.key === 'Enter' && !event.shiftKey && !event.isComposing;
  if (!sends || matchMedia('(pointer: coarse)').matches) return;
  event.preventDefault();
  say();
};
nameField.onchange = () => {
  name = nameField.value.trim() || name;
  nameField.value = name;
  remember(localStorage, 'name', name);
  stream.is({ id: me, info: { name } });
};
nameField.onkeydown = (event) => {
  if (event.key === 'Enter') text.focus();
};
$('join').onsubmit = (event) => {
  event.preventDefault();
  const field = event.target.elements.room;
  const room = roomName(field.value);
  if (room) goTo(room);
  field.value = '';
  text.focus();
};
$('newer').onclick = toEnd;
log.onscroll = () => {
  following = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  if (following) $('newer').hidden = true;
};
new ResizeObserver(() => following && toEnd()).observe(log);
addEventListener('hashchange', enter);
document.addEventListener('visibilitychange', showRooms);
setInterval(showTyping, 1000);

/** The URL of hasses' event stream: on the page's own host, at the port that the server tells. */
async function where() {
  const url = new URL('/sse', location.origin);
  url.port = (await (await fetch('where')).json()).port;
  return url.href;
}

/** Another tab of this browser has shown what was unread, or changed the name. */
addEventListener('storage', () => {
  for (const [name, seen] of recall(localStorage, 'rooms') ?? []) {
    const room = rooms.get(name);
    if (room) room.seen = Math.max(room.seen, seen);
  }
  const called = recall(localStorage, 'name') ?? name;
  if (called !== name) {
    nameField.value = name = called;
    stream.is({ id: me, info: { name } });
  }
  showRooms();
});

const stream = new Stream(where, { state, gap, event: take, members });
stream.is({ id: me, info: { name } });
enter();
stream.follow([...rooms.keys()]);
