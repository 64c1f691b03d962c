// The protocol's version 0.x (draft 7).
import assert from 'node:assert/strict'

const cases = []
const test = (name, run) => cases.push([`7 ${name}`, run])
export { cases as seven }

async function after(hub, stream, topic) {
  const mark = `mark ${Math.random()}`
  const { status } = await hub.publish({ topic, data: mark }, { token: hub.seven() })
  assert.equal(status, 200)
  await stream.data(mark)
}

function matching(name, topics, topic, comes, { token, more = {} } = {}) {
  test(name, async (hub) => {
    const own = hub.topic()
    const data = `x ${Math.random()}`
    const fill = (text) => text.replaceAll('$', own)
    const query = [...topics, '$/mark'].map((text) => ['topic', fill(text)])
    const stream = await hub.subscribe(query, { token: token?.(hub, own) })
    assert.equal(stream.status, 200, stream.body)
    await hub.publish({ topic: [topic].flat().map(fill), data, ...more }, { token: hub.seven() })
    await after(hub, stream, `${own}/mark`)
    assert.equal(stream.events.some((event) => event.data === data), comes, JSON.stringify(stream.events))
  })
}

matching('subscribing: an exact topic', ['$'], '$', true)
matching('subscribing: a topic that is no URL', ['plain $'], 'plain $', true)
matching('subscribing: another topic', ['$/a'], '$/b', false)
matching('subscribing: one of several', ['$/a', '$/b'], '$/b', true)
matching('subscribing: the star', ['*'], '$', true)
matching('subscribing: a template', ['$/{id}'], '$/1', true)
matching('subscribing: a template with a suffix', ['$/{id}.jsonld'], '$/1.jsonld', true)
matching('subscribing: a value has no slash', ['$/{id}'], '$/1/2', false)
matching('subscribing: an optional query', ['$/books{?page}'], '$/books?page=2', true)
matching('subscribing: an optional query left out', ['$/books{?page}'], '$/books', true)
matching('subscribing: optional segments', ['$/a{/x}{/y}'], '$/a/1/2', true)
matching('subscribing: a template as a topic', ['$/{id}'], '$/{id}', true)
matching('subscribing: a pattern is no template', ['$/:id'], '$/1', false)
matching('subscribing: an alternate topic', ['$/b'], ['$/a', '$/b'], true)

const secretly = { private: 'on' }
const rights = (...subscribe) => (hub, own) => hub.seven({ subscribe: subscribe.map((text) => text.replaceAll('$', own)) })
matching('private: not to the anonymous', ['$'], '$', false, { more: secretly })
matching('private: not to the anonymous with a template', ['$/{id}'], '$/1', false, { more: secretly })
matching('private: not to the anonymous who want all', ['*'], '$', false, { more: secretly })
matching('private: not without a right', ['$'], '$', false, { more: secretly, token: rights('$/other') })
matching('private: with a right', ['$'], '$', true, { more: secretly, token: rights('$') })
matching('private: with a right by a template', ['$/1'], '$/1', true, { more: secretly, token: rights('$/{id}') })
matching('private: a template in a right is no more than itself', ['$/1/2'], '$/1/2', false, { more: secretly, token: rights('$/{id}') })
matching('private: with a right to another topic of it', ['$/a'], ['$/a', '$/b'], true, { more: secretly, token: rights('$/b') })
matching('private: the field alone says it', ['$'], '$', false, { more: { private: '' } })

test('publishing: the answer is the id', async (hub) => {
  const topic = hub.topic()
  const stream = await hub.subscribe([['topic', topic]])
  const { status, headers, body } = await hub.publish({ topic, data: 'x' }, { token: hub.seven() })
  assert.equal(status, 200)
  assert.match(headers['content-type'], /^text\/plain/)
  assert.equal((await stream.data('x')).id, body)
})

test('publishing: a given id, a type, a retry', async (hub) => {
  const topic = hub.topic()
  const id = `urn:x:${Math.random()}`
  const stream = await hub.subscribe([['topic', topic]])
  const { body } = await hub.publish({ topic, data: 'a\n\nb', id, type: 't', retry: '777' }, { token: hub.seven() })
  assert.equal(body, id)
  assert.deepEqual(await stream.next(), { id, type: 't', data: 'a\n\nb' })
  assert.equal(stream.retry, 777)
})

test('publishing: no topic, a bad retry', async (hub) => {
  assert.equal((await hub.publish({ data: 'x' }, { token: hub.seven() })).status, 400)
  assert.equal((await hub.publish({ topic: 'a', retry: 'x' }, { token: hub.seven() })).status, 400)
})

test('publishing: nothing below the hub', async (hub) => {
  const { status } = await hub.publish({ topic: '/.well-known/mercure/subscriptions/a/b', data: 'x' }, { token: hub.seven() })
  assert([400, 401, 403].includes(status), `${status}`)
})

for (const [name, token] of [
  ['none', () => undefined],
  ['another key', (hub) => hub.sign({ alg: 'HS256', typ: 'JWT' }, { mercure: { publish: ['*'] } }, 'another key of some length, 32 B')],
  ['alg none', (hub) => `${hub.sign({ alg: 'none' }, { mercure: { publish: ['*'] } }).split('.').slice(0, 2).join('.')}.`],
  ['expired', (hub) => hub.seven({ publish: ['*'] }, { exp: 1000 })],
  ['no token at all', () => 'nonsense'],
]) {
  test(`a token is refused: ${name}`, async (hub) => {
    const answer = await hub.publish({ topic: hub.topic(), data: 'x' }, { token: token(hub) })
    assert.equal(answer.status, 401)
  })
}

