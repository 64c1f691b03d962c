// A connector by which laravel-echo speaks Mercure 1.0, for versions of it that do not do so themselves:
//
//   import Echo from 'laravel-echo'
//   import { MercureConnector } from './echo.mjs'
//   const echo = new Echo({ broadcaster: MercureConnector, hub: 'https://example.org/.well-known/mercure' })
//
// Options: `hub`, the hub's public URL; `topics`, what stands before a channel's name in its topic
// (https://laravel.alt/echo/channel/); `authEndpoint` (/broadcasting/auth), which is asked by POST for a private or
// presence channel, and sets the hub's cookie; `credentials: false` where there are public channels alone.

const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

// What all channels can do.
class MercureChannel {
  constructor(connector, name) {
    Object.assign(this, { connector, name, topic: connector.options.topics + name, listeners: new Map(), ready: [], failed: [] })
  }

  listen(event, callback) {
    const name = this.connector.eventName(event)
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), callback])
    return this
  }

  listenToAll(callback) {
    this.all = callback
    return this
  }

  stopListening(event, callback) {
    const name = this.connector.eventName(event)
    const left = callback ? (this.listeners.get(name) ?? []).filter((one) => one !== callback) : []
    this.listeners.set(name, left)
    return this
  }

  subscribed(callback) {
    this.ready.push(callback)
    return this
  }

  error(callback) {
    this.failed.push(callback)
    return this
  }

  listenForWhisper(event, callback) {
    return this.listen(`.client-${event}`, callback)
  }

  notification(callback) {
    return this.listen('.Illuminate\\Notifications\\Events\\BroadcastNotificationCreated', callback)
  }

  unsubscribe() {
    this.connector.leaveChannel(this.name)
  }

  give({ event, data }) {
    this.all?.(event, data)
    for (const callback of this.listeners.get(event) ?? []) callback(data)
  }

  // A message to the other clients, published by this one: the hub has the right of it in the cookie.
  whisper(event, data) {
    return this.connector.publish(this.topic, { event: `client-${event}`, data })
  }
}

// Who is there, by the hub's subscriptions.
class MercurePresenceChannel extends MercureChannel {
  constructor(connector, name) {
    super(connector, name)
    this.members = new Map()
    this.callbacks = { here: [], joining: [], leaving: [] }
    const { pathname } = new URL(connector.options.hub)
    this.pattern = `${pathname}/subscriptions/:match_type/${encode(this.topic)}/:subscriber`
    this.list = `${connector.options.hub}/subscriptions/exact/${encode(this.topic)}`
  }

  here(callback) {
    this.callbacks.here.push(callback)
    return this
  }

  joining(callback) {
    this.callbacks.joining.push(callback)
    return this
  }

  leaving(callback) {
    this.callbacks.leaving.push(callback)
    return this
  }

  tell(what, about) {
    for (const callback of this.callbacks[what]) callback(about)
  }

  // Several subscriptions of one user are one member.
  users() {
    return [...new Map([...this.members.values()].map((user) => [user.user_id ?? JSON.stringify(user), user])).values()]
  }

  has(user) {
    return this.users().some((one) => (one.user_id ?? JSON.stringify(one)) === (user.user_id ?? JSON.stringify(user)))
  }

  // After the stream is open: nobody who comes or goes meanwhile is missed.
  async fetch() {
    const answer = await fetch(this.list, { credentials: 'include' })
    const { subscriptions } = await answer.json()
    for (const one of subscriptions) if (one.active && one.payload) this.members.set(one.subscriber, one.payload)
    this.fetched = true
    const info = (user) => user.user_info ?? user
    this.tell('here', this.users().map(info))
  }

  change({ subscriber, active, payload }) {
    const user = payload ?? this.members.get(subscriber)
    if (!user) return
    const info = user.user_info ?? user
    const was = this.has(user)
    if (active) this.members.set(subscriber, user)
    else this.members.delete(subscriber)
    if (!this.fetched) return
    if (active && !was) this.tell('joining', info)
    if (!active && was && !this.has(user)) this.tell('leaving', info)
  }
}

export class MercureConnector {
  constructor(options) {
    this.options = {
      topics: 'https://laravel.alt/echo/channel/',
      authEndpoint: '/broadcasting/auth',
      credentials: true,
      namespace: 'App.Events',
      headers: {},
      ...options,
    }
    this.channels = {}
    this.pending = null
  }

