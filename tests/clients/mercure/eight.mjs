// The protocol's version 1.0 (draft 8).
import assert from 'node:assert/strict'

const cases = []
const test = (name, run) => cases.push([`8 ${name}`, run])
export { cases as eight }

// Publishes something that all may read, and waits for it: whatever was to come before is there then.
async function after(hub, stream, topic) {
  const mark = `mark ${Math.random()}`
  const { status } = await hub.publish({ topic, data: mark }, { token: hub.eight() })
  assert.equal(status, 200)
  await stream.data(mark)
}

// What a query gets: whether an update to the topic comes.
function matching(name, query, topic, comes) {
  test(`subscribing: ${name}`, async (hub) => {
    const own = hub.topic()
    const data = `x ${Math.random()}`
    const fill = (text) => text.replaceAll('{}', own)
    const stream = await hub.subscribe([...query.map(([key, value]) => [key, fill(value)]), ['match', `${own}/mark`]])
    assert.equal(stream.status, 200, stream.body)
    await hub.publish({ topic: fill(topic), data }, { token: hub.eight() })
    await after(hub, stream, `${own}/mark`)
    assert.equal(stream.events.some((event) => event.data === data), comes, JSON.stringify(stream.events))
  })
}

matching('an exact topic', [['match', '{}']], '{}', true)
matching('an exact topic by its long name', [['match_exact', '{}']], '{}', true)
matching('byte for byte', [['match', '{}']], '{}/', false)
matching('one of several', [['match', '{}/a'], ['match', '{}/b']], '{}/b', true)
matching('a topic that is no URL', [['match', 'plain text {}']], 'plain text {}', true)
matching('the star', [['match', '*']], '{}', true)
matching('the star as a pattern', [['match_urlpattern', '*']], '{}', true)
matching('a pattern', [['match_urlpattern', '{}/:id']], '{}/1', true)
matching('a name is one segment', [['match_urlpattern', '{}/:id']], '{}/1/2', false)
matching('a name is not empty', [['match_urlpattern', '{}/:id']], '{}/', false)
matching('a wildcard is many segments', [['match_urlpattern', '{}/*']], '{}/1/2', true)
matching('an optional group, there', [['match_urlpattern', '{}{/:id}?']], '{}/1', true)
matching('an optional group, away', [['match_urlpattern', '{}{/:id}?']], '{}', true)
matching('a regular expression', [['match_urlpattern', '{}/:id(\\d+)']], '{}/12', true)
matching('a regular expression that does not match', [['match_urlpattern', '{}/:id(\\d+)']], '{}/x', false)
matching('a pattern of another host', [['match_urlpattern', 'https://other.example/*']], '{}', false)
matching('dot segments are resolved', [['match_urlpattern', '{}/:id']], '{}/x/../1', true)
matching('a query that a pattern leaves out', [['match_urlpattern', '{}/:id']], '{}/1?x=y', true)
matching('a pattern is no exact topic', [['match', '{}/:id']], '{}/1', false)
matching('a template is no pattern', [['match', '{}/{id}']], '{}/1', false)

test('subscribing: a relative pattern is meant from the hub', async (hub) => {
  const path = `/${Math.random()}`
  const stream = await hub.subscribe([['match_urlpattern', `${path}/:id`]])
  await hub.publish({ topic: new URL(`${path}/1`, hub.audience).href, data: 'x' }, { token: hub.eight() })
  await stream.data('x')
})

test('subscribing: several topics of an update give one event', async (hub) => {
  const [a, b, mark] = [hub.topic(), hub.topic(), hub.topic()]
  const stream = await hub.subscribe([['match', a], ['match', b], ['match', mark]])
  await hub.publish({ topic: [a, b], data: 'x' }, { token: hub.eight() })
  await after(hub, stream, mark)
  assert.equal(stream.events.filter((event) => event.data === 'x').length, 1)
})

test('subscribing: the answer is an event stream', async (hub) => {
  const stream = await hub.subscribe([['match', hub.topic()]])
  assert.match(stream.headers['content-type'], /^text\/event-stream/)
  assert.match(stream.headers['cache-control'], /no-cache|no-store/)
})

