//! The connections to Redis: one for what is written and what other nodes say, and one for the read that
//! waits.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError,
    ServerErrorKind, Value,
};

use super::entry::{self, Entry, Node};
use super::reading::RESIDUES;
use super::script::Scripts;
use crate::model::EventId;
use crate::model::deadlines::since_1970;
use crate::net::BusUrl;
use crate::runtime::Address;
use crate::wire::escape::escape;

/// How long connecting may take, and any answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a read waits for entries: shorter, so that a silent Redis is told from a quiet one.
const WAIT: Duration = Duration::from_millis(1000);
/// How far ahead of the time an id may be, in microseconds.
const DAY: u64 = 86_400_000_000;
/// A node that has not been heard of for this long does not count any more: within ten seconds, as the
/// others look every three.
const DEAD: Duration = Duration::from_secs(7);

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
            (ErrorKind::Parse, _) => (format!("what answers there is no Redis: {said}"), false),
            _ if error.is_timeout() => {
                let patience = PATIENCE.as_secs();
                (format!("no answer within {patience} seconds"), false)
            }
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
#[derive(Debug, Clone)]
pub(super) struct Heartbeat {
    /// The newest id of the stream; none where there is no stream.
    pub(super) last: Option<EventId>,
    /// For who joins: the oldest that it keeps, if any.
    pub(super) first: Option<EventId>,
    /// For who joins: whether it has what this node has read last.
    pub(super) has: bool,
    /// All nodes, by their names.
    pub(super) nodes: BTreeSet<String>,
    /// Those that are with the same run of Redis, and have nothing that the stream lacks.
    pub(super) with: BTreeSet<String>,
    pub(super) others_clients: u64,
    /// Which share of the ids is the node's own.
    pub(super) residue: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy)]
pub(super) enum Added {
    /// All is written; this is the newest id now.
    Up(EventId),
    /// Nothing is: the stream has gone back.
    Behind,
}

/// Who was asked something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Nodes that have been heard of lately, this one included.
    pub(super) nodes: u64,
    /// How many of the others listen.
    pub(super) asked: u64,
}

/// What the stream is to keep: entries that are both that new and no older than that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) from: EventId,
    pub(super) age: Duration,
}

/// An entry to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unwritten {
    /// The id that it has already, or 0.
    pub(super) id: EventId,
    /// How many items it has.
    pub(super) count: usize,
    /// Its body.
    pub(super) body: Vec<u8>,
}

/// An open link.
#[derive(Clone)]
pub(super) struct Link {
    writer: MultiplexedConnection,
    reader: MultiplexedConnection,
    scripts: Rc<Scripts>,
    stream: Rc<str>,
    nodes: Rc<str>,
    /// What the names of the nodes' channels begin with.
    channels: Rc<str>,
    node: Node,
    /// Which process of Redis this is: a restarted one, or a replica that took over, is another.
    run: Rc<str>,
}

impl Link {
    /// Connects twice, and hears from Redis on both connections: a Redis that stands still takes
    /// connections too, and nobody is to wait for it after this. What other nodes say goes to `ear`;
    /// when that is full it is lost.
    pub(super) async fn open(
        url: &BusUrl,
        scripts: Rc<Scripts>,
        node: Node,
        peers: Address<Vec<u8>>,
    ) -> Result<Self, Trouble> {
        let reader = Client::open(url.info())?;
        // In the newer protocol a connection is told of what is published while it does other things.
        let redis = url.info().redis_settings().clone();
        let redis = redis.set_protocol(ProtocolVersion::RESP3);
        let writer = Client::open(url.info().set_redis_settings(redis))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let hearing = config
            .clone()
            .set_push_sender(move |push| hear(push, &peers));
        let mut writer = writer
            .get_multiplexed_async_connection_with_config(&hearing)
            .await?;
        let channels = format!("{}:node:", url.prefix());
        writer.subscribe(format!("{channels}{node}")).await?;
        let mut reader = reader
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        let info: String = (redis::cmd("INFO").arg("server").query_async(&mut reader)).await?;
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        Ok(Self {
            writer,
            reader,
            scripts,
            stream: format!("{}:events", url.prefix()).into(),
            nodes: format!("{}:nodes", url.prefix()).into(),
            channels: channels.into(),
            node,
            run: run.unwrap_or("unknown").into(),
        })
    }

    pub(super) fn run(&self) -> Rc<str> {
        Rc::clone(&self.run)
    }

