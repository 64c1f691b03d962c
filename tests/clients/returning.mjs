// Stays subscribed as a page does, with the npm package `eventsource`: after an error status, where
// an EventSource gives up for good, a new one goes on behind the last event.
//   node returning.mjs URL
// Writes `open`, `data TEXT`, `gap`, `lost` (it comes back itself), and `closed STATUS`.
import { EventSource } from 'eventsource';

const [url] = process.argv.slice(2);
let last = '';

function connect() {
  const source = new EventSource(last ? `${url}&lastEventId=${last}` : url);
  source.onopen = () => console.log('open');
  source.onmessage = (event) => {
    last = event.lastEventId;
    console.log(`data ${event.data}`);
  };
  source.addEventListener('gap', () => console.log('gap'));
  source.onerror = (event) => {
    const closed = source.readyState === EventSource.CLOSED;
    console.log(closed ? `closed ${event.code}` : 'lost');
    if (closed) setTimeout(connect, 200);
  };
}

connect();