test('rights: each topic needs one', async (hub) => {
  const [a, b] = [hub.topic(), hub.topic()]
  const token = hub.seven({ publish: [`${a}{/x}`] })
  assert.equal((await hub.publish({ topic: a, data: 'x' }, { token })).status, 200)
  assert([401, 403].includes((await hub.publish({ topic: [a, b], data: 'x' }, { token })).status))
  assert([401, 403].includes((await hub.publish({ topic: a, data: 'x' }, { token: hub.seven({ subscribe: ['*'] }) })).status))
})

test('rights: the claim by its name in full', async (hub) => {
  const token = hub.sign({ alg: 'HS256', typ: 'JWT' }, { 'https://mercure.rocks/': { publish: ['*'] } })
  assert.equal((await hub.publish({ topic: hub.topic(), data: 'x' }, { token })).status, 200)
})

test('a token in the query', async (hub) => {
  const topic = hub.topic()
  const stream = await hub.subscribe([['topic', topic], ['authorization', hub.seven()]])
  await hub.publish({ topic, data: 'x', private: 'on' }, { token: hub.seven() })
  await stream.data('x')
})

test('a token in a cookie', async (hub) => {
  const topic = hub.topic()
  const cookie = `mercureAuthorization=${hub.seven()}`
  const stream = await hub.subscribe([['topic', topic]], { headers: { Cookie: cookie } })
  const good = await hub.publish({ topic, data: 'x', private: 'on' }, { headers: { Cookie: cookie, Origin: hub.issuer } })
  assert.equal(good.status, 200)
  await stream.data('x')
  const bad = await hub.publish({ topic, data: 'y' }, { headers: { Cookie: cookie, Origin: 'https://evil.example' } })
  assert([401, 403].includes(bad.status), `${bad.status}`)
})

test('a token of version 1.0 does not subscribe with topic', async (hub) => {
  assert.equal((await hub.subscribe([['topic', hub.topic()]], { token: hub.eight() })).status, 401)
})

async function three(hub, topic) {
  for (const n of [1, 2, 3]) await hub.publish({ topic, data: `${n}`, id: `${topic}#${n}` }, { token: hub.seven() })
}

for (const [name, query, headers] of [
  ['the header', (id) => [], (id) => ({ 'Last-Event-ID': id })],
  ['lastEventID', (id) => [['lastEventID', id]], () => ({})],
]) {
  test(`replay: after the id in ${name}`, async (hub) => {
    const topic = hub.topic()
    await three(hub, topic)
    const stream = await hub.subscribe([['topic', topic], ...query(`${topic}#1`)], { headers: headers(`${topic}#1`) })
    await stream.data('3')
    assert.deepEqual(stream.events.map((event) => event.data), ['2', '3'])
    assert.equal(stream.headers['last-event-id'], `${topic}#1`)
  })
}

test('replay: earliest is everything', async (hub) => {
  const topic = hub.topic()
  await three(hub, topic)
  const stream = await hub.subscribe([['topic', topic], ['lastEventID', 'earliest']])
  await stream.data('3')
  assert.deepEqual(stream.events.map((event) => event.data), ['1', '2', '3'])
  assert.equal(stream.headers['last-event-id'], 'earliest')
})

test('replay: by a template', async (hub) => {
  const topic = hub.topic()
  await three(hub, `${topic}/x`)
  const stream = await hub.subscribe([['topic', `${topic}/{id}`], ['lastEventID', `${topic}/x#2`]])
  await stream.data('3')
  assert.deepEqual(stream.events.map((event) => event.data), ['3'])
})

const encoded = (text) => encodeURIComponent(text)

test('subscriptions: who listens is listed', async (hub) => {
  const topic = hub.topic()
  await hub.subscribe([['topic', topic]], { token: hub.seven({ subscribe: [topic], payload: { name: 'ann' } }) })
  const answer = await hub.ask('GET', `/subscriptions/${encoded(topic)}`, { token: hub.seven() })
  assert.equal(answer.status, 200, answer.body)
  assert.match(answer.headers['content-type'], /json/)
  const document = JSON.parse(answer.body)
  assert.equal(document.type, 'Subscriptions')
  assert(document.lastEventID)
  const [one] = document.subscriptions
  assert.deepEqual([one.type, one.topic, one.active], ['Subscription', topic, true])
  assert.deepEqual(one.payload, { name: 'ann' })
})

test('subscriptions: a token is needed, and a right', async (hub) => {
  const path = `/subscriptions/${encoded(hub.topic())}`
  assert.equal((await hub.ask('GET', path)).status, 401)
  assert([401, 403].includes((await hub.ask('GET', path, { token: hub.seven({ subscribe: ['a'] }) })).status))
})

test('subscriptions: joins are told', async (hub) => {
  const topic = hub.topic()
  const { pathname } = new URL(hub.audience)
  const template = `${pathname}/subscriptions/${encoded(topic)}{/subscriber}`
  const watcher = await hub.subscribe([['topic', template]], { token: hub.seven({ subscribe: [template] }) })
  await hub.subscribe([['topic', topic]])
  const event = await watcher.next()
  const told = JSON.parse(event.data)
  assert.deepEqual([told.type, told.topic, told.active], ['Subscription', topic, true])
})
