// How the daemon is set up, what it warned of, what it refused.

/** The newest warnings that are shown. */
const WARNINGS = 100;
let newest = 0;

/** Each fact: what is said, and whether it is good, a warning, or neither. */
function healthOf({ settings: s, clients, total, delivery, queues }) {
  const all = clients.new + clients.replay + clients.sse;
  const used = all / s.max_clients;
  return [
    [`${whole.format(all)} of ${whole.format(s.max_clients)} clients`, used > 0.9 ? 'bad' : 'good'],
    [s.max_clients_per_ip ? `${whole.format(s.max_clients_per_ip)} clients of one address` : 'no limit for one address', ''],
    [s.key ? 'subscribers need a key' : 'anyone may subscribe by name', s.key ? 'good' : ''],
    [s.all && !s.key ? 'anyone may subscribe to *' : 'subscribing to * needs a right', s.all && !s.key ? 'bad' : 'good'],
    [s.secret ? 'publishers need the secret' : 'publishers need no secret', s.secret ? 'good' : ''],
    [`pages of ${s.cors === '*' ? 'any origin' : s.cors} may read`, ''],
    [s.history_file ? 'events survive a restart' : 'events do not survive a restart', s.history_file ? 'good' : ''],
    ...(s.bus === null ? [] : [[s.bus ? 'Redis is there' : 'Redis is away', s.bus ? 'good' : 'bad']]),
    [total.log_dropped ? `${count(total.log_dropped)} log lines dropped` : 'no log line dropped', total.log_dropped ? 'bad' : 'good'],
    ...(delivery.p99 > 1 ? [['delivery is slow', 'bad']] : []),
    ...(queues.registry > 1000 ? [['publishers have to wait', 'bad']] : []),
  ];
}

function health(event) {
  const facts = healthOf(event);
  const items = facts.map(([text, kind]) => {
    const item = element('li', kind, text);
    if (kind === 'bad') item.prepend(element('span', 'hidden', 'Look: '));
    return item;
  });
  const text = (list) => [...list].map((item) => item.className + item.textContent).join();
  if (text(items) !== text($('health').children)) $('health').replaceChildren(...items);
  const reasons = Object.entries(event.refused).sort(([, a], [, b]) => b - a).slice(0, 10);
  const most = reasons[0]?.[1] || 1;
  $('refused').replaceChildren(...(reasons.length ? reasons.map(([name, n]) => {
    const item = element('li');
    item.append(word(name.replaceAll('_', ' ')), element('span', '', count(n)));
    item.style.setProperty('--share', `${100 * n / most}%`);
    return item;
  }) : [element('li', 'empty', 'Nothing was refused.')]));
  // A daemon that was started again counts from the beginning.
  if (!before) {
    newest = 0;
    $('recent').replaceChildren();
  }
  for (const { number, time, level, text } of event.recent) {
    if (number <= newest) continue;
    newest = number;
    const item = element('li', level);
    item.append(element('time', 'soft', new Date(time).toLocaleTimeString('en-GB')), ' ', text);
    $('recent').prepend(item);
  }
  while ($('recent').children.length > WARNINGS) $('recent').lastChild.remove();
  if (!$('recent').children.length) $('recent').append(element('li', 'empty soft', 'None since the start.'));
  else if ($('recent').children.length > 1) $('recent').querySelector('.empty')?.remove();
}