  connect() {}

  // `OrderShipped` is App\Events\OrderShipped, `.order.shipped` is just that.
  eventName(event) {
    if (['.', '\\'].includes(event[0])) return event.slice(1)
    return `${this.options.namespace || ''}.${event}`.replace(/^\./, '').replaceAll('.', '\\')
  }

  listen(name, event, callback) {
    return this.channel(name).listen(event, callback)
  }

  channel(name) {
    return this.add(name, MercureChannel)
  }

  privateChannel(name) {
    return this.add(`private-${name}`, MercureChannel)
  }

  encryptedPrivateChannel(name) {
    return this.add(`private-encrypted-${name}`, MercureChannel)
  }

  presenceChannel(name) {
    return this.add(`presence-${name}`, MercurePresenceChannel)
  }

  add(name, Kind) {
    if (!this.channels[name]) {
      this.channels[name] = new Kind(this, name)
      this.renew()
    }
    return this.channels[name]
  }

  leave(name) {
    for (const one of [name, `private-${name}`, `private-encrypted-${name}`, `presence-${name}`]) this.leaveChannel(one)
  }

  leaveChannel(name) {
    if (this.channels[name]) {
      delete this.channels[name]
      this.renew()
    }
  }

  socketId() {
    return undefined
  }

  connectionStatus() {
    return ['connecting', 'connected', 'disconnected'][this.source?.readyState ?? 2]
  }

  onConnectionChange() {
    return () => {}
  }

  disconnect() {
    this.source?.close()
    this.channels = {}
  }

  // All that is asked for in one turn goes into one stream.
  renew() {
    this.pending ??= Promise.resolve().then(async () => {
      this.pending = null
      await this.open()
    })
  }

  async authorize() {
    const names = Object.keys(this.channels).filter((name) => /^(private|presence)-/.test(name))
    if (!names.length) return
    const answer = await fetch(this.options.authEndpoint, {
      method: 'POST',
      credentials: 'include',
      headers: { 'Content-Type': 'application/json', Accept: 'application/json', ...this.options.headers },
      body: JSON.stringify({ channels: names }),
    })
    if (!answer.ok) throw new Error(`${this.options.authEndpoint}: ${answer.status}`)
  }

  async open() {
    const channels = Object.values(this.channels)
    try {
      await this.authorize()
    } catch (error) {
      for (const channel of channels) for (const callback of channel.failed) callback(error)
      return
    }
    const url = new URL(this.options.hub)
    for (const channel of channels) {
      url.searchParams.append('match', channel.topic)
      if (channel.pattern) url.searchParams.append('match_urlpattern', channel.pattern)
    }
    if (this.lastId) url.searchParams.append('last_event_id', this.lastId)
    const former = this.source
    if (!channels.length) return former?.close()
    const source = new EventSource(url, { withCredentials: this.options.credentials })
    this.source = source
    source.onopen = () => {
      former?.close()
      for (const channel of channels) {
        for (const callback of channel.ready) callback()
        if (channel.fetch && !channel.fetched) channel.fetch()
      }
    }
    source.onmessage = ({ data, lastEventId }) => {
      this.lastId = lastEventId
      const message = JSON.parse(data)
      const content = typeof message.data === 'string' ? this.parsed(message.data) : message.data
      this.channels[message.channel]?.give({ event: message.event, data: content })
    }
    source.addEventListener('mercure', ({ data, lastEventId }) => {
      this.lastId = lastEventId
      const told = JSON.parse(data)
      for (const channel of Object.values(this.channels)) if (channel.topic === told.match) channel.change?.(told)
    })
    // After an error status a browser gives up: the token may be over.
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED && source === this.source) setTimeout(() => this.renew(), 1000)
    }
  }

  parsed(text) {
    try {
      return JSON.parse(text)
    } catch {
      return text
    }
  }

  publish(topic, message) {
    const name = topic.slice(this.options.topics.length)
    const body = new URLSearchParams({ topic, data: JSON.stringify({ channel: name, ...message }), private: 'on' })
    return fetch(this.options.hub, { method: 'POST', credentials: 'include', body })
  }
}