for (const [name, query] of [
  ['nothing', ''],
  ['no topic', 'x=1'],
  ['an empty match', 'match='],
  ['an unknown kind of match', 'match_template=a'],
  ['a match in capitals', 'MATCH=a'],
  ['a match in mixed letters', 'match=a&Match_Exact=a'],
  ['topic beside match', 'match=a&topic=b'],
  ['a pattern that is none', 'match_urlpattern=%2F('],
  ['a matcher over 4096 bytes', `match=${'x'.repeat(4097)}`],
  ['over 100 matchers', Array.from({ length: 101 }, (_, n) => `match=${n}`).join('&')],
]) {
  test(`a query is refused: ${name}`, async (hub) => {
    const { status } = await hub.subscribe(query)
    assert.equal(status, 400)
  })
}

test('a query may have 100 matchers', async (hub) => {
  const topic = hub.topic()
  const query = Array.from({ length: 100 }, (_, n) => ['match', `${topic}/${n}`])
  const stream = await hub.subscribe(query)
  assert.equal(stream.status, 200)
  await hub.publish({ topic: `${topic}/99`, data: 'x' }, { token: hub.eight() })
  await stream.data('x')
})

test('a request line of 15 kB', async (hub) => {
  const topic = hub.topic()
  const query = Array.from({ length: 90 }, (_, n) => ['match', `${topic}/${'x'.repeat(80)}${n}`])
  assert.equal((await hub.subscribe(query)).status, 200)
})

// Publishing.

