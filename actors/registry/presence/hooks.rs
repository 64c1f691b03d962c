//! The registry's side of presence: where streams go live and end, who is told, and what the backend asks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::HashMap;

use super::news::News;
use super::nodes::{self, Told};
use super::telling::Telling;
use super::{Now, Presence};
use crate::messages::client;
use crate::messages::publisher::{PresenceNews, PresencePage};
use crate::messages::registry::{Subject, ToNodes};
use crate::model::{ClientId, EventId, Member, Subscription, Token};
use crate::registry::Registry;
use crate::runtime::{Address, Reply};

/// Bytes of the lists that a listener gets at once.
const PORTION: usize = 16 * 1024;

/// Who waits: clients that are not live yet, and backends that have heard all.
#[derive(Debug, Default)]
pub(in crate::registry) struct Watchers {
    /// Who a client will be for others when its stream is live.
    expected: HashMap<u32, Member>,
    /// Backends, each with the id up to which it has heard all.
    waiting: Vec<(EventId, Reply<PresenceNews>)>,
    /// Where what other nodes are to know goes.
    nodes: Option<Address<ToNodes>>,
}

impl Registry {
    fn presence_now(&self) -> Now {
        let steady = self.started.elapsed();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = |time: Duration| time.as_millis() as u64;
        Now {
            steady: millis(steady),
            unix: millis(unix.unwrap_or_default()),
        }
    }

    /// A stream is to begin: who its client will be for others.
    pub(in crate::registry) fn expect(&mut self, client: u32, member: Member) {
        if self.presence.is_on() {
            // Of a stream on the same connection before this one.
            self.leave(client);
            self.watchers.expected.insert(client, member);
        }
    }

    /// A stream is live.
    pub(in crate::registry) fn appear(&mut self, client: u32, subscription: &Subscription) {
        if !self.presence.is_on() {
            return;
        }
        let member = self.watchers.expected.remove(&client).unwrap_or_default();
        let now = self.presence_now();
        let Subscription {
            tokens, presence, ..
        } = subscription;
        if self.presence.join(client, tokens, member, *presence, now) && *presence {
            // What was before is written first.
            self.pool.send(client, client::Message::More);
        }
    }

    /// A stream has ended, or will not begin.
    pub(in crate::registry) fn disappear(&mut self, client: u32) {
        if self.presence.is_on() {
            self.watchers.expected.remove(&client);
            let now = self.presence_now();
            self.presence.leave(client, now);
        }
    }

    /// A client has written what it was sent: it gets the next part of its replay, or of who is there.
    pub(in crate::registry) fn more(&mut self, client: u32) {
        if !self.presence.has_greetings(client) {
            return self.replay(client);
        }
        if let Some(frame) = self.presence.greet(client, PORTION) {
            self.pool.send_all(&[client], &frame);
        }
        if self.presence.has_greetings(client) {
            self.pool.send(client, client::Message::More);
        }
    }

    /// Tells what is to be told by now.
    pub(in crate::registry) fn tick_presence(&mut self) {
        let now = self.presence_now();
        if self.presence.next().is_some_and(|next| next <= now.steady) {
            let telling = self.presence.tick(now);
            self.tell_presence(telling);
        }
    }

    /// Other nodes are told of members, and of what is kept, by this.
    pub fn tell_nodes(&mut self, nodes: Address<ToNodes>) {
        self.watchers.nodes = Some(nodes);
        self.presence.share();
    }

    /// Tells the other nodes something, if the bus is there: what they miss they get when it is again.
    pub(in crate::registry) fn tell_others(&self, what: ToNodes) {
        let is_up = self.bus_figures().is_some_and(|figures| figures.up.get());
        if let Some(nodes) = self.watchers.nodes.as_ref().filter(|_| is_up) {
            // Refused only when the bus is gone, and with it the process.
            let _gone = nodes.try_send(what);
        }
    }

    /// Tells all other nodes of members.
    fn tell_members(&self, text: String) {
        let (to, about) = (None, Subject::Presence);
        self.tell_others(ToNodes { to, about, text });
    }

    /// Another node, or the bus for this one, says something of members.
    pub(in crate::registry) fn hear_presence(&mut self, node: Option<u64>, text: &str) {
        if !self.presence.is_on() {
            return;
        }
        let now = self.presence_now();
        match (nodes::read(text), node) {
            (Some(Told::Hello), _) => {
                let own: Vec<_> = self.presence.own_members().collect();
                self.tell_members(nodes::text(true, &own));
            }
            (Some(Told::Changes { all: true, changes }), Some(node)) => {
                self.presence.hear_all(node, changes, now);
            }
            (Some(Told::Changes { changes, .. }), Some(node)) => {
                self.presence.hear(node, changes, now);
            }
            (Some(Told::Changes { .. }), None) => {}
            (None, _) => {
                log::warn!("another node tells of members in a way that is not understood")
            }
        }
    }

    /// Looks which nodes are there; while the bus is away nobody knows, and all stays as it was.
    pub(in crate::registry) fn look_at_nodes(&mut self) {
        if !self.presence.is_on() {
            return;
        }
        if let Some(figures) = self.bus_figures().filter(|figures| figures.up.get()) {
            let now = self.presence_now();
            let present = figures.present.borrow();
            self.presence.hear_of(&present, now);
        }
    }

    fn tell_presence(&mut self, telling: Telling) {
        if !telling.nodes.is_empty() {
            self.tell_members(nodes::text(false, &telling.nodes));
        }
        for (clients, frame) in telling.frames {
            self.pool.send_all(&clients, &frame);
        }
        if telling.news {
            for (after, reply) in std::mem::take(&mut self.watchers.waiting) {
                self.presence_news(after, reply);
            }
        }
    }

    /// A page of who is there.
    pub(in crate::registry) fn presence_page(
        &self,
        token: &Token,
        after: Option<&ClientId>,
        most: usize,
    ) -> Option<PresencePage> {
        self.presence.page(token, after, most)
    }

    /// Where a backend begins that has seen `id`; none: it begins now.
    pub(in crate::registry) fn presence_start(&self, id: Option<Option<EventId>>) -> PresenceNews {
        let news = self.presence.news();
        match id {
            Some(id) => news.begin(id),
            None => PresenceNews {
                text: String::new(),
                last: news.last(),
            },
        }
    }

    /// Answers with what comes after an id, as soon as there is something.
    pub(in crate::registry) fn presence_news(
        &mut self,
        after: EventId,
        reply: Reply<PresenceNews>,
    ) {
        match self.presence.news().after(after) {
            Some(news) => reply.send(news),
            None => {
                self.watchers
                    .waiting
                    .retain(|(_, reply)| !reply.is_closed());
                self.watchers.waiting.push((after, reply));
            }
        }
    }

    /// Nothing that happens from now on is told: the daemon ends.
    pub(in crate::registry) fn freeze_presence(&mut self) -> Presence {
        let news = News::new();
        std::mem::replace(
            &mut self.presence,
            Presence::new(Vec::new(), Duration::ZERO, news),
        )
    }
}
