// Opens a page in headless Firefox and writes what the page says.
//   node open.mjs PROFILE-DIR PAGE QUERY
// The page is served from a port of its own, so to hasses it is one of another origin. It says something by
// report(TEXT); of examples/page, which does not, this tells the state and the events that it shows.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [profile, page, query] = process.argv.slice(2);
const head = `<script>
const report = (text) => fetch('/said', { method: 'POST', body: text, keepalive: true });
onerror = (message) => report('error: ' + message);
</script>`;
const watch = `<script>
const told = new Set();
const tell = (text) => told.has(text) || (told.add(text), report(text));
const look = () => {
  tell('state ' + (document.getElementById('state')?.dataset.state));
  for (const { textContent } of document.querySelectorAll('#events .data')) tell('shown ' + textContent);
};
if (document.getElementById('state')) {
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
  look();
}
</script>`;

const server = createServer(async (request, response) => {
  if (request.url === '/said') {
    let text = '';
    for await (const piece of request) text += piece;
    console.log(text);
    response.writeHead(204).end();
  } else if (request.url.startsWith('/?')) {
    const html = readFileSync(page, 'utf8').replace('<body>', `<body>${head}`).replace('</body>', `${watch}</body>`);
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(html);
  } else {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));

// Nothing but the page: no greeting, no reports, no updates.
mkdirSync(profile);
const off = ['browser.shell.checkDefaultBrowser', 'datareporting.policy.dataSubmissionEnabled', 'app.update.enabled',
  'browser.aboutwelcome.enabled', 'network.captive-portal-service.enabled', 'network.connectivity-service.enabled',
  'extensions.getAddons.cache.enabled', 'browser.safebrowsing.malware.enabled', 'toolkit.telemetry.enabled'];
const settings = off.map((name) => `user_pref("${name}", false);\n`).join('')
  + 'user_pref("browser.startup.homepage_override.mstone", "ignore");\nuser_pref("datareporting.policy.firstRunURL", "");\n';
writeFileSync(`${profile}/user.js`, settings);
const url = `http://127.0.0.1:${server.address().port}/?${query}`;
const firefox = spawn('firefox-esr', ['--headless', '--no-remote', '--profile', profile, url],
  { stdio: 'ignore', detached: true, env: { ...process.env, HOME: profile, MOZ_CRASHREPORTER_DISABLE: '1' } });
// Firefox has processes of its own, which are in its group.
let asked = false;
process.once('SIGTERM', () => {
  asked = true;
  process.kill(-firefox.pid, 'SIGKILL');
});
firefox.once('exit', (code) => {
  if (!asked) console.log(`Firefox ended: ${code}`);
  process.exit(asked ? 0 : 1);
});
