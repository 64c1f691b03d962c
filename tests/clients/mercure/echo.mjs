// Pages with laravel-echo: public, private, presence, encrypted channels, whispers.
//   node echo.mjs APPLICATION-URL HUB-URL USER-DATA-DIR
import assert from 'node:assert/strict'
import { chromium } from 'playwright-core'

const [app, hub, dataDir] = process.argv.slice(2)
const context = await chromium.launchPersistentContext(dataDir, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

// A page of a user, with what it was told in `told`. Each has cookies of its own.
async function open(browser, user) {
  const page = await browser.newPage()
  page.on('pageerror', (error) => console.error(`page of ${user}: ${error}`))
  await page.goto(app)
  await page.evaluate(async ([user, hub]) => {
    const { default: Echo } = await import('/echo.js')
    const { MercureConnector } = await import('/connector.mjs')
    window.told = []
    window.echo = new Echo({ broadcaster: MercureConnector, hub, headers: { 'X-User': user }, namespace: false })
  }, [user, hub])
  return page
}

const broadcast = (channel, event, data) =>
  fetch(`${app}/broadcast?${new URLSearchParams({ channel, event, data: JSON.stringify(data) })}`).then((answer) => answer.text())

async function wait(page, wanted) {
  await page.waitForFunction((wanted) => window.told.includes(wanted), wanted, { timeout: 15000 }).catch(async () => {
    throw new Error(`no ${wanted} in ${JSON.stringify(await page.evaluate(() => window.told))}`)
  })
}

const second = await context.browser()?.newContext() ?? context
try {
  const ann = await open(context, 'ann')

  await ann.evaluate(() => new Promise((resolve) => echo.channel('news').listen('Story', (data) => told.push(`news ${data.title}`)).subscribed(resolve)))
  await broadcast('news', 'Story', { title: 'one' })
  await wait(ann, 'news one')
  console.log('ok public')

  await ann.evaluate(() => new Promise((resolve) => echo.private('ann').listen('Mail', (data) => told.push(`mail ${data.from}`)).subscribed(resolve)))
  await broadcast('private-ann', 'Mail', { from: 'bob' })
  await wait(ann, 'mail bob')
  await broadcast('news', 'Story', { title: 'two' })
  await wait(ann, 'news two')
  console.log('ok private')

  const refused = await ann.evaluate(() => new Promise((resolve) => echo.private('bob').error((error) => resolve(error.message))))
  assert.match(refused, /403/)
  await ann.evaluate(() => echo.leave('bob'))
  console.log('ok not for others')

  await ann.evaluate(() => new Promise((resolve) => {
    echo.join('room')
      .here((users) => { told.push(`here ${users.map((user) => user.name)}`); resolve() })
      .joining((user) => told.push(`joining ${user.name}`))
      .leaving((user) => told.push(`leaving ${user.name}`))
      .listenForWhisper('typing', ({ name }) => told.push(`typing ${name}`))
  }))
  await wait(ann, 'here ann')
  const bob = await open(second, 'bob')
  await bob.evaluate(() => new Promise((resolve) => {
    echo.join('room').here((users) => { told.push(`here ${users.map((user) => user.name).sort()}`); resolve() })
  }))
  await wait(bob, 'here ann,bob')
  await wait(ann, 'joining bob')
  console.log('ok presence')

  await bob.evaluate(() => echo.join('room').whisper('typing', { name: 'bob' }))
  await wait(ann, 'typing bob')
  console.log('ok whisper')

  // A stream that is opened anew shows nothing to others.
  const before = await ann.evaluate(() => told.length)
  await bob.evaluate(() => echo.connector.open())
  await broadcast('presence-room', 'Mark', {})
  await new Promise((resolve) => setTimeout(resolve, 1500))
  assert.deepEqual(await ann.evaluate((before) => told.slice(before).filter((text) => /joining|leaving/.test(text)), before), [])
  console.log('ok no flicker')
  await bob.close()
  await wait(ann, 'leaving bob')
  console.log('ok leaving')

  await ann.evaluate(() => new Promise((resolve) => {
    const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
    // Echo lets only its own connectors have such channels by `encryptedPrivate`.
    echo.connector.encryptedPrivateChannel('room').listen('Secret', async ({ nonce, ciphertext }) => {
      const answer = await fetch('/broadcasting/auth', { method: 'POST', headers: { 'X-User': 'ann' }, body: '{"channels":["private-encrypted-room"]}' })
      const secret = decode((await answer.json()).shared_secret)
      const key = await crypto.subtle.importKey('raw', secret, 'AES-GCM', false, ['decrypt'])
      const text = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: decode(nonce) }, key, decode(ciphertext))
      told.push(`secret ${JSON.parse(new TextDecoder().decode(text)).text}`)
    }).subscribed(resolve)
  }))
  await broadcast('private-encrypted-room', 'Secret', { text: 'hidden' })
  await wait(ann, 'secret hidden')
  console.log('ok encrypted')
} finally {
  await context.close()
}
