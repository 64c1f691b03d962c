// Subscribes in Chromium, from a page of another origin, with the libraries that pages use, all at once.
//   node browser.mjs URL USER-DATA-DIR
// Writes NAME and what came, as JSON {type, data, id}: an event, or `open` without more.
import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [url, data_dir] = process.argv.slice(2);
const packages = fileURLToPath(new URL('../../node_modules/', import.meta.url));

// What the page does: each library as its README says.
const page_script = `
import { fetchEventSource } from '/@microsoft/fetch-event-source/lib/esm/index.js';
import { EventSource as Extended } from '/extended-eventsource/dist/index.esm.js';
import { SSE } from '/sse.js/lib/sse.js';

const show = (name, type, data, id) => console.log(name + ': ' + JSON.stringify({ type, data, id }));
const follow = (name, source) => {
  source.onopen = () => show(name, 'open');
  const each = ({ type, data, lastEventId, id }) => show(name, type, data, lastEventId ?? id);
  for (const type of ['message', 'news', 'gap']) source.addEventListener(type, each);
};
const url = new URLSearchParams(location.search).get('url');
const at = (name) => url + '&id=' + name;

follow('EventSource', new EventSource(at('native')));
follow('event-source-polyfill', new EventSourcePolyfill(at('polyfill')));
follow('extended-eventsource', new Extended(at('extended'), { disableLogger: true }));
follow('sse.js', new SSE(at('sse.js'), { autoReconnect: true, start: true }));
fetchEventSource(at('fetch'), {
  openWhenHidden: true,
  onopen: async () => show('fetch-event-source', 'open'),
  // A stream that ends would be the end of it.
  onclose: () => { throw new Error('again'); },
  onmessage: ({ event, data, id }) => show('fetch-event-source', event || 'message', data, id),
});
`;

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://page');
  const answer = (type, body) => response.writeHead(200, { 'Content-Type': type }).end(body);
  if (pathname === '/') {
    answer('text/html', '<!doctype html><script src="/event-source-polyfill/src/eventsource.js"></script><script type="module" src="/page.js"></script>');
  } else if (pathname === '/page.js') {
    answer('text/javascript', page_script);
  } else {
    // As a bundler does it: an import may leave out the end of a name.
    const file = [pathname, `${pathname}.js`].map((name) => packages + name).find((name) => /\.js$/.test(name) && existsSync(name));
    if (file) answer('text/javascript', readFileSync(file));
    else response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

const context = await chromium.launchPersistentContext(data_dir, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
process.once('SIGTERM', () => context.close().finally(() => process.exit()));
const page = await context.newPage();
page.on('console', (message) => console.log(message.text()));
page.on('close', () => server.close());
page.on('pageerror', (error) => console.log(`page: ${error.message}`));
await page.goto(`http://127.0.0.1:${server.address().port}/?url=${encodeURIComponent(url)}`);
