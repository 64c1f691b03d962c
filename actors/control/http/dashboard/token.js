// One token: how many listen, who is there, its last events and those that come.

/** The newest events that are shown. */
const SHOWN = 100;
let watching = new AbortController();
let watchedName = '';
let came = 0;
let facts = 0;

async function watch(name) {
  unwatch();
  watchedName = name;
  came = 0;
  $('watched').value = name;
  $('unwatch').hidden = false;
  $('events').hidden = false;
  $('events').replaceChildren();
  $('token-title').textContent = `Token ${name}`;
  const mine = watching = new AbortController();
  const query = name === '*' ? 'subscribe=*' : `token=${encodeURIComponent(name)}`;
  factsOf(name);
  let last = '';
  while (!mine.signal.aborted) {
    try {
      const from = last ? `&lastEventId=${last}` : '&recent=20';
      const answer = await ask(`events?${query}&format=json&ping=1${from}`, { signal: mine.signal });
      for await (const { id, event, data } of blocks(answer.body, 60_000)) {
        if (mine.signal.aborted) return;
        if (id) last = id;
        if (event === 'gap') note('gap', 'Some events may have been lost.');
        else if (event !== 'ping' && data) shownEvent(JSON.parse(data));
      }
    } catch (error) {
      if (mine.signal.aborted) return;
      // Then the facts say so.
      if (secret.figuresOnly) return;
      if (error instanceof Refused && error.status !== 503) {
        $('token-facts').textContent = `Not shown: ${reason(error)}.`;
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 2000 + 2000 * Math.random()));
  }
}

function unwatch() {
  watching.abort();
  clearTimeout(facts);
  watchedName = '';
  $('unwatch').hidden = true;
  $('token-title').textContent = 'One token';
}

function shownEvent({ id, to, event, data }) {
  came += 1;
  const line = element('li');
  const time = new Date(id / 1000);
  line.append(element('time', 'soft', time.toLocaleTimeString('en-GB')), ' ');
  if (to !== watchedName) line.append(word([to].flat().join(', '), 'b'), ' ');
  if (event) line.append(word(event, 'span', 'tag'), ' ');
  line.append(element('span', 'mono', data.length > 2000 ? `${data.slice(0, 2000)} …` : data));
  put(line);
}

function note(kind, text) {
  put(element('li', kind, text));
}

function put(line) {
  $('events').prepend(line);
  while ($('events').children.length > SHOWN) $('events').lastChild.remove();
}

/** How many listen, and who is there, again and again. */
async function factsOf(name) {
  const told = [];
  try {
    const path = encodeURIComponent(name);
    const answer = await (await ask(`subscribers/${path}`)).json();
    told.push(`${count(answer.subscribedclients)} ${answer.subscribedclients === 1 ? 'stream' : 'streams'}${secret.figuresOnly ? '' : ', with this page\'s own'}`);
    const known = (rule) => rule === name || (rule.endsWith('*') && name.startsWith(rule.slice(0, -1)));
    if (name !== '*' && !secret.figuresOnly && before?.settings.presence.some(known)) {
      const there = await ask(`presence/${path}?limit=20`);
      const { members, anonymous } = await there.json();
      const more = there.headers.has('Link') ? ' and more' : '';
      told.push(`members: ${members.map(({ id }) => id).join(', ') || 'none'}${more}`);
      if (anonymous) told.push(`${count(anonymous)} without an id`);
    }
  } catch { /* without presence there are no members to be told of */ }
  if (name !== watchedName) return;
  told.push(secret.figuresOnly ? 'its events and members need the control secret' : `${count(came)} ${came === 1 ? 'event' : 'events'} shown`);
  $('token-facts').textContent = told.join(' · ');
  facts = setTimeout(() => factsOf(name), 3000);
}

$('watch').addEventListener('submit', (event) => {
  event.preventDefault();
  watch($('watched').value);
});
$('unwatch').addEventListener('click', () => {
  unwatch();
  $('watched').focus();
});