test('publishing: the answer is the id', async (hub) => {
  const { status, headers, body } = await hub.publish({ topic: hub.topic(), data: 'x' }, { token: hub.eight() })
  assert.equal(status, 200)
  assert.match(headers['content-type'], /^text\/plain/)
  assert.match(body, /^(urn:uuid:|#|https?:)/)
})

test('publishing: the id that the publisher gives', async (hub) => {
  const topic = hub.topic()
  const id = `urn:test:${Math.random()}, with a comma`
  const stream = await hub.subscribe([['match', topic]])
  const { body } = await hub.publish({ topic, data: 'x', id }, { token: hub.eight() })
  assert.equal(body, id)
  assert.equal((await stream.data('x')).id, id)
})

test('publishing: the id that the hub gives is the stream\'s', async (hub) => {
  const topic = hub.topic()
  const stream = await hub.subscribe([['match', topic]])
  const { body } = await hub.publish({ topic, data: 'x' }, { token: hub.eight() })
  assert.equal((await stream.data('x')).id, body)
})

test('publishing: type and retry', async (hub) => {
  const topic = hub.topic()
  const stream = await hub.subscribe([['match', topic]])
  await hub.publish({ topic, data: 'x', type: 'kind', retry: '1234' }, { token: hub.eight() })
  assert.equal((await stream.data('x')).type, 'kind')
  assert.equal(stream.retry, 1234)
})

test('publishing: lines and blanks of the data', async (hub) => {
  const topic = hub.topic()
  const data = ' first\n\nthird: é \u{1f600}\n'
  const stream = await hub.subscribe([['match', topic]])
  await hub.publish({ topic, data }, { token: hub.eight() })
  assert.equal((await stream.next()).data, data)
})

test('publishing: no data', async (hub) => {
  const topic = hub.topic()
  const stream = await hub.subscribe([['match', topic]])
  assert.equal((await hub.publish({ topic }, { token: hub.eight() })).status, 200)
  assert.equal((await stream.next()).data, '')
})

test('publishing: unknown fields count for nothing', async (hub) => {
  const { status } = await hub.publish({ topic: hub.topic(), data: 'x', other: 'y' }, { token: hub.eight() })
  assert.equal(status, 200)
})

for (const [name, fields] of [
  ['no topic', { data: 'x' }],
  ['an empty topic', { topic: '' }],
  ['the star', { topic: '*' }],
  ['a control character in a topic', { topic: 'a\nb' }],
  ['a format character in a topic', { topic: 'a\u200bb' }],
  ['the hub itself', { topic: 'mercure' }],
  ['what is below the hub', { topic: '/.well-known/mercure/subscriptions/x' }],
  ['what is below the hub at another host', { topic: 'https://other.example/.well-known/mercure/x' }],
  ['the hub in dot segments', { topic: '/x/../.well-known/./mercure/x' }],
  ['the hub percent-encoded', { topic: '/.well-known/%6Dercure/x' }],
  ['the hub with backslashes', { topic: '\\.well-known\\mercure' }],
  ['one of several topics below the hub', { topic: ['https://example.org/a', './mercure'] }],
  ['an id that begins with #', { topic: 'a', id: '#1' }],
  ['the id earliest', { topic: 'a', id: 'earliest' }],
  ['a line end in an id', { topic: 'a', id: 'a\nb' }],
  ['the type mercure', { topic: 'a', type: 'mercure' }],
  ['a line end in a type', { topic: 'a', type: 'a\ndata: b' }],
  ['a retry of letters', { topic: 'a', retry: 'soon' }],
  ['a negative retry', { topic: 'a', retry: '-1' }],
  ['over 1000 topics', { topic: Array.from({ length: 1001 }, (_, n) => `t${n}`) }],
]) {
  test(`an update is refused: ${name}`, async (hub) => {
    const { status } = await hub.publish(fields, { token: hub.eight() })
    assert.equal(status, 400)
  })
}

test('an update may be about what only looks like the hub', async (hub) => {
  const { status } = await hub.publish({ topic: '/.well-known/mercure%2Fx', data: 'x' }, { token: hub.eight() })
  assert.equal(status, 200)
})

test('an update of 2 MB is refused', async (hub) => {
  const { status } = await hub.publish({ topic: hub.topic(), data: 'x'.repeat(2 << 20) }, { token: hub.eight() })
  assert.equal(status, 413)
})

// Tokens.

const challenge = (answer) => answer.headers['www-authenticate'] ?? ''

test('no token: 401 with a bare challenge', async (hub) => {
  const answer = await hub.publish({ topic: hub.topic(), data: 'x' })
  assert.equal(answer.status, 401)
  assert.match(challenge(answer), /^Bearer/)
  assert.doesNotMatch(challenge(answer), /error=/)
})

for (const [name, token] of [
  ['another key', (hub) => hub.sign({ alg: 'HS256', typ: 'at+jwt' }, { iss: hub.issuer, aud: hub.audience, exp: 4e9 }, 'another key of some length, 32 B')],
  ['alg none', (hub) => `${hub.eight(undefined, {}, { alg: 'none' }).split('.').slice(0, 2).join('.')}.`],
  ['an RSA algorithm with the secret', (hub) => hub.eight(undefined, {}, { alg: 'RS256' })],
  ['another issuer', (hub) => hub.eight(undefined, { iss: 'https://evil.example' })],
  ['no issuer', (hub) => hub.eight(undefined, { iss: undefined })],
  ['another audience', (hub) => hub.eight(undefined, { aud: 'https://other.example/.well-known/mercure' })],
  ['no audience', (hub) => hub.eight(undefined, { aud: undefined })],
  ['no exp', (hub) => hub.eight(undefined, { exp: undefined })],
  ['an exp that is over', (hub) => hub.eight(undefined, { exp: Math.floor(Date.now() / 1000) - 1 })],
  ['an nbf to come', (hub) => hub.eight(undefined, { nbf: Math.floor(Date.now() / 1000) + 60 })],
  ['details that are no list', (hub) => hub.eight({})],
  ['one detail without topics', (hub) => hub.eight([hub.detail(['publish'], '*'), hub.detail(['publish'], [])])],
  ['one detail with an unknown action', (hub) => hub.eight([hub.detail(['publish'], '*'), hub.detail(['write'], '*')])],
  ['one detail with an unknown type of match', (hub) => hub.eight([hub.detail(['publish'], [{ match: '*', match_type: 'regex' }])])],
  ['a grant over 4096 bytes', (hub) => hub.eight([hub.detail(['publish'], ['*', 'x'.repeat(4097)])])],
]) {
  test(`a token is refused: ${name}`, async (hub) => {
    const answer = await hub.publish({ topic: hub.topic(), data: 'x' }, { token: token(hub) })
    assert.equal(answer.status, 401)
    assert.match(challenge(answer), /^Bearer/)
  })
}

test('a bad token is refused where none is needed', async (hub) => {
  const stream = await hub.subscribe([['match', hub.topic()]], { token: hub.eight(undefined, { iss: 'https://evil.example' }) })
  assert.equal(stream.status, 401)
  assert.match(challenge(stream), /invalid_token/)
})

test('a token of version 0.x does not subscribe with match', async (hub) => {
  const stream = await hub.subscribe([['match', hub.topic()]], { token: hub.seven() })
  assert.equal(stream.status, 401)
})

test('a token in the query counts for nothing', async (hub) => {
  const [topic, mark] = [hub.topic(), hub.topic()]
  const stream = await hub.subscribe([['match', topic], ['match', mark], ['authorization', hub.eight()]])
  if (stream.status !== 200) return
  await hub.publish({ topic, data: 'secret', private: 'on' }, { token: hub.eight() })
  await after(hub, stream, mark)
  assert(!stream.events.some((event) => event.data === 'secret'))
})

test('what the old claim says counts for nothing', async (hub) => {
  const token = hub.eight([], { mercure: { publish: ['*'], subscribe: ['*'] } })
  const answer = await hub.publish({ topic: hub.topic(), data: 'x' }, { token })
  assert.equal(answer.status, 403)
  assert.match(challenge(answer), /insufficient_scope/)
})

test('an audience of several', async (hub) => {
  const token = hub.eight(undefined, { aud: ['https://other.example', hub.audience] })
  assert.equal((await hub.publish({ topic: hub.topic(), data: 'x' }, { token })).status, 200)
})

test('a grant for each topic is needed to publish', async (hub) => {
  const [a, b] = [hub.topic(), hub.topic()]
  const token = hub.eight([hub.detail(['publish'], a)])
  assert.equal((await hub.publish({ topic: a, data: 'x' }, { token })).status, 200)
  const answer = await hub.publish({ topic: [a, b], data: 'x' }, { token })
  assert.equal(answer.status, 403)
  assert.match(challenge(answer), /insufficient_scope/)
})

test('a right to subscribe is none to publish', async (hub) => {
  const token = hub.eight([hub.detail(['subscribe'], '*')])
  assert.equal((await hub.publish({ topic: hub.topic(), data: 'x' }, { token })).status, 403)
})

test('a grant by a pattern', async (hub) => {
  const topic = hub.topic()
  const token = hub.eight([hub.detail(['publish'], { match: `${topic}/:id`, match_type: 'urlpattern' })])
  assert.equal((await hub.publish({ topic: `${topic}/1`, data: 'x' }, { token })).status, 200)
  assert.equal((await hub.publish({ topic: `${topic}/1/2`, data: 'x' }, { token })).status, 403)
})

test('the scheme\'s name in either case', async (hub) => {
  const answer = await hub.publish({ topic: hub.topic(), data: 'x' }, { headers: { Authorization: `bearer ${hub.eight()}` } })
  assert.equal(answer.status, 200)
})

test('a bearer that is no token: 400', async (hub) => {
  const stream = await hub.subscribe([['match', hub.topic()]], { token: 'nonsense' })
  assert.equal(stream.status, 400)
  assert.match(challenge(stream), /invalid_request/)
})

test('a stream ends with its token', async (hub) => {
  const exp = Math.floor(Date.now() / 1000) + 2
  const stream = await hub.subscribe([['match', hub.topic()]], { token: hub.eight(undefined, { exp }) })
  assert.equal(stream.status, 200)
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error('it goes on')), 8000).unref())
  await Promise.race([stream.ended, late])
})

