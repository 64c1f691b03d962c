//! The connections to Redis: one for what is written, and one for the read that waits.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind, Value};

use super::address::BusUrl;
use super::entry::{self, Entry, Node};
use super::reading::SHARES;
use super::script::Scripts;
use crate::model::EventId;
use crate::wire::escape::escape;

/// How long connecting may take, and any answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a read waits for entries: shorter, so that a silent Redis is told from a quiet one.
const WAIT: Duration = Duration::from_millis(1000);
/// A node that has not been heard of for this long does not count any more.
const DEAD: Duration = Duration::from_secs(10);
/// About how many bytes one read may bring, and how many entries at most.
const PAGE: (usize, usize) = (4 << 20, 1000);

/// Why the bus cannot be used now.
#[derive(Debug, Clone)]
pub struct Trouble {
    text: Rc<str>,
    wrong: bool,
}

impl Trouble {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            wrong: false,
        }
    }

    /// Whether waiting will not help: the URL, or what Redis allows its user, is not right.
    pub fn is_wrong(&self) -> bool {
        self.wrong
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        let code = error.code().unwrap_or_default().to_owned();
        let said = escape(&error.to_string()).into_owned();
        let of_tls = [
            "certificate",
            "tls",
            "TLS",
            "corrupt message",
            "peer is incompatible",
        ];
        let tls = of_tls.iter().any(|part| said.contains(part));
        let (text, wrong) = match (error.kind(), code.as_str()) {
            (ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS" | "NOAUTH") => {
                (format!("Redis refuses user or password: {said}"), true)
            }
            (_, "NOPERM") => (
                format!("Redis does not allow its user enough: {said}"),
                true,
            ),
            _ if said.contains("DB index") => (format!("Redis has no such database: {said}"), true),
            (_, "WRONGTYPE") => (
                format!("a key of that prefix is something else: {said}"),
                true,
            ),
            (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => (
                format!("Redis is a replica that takes no writes: {said}"),
                false,
            ),
            (_, "UNBLOCKED") => (format!("Redis has become a replica: {said}"), false),
            (_, "OOM") => (format!("Redis has no memory left: {said}"), false),
            _ if tls => (format!("TLS failed: {said}"), true),
            _ => (said, false),
        };
        Self {
            text: text.into(),
            wrong,
        }
    }
}

/// What a meeting tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Met {
    /// The newest id of the stream; none where there is no stream.
    pub(super) last: Option<EventId>,
    /// The oldest that it keeps, if any.
    pub(super) first: Option<EventId>,
    /// Whether it has what this node has read last.
    pub(super) has: bool,
    pub(super) nodes: u64,
    pub(super) clients: u64,
    /// Which share of the ids is the node's own.
    pub(super) share: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy)]
pub(super) enum Added {
    /// All is written; this is the newest id now.
    Up(EventId),
    /// Nothing is: the stream has gone back.
    Behind,
}

/// What the stream is to keep: entries that are both that new and no older than that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) from: EventId,
    pub(super) age: Duration,
}

/// A message to be written: the id that it has already, or 0, and its body.
pub(super) type Unwritten = (EventId, Rc<[u8]>);

/// An open link.
#[derive(Clone)]
pub(super) struct Link {
    writer: MultiplexedConnection,
    reader: MultiplexedConnection,
    scripts: Rc<Scripts>,
    stream: Rc<str>,
    nodes: Rc<str>,
    node: Node,
}

impl Link {
    /// Connects twice, and hears from Redis on both connections: a Redis that stands still takes
    /// connections too, and nobody is to wait for it after this.
    pub(super) async fn open(
        url: &BusUrl,
        scripts: Rc<Scripts>,
        node: Node,
    ) -> Result<Self, Trouble> {
        let client = Client::open(url.info())?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let open = async || {
            let mut connection = client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let _pong: Value = redis::cmd("PING").query_async(&mut connection).await?;
            Ok::<_, RedisError>(connection)
        };
        Ok(Self {
            writer: open().await?,
            reader: open().await?,
            scripts,
            stream: format!("{}:events", url.prefix()).into(),
            nodes: format!("{}:nodes", url.prefix()).into(),
            node,
        })
    }

