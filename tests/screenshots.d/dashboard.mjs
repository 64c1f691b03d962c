// The dashboard, with two minutes of a busy afternoon behind it.
//   node dashboard.mjs SUBSCRIBERS-URL CONTROL-URL USER-DATA-DIR PICTURE
import http from 'node:http';
import { chromium } from 'playwright-core';

const [subscribers, control, data_dir, picture] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true });
const AGENTS = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5',
];
const NAMES = ['ada', 'grace', 'edsger', 'barbara', 'donald', 'margaret', 'ken', 'frances', 'dennis', 'radia'];
// Token, and how much of everything is for it.
const TOKENS = [['news', 9], ['scores', 7], ['room-blue', 5], ['room-green', 4], ['orders', 3], ['weather', 2], ['alerts', 1]];
const WEIGHTED = TOKENS.flatMap(([token, weight]) => Array(weight).fill(token));
const WORDS = ['good morning, ', 'two more orders, ', 'rain from noon on, ', 'one all, '];
const choose = (list) => list[Math.floor(Math.random() * list.length)];
const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

const streams = [];
let last = '';

/** A subscriber; it knows the last event that anybody got. */
function subscribe(number) {
  const query = `token=${choose(WEIGHTED)}&token=${choose(WEIGHTED)}&id=${choose(NAMES)}-${number}`;
  const headers = { 'User-Agent': choose(AGENTS), ...(last && { 'Last-Event-ID': last }) };
  const request = http.get(`${subscribers}/sse?${query}`, { headers, agent: false }, (answer) => {
    answer.on('data', (bytes) => { last = /^id: (\d+)$/m.exec(bytes)?.[1] ?? last; });
    answer.on('error', () => {});
  });
  request.on('error', () => {});
  streams.push(request);
}

function publish() {
  const event = { to: choose(WEIGHTED), data: JSON.stringify({ text: choose(WORDS).repeat(1 + Math.random() * 5), from: choose(NAMES) }) };
  return new Promise((resolve) => {
    const request = http.request(`${control}/publish`, {
      method: 'POST', agent, headers: { 'Content-Type': 'application/json' },
    }, (answer) => answer.resume().on('end', resolve));
    request.end(JSON.stringify(event));
  });
}

const context = await chromium.launchPersistentContext(data_dir, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  colorScheme: 'light',
  viewport: { width: 1120, height: 860 },
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
try {
  for (let n = 0; n < 240; n++) subscribe(n);
  const page = context.pages()[0] ?? await context.newPage();
  await page.goto(control);
  await page.waitForSelector('#state[data-state=live]');
  const began = Date.now();
  const end = began + 122_000;
  for (let n = 240; Date.now() < end; n++) {
    const at = (Date.now() - began) / 1000;
    // Waves of readers and messages, and now and then somebody who comes back.
    const readers = 260 + 60 * Math.sin(at / 17) + at / 2;
    if (streams.length < readers) subscribe(n);
    else if (Math.random() < 0.3) streams.shift().destroy();
    const messages = 1 + 3 * (1 + Math.sin(at / 9)) + (at % 41 < 4 ? 7 : 0);
    for (let i = 0; i < messages * (0.7 + 0.6 * Math.random()); i++) await publish();
    await pause(60);
  }
  // It goes on while the page is used.
  const more = setInterval(publish, 50);
  await page.fill('#watched', 'news');
  await page.click('#watch button[type=submit]');
  await page.fill('#to', 'news');
  await page.fill('#data', 'Hello, everyone');
  await page.click('#publish button');
  await page.waitForSelector('#answer[data-kind=good]');
  await page.locator('#events').getByText('Hello, everyone').waitFor();
  await pause(3000);
  // Down to the list of clients.
  const height = await page.evaluate(() => document.getElementById('list').offsetTop - 8);
  await page.screenshot({ path: picture, clip: { x: 0, y: 0, width: 1120, height }, fullPage: true });
  clearInterval(more);
} finally {
  streams.forEach((request) => request.destroy());
  await context.close();
  agent.destroy();
}