// Cookies.

const COOKIE = '__Secure-mercure_access_token'

test('a cookie subscribes', async (hub) => {
  const topic = hub.topic()
  const stream = await hub.subscribe([['match', topic]], { headers: { Cookie: `a=b; ${COOKIE}=${hub.eight()}` } })
  await hub.publish({ topic, data: 'x', private: 'on' }, { token: hub.eight() })
  await stream.data('x')
})

test('a cookie publishes from an allowed origin', async (hub) => {
  const headers = { Cookie: `${COOKIE}=${hub.eight()}`, Origin: hub.issuer }
  assert.equal((await hub.publish({ topic: hub.topic(), data: 'x' }, { headers })).status, 200)
})

for (const [name, headers] of [
  ['another origin', { Origin: 'https://evil.example' }],
  ['the origin null', { Origin: 'null' }],
  ['no origin', {}],
  ['another page', { Referer: 'https://evil.example/' }],
]) {
  test(`a cookie does not publish from ${name}`, async (hub) => {
    const answer = await hub.publish({ topic: hub.topic(), data: 'x' }, { headers: { Cookie: `${COOKIE}=${hub.eight()}`, ...headers } })
    assert.equal(answer.status, 400)
  })
}

// Private updates.

function privately(name, query, grants, topics, comes) {
  test(`private: ${name}`, async (hub) => {
    const own = hub.topic()
    const data = `x ${Math.random()}`
    const fill = (text) => text.replaceAll('{}', own)
    const grant = (text) => (text.includes(':') && !text.includes('*') && text.endsWith(':id') ? { match: fill(text), match_type: 'urlpattern' } : fill(text))
    const token = grants && hub.eight(grants.length ? [hub.detail(['subscribe'], grants.map(grant))] : [])
    const stream = await hub.subscribe([...query.map(([key, value]) => [key, fill(value)]), ['match', `${own}/mark`]], { token })
    assert.equal(stream.status, 200, stream.body)
    await hub.publish({ topic: topics.map(fill), data, private: 'on' }, { token: hub.eight() })
    await after(hub, stream, `${own}/mark`)
    assert.equal(stream.events.some((event) => event.data === data), comes)
  })
}

