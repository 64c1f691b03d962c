// The script in Firefox: tabs of one window, of which all but one are hidden.
//   node firefox.mjs HASSES-PROGRAM
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Daemon, Proxy, eventually, sleep, whole } from './stage.mjs';

const TABS = ['0', '1', '2', '3'];
const [program] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'firefox-'));
const [daemon, proxy] = [new Daemon(program), new Proxy()];

// Nothing but the tabs: no greeting, no reports, no updates.
const off = ['browser.shell.checkDefaultBrowser', 'datareporting.policy.dataSubmissionEnabled', 'app.update.enabled',
  'browser.aboutwelcome.enabled', 'network.captive-portal-service.enabled', 'network.connectivity-service.enabled',
  'extensions.getAddons.cache.enabled', 'browser.safebrowsing.malware.enabled', 'toolkit.telemetry.enabled', 'dom.max_script_run_time.enabled'];
writeFileSync(join(dir, 'user.js'), off.map((name) => `user_pref("${name}", false);\n`).join('')
  + 'user_pref("browser.startup.homepage_override.mstone", "ignore");\nuser_pref("datareporting.policy.firstRunURL", "");\nuser_pref("dom.max_script_run_time", 0);\n');

let firefox;
try {
  await daemon.start(['--history-file', join(dir, 'history')]);
  await proxy.start(daemon.listen);
  const said = [];
  proxy.lines.on('line', (line) => said.push(JSON.parse(line)));
  const last = (name, key) => said.findLast((words) => words.name === name && key in words)?.[key];
  firefox = spawn('firefox-esr', ['--headless', '--no-remote', '--profile', dir, ...TABS.map((name) => `${proxy.url}/tab/${name}`)],
    { stdio: 'ignore', detached: true, env: { ...process.env, HOME: dir, MOZ_CRASHREPORTER_DISABLE: '1' } });
  for (const name of TABS) await eventually(`tab ${name} is live`, () => last(name, 'state') === 'live', 60_000);
  await sleep(2000);
  assert.equal((await proxy.streams()).open.length, 1);

  const order = (name, script) => proxy.tell(`order ${name} ${script}`);
  const stop = daemon.flood(['a'], 200);
  await sleep(1000);
  let left = [...TABS];
  const took = [];
  // Two leaders go, one after the other. (One that is stuck may share its process with the tab that is seen.)
  for (let round = 0; round < 2; round += 1) {
    const leader = await findLeader(left, said, order);
    const { asked } = await proxy.streams();
    const begin = performance.now();
    order(leader, "location.href = '/page';");
    await eventually('another leader', async () => (await proxy.streams()).asked > asked, 5000);
    took.push(Math.round(performance.now() - begin));
    left = left.filter((name) => name !== leader);
    await sleep(1000);
  }
  proxy.tell('fail 502');
  await sleep(3000);
  proxy.tell('well');
  await eventually('live again', () => left.every((name) => last(name, 'state') === 'live'));
  const count = await stop();
  await sleep(2000);
  for (const name of left) order(name, 'return say({ got })');
  for (const name of left) {
    await eventually(`what tab ${name} got`, () => last(name, 'got'));
    whole(last(name, 'got'), count, `tab ${name}`);
    assert.equal(last(name, 'got').at(-1), count - 1);
  }
  assert.deepEqual(said.filter((words) => words.error || words.gap), []);
  assert.equal((await proxy.streams()).open.length, 1);
  console.log(JSON.stringify({ 'new leader after ms': took, events: count, tabs: said.filter(({ hidden }) => hidden).length }));
  console.log('all played');
} finally {
  if (firefox) try { process.kill(-firefox.pid, 'SIGKILL'); } catch { /* it has ended */ }
  proxy.stop();
  await daemon.stop('SIGKILL');
  await sleep(200);
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

/** The tab that has the lock of the group. */
async function findLeader(names, said, order) {
  const mark = said.length;
  await sleep(300);
  const script = "return navigator.locks.request('me', async () => { const { held } = await navigator.locks.query(); const own = held.find(({ name }) => name === 'me').clientId; say({ leads: held.some(({ name, clientId }) => name.startsWith('hasses-') && clientId === own) }); })";
  for (const name of names) order(name, script);
  await eventually('who leads', () => said.slice(mark).filter((words) => 'leads' in words).length === names.length);
  return said.slice(mark).find(({ leads }) => leads).name;
}
