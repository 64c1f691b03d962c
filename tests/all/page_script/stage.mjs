// What the scenes need: a hasses, a site in front of it, patience.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const PATIENCE = 20_000;

/** Looks again and again until `look` finds something; the milliseconds that took. */
export async function eventually(what, look, patience = PATIENCE) {
  const begin = performance.now();
  for (;;) {
    const found = await look();
    if (found) return performance.now() - begin;
    if (performance.now() - begin > patience) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** A hasses of the scene's own. */
export class Daemon {
  constructor(program) {
    this.program = program;
  }
  async start(options = []) {
    this.listen = `127.0.0.1:${await freePort()}`;
    this.control = `127.0.0.1:${await freePort()}`;
    this.options = ['--listen', this.listen, '--control', this.control, '--log-level', 'quiet', '--heartbeat', '2', '--history', '100000', ...options];
    await this.again();
  }
  async again() {
    this.child = spawn(this.program, this.options, { stdio: 'ignore' });
    await eventually('hasses', () => fetch(`http://${this.control}/healthz`).then(({ ok }) => ok, () => false));
  }
  async stop(signal = 'SIGTERM') {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill(signal);
    await once(this.child, 'exit');
  }
  async publish(token, data) {
    const answer = await fetch(`http://${this.control}/publish/${token}`, { method: 'POST', body: String(data) });
    assert(answer.ok);
  }
  /** Publishes 0, 1, 2 … to each token, this many a second, until it is told to stop; then says how many. */
  flood(tokens, aSecond) {
    let count = 0;
    let on = true;
    const run = (async () => {
      const begin = performance.now();
      while (on) {
        const due = Math.floor((performance.now() - begin) / 1000 * aSecond);
        const messages = [];
        for (; count < due; count += 1) for (const to of tokens) messages.push({ to, data: String(count) });
        if (messages.length) {
          const answer = await fetch(`http://${this.control}/publish`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(messages) });
          assert(answer.ok, await answer.text());
        }
        await sleep(10);
      }
    })();
    run.catch(() => {});
    return async () => { on = false; await run; return count; };
  }
}

/** A site: see proxy.mjs. */
export class Proxy {
  async start(hasses) {
    this.child = spawn('node', ['tests/all/page_script/proxy.mjs', hasses], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.child.stdout });
    const [port] = await once(this.lines, 'line');
    this.url = `http://127.0.0.1:${port}`;
  }
  tell(line) { this.child.stdin.write(`${line}\n`); }
  async streams() { return (await fetch(`${this.url}/streams`)).json(); }
  stop() { this.child.kill('SIGKILL'); }
}

/** Each number once and in order, from the first that came to the last there was. */
export function whole(got, count, name) {
  const begin = got[0];
  const missing = [];
  const set = new Set(got);
  for (let number = begin; number < count; number += 1) if (!set.has(number)) missing.push(number);
  assert.deepEqual({ missing: missing.slice(0, 9), doubled: got.length - set.size }, { missing: [], doubled: 0 }, name);
  assert.deepEqual(got, [...got].sort((one, other) => one - other), `${name}: out of order`);
}
