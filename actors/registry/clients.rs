//! Clients as the registry knows them: from their connection to their end.

use std::rc::Rc;
use std::time::Duration;

use foldhash::HashSet;
use log::Level;

use super::mercure::as_drawn;
use super::{Connection, Registry};
use crate::messages::client::{self, End, Ending, LimitReached};
use crate::messages::registry::FromClient;
use crate::model::{ClientKey, Resume, Subscription, Token};
use crate::net::peer::{Peer, counted};
use crate::wire::http::Refused;

impl Registry {
    pub(super) fn handle_client(&mut self, message: FromClient) {
        match message {
            FromClient::Arrived {
                key,
                peer,
                descriptor,
                tls,
            } => self.arrived(key, peer, descriptor, tls),
            FromClient::Introduced { key, peer } => self.introduced(key, peer),
            FromClient::Subscribe {
                key,
                subscription,
                resume,
                recent_of,
                ends,
                agent,
            } => {
                let from = (resume, recent_of);
                self.subscribe(key, subscription, from, ends, agent);
            }
            FromClient::Subscriptions { key, asked } => {
                let (text, last_event_id) = self.subscriptions(&asked);
                let document = Box::new(client::Document {
                    text,
                    last_event_id,
                });
                self.pool.send_to(key, client::Message::Document(document));
            }
            FromClient::More { key } => self.replay(key.index),
            FromClient::Ended { key } => self.leave(key.index),
            FromClient::Exited { key, end } => self.exited(key, &end),
        }
    }

    fn arrived(&mut self, key: ClientKey, peer: Peer, descriptor: i32, tls: bool) {
        log::debug!("client {descriptor} connected from {peer}");
        self.counters.connections += 1;
        let connected = self.pool.totals().connected as u64;
        self.counters.most_connected = self.counters.most_connected.max(connected);
        if self.connections.len() <= key.index as usize {
            self.connections
                .resize_with(key.index as usize + 1, || None);
        }
        self.connections[key.index as usize] = Some(Connection {
            peer: peer.clone(),
            descriptor,
            tls,
            arrived: self.pool.seconds(),
            joined: None,
            reinits: 0,
            agent: None,
            counted: false,
        });
        let config = self.settings.now();
        if let Some(most) = config.max_clients_per_ip
            && !config.trust_proxy.believes(&peer)
        {
            // One for which there is no room here is refused when it asks, if there is none then.
            self.count(key, most);
        }
    }

    /// Takes the address that a trusted proxy tells in place of its own.
    fn introduced(&mut self, key: ClientKey, peer: Peer) {
        let Some(Some(connection)) = self.connections.get_mut(key.index as usize) else {
            return;
        };
        let descriptor = connection.descriptor;
        let proxy = std::mem::replace(&mut connection.peer, peer.clone());
        log::debug!("client {descriptor} from {proxy} speaks for {peer}");
        // A stream may be open already, and is now another's.
        let open = connection.joined.is_some();
        if std::mem::take(&mut connection.counted) {
            self.uncount(&proxy);
        }
        if let Some(most) = self.settings.now().max_clients_per_ip {
            self.count(key, if open { usize::MAX } else { most });
        }
    }

    fn subscribe(
        &mut self,
        key: ClientKey,
        subscription: Subscription,
        from: (Resume, Vec<(Token, usize)>),
        ends: Option<Duration>,
        agent: Option<String>,
    ) {
        if let Some(of) = self
            .too_many_patterns(&subscription)
            .or_else(|| self.too_many(key))
        {
            self.pool.send(key.index, client::Message::Full { of });
            return;
        }
        let Some(Some(connection)) = self.connections.get_mut(key.index as usize) else {
            return;
        };
        self.counters.subscriptions += 1;
        if connection.joined.replace(self.pool.seconds()).is_some() {
            self.counters.reinits += 1;
            connection.reinits += 1;
        }
        let agent = agent.map(|agent| share(&mut self.agents, agent));
        let former = std::mem::replace(&mut connection.agent, agent);
        let descriptor = connection.descriptor;
        forget(&mut self.agents, former);
        let (resume, recent_of) = from;
        let subscription = as_drawn(subscription);
        let (resume, after) = self.resume_on_hub(&subscription, resume);
        let accepted = match after {
            None => client::Message::Accepted,
            Some(id) => client::Message::AcceptedAfter(id),
        };
        self.pool.send(key.index, accepted);
        self.begin(key.index, subscription, resume, recent_of);
        if let Some(end) = ends {
            self.deadlines.set(key.index, end);
        }
        log::debug!(
            "client {descriptor} subscribed to {}",
            self.subscribes(key.index).join(", ")
        );
    }

