// The cases of the protocol's conformance suites, in a browser, on a page of the hub's own origin: an EventSource that
// nobody has let in, updates published with a fixed token, and what the page is shown of them.
//
//   node browser.mjs HUB-ORIGIN USER-DATA-DIR TOKEN-OF-VERSION-1.0 TOKEN-OF-VERSION-0.x
import { randomUUID } from 'node:crypto'
import { chromium } from 'playwright-core'

const [origin, dataDir, eight, seven] = process.argv.slice(2)
const context = await chromium.launchPersistentContext(dataDir, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--ignore-certificate-errors',
    '--disable-background-networking', '--disable-component-update', '--disable-sync'],
})

// Of each: what is asked for, what the update is about, whether it is private, whether it comes.
const both = [
  ['a text', (a) => [a], (a) => [a], false, true],
  ['several', (a, b) => [a, b], (a, b) => [b], false, true],
  ['a URL', (a) => [`https://example.org/${a}`], (a) => [`https://example.org/${a}`], false, true],
  ['another text', (a) => [a], (a, b) => [b], false, false],
  ['another URL', (a) => [`https://example.org/${a}`], (a, b) => [`https://example.org/${b}`], false, false],
  ['a private text', (a) => [a], (a) => [a], true, false],
  ['a private URL', (a) => [`https://example.org/${a}`], (a) => [`https://example.org/${a}`], true, false],
]
const versions = [
  { name: '8', token: eight, exact: 'match', wide: 'match_urlpattern', pattern: (a) => `https://example.org/${a}/:id`, more: [] },
  { name: '7', token: seven, exact: 'topic', wide: 'topic', pattern: (a) => `https://example.org/${a}/{id}`,
    more: [['an alternate', (a, b) => [b], (a, b) => [a, b], false, true]] },
]
const id = (a) => `https://example.org/${a}/1`
let failed = 0
try {
  const page = await context.newPage()
  await page.goto(origin)
  for (const { name, token, exact, wide, pattern, more } of versions) {
    const patterns = [
      ['a pattern', [pattern], (a) => [id(a)], false, true],
      ['another than the pattern', [pattern], (a, b) => [id(b)], false, false],
      ['a private one of the pattern', [pattern], (a) => [id(a)], true, false],
    ]
    const cases = [
      ...[...both, ...more].map(([what, asked, ...rest]) => [what, (a, b) => asked(a, b).map((one) => [exact, one]), ...rest]),
      ...patterns.map(([what, asked, ...rest]) => [what, (a) => asked.map((one) => [wide, one(a)]), ...rest]),
    ]
    for (const [what, query, topics, isPrivate, comes] of cases) {
      const [a, b, given] = [randomUUID(), randomUUID(), `urn:uuid:${randomUUID()}`]
      const data = `first ${what}\n\nthird`
      const result = await page.evaluate(async ([query, topics, isPrivate, data, given, token, comes]) => {
        const url = new URL('/.well-known/mercure', location.origin)
        for (const [name, value] of query) url.searchParams.append(name, value)
        const source = new EventSource(url)
        const shown = new Promise((resolve) => {
          source.onmessage = ({ type, data, lastEventId }) => resolve({ type, data, lastEventId })
        })
        await new Promise((resolve, reject) => { source.onopen = resolve; source.onerror = () => reject(new Error('no stream')) })
        const body = new URLSearchParams([...topics.map((topic) => ['topic', topic]), ['data', data], ['id', given], ...(isPrivate ? [['private', 'on']] : [])])
        const answer = await fetch('/.well-known/mercure', { method: 'POST', headers: { Authorization: `Bearer ${token}` }, body })
        const late = new Promise((resolve) => setTimeout(resolve, comes ? 5000 : 700))
        const event = await Promise.race([shown, late])
        source.close()
        return { status: answer.status, kind: answer.headers.get('content-type'), body: await answer.text(), event }
      }, [query(a, b), topics(a, b), isPrivate, data, given, token, comes])
      const expected = comes ? { type: 'message', data, lastEventId: given } : undefined
      const good = result.status === 200 && /^text\/plain/.test(result.kind) && result.body === given
        && JSON.stringify(result.event) === JSON.stringify(expected)
      failed += good ? 0 : 1
      console.log(`${good ? 'ok' : 'not ok'} ${name} ${what}${good ? '' : ` ${JSON.stringify(result)}`}`)
    }
  }
} finally {
  await context.close()
}
process.exit(failed ? 1 : 0)
