// A site in front of hasses: an empty page, and a proxy that can fail. It is a process of its own, so that it can be stopped.
//   node proxy.mjs HASSES-ADDRESS
// Pages say something by POST /said, which is written to standard output, and ask by GET /orders/NAME what to do: `order NAME SCRIPT`.
// Standard input: `fail STATUS`, `well`, `cut`, `rights FILE` (what /signed answers). `GET /streams` tells of open streams.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { createInterface } from 'node:readline';

const [hasses] = process.argv.slice(2);
const streams = new Map();
/** Pages that wait for an order. */
const orders = new Map();
let failure = null;
let rights = null;
let asked = 0;
let most = 0;

const server = http.createServer((request, response) => {
  const { url } = request;
  if (url === '/streams') {
    const open = [...streams.values()];
    response.end(JSON.stringify({ open, asked, most }));
    most = open.length;
  } else if (url === '/said') {
    let text = '';
    request.on('data', (piece) => { text += piece; }).on('end', () => {
      console.log(text);
      response.writeHead(204).end();
    });
  } else if (url.startsWith('/orders/')) {
    orders.set(url.slice(8), response);
  } else if (url.startsWith('/tab/')) {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end(readFileSync(new URL('tab.html', import.meta.url)));
  } else if (url.startsWith('/signed')) {
    const answer = rights ? readFileSync(rights, 'utf8') : '';
    response.writeHead(answer ? 200 : 401).end(answer);
  } else if (url.startsWith('/sse')) {
    if (failure && !url.startsWith('/sse.js')) {
      response.writeHead(failure, { 'Content-Type': 'text/html' }).end('<h1>Bad Gateway</h1>');
      asked += 1;
      return;
    }
    forward(request, response);
  } else {
    response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>page</title><body>');
  }
});

function forward(request, response) {
  const isStream = request.url.startsWith('/sse?');
  const [host, port] = hasses.split(':');
  const onward = http.request({ host, port, path: request.url, method: request.method, headers: { ...request.headers, connection: 'close' } }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  if (isStream) {
    asked += 1;
    streams.set(response, request.url);
    most = Math.max(most, streams.size);
  }
  const end = () => {
    streams.delete(response);
    onward.destroy();
  };
  onward.on('error', () => {
    if (!response.headersSent) response.writeHead(502, { 'Content-Type': 'text/html' });
    response.destroy();
  });
  response.on('close', end);
  onward.end();
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [word, value] = line.split(' ');
  if (word === 'fail') failure = Number(value);
  if (word === 'well') failure = null;
  if (word === 'order') {
    orders.get(value)?.end(line.slice(line.indexOf(value) + value.length + 1));
    orders.delete(value);
  }
  if (word === 'rights') rights = value ?? null;
  if (word === 'fail' || word === 'cut') for (const response of streams.keys()) response.destroy();
}).on('close', () => process.exit());
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
