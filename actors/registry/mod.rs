//! The registry actor: who listens to what. It decides, and does no input or output of its own.

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Instant;

use futures_lite::FutureExt;

use crate::client::{self, End, Ending};
use crate::config::{Config, LogLevel};
use crate::crowd::{Crowd, Key};
use crate::logger;
use crate::model::{Channel, Counters, EventId, Publication, Routes, Sequence, Subscription};
use crate::net::peer::Peer;
use crate::system::{Failure, Mailbox, Reply, Stop};
use crate::wire::command::Command;
use crate::wire::sse::Frame;

mod commands;

/// What publishers, and the clock, ask for.
#[derive(Debug)]
pub enum Message {
    /// These are to be delivered, in this order.
    Publish {
        /// The messages.
        publications: Vec<Publication>,
        /// How they came.
        channel: Channel,
        /// Where the receipts go, one for each.
        reply: Option<Reply<Vec<Receipt>>>,
    },
    /// A command is to be carried out.
    Execute {
        /// The command.
        command: Command,
        /// Where the answer goes, besides the log; lines that each end with a newline.
        reply: Option<Reply<String>>,
    },
    /// A message or request was refused.
    Refused {
        /// Why, in a word.
        reason: &'static str,
    },
    /// Messages had bytes that were no UTF-8.
    Mended {
        /// How many.
        messages: u64,
    },
    /// A second or so has passed.
    Tick,
}

/// What clients, and who accepts them, tell.
#[derive(Debug)]
pub enum ClientMessage {
    /// A connection was accepted.
    Arrived {
        /// The client.
        key: Key,
        /// Its address.
        peer: Peer,
        /// Its socket's number.
        descriptor: i32,
    },
    /// A client's request is to be entered; it is answered with [`client::Message::Accepted`].
    Subscribe {
        /// The client.
        key: Key,
        /// What it asks for.
        subscription: Subscription,
        /// What it says it is.
        agent: Option<Rc<str>>,
    },
    /// A client came to its end.
    Exited {
        /// The client.
        key: Key,
        /// How.
        end: End,
    },
}

/// What a publisher may know of a message that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// How many subscribers it is on its way to.
    pub recipients: usize,
}

/// What is known of a connection.
#[derive(Debug)]
struct Record {
    key: Key,
    peer: Peer,
    descriptor: i32,
    /// Seconds of the crowd's clock.
    arrived: u32,
    joined: Option<u32>,
    reinits: u32,
    agent: Option<Rc<str>>,
}

/// The registry's state.
pub struct Registry {
    config: Rc<Config>,
    crowd: Rc<Crowd>,
    routes: Routes,
    sequence: Sequence,
    counters: Counters,
    records: Vec<Option<Record>>,
    /// Each `User-Agent` once: most clients have one of few.
    agents: HashSet<Rc<str>>,
    log: logger::Handle,
    log_level: LogLevel,
    reinit: Rc<Cell<bool>>,
    started: Instant,
    recipients: Vec<u32>,
}

enum Input {
    Client(ClientMessage),
    Asked(Message),
    Stop,
}

impl Registry {
    /// A registry without clients. `reinit` is the switch that the clients read.
    pub fn new(
        config: Rc<Config>,
        crowd: Rc<Crowd>,
        reinit: Rc<Cell<bool>>,
        log: logger::Handle,
    ) -> Self {
        Self {
            log_level: config.log_level,
            log,
            config,
            crowd,
            routes: Routes::default(),
            sequence: Sequence::starting_now(),
            counters: Counters::default(),
            records: Vec::new(),
            agents: HashSet::new(),
            reinit,
            started: Instant::now(),
            recipients: Vec::new(),
        }
    }

    /// Takes messages until it is asked to stop; then lets every stream end with what it still
    /// has to get.
    ///
    /// # Errors
    /// Every address of a mailbox is gone.
    pub async fn run(
        mut self,
        mut clients: Mailbox<ClientMessage>,
        mut inbox: Mailbox<Message>,
        stop: Stop,
    ) -> Result<(), Failure> {
        loop {
            // Clients first: who has subscribed gets what is published after that.
            while let Some(message) = clients.take() {
                self.handle_client(message);
            }
            let asked = async { inbox.next().await.map(Input::Asked) };
            let told = async { clients.next().await.map(Input::Client) };
            let stopped = async {
                stop.requested().await;
                Some(Input::Stop)
            };
            match told.or(asked).or(stopped).await {
                Some(Input::Client(message)) => self.handle_client(message),
                Some(Input::Asked(message)) => self.handle(message).await,
                Some(Input::Stop) => break,
                None => return Err(Failure("nobody can reach the registry any more".into())),
            }
        }
        self.end_streams();
        while self.crowd.totals().connected > 0
            && let Some(message) = clients.next().await
        {
            self.handle_client(message);
        }
        Ok(())
    }

    async fn handle(&mut self, message: Message) {
        match message {
            Message::Publish {
                publications,
                channel,
                reply,
            } => {
                let mut receipts = Vec::with_capacity(if reply.is_some() {
                    publications.len()
                } else {
                    0
                });
                for publication in publications {
                    let receipt = self.publish(&publication, channel);
                    if reply.is_some() {
                        receipts.push(receipt);
                    }
                    // Publishers wait here, and so behind it, while clients have had no turn.
                    self.crowd.relief().await;
                }
                if let Some(reply) = reply {
                    reply.send(receipts);
                }
            }
            Message::Execute { command, reply } => {
                let answer = self.execute(command, reply.is_some());
                if let Some(reply) = reply {
                    reply.send(answer);
                }
            }
            Message::Refused { reason } => *self.counters.refused.entry(reason).or_default() += 1,
            Message::Mended { messages } => self.counters.invalid_utf8 += messages,
            Message::Tick => self.tick(),
        }
    }

