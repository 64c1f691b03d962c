// Publishing, the log level, and following /live for as long as the page is open.

/** The event before, of this very connection. */
let before = null;

const SAID = {
  wait: 'Connecting …',
  live: 'Live',
  lost: 'Not connected, trying again …',
  locked: 'Locked',
};

function state(name) {
  if ($('state').dataset.state === name) return;
  $('state').dataset.state = name;
  $('state').textContent = SAID[name];
  $('unlock').hidden = name !== 'locked';
  // What is shown then is of the past.
  document.body.dataset.state = name;
  if (name === 'lost') document.title = 'not connected · hasses';
}

/** One event of /live. */
function live(event) {
  if (!before) {
    // The first of a connection: the secret was right, and the list may be old.
    state('live');
    $('secret-word').value = '';
    if ($('secret').open) $('secret').close();
    list();
  }
  chartEvent(event, before);
  health(event);
  $('version').textContent = event.version;
  $('running').textContent = `· up ${lasting(event.running_seconds)}`;
  document.title = `${count(samples.at(-1).clients)} clients · hasses`;
  showLevel(event.loglevel);
  bars('streams', event.tokens.subscribers, 'Nobody is connected.');
  bars('messages', event.tokens.messages, 'Nothing in the last seconds.');
  before = event;
}

/** The busiest, each with a bar; a click searches for its clients. */
function bars(id, rows, empty) {
  const most = Math.max(...rows.map(([, n]) => n), 0);
  // Rows are kept, so that the focus stays where it is.
  const items = [...$(id).querySelectorAll('li:not(.empty)')];
  const shown = rows.map(([name, n], i) => {
    const item = items[i] ?? element('li');
    if (item.dataset.name !== name) {
      item.dataset.name = name;
      const button = word(name, 'button');
      button.type = 'button';
      button.addEventListener('click', () => {
        search(name === '*' ? name : name.replace(/\*$/, ''));
        // What was published to a prefix is watched as everything.
        watch(name.endsWith('*') ? '*' : name);
        $('token').scrollIntoView();
        $('token').focus({ preventScroll: true });
      });
      item.replaceChildren(button, element('span'));
    }
    item.lastChild.textContent = count(n);
    item.style.setProperty('--share', `${100 * n / (most || 1)}%`);
    return item;
  });
  if (!shown.length) shown.push(element('li', 'empty', empty));
  if (shown.length !== $(id).children.length || shown.some((item, i) => item !== $(id).children[i])) {
    $(id).replaceChildren(...shown);
  }
}

/** The events of a stream, until it ends or is silent for too long. */
async function* blocks(body, patience) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    let silence;
    const late = new Promise((_, fail) => { silence = setTimeout(() => fail(new Error('silent')), patience); });
    try {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) return;
      text += value;
    } finally {
      clearTimeout(silence);
    }
    const whole = text.split('\n\n');
    text = whole.pop();
    for (const block of whole) {
      const event = {};
      for (const line of block.split('\n')) {
        const [, field, value] = /^([a-z]+): ?(.*)$/s.exec(line) ?? [];
        if (field) event[field] = field === 'data' && 'data' in event ? `${event.data}\n${value}` : value;
      }
      yield event;
    }
  }
}

/** Waits for a time, or until something makes it worthwhile to try at once. */
let wake = () => {};
const pause = (time) => new Promise((resolve) => {
  const timer = setTimeout(resolve, time);
  wake = () => { clearTimeout(timer); resolve(); };
});

let connection = new AbortController();

async function follow() {
  let tries = 0;
  for (;;) {
    connection = new AbortController();
    before = null;
    try {
      if (document.body.dataset.asks === 'yes' && !secret.word) {
        // Whoever does not know it yet is not refused either.
        locked('');
        throw new Refused(401, '');
      }
      const answer = await ask('live', { signal: connection.signal });
      for await (const event of blocks(answer.body, 10_000)) {
        live(JSON.parse(event.data));
        tries = 0;
      }
    } catch (error) {
      if (error.status === 401) {
        state('locked');
        await pause(2 ** 31 - 1);
        continue;
      }
    } finally {
      connection.abort();
    }
    state('lost');
    // 0.5 s at first, then doubling up to 8 s, never all pages at once.
    await pause(500 * 2 ** Math.min(tries++, 4) * (0.75 + Math.random() / 2));
  }
}
unlocked = () => {
  wake();
  connection.abort();
};
addEventListener('online', () => wake());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && $('state').dataset.state === 'lost') wake();
});

/** The level that holds is shown, unless somebody is about to set another. */
function showLevel(level) {
  if (!$('level-set').disabled && $('levels').dataset.level === level) return;
  $('levels').dataset.level = level;
  for (const input of document.getElementsByName('level')) input.checked = input.value === level;
  $('level-set').disabled = true;
}
$('levels').addEventListener('change', (event) => {
  $('level-set').disabled = event.target.value === $('levels').dataset.level;
});
$('levels').addEventListener('submit', async (event) => {
  event.preventDefault();
  const level = new FormData($('levels')).get('level');
  $('levels').dataset.level = '';
  try {
    await post(`loglevel/${level}`);
  } catch { /* the next event shows the level that holds */ }
});

function answer(kind, text) {
  $('answer').dataset.kind = kind;
  $('answer').textContent = text;
}

/** Asks whether everyone is meant. */
function sureOfAll() {
  const streams = before ? before.clients.sse + before.clients.replay : 0;
  $('all-text').textContent = `This event goes to each of ${whole.format(streams)} streams, whatever they subscribe to.`;
  $('all').returnValue = 'no';
  $('all').showModal();
  return new Promise((resolve) => { $('all').onclose = () => resolve($('all').returnValue === 'yes'); });
}

$('publish').addEventListener('submit', async (event) => {
  event.preventDefault();
  const message = { to: $('to').value, data: $('data').value, retain: $('retain').checked };
  // An empty name is none.
  for (const name of ['event', 'except']) if ($(name).value) message[name] = $(name).value;
  if (message.to === '*' && !await sureOfAll()) return;
  answer('', 'Publishing …');
  try {
    const { id, recipients } = await (await post('publish', message)).json();
    answer('good', `Taken in as ${id}, for ${count(recipients)} ${recipients === 1 ? 'stream' : 'streams'}.`);
  } catch (error) {
    // Without an answer it may have been taken in all the same.
    answer('bad', `Not ${error instanceof Refused ? 'published' : 'confirmed'}: ${reason(error)}.`);
  }
});
$('data').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) $('publish').requestSubmit();
});

secret.read();
$('lock').hidden = !secret.word;
follow();