privately('not to the anonymous', [['match', '{}']], null, ['{}'], false)
privately('not to the anonymous who want all', [['match', '*']], null, ['{}'], false)
privately('not to the anonymous with a pattern', [['match_urlpattern', '{}/:id']], null, ['{}/1'], false)
privately('not without a right', [['match', '{}']], [], ['{}'], false)
privately('not with a right to something else', [['match', '{}/a']], ['{}/b'], ['{}/a'], false)
privately('with a right', [['match', '{}']], ['{}'], ['{}'], true)
privately('with a right to all', [['match_urlpattern', '{}/:id']], ['*'], ['{}/1'], true)
privately('with a right by a pattern', [['match', '{}/1']], ['{}/:id'], ['{}/1'], true)
privately('with a right to another of its topics', [['match', '{}/a']], ['{}/b'], ['{}/a', '{}/b'], true)
privately('a right is no subscription', [['match', '{}/other']], ['*'], ['{}'], false)

// Where a stream goes on.

async function three(hub, topic, fields = {}) {
  for (const n of [1, 2, 3]) {
    const { body } = await hub.publish({ topic, data: `${n}`, id: `${topic}#${n}`, ...fields }, { token: hub.eight() })
    assert.equal(body, `${topic}#${n}`)
  }
}

const AFTER = 'mercure-last-event-id'

test('replay: after the id in the header', async (hub) => {
  const topic = hub.topic()
  await three(hub, topic)
  const stream = await hub.subscribe([['match', topic]], { headers: { 'Last-Event-ID': `${topic}#1` } })
  await stream.data('3')
  assert.deepEqual(stream.events.map((event) => event.data), ['2', '3'])
  assert.equal(stream.headers[AFTER], `${topic}#1`)
})

test('replay: after the id in the query', async (hub) => {
  const topic = hub.topic()
  await three(hub, topic)
  const stream = await hub.subscribe([['match', topic], ['last_event_id', `${topic}#2`]])
  await stream.data('3')
  assert.deepEqual(stream.events.map((event) => event.data), ['3'])
})

test('replay: the header wins', async (hub) => {
  const topic = hub.topic()
  await three(hub, topic)
  const stream = await hub.subscribe([['match', topic], ['last_event_id', `${topic}#1`]], { headers: { 'Last-Event-ID': `${topic}#2` } })
  await stream.data('3')
  assert.deepEqual(stream.events.map((event) => event.data), ['3'])
})

test('replay: earliest is everything', async (hub) => {
  const topic = hub.topic()
  await three(hub, topic)
  const stream = await hub.subscribe([['match', topic], ['last_event_id', 'earliest']])
  await stream.data('3')
  assert.deepEqual(stream.events.map((event) => event.data), ['1', '2', '3'])
  assert.equal(stream.headers[AFTER], 'earliest')
})

test('replay: an unknown id is told as earliest', async (hub) => {
  const stream = await hub.subscribe([['match', hub.topic()], ['last_event_id', 'urn:nobody:knows']])
  assert.equal(stream.headers[AFTER], 'earliest')
})

test('replay: nobody asks, nothing is told', async (hub) => {
  const stream = await hub.subscribe([['match', hub.topic()]])
  assert.equal(stream.headers[AFTER], undefined)
})

test('replay: then live, nothing twice', async (hub) => {
  const topic = hub.topic()
  await three(hub, topic)
  const stream = await hub.subscribe([['match', topic], ['last_event_id', `${topic}#1`]])
  await hub.publish({ topic, data: '4' }, { token: hub.eight() })
  await stream.data('4')
  assert.deepEqual(stream.events.map((event) => event.data), ['2', '3', '4'])
})

