// A client of any Mercure hub, for the cases beside it: tokens, publishing, event streams. It uses nothing
// but what Node has, and sends header fields that browsers would not let a page set.
import { createHmac, randomUUID } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'

const base64url = (data) => Buffer.from(data).toString('base64url')

export const DETAIL = 'https://mercure.rocks/authorization-detail'

export class Hub {
  // `url` is where the hub is asked; `audience` is its public URL and `issuer` whose tokens it trusts.
  constructor({ url, key, audience = url, issuer }) {
    Object.assign(this, { url: new URL(url), key, audience, issuer })
    this.topics = `https://example.org/${randomUUID()}`
    this.streams = new Set()
  }

  // A topic that no other case has.
  topic(name = randomUUID()) {
    return `${this.topics}/${name}`
  }

  sign(header, claims, key = this.key) {
    const head = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}`
    const hash = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }[header.alg] ?? 'sha256'
    return `${head}.${createHmac(hash, key).update(head).digest('base64url')}`
  }

  // A token of version 0.x.
  seven(mercure = { publish: ['*'], subscribe: ['*'] }, more = {}) {
    return this.sign({ alg: 'HS256', typ: 'JWT' }, { mercure, ...more })
  }

  // A token of version 1.0.
  eight(details = [this.detail(['publish', 'subscribe'], '*')], more = {}, header = {}) {
    const claims = {
      iss: this.issuer,
      aud: this.audience,
      exp: Math.floor(Date.now() / 1000) + 600,
      authorization_details: details,
      ...more,
    }
    return this.sign({ alg: 'HS256', typ: 'at+jwt', ...header }, claims)
  }

  detail(actions, topics, payload) {
    const list = [topics].flat().map((topic) => (typeof topic === 'string' ? { match: topic, match_type: 'exact' } : topic))
    return { type: DETAIL, actions, topics: list, ...(payload === undefined ? {} : { payload }) }
  }

  // One request, answered whole: status, headers, body.
  ask(method, path = '', { token, headers = {}, body, raw = false } = {}) {
    return new Promise((resolve, reject) => {
      const url = new URL(this.url)
      const [rest, query] = path.split('?')
      url.pathname += rest
      const options = {
        method,
        path: (rest.startsWith('//') ? rest.slice(1) : url.pathname) + (query === undefined ? '' : `?${query}`),
        headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...headers },
        rejectUnauthorized: false,
        agent: false,
      }
      const request = (url.protocol === 'https:' ? https : http).request(url, options, (response) => {
        if (raw) return resolve(response)
        const parts = []
        response.on('data', (part) => parts.push(part))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts).toString() }))
      })
      request.on('error', reject)
      request.end(body)
    })
  }

  // Publishes a form; a field that is a list is given several times.
  publish(fields, { token, headers = {} } = {}) {
    const form = new URLSearchParams()
    for (const [name, value] of Object.entries(fields)) for (const one of [value].flat()) form.append(name, one)
    return this.ask('POST', '', {
      token,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', ...headers },
      body: form.toString(),
    })
  }

  // Opens a stream, or gives the answer that refused it. `query` is a text, or pairs.
  async subscribe(query, { token, headers = {} } = {}) {
    const text = typeof query === 'string' ? query : new URLSearchParams(query).toString()
    const response = await this.ask('GET', `?${text}`, { token, headers: { Accept: 'text/event-stream', ...headers }, raw: true })
    const stream = new Stream(response)
    if (response.statusCode === 200) {
      this.streams.add(stream)
      // So that what is published from now on is for it, whatever the hub writes first.
      await new Promise((resolve) => setTimeout(resolve, 50))
    } else {
      await stream.ended
    }
    return stream
  }

  close() {
    for (const stream of this.streams) stream.close()
  }
}

// An event stream, interpreted as browsers do (WHATWG HTML §9.2.6).
export class Stream {
  constructor(response) {
    this.status = response.statusCode
    this.headers = response.headers
    this.events = []
    this.body = ''
    this.waiting = []
    this.response = response
    let lastId = ''
    let event = { type: '', data: [] }
    let rest = ''
    response.setEncoding('utf8')
    response.on('data', (text) => {
      if (this.status !== 200) return (this.body += text)
      rest += text
      const lines = rest.split('\n')
      rest = lines.pop()
      for (const line of lines) {
        if (line === '') {
          if (event.data.length) this.give({ id: lastId, type: event.type || 'message', data: event.data.join('\n') })
          event = { type: '', data: [] }
          continue
        }
        const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)
        if (field === 'data') event.data.push(value)
        if (field === 'event') event.type = value
        if (field === 'id') this.lastId = lastId = value
        if (field === 'retry') this.retry = Number(value)
      }
    })
    this.ended = new Promise((resolve) => {
      response.on('end', resolve)
      response.on('error', resolve)
      response.on('close', resolve)
    })
  }

  give(event) {
    this.events.push(event)
    this.waiting = this.waiting.filter(([wanted, resolve]) => !wanted(event) || (resolve(event), false))
  }

  // The first event, come or to come, that is wanted.
  next(wanted = () => true, patience = 5000) {
    const known = this.events.find(wanted)
    if (known) return known
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no such event came; there were ${JSON.stringify(this.events)}`)), patience)
      this.waiting.push([wanted, (event) => (clearTimeout(late), resolve(event))])
    })
  }

  data(text) {
    return this.next((event) => event.data === text)
  }

  close() {
    this.response.destroy()
  }
}
