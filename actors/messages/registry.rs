//! What the inside tells the registry.

use std::time::Duration;

use super::client::End;
use super::publisher::Receipt;
use crate::config::Config;
use crate::model::publication::Targets;
use crate::model::{
    Channel, ClientId, ClientKey, EventId, Member, Publication, Resume, Subscription, Target, Token,
};
use crate::net::peer::Peer;
use crate::runtime::Reply;
use crate::wire::command::Command;
use crate::wire::mercure::api::Asked;

/// What the clock, the signals and the bus tell.
#[derive(Debug)]
pub enum Message {
    /// Use other settings.
    Reconfigure {
        /// The new settings.
        config: Box<Config>,
    },
    /// A second or less has passed.
    Tick,
    /// It is time to look at who came and went.
    PresenceTick,
    /// The bus has something to say.
    Bus(FromBus),
}

/// What clients, and who accepts them, tell.
#[derive(Debug)]
pub enum FromClient {
    /// A connection was accepted.
    Arrived {
        /// The client.
        key: ClientKey,
        /// Its address.
        peer: Peer,
        /// Its socket's number.
        descriptor: i32,
        /// Whether it speaks TLS.
        tls: bool,
    },
    /// A stream was begun on a connection that carries several.
    Opened {
        /// The client.
        key: ClientKey,
        /// The client that carries it, whose address and socket are its own.
        carrier: ClientKey,
    },
    /// A trusted proxy has said whom a client's connection speaks for.
    Introduced {
        /// The client.
        key: ClientKey,
        /// Its address.
        peer: Peer,
    },
    /// A client's request is to be entered; it is answered with
    /// [`Accepted`](super::client::Message::Accepted) or [`Full`](super::client::Message::Full).
    Subscribe {
        /// The client.
        key: ClientKey,
        /// What it asks for.
        subscription: Subscription,
        /// Who it is for others.
        member: Member,
        /// Where its stream is to begin.
        resume: Resume,
        /// Tokens of whose kept events the last so many are wanted besides.
        recent_of: Vec<(Token, usize)>,
        /// When the stream ends, since 1970.
        ends: Option<Duration>,
        /// What it says it is.
        agent: Option<String>,
    },
    /// A client asks for a document of the Mercure hub's subscriptions API; it is answered with
    /// [`Document`](super::client::Message::Document).
    Subscriptions {
        /// The client.
        key: ClientKey,
        /// What it asks for.
        asked: Box<Asked>,
    },
    /// A part of a client's replay is written; the next may come.
    More {
        /// The client.
        key: ClientKey,
    },
    /// A client's stream ended, though its connection lasts a little longer.
    Ended {
        /// The client.
        key: ClientKey,
    },
    /// A client came to its end.
    Exited {
        /// The client.
        key: ClientKey,
        /// How.
        end: End,
    },
}

/// An event that has its id already.
#[derive(Debug)]
pub struct Incoming {
    /// Newer than all before.
    pub id: EventId,
    /// What it says.
    pub publication: Publication,
    /// How it came.
    pub channel: Channel,
}

/// What other nodes have answered; nothing while the bus is away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// Nodes that have been heard of within ten seconds, this one included; 0 where that is not known.
    pub nodes: u64,
    /// How many of the others have answered.
    pub answered: u64,
    /// How many streams they counted.
    pub clients: u64,
}

/// What registries of several nodes say to one another beside the stream.
#[derive(Debug)]
pub struct ToNodes {
    /// To which node; none: to all others.
    pub to: Option<u64>,
    /// What it is about.
    pub about: Subject,
    /// What is said.
    pub text: String,
}

/// What registries of several nodes speak about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Who is there.
    Presence,
    /// What is kept.
    History,
}

/// What the bus tells.
#[derive(Debug)]
pub enum FromBus {
    /// Everything begins here: clients that have seen this id, or a newer one, have missed nothing.
    Begin {
        /// That id.
        since: EventId,
    },
    /// What the bus had kept is there, or the bus is away: clients may come.
    Open,
    /// A command is to be carried out that the other nodes have answered too, in so far as they did.
    Execute {
        /// The command; apart, so that other messages stay small.
        command: Box<Command>,
        /// Their answers.
        elsewhere: Elsewhere,
        /// Where the answer goes, as for [`publisher::Request::Execute`](super::publisher::Request::Execute).
        reply: Reply<String>,
    },
    /// The streams with an id are to end, as a publisher of another node asks.
    Disconnect {
        /// The id.
        id: ClientId,
        /// Until when nobody named so is let in, in seconds since 1970.
        until: Option<u64>,
    },
    /// Another node asks how many streams a message to a target would reach here.
    Count {
        /// The target.
        target: Target,
        /// Where the answer goes.
        reply: Reply<u64>,
    },
    /// Another node says something beside the stream; without a node the bus says that it can be answered.
    Peer {
        /// What it is about.
        about: Subject,
        /// The other.
        node: Option<u64>,
        /// What it says.
        text: String,
    },
    /// These are to be delivered, in this order.
    Deliver {
        /// The events.
        events: Vec<Incoming>,
        /// Where the receipts go, one for each.
        reply: Reply<Vec<Receipt>>,
    },
    /// An event was passed over that this node cannot deliver: its subscribers here have missed it.
    Lacks {
        /// Its id, newer than all before.
        id: EventId,
        /// Whom it was for.
        targets: Targets,
    },
    /// Whether this node and the log have diverged. Until a gap marker follows, no client may resume by id:
    /// it would miss events unnoticed.
    Diverged(bool),
    /// Events up to an id may be missing here.
    Missed {
        /// That id; the newest that is not greater than all to come.
        up_to: EventId,
        /// Whether open streams have missed them too.
        live: bool,
    },
}
