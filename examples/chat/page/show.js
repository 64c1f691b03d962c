// How a message looks. What people wrote is only ever put in as text.

const make = (tag, className, text = '') => {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
};

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

// An event's id is the time at which hasses took it in, in microseconds.
const dateOf = (entry) => new Date(entry.id / 1000);
const sameDay = (one, other) => dateOf(one).toDateString() === dateOf(other).toDateString();

/** A colour of its own for each name. */
const hue = (name) => [...name].reduce((sum, char) => (sum * 31 + char.codePointAt(0)) % 360, 7);

/** The text, with links where it names them. */
function textOf(text) {
  const element = make('p', 'text');
  element.dir = 'auto';
  element.classList.toggle('big', /^[\p{Extended_Pictographic}\u200d\ufe0f\s]{1,8}$/u.test(text));
  for (const part of text.split(/(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]])/)) {
    if (!/^https?:\/\//.test(part)) {
      element.append(part);
      continue;
    }
    const link = make('a', '', part);
    link.href = part;
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
    element.append(link);
  }
  return element;
}

/** The list items for an entry that stands behind `before`: a new day is said, a speaker named once. */
export function itemsFor(entry, before, me) {
  if (entry.gap) return [make('li', 'gap', 'Messages may be missing here')];
  const items = [];
  const newDay = !before || !sameDay(before, entry);
  if (newDay) items.push(make('li', 'day', day.format(dateOf(entry))));
  const goesOn = !newDay && !before.gap && before.from === entry.from && before.name === entry.name
    && entry.id - before.id < 300e6;
  const item = make('li', 'message');
  item.classList.toggle('mine', entry.from === me);
  item.classList.toggle('goes-on', goesOn);
  const avatar = make('span', 'avatar', [...entry.name][0]);
  avatar.ariaHidden = 'true';
  avatar.style.setProperty('--hue', hue(entry.name));
  const time = make('time', '', clock.format(dateOf(entry)));
  time.dateTime = dateOf(entry).toISOString();
  const speaker = make('p', 'speaker');
  speaker.append(make('bdi', 'name', entry.name), ' ', time);
  item.append(avatar, speaker, textOf(entry.text));
  items.push(item);
  return items;
}

/** A room in the list of rooms. */
export function roomItem(name, { current, unread, enter, leave }) {
  const item = make('li', '');
  const link = make('a', '');
  link.href = `#${encodeURIComponent(name)}`;
  if (current) link.ariaCurrent = 'page';
  link.onclick = (event) => {
    // With a key held down the browser opens a tab or a window, which is its own affair.
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    enter();
  };
  link.append(make('bdi', 'name', name));
  if (unread) {
    const count = make('span', 'unread', unread > 99 ? '99+' : unread);
    count.append(make('span', 'unseen', ' unread'));
    link.append(count);
  }
  item.append(link);
  if (leave) {
    const button = make('button', 'leave', '×');
    button.type = 'button';
    button.ariaLabel = `Leave ${name}`;
    button.onclick = leave;
    item.append(button);
  }
  return item;
}

export function typingText(names) {
  if (names.length > 2) return 'Several people are typing…';
  return names.length ? `${names.join(' and ')} ${names.length > 1 ? 'are' : 'is'} typing…` : '';
}

/** Who is in the room, those who are here first. */
export function membersText(members, me) {
  if (members.total) return `${members.total} people are here`;
  const names = members.filter(({ id }) => id !== me).map(({ info }) => (typeof info?.name === 'string' ? info.name : 'somebody'));
  if (!members.length) return '';
  return names.length ? `Here: you, ${names.sort((one, other) => one.localeCompare(other)).join(', ')}` : 'Nobody else is here';
}
