//! What the ways in (FIFO, TCP, Unix sockets, HTTP) ask for. The requests go to the sequencer: the
//! registry, or the bus where there is one.

use std::fmt;
use std::rc::Rc;

use crate::model::{Channel, ClientId, EventId, Publication, Sample, Token};
use crate::runtime::{Address, Gone, Reply};
use crate::wire::command::Command;
use crate::wire::report::Figures;

/// What publishers, and those who watch, may ask for.
///
/// Each source waits for its reply before it sends the next request. So each source has one request
/// under way, all sources have their turns, and the number of sources bounds the mailbox.
#[derive(Debug)]
pub enum Request {
    /// Deliver these, in this order.
    Publish {
        /// The messages.
        publications: Vec<Publication>,
        /// How they came.
        channel: Channel,
        /// Where the outcome goes.
        reply: Reply<Outcome>,
    },
    /// Carry out a command.
    Execute {
        /// The command.
        command: Command,
        /// Where the answer goes, besides the log; lines that each end with a newline.
        reply: Reply<String>,
    },
    /// End the streams with an id.
    Disconnect {
        /// The id.
        id: ClientId,
        /// Until when nobody named so is let in, in seconds since 1970; none: who comes back is.
        until: Option<u64>,
        /// How many there were.
        reply: Reply<usize>,
    },
    /// Report the figures.
    Report {
        /// Where they go.
        reply: Reply<Figures>,
    },
    /// Give the samples of the last two minutes.
    Samples {
        /// Where they go, the oldest first.
        reply: Reply<Vec<Sample>>,
    },
    /// Report the figures, and the busiest targets with their messages in a second, to somebody who asks
    /// again and again.
    Watch {
        /// Where they go.
        reply: Reply<(Figures, Vec<(String, f64)>)>,
    },
    /// Go on with a search for the tokens with the most streams.
    Search {
        /// As far as it is.
        search: Search,
        /// Where it goes then.
        reply: Reply<Search>,
    },
    /// List a part of the clients. A client that stays is in one part, exactly once.
    List {
        /// Where it begins: 0, or where the part before ended.
        from: u32,
        /// What must be in each client's own data, in small letters.
        search: Option<Rc<str>>,
        /// How many clients at most.
        most: usize,
        /// Where it goes.
        reply: Reply<Listed>,
    },
    /// Give the next lines of `clientlist`.
    ClientLines {
        /// As far as they are.
        lines: ClientLines,
        /// Where the next go.
        reply: Reply<ClientLines>,
    },
    /// Give a page of those who are there.
    Presence {
        /// For whom.
        token: Token,
        /// The id behind which the page begins; none at the beginning.
        after: Option<ClientId>,
        /// How many members at most.
        most: usize,
        /// Where the page goes; none for a token whose presence is not known.
        reply: Reply<Option<PresencePage>>,
    },
    /// Begin to tell of joins and leaves.
    PresenceStart {
        /// The last that was seen: an id, or something that is none; with nothing the stream begins now.
        seen: Option<Option<EventId>>,
        /// Where the beginning goes.
        reply: Reply<PresenceNews>,
    },
    /// Tell of joins and leaves behind an id, as soon as there are any.
    PresenceNews {
        /// The id.
        after: EventId,
        /// Where they go.
        reply: Reply<PresenceNews>,
    },
    /// Count what happened on the way in.
    Count {
        /// Messages and requests refused: why, in a word, and how many.
        refused: Vec<(&'static str, u64)>,
        /// Messages with bytes that were not UTF-8.
        lossy_utf8: u64,
        /// Says that it is counted.
        reply: Reply<()>,
    },
}

/// What a publisher may know of a message that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The event's id.
    pub id: EventId,
    /// How many subscribers it is on its way to.
    pub recipients: usize,
    /// Whether it was.
    pub how: Taken,
}

/// Whether a message was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It was.
    Now,
    /// It was when it was sent before, by its key.
    Before,
    /// It was not, as its key is that of another message.
    Clash,
}

/// What became of messages: a receipt for each, or why none was taken in.
pub type Outcome = Result<Vec<Receipt>, NotTaken>;

/// Why messages were not taken in.
#[derive(Debug, Clone)]
pub enum NotTaken {
    /// The bus is away, for this reason, and this node delivers nothing alone.
    Away(Rc<str>),
    /// This key is that of another message.
    Clash(Box<str>),
}

/// What is wrong with a message whose key is another's.
pub const CLASH: &str = "was used within the last five minutes for another target, event name or data; \
                         nothing was taken in";

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => write!(f, "the bus is away, so nothing was taken in: {why}"),
            Self::Clash(key) => {
                // Behind a NUL stands which message of its request it was.
                let key = key.split('\0').next().unwrap_or_default();
                write!(f, "the key {key:?} {CLASH}")
            }
        }
    }
}

/// A part of the list of clients.
#[derive(Debug, Default)]
pub struct Listed {
    /// Objects of JSON with commas between them.
    pub rows: String,
    /// How many.
    pub count: usize,
    /// Where the next part begins; none at the end.
    pub next: Option<u32>,
}

/// The lines of `clientlist`, on their way: a part of them, and what the next part has to know.
#[derive(Debug)]
pub struct ClientLines {
    /// Lines that each end with a newline.
    pub text: String,
    /// Where the next part begins; none at the end.
    pub next: Option<u32>,
    /// How many clients there were so far.
    pub count: usize,
    /// Whether they go to the log too.
    pub logged: bool,
}

impl ClientLines {
    /// Nothing yet.
    pub fn begin() -> Self {
        Self {
            text: String::new(),
            next: Some(0),
            count: 0,
            logged: false,
        }
    }
}

/// A search for the tokens with the most streams, on its way.
#[derive(Debug, Default)]
pub struct Search {
    /// The best so far, the most first.
    pub best: Vec<(String, u64)>,
    /// Where it goes on; none at its end. It begins at 0.
    pub next: Option<usize>,
}

/// A page of those who are there, as JSON.
#[derive(Debug)]
pub struct PresencePage {
    /// The page.
    pub json: String,
    /// The id behind which the next page begins; none at the end.
    pub next: Option<ClientId>,
}

/// Joins and leaves.
#[derive(Debug)]
pub struct PresenceNews {
    /// Blocks of a stream, each with its id; before them perhaps a gap.
    pub text: String,
    /// The id to go on from.
    pub last: EventId,
}

/// Counts what was refused, by the reasons, and messages with bytes that were no UTF-8.
///
/// # Errors
/// The sequencer is gone, and with it the process.
pub async fn count(
    sequencer: &Address<Request>,
    refused: Vec<(&'static str, u64)>,
    lossy_utf8: u64,
) -> Result<(), Gone> {
    let count = |reply| Request::Count {
        refused,
        lossy_utf8,
        reply,
    };
    sequencer.call(count).await
}
