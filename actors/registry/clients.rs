//! Clients as the registry knows them: from their connection to their end.

use std::time::Duration;

use log::Level;

use super::Registry;
use super::mercure::as_drawn;
use super::session::Room;
use crate::logger;
use crate::messages::client::{self, End, Ending, LimitReached};
use crate::messages::registry::FromClient;
use crate::model::deadlines::since_1970;
use crate::model::{ClientKey, Member, Resume, Subscription, Token};
use crate::net::peer::Peer;
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
            FromClient::Opened { key, carrier } => self.opened(key, carrier),
            FromClient::Introduced { key, peer } => self.introduced(key, peer),
            FromClient::Subscribe {
                key,
                subscription,
                member,
                resume,
                recent_of,
                ends,
                agent,
            } => {
                let from = (resume, recent_of);
                self.subscribe(key, (subscription, member), from, ends, agent);
            }
            FromClient::Subscriptions { key, asked } => {
                let (text, last_event_id) = self.subscriptions(&asked);
                let document = Box::new(client::Document {
                    text,
                    last_event_id,
                });
                self.pool.send_to(key, client::Message::Document(document));
            }
            FromClient::More { key } => self.more(key.index),
            FromClient::Ended { key } => self.leave(key.index),
            FromClient::Exited { key, end } => self.exited(key, &end),
        }
    }

    fn arrived(&mut self, key: ClientKey, peer: Peer, descriptor: i32, tls: bool) {
        log::debug!("client {descriptor} connected from {peer}");
        self.counters.connections += 1;
        let connected = self.pool.totals().connected as u64;
        self.counters.most_connected = self.counters.most_connected.max(connected);
        let now = self.pool.seconds();
        self.sessions
            .arrive(key.index, peer.clone(), descriptor, tls, now);
        let config = self.settings.now();
        if let Some(most) = config.max_clients_per_ip
            && !config.trust_proxy.believes(&peer)
        {
            // One for which there is no room here is refused when it asks, if there is none then.
            self.sessions.count(key.index, most);
        }
    }

    /// Takes in a stream of a connection that carries several. Where addresses are limited the streams
    /// count, and the connection no more.
    fn opened(&mut self, key: ClientKey, carrier: ClientKey) {
        let Some(session) = self.sessions.get(carrier.index) else {
            return;
        };
        let (peer, descriptor, tls) = (session.peer.clone(), session.descriptor, session.tls);
        let config = self.settings.now();
        let most = config.max_clients_per_ip;
        let most = most.filter(|_| !config.trust_proxy.believes(&peer));
        let now = self.pool.seconds();
        self.sessions.arrive(key.index, peer, descriptor, tls, now);
        self.sessions.release(carrier.index);
        if let Some(most) = most {
            self.sessions.count(key.index, most);
        }
    }

    /// Takes the address that a trusted proxy tells in place of its own.
    fn introduced(&mut self, key: ClientKey, peer: Peer) {
        let most = self.settings.now().max_clients_per_ip;
        let shown = log::log_enabled!(Level::Debug).then(|| peer.to_string());
        if let Some(proxy) = self.sessions.introduce(key.index, peer, most)
            && let Some(peer) = shown
            && let Some(session) = self.sessions.get(key.index)
        {
            let descriptor = session.descriptor;
            log::debug!("client {descriptor} from {proxy} speaks for {peer}");
        }
    }

    fn subscribe(
        &mut self,
        key: ClientKey,
        (subscription, member): (Subscription, Member),
        from: (Resume, Vec<(Token, usize)>),
        ends: Option<Duration>,
        agent: Option<String>,
    ) {
        let client = key.index;
        let config = self.settings.now();
        let room = Room {
            streams: config.max_clients,
            of_address: config.max_clients_per_ip,
        };
        let kept_out = subscription
            .id
            .as_ref()
            .is_some_and(|id| self.bans.has(id, since_1970().as_secs()));
        let admitted = match (subscription.inside, kept_out) {
            (true, _) => Ok(()),
            (false, true) => Err(LimitReached::Disconnected),
            (false, false) => match self.too_many_patterns(&subscription) {
                Some(of) => Err(of),
                None => self.sessions.admit(client, room),
            },
        };
        if let Err(of) = admitted {
            self.pool.send(client, client::Message::Full { of });
            return;
        }
        let Some(again) = self.sessions.join(client, agent, self.pool.seconds()) else {
            return;
        };
        self.counters.subscriptions += 1;
        self.counters.reinits += u64::from(again);
        let (resume, recent_of) = from;
        self.expect(client, member);
        let subscription = as_drawn(subscription);
        let (resume, after) = self.resume_on_hub(&subscription, resume);
        let accepted = match after {
            None => client::Message::Accepted,
            Some(id) => client::Message::AcceptedAfter(id),
        };
        self.pool.send(client, accepted);
        self.begin(client, subscription, resume, recent_of);
        if let Some(end) = ends {
            self.sessions.set_end(client, end);
        }
        if let Some(session) = self.sessions.get(client) {
            log::debug!(
                "client {} subscribed to {}",
                session.descriptor,
                self.subscribes(client).join(", ")
            );
        }
    }

    /// Whether there are too many patterns of the kind that has a bound, with those of one more client.
    fn too_many_patterns(&self, subscription: &Subscription) -> Option<LimitReached> {
        let (hub, listener) = (self.hub.as_ref()?, subscription.hub.as_deref()?);
        (!hub.has_room(listener)).then_some(LimitReached::Patterns)
    }

    fn exited(&mut self, key: ClientKey, end: &End) {
        self.leave(key.index);
        if let Some(session) = self.sessions.end(key.index) {
            let who = format_args!("client {} from {}", session.descriptor, session.peer);
            match end {
                End::Slow | End::Finished(Ending::Outrun) => {
                    self.counters.slow += 1;
                    let line = format_args!("{who} {end}");
                    logger::tell(Level::Warn, "too slow", line);
                }
                End::Refused(status, _) => {
                    let word = Refused::word(*status);
                    self.counters.refuse(word, 1);
                    let line = format_args!("{who} {end}");
                    logger::tell(Level::Info, word, line);
                }
                End::Finished(Ending::LimitReached) => {
                    self.counters.refuse("crowded", 1);
                    let line = format_args!("{who} {end}");
                    logger::tell(Level::Info, "crowded", line);
                }
                End::Handshake(_) => {
                    self.counters.refuse("tls", 1);
                    let line = format_args!("{who} {end}");
                    logger::tell(Level::Debug, "tls", line);
                }
                End::Panicked(_) => log::error!("{who} {end}"),
                End::Left | End::Upgraded | End::Answered | End::Broken(_) | End::Finished(_) => {
                    log::debug!("{who} {end}");
                }
            }
        }
        self.pool.free(key);
    }

    pub(super) fn end_streams(&mut self) {
        for client in 0..self.sessions.bound() {
            if self.sessions.get(client).is_some() {
                self.finish(client, Ending::Stopped);
            }
        }
    }

    /// Has a stream end with what it still has to get, and nothing newer.
    pub(super) fn finish(&mut self, client: u32, end: Ending) {
        self.leave(client);
        self.pool.send(client, client::Message::Finish { end });
    }
}