    /// Says that this node lives, and asks how the stream is.
    pub(super) async fn meet(
        mut self,
        keep: Keep,
        seen: EventId,
        clients: u64,
        share: u64,
    ) -> Result<Met, Trouble> {
        let (last, first, has, nodes, clients, share): (i64, i64, u8, u64, u64, u64) = self
            .scripts
            .meet
            .key(&*self.stream)
            .key(&*self.nodes)
            .arg(keep.from.0)
            .arg(keep.age.as_micros() as u64)
            .arg(seen.0)
            .arg(format!("{:016x}", self.node.0))
            .arg(clients)
            .arg(DEAD.as_micros() as u64)
            .arg(share)
            .arg(SHARES)
            .invoke_async(&mut self.writer)
            .await?;
        let id = |number: i64| u64::try_from(number).ok().map(EventId);
        Ok(Met {
            last: id(last),
            first: id(first),
            has: has > 0,
            nodes,
            clients,
            share,
        })
    }

    /// Adds messages.
    pub(super) async fn add(
        mut self,
        keep: Keep,
        seen: EventId,
        given: EventId,
        messages: Vec<Unwritten>,
    ) -> Result<Added, Trouble> {
        let mut call = self.scripts.add.key(&*self.stream);
        call.arg(keep.from.0).arg(keep.age.as_micros() as u64);
        call.arg(seen.0).arg(given.0);
        for (id, body) in &messages {
            call.arg(id.0).arg(&**body);
        }
        let last: i64 = call.invoke_async(&mut self.writer).await?;
        Ok(match u64::try_from(last) {
            Ok(last) => Added::Up(EventId(last)),
            Err(_) => Added::Behind,
        })
    }

    /// Adds again what the stream has lost.
    pub(super) async fn restore(&mut self, entries: &[Entry]) -> Result<(), Trouble> {
        let mut call = self.scripts.restore.key(&*self.stream);
        for entry in entries {
            call.arg(entry.id.0).arg(entry.previous.0).arg(&*entry.body);
        }
        let _last: i64 = call.invoke_async(&mut self.writer).await?;
        Ok(())
    }

    /// Adds a hole that is newer than everything.
    pub(super) async fn hole(&mut self, given: EventId, live: bool) -> Result<EventId, Trouble> {
        let id: u64 = self
            .scripts
            .hole
            .key(&*self.stream)
            .arg(given.0)
            .arg(entry::hole(self.node, live))
            .invoke_async(&mut self.writer)
            .await?;
        Ok(EventId(id))
    }

    /// Entries newer than `after`: at once, or, with `wait`, when there are any or a second has
    /// passed. They are about so many as fit, when one has about `size` bytes.
    pub(super) async fn read(
        mut self,
        after: EventId,
        size: usize,
        wait: bool,
    ) -> Result<Vec<Entry>, Trouble> {
        let count = (PAGE.0 / size.max(1)).clamp(1, PAGE.1);
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(count);
        if wait {
            command.arg("BLOCK").arg(WAIT.as_millis() as u64);
        }
        command
            .arg("STREAMS")
            .arg(&*self.stream)
            .arg(format!("{}-0", after.0));
        let answer: Value = command.query_async(&mut self.reader).await?;
        entry::entries(answer)
            .ok_or_else(|| Trouble::new("the stream has entries that hasses did not write"))
    }
}

/// Tries whether the bus can be used, without an executor of the caller's.
///
/// # Errors
/// Why it cannot; whether that will pass, [`Trouble::is_wrong`] tells.
pub fn probe(url: &BusUrl) -> Result<(), Trouble> {
    let client = Client::open(url.info())?;
    let mut connection = client.get_connection_with_timeout(PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    let mut info = redis::cmd("XINFO");
    info.arg("STREAM").arg(format!("{}:events", url.prefix()));
    match info.query::<Value>(&mut connection).map_err(Trouble::from) {
        // There need not be a stream yet.
        Err(trouble) if trouble.is_wrong() => Err(trouble),
        _ => Ok(()),
    }
}
