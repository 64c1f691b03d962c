// Tabs of a browser with thirty EventSources that share nothing.
//
//   node tabs.mjs ORIGIN CONTROL-ORIGIN USER-DATA-DIR
//
// tells how many streams the daemon has from them, from how many addresses, and what they heard.
import { chromium } from 'playwright-core'

const [origin, control, dataDir] = process.argv.slice(2)
const context = await chromium.launchPersistentContext(dataDir, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--ignore-certificate-errors',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})
const heard = []
for (let tab = 0; tab < 6; tab += 1) {
  const page = await context.newPage()
  await page.goto(`${origin}/sse.js`)
  await page.evaluate(() => Promise.all(Array.from({ length: 5 }, () => new Promise((resolve, reject) => {
    const source = new EventSource('/sse?subscribe=a')
    const heard = new Promise((heard) => { source.onmessage = ({ data }) => heard(data) })
    globalThis.heard = [...globalThis.heard ?? [], heard]
    source.onopen = resolve
    source.onerror = () => reject(new Error('no stream'))
  }))))
  heard.push(page.evaluate(() => Promise.all(globalThis.heard)))
}
const clients = await (await fetch(`${control}/clients`)).json()
// The browser may have another connection in reserve.
const streams = clients.filter(({ http }) => http === '2')
const addresses = new Set(streams.map(({ address }) => address))
await fetch(`${control}/publish/a`, { method: 'POST', body: 'to all' })
const told = (await Promise.all(heard)).flat()
console.log(streams.length, addresses.size, told.length, ...new Set(told))
await context.close()