test('replay: by a pattern', async (hub) => {
  const topic = hub.topic()
  await three(hub, `${topic}/x`)
  const stream = await hub.subscribe([['match_urlpattern', `${topic}/:id`], ['last_event_id', `${topic}/x#1`]])
  await stream.data('3')
  assert.deepEqual(stream.events.map((event) => event.data), ['2', '3'])
})

test('replay: private ones by the rights of now', async (hub) => {
  const topic = hub.topic()
  await three(hub, topic, { private: 'on' })
  const query = [['match', topic], ['last_event_id', `${topic}#1`]]
  const stranger = await hub.subscribe(query)
  const other = await hub.subscribe(query, { token: hub.eight([hub.detail(['subscribe'], `${topic}/x`)]) })
  const friend = await hub.subscribe(query, { token: hub.eight([hub.detail(['subscribe'], topic)]) })
  await friend.data('3')
  await after(hub, stranger, topic)
  await after(hub, other, topic)
  for (const stream of [stranger, other]) assert(!stream.events.some((event) => ['2', '3'].includes(event.data)))
})

test('replay: of equal ids the oldest counts', async (hub) => {
  const topic = hub.topic()
  for (const data of ['1', '2', '3']) await hub.publish({ topic, data, id: `${topic}#same` }, { token: hub.eight() })
  const stream = await hub.subscribe([['match', topic], ['last_event_id', `${topic}#same`]])
  await stream.data('3')
  assert.deepEqual(stream.events.map((event) => event.data), ['2', '3'])
})

test('replay: the hub\'s own ids', async (hub) => {
  const topic = hub.topic()
  const { body } = await hub.publish({ topic, data: '1' }, { token: hub.eight() })
  await hub.publish({ topic, data: '2' }, { token: hub.eight() })
  const stream = await hub.subscribe([['match', topic]], { headers: { 'Last-Event-ID': body } })
  await stream.data('2')
  assert.deepEqual(stream.events.map((event) => event.data), ['2'])
})

// The subscriptions API.

const encoded = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

async function listed(hub, topic, token = hub.eight()) {
  const answer = await hub.ask('GET', `/subscriptions/exact/${encoded(topic)}`, { token })
  assert.equal(answer.status, 200, answer.body)
  return { answer, list: JSON.parse(answer.body).subscriptions }
}

test('subscriptions: who listens is listed', async (hub) => {
  const topic = hub.topic()
  await hub.subscribe([['match', topic]], { token: hub.eight([hub.detail(['subscribe'], topic, { name: 'ann' })]) })
  const { answer, list } = await listed(hub, topic)
  assert.match(answer.headers['content-type'], /^application\/json/)
  assert.equal(list.length, 1)
  const [one] = list
  assert.equal(one.type, 'subscription')
  assert.equal(one.match_type, 'exact')
  assert.equal(one.match, topic)
  assert.equal(one.active, true)
  assert.deepEqual(one.payload, { name: 'ann' })
  assert(one.id.endsWith(`/subscriptions/exact/${encoded(topic)}/${encoded(one.subscriber)}`), one.id)
})

test('subscriptions: one of them', async (hub) => {
  const topic = hub.topic()
  await hub.subscribe([['match', topic]])
  const { list } = await listed(hub, topic)
  const own = `/subscriptions/exact/${encoded(topic)}/${encoded(list[0].subscriber)}`
  const answer = await hub.ask('GET', own, { token: hub.eight() })
  assert.equal(JSON.parse(answer.body).subscriber, list[0].subscriber)
  const unknown = `/subscriptions/exact/${encoded(topic)}/${encoded('urn:uuid:00000000-0000-0000-0000-000000000000')}`
  assert.equal((await hub.ask('GET', unknown, { token: hub.eight() })).status, 404)
})

test('subscriptions: names are the hub\'s, one for each stream', async (hub) => {
  const topic = hub.topic()
  await hub.subscribe([['match', topic], ['subscriber', 'mine']])
  await hub.subscribe([['match', topic], ['subscriber', 'mine']])
  const { list } = await listed(hub, topic)
  assert.equal(new Set(list.map((one) => one.subscriber)).size, 2)
  assert(!list.some((one) => one.subscriber === 'mine'))
})

