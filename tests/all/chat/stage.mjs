// What the scenes need: a chat started by its own command, hasses under the scene's control, a browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const PATIENCE = 20_000;

export async function eventually(what, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** hasses, as the chat wants it started, but stopped and started by the scene. */
export class Daemon {
  #program;
  #child = null;

  constructor(program, options) {
    this.#program = program;
    this.options = options;
    this.listen = options[options.indexOf('--listen') + 1];
  }

  async start(without = null) {
    const at = this.options.indexOf(without);
    const options = at < 0 ? this.options : this.options.toSpliced(at, 2);
    this.#child = spawn(this.#program, options, { stdio: 'ignore' });
    await eventually('hasses', () => fetch(`http://${this.listen}/`).then(() => true, () => false));
  }

  async stop(signal = 'SIGTERM') {
    if (!this.#child) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill(signal);
    await ended;
    this.#child = null;
  }

  /** How many streams are open. */
  async streams() {
    const control = this.options[this.options.indexOf('--control') + 1];
    if (this.options.includes('--control')) return (await (await fetch(`http://${control}/status`)).json()).sseconncli;
    return null;
  }

  /** Answers every request with 502 in its place, until `asked` requests came. */
  async isBehindAFailingProxy(asked) {
    let count = 0;
    const proxy = createServer((_, response) => {
      count += 1;
      response.writeHead(502, { Connection: 'close' }).end();
    });
    const [host, port] = this.listen.split(':');
    proxy.listen(Number(port), host);
    await eventually('requests that fail', () => count >= asked);
    proxy.close();
    await once(proxy, 'close');
  }
}

export class Stage {
  /** Starts a chat with `command`, and `hasses` for it. */
  static async open(hasses, command) {
    const stage = new Stage();
    stage.dir = mkdtempSync(join(tmpdir(), 'stage-'));
    try {
      await stage.#open(hasses, command);
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  async #open(hasses, command) {
    this.hasses = hasses;
    await this.startChat(command);
    this.browser = await chromium.launch({
      executablePath: '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    });
  }

  /** Starts the chat, and hasses as the chat wants it. */
  async startChat(command) {
    // It stands in for hasses, tells how it was started, and lives until it is stopped.
    const [stand_in, told] = [join(this.dir, 'hasses'), join(this.dir, 'told')];
    writeFileSync(stand_in, `#!/bin/sh\nprintf '%s\\n' "$@" > ${told}.part && mv ${told}.part ${told}\nexec sleep 600\n`);
    chmodSync(stand_in, 0o755);
    const env = { ...process.env, HASSES: stand_in };
    this.chat = spawn(command[0], command.slice(1), { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let written = '';
    this.chat.stdout.on('data', (piece) => { written += piece; });
    // Where cargo runs it, it may have to be built first.
    const deadline = Date.now() + 300_000;
    while (!existsSync(told)) {
      assert.equal(this.chat.exitCode, null, 'the chat ended');
      assert(Date.now() < deadline, 'the chat never started hasses');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.command = command;
    this.daemon = new Daemon(this.hasses, readFileSync(told, 'utf8').trimEnd().split('\n'));
    rmSync(told);
    await this.daemon.start();
    [this.url] = await eventually('an address', () => written.match(/http:\S+/));
  }

  /** Ends the chat as Ctrl-C does, and hasses too. */
  async endChat() {
    if (this.chat && this.chat.exitCode === null) {
      const ended = once(this.chat, 'exit');
      this.chat.kill('SIGTERM');
      await ended;
    }
    await this.daemon?.stop();
  }

  /** Starts the chat again at the address where it was; hasses is elsewhere then. */
  async startChatAgain() {
    await this.startChat([...this.command.slice(0, -1), new URL(this.url).host]);
  }

  /** A person with a browser of their own. */
  async person(name, options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1100, height: 720 }, ...options });
    // A busy machine takes half a minute for a picture.
    context.setDefaultTimeout(120_000);
    const page = await context.newPage();
    const person = new Person(page, this.url);
    await person.visit();
    if (name) await person.isCalled(name);
    return person;
  }

  async close() {
    await this.browser?.close();
    await this.endChat();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

class Person {
  /** What the browser complained of. */
  complaints = [];
  /** The addresses of the event streams that were asked for. */
  streams = [];

  constructor(page, url) {
    this.page = page;
    this.url = url;
    page.on('pageerror', (error) => this.complaints.push(`error: ${error.message}`));
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) this.complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (request.url().includes('/sse?')) this.streams.push(request.url());
    });
  }

  /** Another tab of the same person. */
  async anotherTab() {
    const tab = new Person(await this.page.context().newPage(), this.url);
    await tab.visit();
    return tab;
  }

  async visit(room = '') {
    await this.page.goto(`${this.url}${room && `#${room}`}`);
    await this.is('connected');
  }

  is(state) {
    return this.page.getByRole('status').filter({ hasText: new RegExp(`^${state}$`) }).waitFor();
  }

  async isCalled(name) {
    await this.page.getByLabel('Your name').fill(name);
    await this.page.getByLabel('Your name').press('Enter');
  }

  get box() {
    return this.page.getByLabel('Message', { exact: true });
  }

  async says(text) {
    await this.box.fill(text);
    await this.box.press('Enter');
    await eventually(`${text.slice(0, 40)} is sent`, async () => await this.box.inputValue() === '');
  }

  async joins(room) {
    await this.page.getByLabel('Join a room').fill(room);
    await this.page.getByLabel('Join a room').press('Enter');
    await this.page.getByRole('heading', { name: room, exact: true }).waitFor();
  }

  /** All texts that are shown, in order. */
  texts() {
    return this.page.locator('#messages .text').allTextContents();
  }

  /** Waits for `text`, which must be shown once. */
  async sees(text) {
    await eventually(`${text.slice(0, 40)} is seen`, async () => (await this.texts()).includes(text));
    const times = (await this.texts()).filter((shown) => shown === text).length;
    assert.equal(times, 1, `${text} is shown ${times} times`);
  }

  /** Waits until the line about those who type says this. */
  async seesTyping(text) {
    await eventually(`typing: ${text}`, async () => await this.typing() === text);
  }

  typing() {
    return this.page.locator('#typing').textContent();
  }

  gaps() {
    return this.page.locator('#messages .gap').count();
  }
}
