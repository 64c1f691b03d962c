// The last two minutes as curves, one sample a second. A curve has a hole where nothing was known.

const SPAN = 120_000;
const [WIDTH, HEIGHT] = [300, 60];
const samples = [];
const charts = [];

function svg(name, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** What one event of /live adds to the curves; `before` is the event before it, if it is known. */
function sample(now, before) {
  const { clients, rates, delivery, total } = now;
  const known = now.seconds > 0 && before;
  const grown = (key) => known ? Math.max(0, total[key] - before.total[key]) / now.seconds : null;
  return {
    time: now.time, begins: !before,
    clients: clients.new + clients.replay + clients.sse,
    replaying: clients.replay,
    messages: known ? rates.messages : null,
    events: known ? rates.events : null,
    bytes: known ? rates.bytes : null,
    p50: delivery.p50, p99: delivery.p99,
    slow: grown('slow_disconnects'), replays: grown('replays'), gaps: grown('gaps'),
    history: now.history_events,
  };
}

/** Each figure: its title, the curves, how their numbers are written, what is shown large and small. */
const rate = (n) => n === null ? '–' : `${count(n)}`;
const FIGURES = [
  { id: 'clients', title: 'Clients', curves: ['clients', 'replaying'], write: count,
    now: (s) => [count(s.clients)],
    note: ({ clients }) => [
      `${count(clients.max)} at most`, ['b', `${count(clients.replay)} replaying`], ...(clients.new ? [`${count(clients.new)} new`] : []),
    ] },
  { id: 'messages-in', title: 'Messages in', curves: ['messages'], write: count,
    now: (s) => [rate(s.messages), 'a second'],
    note: ({ messages, total }) => {
      const ways = Object.entries(messages).filter(([, n]) => n > 0).map(([way, n]) => `${way} ${count(n)}`);
      return ways.length ? ways : [`${count(total.messages)} in all`];
    } },
  { id: 'events-out', title: 'Events out', curves: ['events'], write: count,
    now: (s) => [rate(s.events), 'a second'], note: ({ total }) => [`${count(total.events)} in all`] },
  { id: 'bytes-out', title: 'Bytes out', curves: ['bytes'], write: bytes,
    now: (s) => s.bytes === null ? ['–'] : [bytes(s.bytes), 'a second'],
    note: ({ total, waiting_bytes }) => [`${bytes(total.bytes)} in all`, `${bytes(waiting_bytes)} waiting`] },
  { id: 'delay', title: 'Publish to last write', curves: ['p99', 'p50'], write: delay,
    now: (s) => s.p99 === null ? ['–'] : [`≤ ${delay(s.p99)}`, 'p99'],
    note: ({ delivery }) => delivery.p50 === null ? ['nothing was delivered'] : [['a', 'p99'], ['b', `p50 ≤ ${delay(delivery.p50)}`]] },
  { id: 'slow', title: 'Too slow, disconnected', curves: ['slow'], write: count,
    now: (s, { total }) => [count(total.slow_disconnects)], note: ({ queues }) => [`${count(Object.values(queues).reduce((a, b) => a + b, 0))} waiting for a turn`] },
  { id: 'replays', title: 'Replays and gaps', curves: ['replays', 'gaps'], write: count,
    now: (s, { total }) => [count(total.replays), `and ${count(total.gaps)} ${total.gaps === 1 ? 'gap' : 'gaps'}`],
    note: () => [['a', 'replays'], ['b', 'gaps'], 'a second'] },
  { id: 'history', title: 'History', curves: ['history'], write: count,
    now: (s) => [count(s.history), s.history === 1 ? 'event' : 'events'], note: (event) => [bytes(event.history_bytes)] },
];

class Chart {
  constructor(figure) {
    this.figure = figure;
    this.card = element('article', 'card chart');
    this.card.id = `chart-${figure.id}`;
    this.now = element('p', 'now');
    this.note = element('p', 'note');
    const plot = element('div', 'plot');
    this.svg = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
    this.fill = svg('path', { class: 'fill' });
    this.paths = figure.curves.map((_, i) => svg('path', { class: i ? 'b' : 'a' }));
    this.at = svg('line', { class: 'at', y1: 0, y2: HEIGHT });
    this.svg.append(svg('line', { class: 'base', x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), this.fill, ...this.paths.toReversed(), this.at);
    this.most = element('p', 'most');
    plot.append(this.svg, this.most);
    this.card.append(element('h3', '', figure.title), this.now, this.note, plot);
  }

  /** The large figure and the note beneath it. */
  tell(event, latest) {
    const [number, unit] = this.figure.now(latest, event);
    this.now.replaceChildren(number);
    if (unit) this.now.append(element('small', 'soft', unit));
    this.note.replaceChildren(...this.figure.note(event).flatMap((part, i) => {
      const [key, text] = Array.isArray(part) ? part : ['', part];
      return [i ? ' · ' : '', ...(key ? [element('span', `key ${key}`)] : []), text];
    }));
  }

  /** The curves up to the time `end`, and the sample that the pointer is `over`, if any. */
  draw(end, over) {
    const { curves, title, write } = this.figure;
    const values = samples.flatMap((s) => curves.map((key) => s[key])).filter((value) => value !== null);
    const most = values.reduce((a, b) => Math.max(a, b), 0);
    const x = (s) => WIDTH * (1 - (end - s.time) / SPAN);
    // A little room above the highest.
    const y = (value) => HEIGHT * (1 - value / (1.1 * most || 1));
    curves.forEach((key, i) => {
      const runs = runsOf(key).map((run) => run.map((s) => `${x(s).toFixed(1)},${y(s[key]).toFixed(1)}`));
      // A sample between two holes is a dot, which a round line end makes of a line without length.
      this.paths[i].setAttribute('d', runs.map((run) => `M${run.join('L')}${run.length > 1 ? '' : 'h0'}`).join(''));
      if (i) return;
      const areas = runs.map((run) => `M${run[0].split(',')[0]},${HEIGHT}L${run.join('L')}V${HEIGHT}Z`);
      this.fill.setAttribute('d', areas.join(''));
    });
    this.svg.setAttribute('aria-label', `${title} in the last two minutes, at most ${write(most)}`);
    if (over) {
      for (const end of ['x1', 'x2']) this.at.setAttribute(end, x(over));
      const shown = curves.map((key) => over[key] === null ? '–' : write(over[key])).join(' · ');
      this.most.textContent = `${new Date(over.time).toLocaleTimeString('en-GB')}  ${shown}`;
    } else {
      this.at.removeAttribute('x1');
      this.most.textContent = most ? `max ${write(most)}` : '';
    }
  }
}

/** The samples between holes: where a value is unknown, or the connection was lost. */
function runsOf(key) {
  const runs = [];
  let last = null;
  for (const s of samples) {
    if (s[key] === null) { last = null; continue; }
    if (last && !s.begins) runs.at(-1).push(s);
    else runs.push([s]);
    last = s;
  }
  return runs;
}

let pointer = null;

function draw() {
  if (!samples.length || document.hidden) return;
  const end = samples.at(-1).time;
  let over = null;
  if (pointer !== null) {
    const time = end - SPAN * (1 - pointer);
    over = samples.reduce((best, s) => Math.abs(s.time - time) < Math.abs(best.time - time) ? s : best);
  }
  for (const chart of charts) chart.draw(end, over);
}

/** The samples that the daemon has kept: times, and counters that become rates. */
function pastSamples(past) {
  return past.map(([time, clients, replaying, ...counters], i) => {
    const earlier = past[i - 1];
    const seconds = earlier ? (time - earlier[0]) / 1000 : 0;
    // A hole stands where the daemon has no sample, as it was too busy or asleep.
    const known = seconds > 0 && seconds < 5;
    const [messages, events, bytes, slow, replays, gaps] = counters
      .map((n, k) => known ? Math.max(0, n - earlier[3 + k]) / seconds : null);
    return { time, begins: !known, clients, replaying, messages, events, bytes, slow, replays, gaps, p50: null, p99: null, history: counters[6] };
  });
}

/** Adds one event of /live. */
function chartEvent(event, before) {
  if (event.past?.length) {
    const old = samples.filter((s) => s.time < event.past[0][0]);
    samples.length = 0;
    samples.push(...old, ...pastSamples(event.past).filter((s) => s.time < event.time));
  }
  // A clock that was set back begins anew.
  if (samples.length && event.time < samples.at(-1).time) samples.length = 0;
  // Right behind what the daemon has kept the first event tells nothing new, and no rates.
  const goesOn = event.past?.length && event.time - samples.at(-1).time < 2500;
  if (!goesOn) samples.push(sample(event, before));
  while (event.time - samples[0].time > SPAN) samples.shift();
  for (const chart of charts) chart.tell(event, samples.at(-1));
  draw();
}

for (const figure of FIGURES) charts.push(new Chart(figure));
$('charts').append(...charts.map((chart) => chart.card));
$('charts').addEventListener('pointermove', (event) => {
  const plot = event.target.closest?.('.plot')?.getBoundingClientRect();
  pointer = plot ? (event.clientX - plot.left) / plot.width : null;
  draw();
});
$('charts').addEventListener('pointerleave', () => {
  pointer = null;
  draw();
});
document.addEventListener('visibilitychange', draw);
