// Subscribes with the npm package `eventsource` and writes what comes as JSON, one line each.
//   node eventsource.mjs URL [EVENT-NAME]
import { EventSource } from 'eventsource';

const [url, name] = process.argv.slice(2);
const source = new EventSource(url);
const show = ({ type, data, lastEventId }) =>
  console.log(JSON.stringify({ type, data, lastEventId }));
source.onopen = () => console.log('open');
source.onerror = () => console.log(`error, state ${source.readyState}`);
source.onmessage = show;
if (name) source.addEventListener(name, show);
