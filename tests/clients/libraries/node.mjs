// Subscribes with the EventSource packages for Node, all at once.
//   node node.mjs URL
// Writes NAME and what came, as JSON {type, data, id}: an event, or `open` without more.
import { EventSource as three } from 'eventsource';
import two from 'eventsource2';
import { EventSource as four } from 'eventsource4';

const [url] = process.argv.slice(2);
for (const [name, EventSource] of Object.entries({ 'eventsource 2': two, 'eventsource 3': three, 'eventsource 4': four })) {
  const source = new EventSource(`${url}&id=${name.replace(' ', '-')}`);
  const show = ({ type, data, lastEventId: id }) => console.log(`${name}: ${JSON.stringify({ type, data, id })}`);
  source.onopen = () => console.log(`${name}: {"type":"open"}`);
  source.onmessage = show;
  for (const type of ['news', 'gap']) source.addEventListener(type, show);
}