test('subscriptions: an unknown topic has none', async (hub) => {
  assert.deepEqual((await listed(hub, hub.topic())).list, [])
})

test('subscriptions: an unknown type of match: 400', async (hub) => {
  const answer = await hub.ask('GET', '/subscriptions/regex/a', { token: hub.eight() })
  assert.equal(answer.status, 400)
})

test('subscriptions: a token is needed, and a right', async (hub) => {
  const path = `/subscriptions/exact/${encoded(hub.topic())}`
  assert.equal((await hub.ask('GET', path)).status, 401)
  const token = hub.eight([hub.detail(['subscribe'], hub.topic())])
  assert.equal((await hub.ask('GET', path, { token })).status, 403)
})

test('subscriptions: a right by a pattern with an optional end', async (hub) => {
  const topic = hub.topic()
  const { pathname } = new URL(hub.audience)
  const match = `${pathname}/subscriptions/:match_type/${encoded(topic)}{/:subscriber}?`
  await listed(hub, topic, hub.eight([hub.detail(['subscribe'], { match, match_type: 'urlpattern' })]))
})

test('subscriptions: the position in Link and ETag', async (hub) => {
  const { answer } = await listed(hub, hub.topic())
  assert.match(answer.headers.link, /rel="?mercure"?/)
  assert.match(answer.headers.link, /last-event-id="[^"]+"/)
  assert(answer.headers.etag)
})

test('subscriptions: joins and leaves are told', async (hub) => {
  const topic = hub.topic()
  const { pathname } = new URL(hub.audience)
  const pattern = `${pathname}/subscriptions/:match_type/${encoded(topic)}/:subscriber`
  const right = hub.detail(['subscribe'], { match: pattern, match_type: 'urlpattern' })
  const watcher = await hub.subscribe([['match_urlpattern', pattern]], { token: hub.eight([right]) })
  const stranger = await hub.subscribe([['match_urlpattern', pattern], ['match', topic]])
  const guest = await hub.subscribe([['match', topic]], { token: hub.eight([hub.detail(['subscribe'], topic, { name: 'bob' })]) })
  const event = await watcher.next((event) => JSON.parse(event.data).payload?.name === 'bob')
  assert.equal(event.type, 'mercure')
  const told = JSON.parse(event.data)
  assert.deepEqual([told.active, told.match, told.type], [true, topic, 'subscription'])
  guest.close()
  await watcher.next((event) => JSON.parse(event.data).subscriber === told.subscriber && !JSON.parse(event.data).active, 20000)
  assert.equal(stranger.events.length, 0, 'they are private')
})

// Discovery and CORS.

test('discovery: the metadata document', async (hub) => {
  const { origin, pathname } = new URL(hub.audience)
  const answer = await hub.ask('GET', `//.well-known/oauth-protected-resource${pathname}`)
  assert.equal(answer.status, 200, `${origin} ${answer.body}`)
  const document = JSON.parse(answer.body)
  assert.equal(document.resource, hub.audience)
  assert(document.authorization_details_types_supported.includes('https://mercure.rocks/authorization-detail'))
})

test('CORS: an allowed page may send credentials', async (hub) => {
  const stream = await hub.subscribe([['match', hub.topic()]], { headers: { Origin: hub.issuer } })
  assert.equal(stream.headers['access-control-allow-origin'], hub.issuer)
  assert.equal(stream.headers['access-control-allow-credentials'], 'true')
})

test('CORS: another page may not', async (hub) => {
  const stream = await hub.subscribe([['match', hub.topic()]], { headers: { Origin: 'https://evil.example' } })
  assert.notEqual(stream.headers['access-control-allow-origin'], 'https://evil.example')
  assert.equal(stream.headers['access-control-allow-credentials'], undefined)
})

test('CORS: a preflight', async (hub) => {
  const headers = { Origin: hub.issuer, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization, content-type' }
  const answer = await hub.ask('OPTIONS', '', { headers })
  assert(answer.status === 204 || answer.status === 200)
  assert.match(answer.headers['access-control-allow-headers'], /authorization/i)
  assert.match(answer.headers['access-control-allow-methods'], /POST/)
})

test('methods: others are refused', async (hub) => {
  assert.equal((await hub.ask('PUT', '')).status, 405)
  assert.equal((await hub.ask('DELETE', '')).status, 405)
})
