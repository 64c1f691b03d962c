// Runs a script as a page would: with an EventSource, and a backend that answers /signed-query.
//   node page.mjs SCRIPT QUERY-FILE
// Says `asked` each time the page asks; the answer is what the file holds then.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { EventSource } from 'eventsource';

const [script, file] = process.argv.slice(2);
const fetch = globalThis.fetch;
globalThis.EventSource = EventSource;
globalThis.fetch = (url, ...rest) => {
  if (url !== '/signed-query') return fetch(url, ...rest);
  console.log('asked');
  return Promise.resolve(new Response(readFileSync(file)));
};
await import(pathToFileURL(script));
