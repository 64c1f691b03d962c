//! What a client is told, and how it ends.

use std::fmt;
use std::io;
use std::rc::Rc;

use crate::model::{ClientKey, EventId, Publication};
use crate::net::tls::Trouble;
use crate::wire::sse::Frame;

/// What a client is told.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// An event or a position block is to be written.
    Event(Rc<Frame>),
    /// The subscription is entered: the stream begins.
    Accepted,
    /// There is no room for a stream.
    Full {
        /// What there are too many of.
        of: LimitReached,
    },
    /// What came before is a part of a replay; the next part is to be asked for when it is written.
    More,
    /// The stream is to end, after what waits is written.
    Finish {
        /// The end that this is.
        end: Ending,
    },
    /// The time for a request, or for reading a last answer, is over.
    Expired,
    /// The subscription is entered, at the Mercure hub: the stream begins behind the event with this id,
    /// which the client has named.
    AcceptedAfter(Rc<String>),
    /// What it posted to the Mercure hub is published, with this id.
    Published(EventId),
    /// What it posted to the Mercure hub cannot be published now: the reason.
    Away(Rc<String>),
    /// What it asked the subscriptions API for.
    Document(Box<Document>),
}

/// An answer of the subscriptions API.
#[derive(Debug, PartialEq, Eq)]
pub struct Document {
    /// The document; none if there is no such subscription.
    pub text: Option<String>,
    /// The id of the newest event that it takes account of.
    pub last_event_id: String,
}

/// What a client has posted to the Mercure hub.
#[derive(Debug)]
pub struct Posted {
    /// The client.
    pub key: ClientKey,
    /// What it has posted, checked.
    pub publication: Publication,
}

/// What there may be no more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitReached {
    /// Streams (`--max-clients`).
    Clients,
    /// Streams of one address (`--max-clients-per-ip`).
    FromAddress,
    /// URL patterns of forms that need an engine of their own (Mercure).
    Patterns,
    /// Streams of an id that a publisher has disconnected for a time: none.
    Disconnected,
}

/// Why a stream is told to finish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The daemon stops.
    Stopped,
    /// What it proved its right to read with holds no longer.
    Expired,
    /// A publisher asked for it with `disconnect:`.
    Disconnected,
    /// What it had still to replay is not kept any more; it comes back and is told of the gap.
    Outrun,
    /// It had no request yet, and there are too many of those.
    LimitReached,
}

/// How a client ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The peer left.
    Left,
    /// It goes on as the carrier of streams (HTTP/2); this is told nobody.
    Upgraded,
    /// Its request was answered whole: HEAD and OPTIONS.
    Answered,
    /// Its request was refused with this status, for this reason.
    Refused(u16, String),
    /// It did not come to a request, as the TLS handshake failed: the reason.
    Handshake(String),
    /// It did not read as fast as its events came.
    Slow,
    /// Its connection broke.
    Broken(io::ErrorKind),
    /// It was told to.
    Finished(Ending),
    /// A fault in this program.
    Panicked(String),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("left"),
            Self::Upgraded => f.write_str("carries streams"),
            Self::Answered => f.write_str("was answered"),
            Self::Refused(status, reason) => write!(f, "was refused with {status}: {reason}"),
            Self::Handshake(reason) => write!(f, "was refused: {reason}"),
            Self::Slow => f.write_str("was disconnected: it read more slowly than its events came"),
            Self::Broken(error) => write!(f, "was lost: {error}"),
            Self::Finished(Ending::Stopped) => f.write_str("ended as the daemon stops"),
            Self::Finished(Ending::Expired) => f.write_str("was ended, as its JWT expired"),
            Self::Finished(Ending::Disconnected) => f.write_str("was disconnected by a publisher"),
            Self::Finished(Ending::Outrun) => {
                f.write_str("was disconnected: what it had still to replay is not kept any more")
            }
            Self::Finished(Ending::LimitReached) => {
                f.write_str("was given up: too many connections are without a request")
            }
            Self::Panicked(why) => write!(f, "ended by a fault in this program: {why}"),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        match Trouble::of(&error) {
            Some(trouble) => trouble.into(),
            None => Self::Broken(error.kind()),
        }
    }
}

impl From<&Trouble> for End {
    fn from(trouble: &Trouble) -> Self {
        match trouble {
            Trouble::Broken(_) | Trouble::TooLong => Self::Broken(io::ErrorKind::InvalidData),
            _ => Self::Handshake(trouble.to_string()),
        }
    }
}