    /// Whether there are too many patterns of the kind that has a bound, with those of one more client.
    fn too_many_patterns(&self, subscription: &Subscription) -> Option<LimitReached> {
        let (hub, listener) = (self.hub.as_ref()?, subscription.hub.as_deref()?);
        (!hub.has_room(listener)).then_some(LimitReached::Patterns)
    }

    /// What there would be too much of with one more stream, for a client that has none yet.
    fn too_many(&mut self, key: ClientKey) -> Option<LimitReached> {
        let (streams, config) = (self.streams(), self.settings.now());
        let connection = self.connections.get(key.index as usize)?.as_ref()?;
        if connection.joined.is_some() {
            return None;
        }
        if streams >= config.max_clients {
            return Some(LimitReached::Clients);
        }
        let most = config.max_clients_per_ip.filter(|_| !connection.counted)?;
        (!self.count(key, most)).then_some(LimitReached::FromAddress)
    }

    /// Counts a connection for its address, if that has fewer than `most`; whether there was room.
    fn count(&mut self, key: ClientKey, most: usize) -> bool {
        let Some(Some(connection)) = self.connections.get_mut(key.index as usize) else {
            return true;
        };
        let Some(address) = connection.peer.ip() else {
            return true;
        };
        let address = counted(address, self.settings.now().ip6_prefix);
        let count = self.by_address.entry(address).or_default();
        let room = *count < most;
        if room {
            *count += 1;
            connection.counted = true;
        }
        room
    }

    /// Takes a connection back that was counted for this address.
    fn uncount(&mut self, peer: &Peer) {
        let prefix = self.settings.now().ip6_prefix;
        if let Some(address) = peer.ip().map(|address| counted(address, prefix))
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    fn exited(&mut self, key: ClientKey, end: &End) {
        self.leave(key.index);
        if let Some(record) = self
            .connections
            .get_mut(key.index as usize)
            .and_then(Option::take)
        {
            let who = format_args!("client {} from {}", record.descriptor, record.peer);
            match end {
                End::Slow | End::Finished(Ending::Outrun) => {
                    self.counters.slow += 1;
                    let line = format_args!("{who} {end}");
                    self.refusals.tell(Level::Warn, "too slow", line);
                }
                End::Refused(status, _) => {
                    let word = Refused::word(*status);
                    *self.counters.refused.entry(word).or_default() += 1;
                    let line = format_args!("{who} {end}");
                    self.refusals.tell(Level::Info, word, line);
                }
                End::Finished(Ending::LimitReached) => {
                    *self.counters.refused.entry("crowded").or_default() += 1;
                    let line = format_args!("{who} {end}");
                    self.refusals.tell(Level::Info, "crowded", line);
                }
                End::Handshake(_) => {
                    *self.counters.refused.entry("tls").or_default() += 1;
                    let line = format_args!("{who} {end}");
                    self.refusals.tell(Level::Debug, "tls", line);
                }
                End::Panicked(_) => log::error!("{who} {end}"),
                End::Left | End::Answered | End::Broken(_) | End::Finished(_) => {
                    log::debug!("{who} {end}");
                }
            }
            if record.counted {
                self.uncount(&record.peer);
            }
            forget(&mut self.agents, record.agent);
        }
        self.pool.free(key);
    }

    pub(super) fn end_streams(&mut self) {
        for index in 0..self.connections.len() {
            if self.connections[index].is_some() {
                self.finish(index as u32, Ending::Stopped);
            }
        }
    }

    /// Has a stream end with what it still has to get, and nothing newer.
    pub(super) fn finish(&mut self, client: u32, end: Ending) {
        self.leave(client);
        self.pool.send(client, client::Message::Finish { end });
    }
}

/// The one copy of an agent's name.
fn share(agents: &mut HashSet<Rc<String>>, agent: String) -> Rc<String> {
    if let Some(known) = agents.get(&agent) {
        return Rc::clone(known);
    }
    let agent = Rc::new(agent);
    agents.insert(Rc::clone(&agent));
    agent
}

/// Gives a copy of an agent's name back, and forgets the name with the last.
fn forget(agents: &mut HashSet<Rc<String>>, agent: Option<Rc<String>>) {
    // Two are left: this one and the set's.
    if let Some(agent) = agent
        && Rc::strong_count(&agent) == 2
    {
        agents.remove(&agent);
    }
}