    /// Gives a message its id and sends it to its recipients.
    fn publish(&mut self, publication: &Publication, channel: Channel) -> Receipt {
        *self.counters.messages.entry(channel).or_default() += 1;
        let id = self.sequence.next_id();
        let targets = publication.to.as_slice();
        self.routes
            .recipients(targets, publication.except.as_ref(), &mut self.recipients);
        if !self.recipients.is_empty() {
            let frame = Frame::event(id, publication.event.as_deref(), &publication.data);
            self.crowd.send_all(&self.recipients, &Rc::new(frame));
        }
        log::debug!(
            "event {id} by {} for {} subscribers",
            channel.name(),
            self.recipients.len()
        );
        Receipt {
            id,
            recipients: self.recipients.len(),
        }
    }

    fn tick(&mut self) {
        self.crowd.expire();
        if let Some(silence) = self.config.heartbeat {
            let tenths = (silence.as_secs() * 10) as u32;
            let position = Rc::new(Frame::position(self.sequence.last()));
            self.crowd.send_to_silent(tenths, &position);
        }
    }

    fn handle_client(&mut self, message: ClientMessage) {
        match message {
            ClientMessage::Arrived {
                key,
                peer,
                descriptor,
            } => self.arrived(key, peer, descriptor),
            ClientMessage::Subscribe {
                key,
                subscription,
                agent,
            } => {
                self.subscribe(key, &subscription, agent);
            }
            ClientMessage::Exited { key, end } => self.exited(key, &end),
        }
    }

    fn arrived(&mut self, key: Key, peer: Peer, descriptor: i32) {
        log::debug!("client {descriptor} connected from {peer}");
        self.counters.connections += 1;
        let connected = self.crowd.totals().connected as u64;
        self.counters.most_connected = self.counters.most_connected.max(connected);
        if self.records.len() <= key.index as usize {
            self.records.resize_with(key.index as usize + 1, || None);
        }
        self.records[key.index as usize] = Some(Record {
            key,
            peer,
            descriptor,
            arrived: self.crowd.seconds(),
            joined: None,
            reinits: 0,
            agent: None,
        });
    }

    fn subscribe(&mut self, key: Key, subscription: &Subscription, agent: Option<Rc<str>>) {
        let Some(Some(record)) = self.records.get_mut(key.index as usize) else {
            return;
        };
        self.counters.subscriptions += 1;
        if record.joined.replace(self.crowd.seconds()).is_some() {
            self.counters.reinits += 1;
            record.reinits += 1;
        }
        let former = std::mem::replace(
            &mut record.agent,
            agent.map(|agent| share(&mut self.agents, agent)),
        );
        let descriptor = record.descriptor;
        forget(&mut self.agents, former);
        self.routes.join(key.index, subscription);
        let position = self.sequence.last();
        self.crowd
            .send(key.index, client::Message::Accepted { position });
        log::debug!(
            "client {descriptor} subscribed to {}",
            self.routes.subscribes(key.index).join(", ")
        );
    }

    fn exited(&mut self, key: Key, end: &End) {
        self.routes.leave(key.index);
        if let Some(record) = self
            .records
            .get_mut(key.index as usize)
            .and_then(Option::take)
        {
            let who = format_args!("client {} from {}", record.descriptor, record.peer).to_string();
            match end {
                End::Slow => {
                    self.counters.slow += 1;
                    log::warn!("{who} disconnected: it did not read as fast as its events came");
                }
                End::Refused(status, reason) => {
                    *self
                        .counters
                        .refused
                        .entry(refused_label(*status))
                        .or_default() += 1;
                    log::info!("{who} refused with {status}: {reason}");
                }
                End::Panicked(why) => log::error!("{who} ended by a fault in this program: {why}"),
                End::Left | End::Answered | End::Broken(_) | End::Finished(_) => {
                    log::debug!("{who} ended: {end:?}");
                }
            }
            forget(&mut self.agents, record.agent);
        }
        self.crowd.free(key);
    }

    fn end_streams(&mut self) {
        for index in 0..self.records.len() {
            if self.records[index].is_some() {
                self.finish(index as u32, Ending::Stopped);
            }
        }
    }

    /// Has a stream end with what it still has to get, and nothing newer.
    fn finish(&mut self, client: u32, end: Ending) {
        self.routes.leave(client);
        self.crowd.send(client, client::Message::Finish { end });
    }
}

/// The one copy of an agent's name.
fn share(agents: &mut HashSet<Rc<str>>, agent: Rc<str>) -> Rc<str> {
    if let Some(known) = agents.get(&agent) {
        return Rc::clone(known);
    }
    agents.insert(Rc::clone(&agent));
    agent
}

/// Gives a copy of an agent's name back, and forgets the name with the last.
fn forget(agents: &mut HashSet<Rc<str>>, agent: Option<Rc<str>>) {
    // Two are left: this one and the set's.
    if let Some(agent) = agent
        && Rc::strong_count(&agent) == 2
    {
        agents.remove(&agent);
    }
}

fn refused_label(status: u16) -> &'static str {
    match status {
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 | 501 => "method",
        408 => "timeout",
        414 | 431 => "too_large",
        503 => "full",
        _ => "bad_request",
    }
}