    /// Says that this node lives, and asks how the stream is.
    pub(super) async fn heartbeat(
        mut self,
        keep: Keep,
        seen: EventId,
        clients: u64,
        residue: u64,
        joining: bool,
    ) -> Result<Heartbeat, Trouble> {
        type Names = BTreeSet<String>;
        type Answer = (i64, i64, u8, Names, Names, u64, u64);
        let (last, first, has, nodes, with, others_clients, residue): Answer = self
            .scripts
            .heartbeat
            .key(&*self.stream)
            .key(&*self.nodes)
            .arg(keep.from.0)
            .arg(keep.age.as_micros() as u64)
            .arg(seen.0)
            .arg(self.node.to_string())
            .arg(clients)
            .arg(DEAD.as_micros() as u64)
            .arg(u8::from(joining))
            .arg(residue)
            .arg(RESIDUES)
            .arg(&*self.run)
            .invoke_async(&mut self.writer)
            .await?;
        let id = |number: i64| u64::try_from(number).ok().map(EventId);
        Ok(Heartbeat {
            last: id(last),
            first: id(first),
            has: has > 0,
            nodes,
            with,
            others_clients,
            residue,
        })
    }

    /// Says that this node ends.
    pub(super) async fn leave(mut self) -> Result<(), Trouble> {
        let mut forget = redis::cmd("HDEL");
        forget.arg(&*self.nodes).arg(self.node.to_string());
        Ok(forget.query_async(&mut self.writer).await?)
    }

    /// Tells all other nodes something.
    pub(super) async fn ask(mut self, what: String) -> Result<Asked, Trouble> {
        let mut call = self.scripts.ask.key(&*self.nodes);
        call.arg(self.node.to_string()).arg(DEAD.as_micros() as u64);
        call.arg(&*self.channels).arg(what);
        let (nodes, asked) = call.invoke_async(&mut self.writer).await?;
        Ok(Asked { nodes, asked })
    }

    /// Tells one node something, if it listens.
    pub(super) async fn tell(mut self, node: Node, what: String) -> Result<(), Trouble> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(format!("{}{node}", self.channels)).arg(what);
        Ok(publish.query_async::<()>(&mut self.writer).await?)
    }

    /// Adds entries.
    pub(super) async fn add(
        mut self,
        keep: Keep,
        seen: EventId,
        given: EventId,
        entries: Vec<Unwritten>,
    ) -> Result<Added, Trouble> {
        let mut call = self.scripts.add.key(&*self.stream);
        call.arg(keep.from.0).arg(keep.age.as_micros() as u64);
        call.arg(seen.0).arg(given.0);
        for Unwritten { id, count, body } in &entries {
            call.arg(id.0).arg(*count).arg(body);
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

    /// Adds a gap marker that is newer than everything.
    pub(super) async fn gap_marker(
        &mut self,
        given: EventId,
        live: bool,
    ) -> Result<EventId, Trouble> {
        let id: u64 = self
            .scripts
            .gap_marker
            .key(&*self.stream)
            .arg(given.0)
            .arg(entry::gap_marker(self.node, live))
            .invoke_async(&mut self.writer)
            .await?;
        Ok(EventId(id))
    }

    /// At most `count` entries newer than `after`: at once, or, with `wait`, when there are any or a
    /// second has passed.
    pub(super) async fn read(
        mut self,
        after: EventId,
        count: usize,
        wait: bool,
    ) -> Result<Vec<Entry>, Trouble> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(count);
        if wait {
            command.arg("BLOCK").arg(WAIT.as_millis() as u64);
        }
        command
            .arg("STREAMS")
            .arg(&*self.stream)
            // Entries with the same number that are no `-0` are none of ours.
            .arg(format!("{}-{}", after.0, u64::MAX));
        let answer: Value = command.query_async(&mut self.reader).await?;
        let entries = entry::entries(answer)
            .ok_or_else(|| Trouble::new("what answers there is no stream of hasses"))?;
        let latest = since_1970().as_micros() as u64 + DAY;
        if entries.iter().any(|entry| entry.id.0 > latest) {
            // Nothing could be added behind it. Whether it is too far ahead Redis' own time decides.
            let clean = self.scripts.clean.key(&*self.stream);
            let _last: i64 = clean.invoke_async(&mut self.writer).await?;
        }
        Ok(entries)
    }
}

/// Passes on what another node says; whether it has been heard nobody is told.
fn hear(push: PushInfo, peers: &Address<Vec<u8>>) -> Result<(), Unheard> {
    if push.kind == PushKind::Message
        && let Some(Value::BulkString(said)) = push.data.into_iter().nth(1)
    {
        peers.try_send(said).map_err(|_| Unheard)?;
    }
    Ok(())
}

/// What another node said was lost here.
struct Unheard;

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
    match info.query::<Value>(&mut connection) {
        // There need not be a stream yet.
        Err(error) if error.detail() != Some("no such key") => Err(error.into()),
        _ => Ok(()),
    }
}
