// The list of clients: a page of it at a time, as the daemon gives it.

/** Clients of a page; on a phone each takes much room. */
const LIMIT = matchMedia('(max-width: 640px)').matches ? 10 : 25;
/** The targets of the pages up to the one that is shown, and that of the next, if there is one. */
let trail = [first('')];
let following = null;
/** Which request is the newest: an answer that comes late is not shown. */
let asked = 0;
let timer = 0;

function first(query) {
  return `clients?limit=${LIMIT}${query ? `&search=${encodeURIComponent(query)}` : ''}`;
}

/** Shows the page at the end of the trail. */
async function list() {
  clearTimeout(timer);
  if (secret.figuresOnly) return needsControlSecret();
  const mine = ++asked;
  const began = performance.now();
  try {
    const answer = await ask(trail.at(-1));
    const clients = await answer.json();
    if (mine !== asked) return;
    following = /^<\/(clients\?[^>]*)>; rel="next"$/.exec(answer.headers.get('Link') ?? '')?.[1] ?? null;
    // The last of a page may have left meanwhile.
    if (!clients.length && trail.length > 1) {
      trail.pop();
      return void list();
    }
    show(clients);
  } catch (error) {
    if (mine !== asked) return;
    if (secret.figuresOnly) return needsControlSecret();
    $('page').textContent = error.status === 401 ? '' : `Not up to date: ${reason(error)}`;
  }
  // A search among very many costs the daemon something: it is not repeated all the time.
  timer = setTimeout(again, Math.max(5000, 30 * (performance.now() - began)));
}

/** With the secret that opens the figures alone there is no list. */
function needsControlSecret() {
  following = null;
  trail = [first('')];
  show([]);
  $('none').textContent = 'The list of clients needs the control secret.';
}

/** Refreshes the page, but not under somebody's hand. */
function again() {
  if (document.hidden || $('rows').matches(':hover, :focus-within') || $('sure').open || $('secret').open) timer = setTimeout(again, 1000);
  else list();
}

/** By which key the page is sorted, and whether the largest comes first. */
let order = { by: '', down: false };
let shown = [];

function sorted(clients) {
  const { by, down } = order;
  if (!by) return clients;
  const compare = (a, b) => typeof a === 'number' ? a - b : String(a ?? '').localeCompare(String(b ?? ''), 'en', { numeric: true });
  return clients.toSorted((a, b) => compare(a[by], b[by]) * (down ? -1 : 1));
}

$('columns').addEventListener('click', (event) => {
  const by = event.target.dataset?.by;
  if (!by) return;
  // Numbers are looked at from the largest on.
  order = order.by === by ? { by, down: !order.down } : { by, down: typeof shown[0]?.[by] === 'number' };
  for (const button of $('columns').querySelectorAll('[data-by]')) {
    const mine = button.dataset.by === by;
    button.parentElement.setAttribute('aria-sort', mine ? (order.down ? 'descending' : 'ascending') : 'none');
  }
  $('rows').replaceChildren(...sorted(shown).map(row));
});

function show(clients) {
  shown = clients;
  $('rows').replaceChildren(...sorted(clients).map(row));
  const query = $('query').value.trim();
  $('none').hidden = clients.length > 0;
  $('none').textContent = query ? `Nobody matches “${query}”.` : 'Nobody is connected.';
  document.querySelector('table').hidden = clients.length === 0;
  const connected = before && before.clients.new + before.clients.replay + before.clients.sse;
  // How many a search finds in all nobody has counted.
  const all = query || !before ? '' : ` of ${whole.format(connected)}`;
  const rest = query && following ? ', more on the next page' : '';
  $('page').textContent = clients.length ? `Page ${trail.length}, ${clients.length}${all} ${clients.length === 1 && !all ? 'client' : 'clients'}${rest}` : '';
  $('back').disabled = trail.length < 2;
  $('next').disabled = !following;
}

function row(client) {
  const cell = (label, content, className = '') => {
    const made = element('td', className);
    made.setAttribute('role', 'cell');
    if (label) made.dataset.label = label;
    made.append(content);
    return made;
  };
  const made = element('tr');
  made.setAttribute('role', 'row');
  const more = client.subscribes.length - 3;
  const tokens = element('div', 'tags');
  tokens.append(...client.subscribes.slice(0, 3).map((token) => word(token)));
  if (more > 0) {
    tokens.append(element('span', 'soft', `and ${more} more`));
    tokens.title = client.subscribes.slice(0, 50).join('\n');
  }
  const address = word(client.address);
  const agent = word(client.agent || 'no agent', 'small', 'word soft');
  const where = element('div');
  where.append(address, agent);
  made.append(
    cell('', client.id === null ? element('span', 'soft', 'none') : word(client.id, 'span', 'word mono')),
    cell('', tokens),
    cell('', where),
    cell('State', client.state + (client.tls ? ' TLS' : '')),
    cell('Connected', lasting(client.connected_seconds)),
    cell('Events', count(client.messages), 'number'),
    cell('Waiting', bytes(client.waiting_bytes), 'number'),
    cell('', client.id === null ? '' : disconnector(client.id)),
  );
  return made;
}

function disconnector(id) {
  const button = element('button', 'danger', 'Disconnect');
  button.type = 'button';
  button.setAttribute('aria-label', `Disconnect ${id}`);
  button.addEventListener('click', () => {
    $('sure-id').textContent = id;
    $('sure').returnValue = 'no';
    $('sure-for').value = '';
    $('sure').onclose = () => $('sure').returnValue === 'yes' && disconnect(id, $('sure-for').value);
    $('sure').showModal();
  });
  return button;
}

async function disconnect(id, time) {
  let said;
  // What a browser makes of these in an address is another address (WHATWG URL, "double-dot").
  if (/^(\.|%2e){1,2}$/i.test(id)) {
    said = 'A browser cannot write this id: send disconnect: and the id over TCP';
  } else {
    try {
      const { disconnected } = await (await post(`disconnect/${encodeURIComponent(id)}${time ? `?for=${time}` : ''}`)).json();
      said = `${disconnected} ${disconnected === 1 ? 'stream' : 'streams'} of ${id} closed`;
    } catch (error) {
      said = `Not disconnected: ${reason(error)}`;
    }
  }
  await list();
  $('page').textContent = said;
}

/** Searches for a text, from the first page on. */
function search(query) {
  $('query').value = query;
  trail = [first(query)];
  list();
}

let typing = 0;
$('query').addEventListener('input', () => {
  clearTimeout(typing);
  typing = setTimeout(() => search($('query').value.trim()), 300);
});
$('search').addEventListener('submit', (event) => {
  event.preventDefault();
  clearTimeout(typing);
  search($('query').value.trim());
});
$('next').addEventListener('click', () => {
  if (!following) return;
  trail.push(following);
  list();
});
$('back').addEventListener('click', () => {
  if (trail.length > 1) trail.pop();
  list();
});
