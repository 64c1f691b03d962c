//! The connections to Redis: one for what is written and what other nodes say, and one for the read that
//! waits.

mod answer;
mod script;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ErrorKind, ProtocolVersion, PushInfo, PushKind, RedisError,
    ServerErrorKind, Value,
};

pub(super) use script::Scripts;

use super::entry::{Entry, Node, VERSION};
use super::log::{
    AHEAD, Add, Added, Asked, DEAD, Log, Meet, Met, RESIDUES, Read, Trouble, Unwritten,
};
use crate::model::EventId;
use crate::model::deadlines::since_1970;
use crate::net::BusUrl;
use crate::runtime::Address;
use crate::wire::escape::escape;

/// How long connecting may take, and any answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How long a read waits for entries: shorter, so that a silent Redis is told from a quiet one.
const WAIT: Duration = Duration::from_millis(1000);
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
        if wrong {
            Self::wrong(&text)
        } else {
            Self::new(&text)
        }
    }
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
        let info: String = (::redis::cmd("INFO").arg("server").query_async(&mut reader)).await?;
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

    /// Which process of Redis this is.
    pub(super) fn run(&self) -> Rc<str> {
        Rc::clone(&self.run)
    }
}

impl Log for Link {
    async fn meet(&mut self, meet: Meet) -> Result<Met, Trouble> {
        type Names = BTreeSet<String>;
        type Answer = (i64, i64, u8, Names, Names, u64, u64, u8);
        let (last, first, has, nodes, with, others_clients, residue, version): Answer = self
            .scripts
            .heartbeat
            .key(&*self.stream)
            .key(&*self.nodes)
            .arg(meet.keep.from.0)
            .arg(meet.keep.age.as_micros() as u64)
            .arg(meet.seen.0)
            .arg(self.node.to_string())
            .arg(meet.clients)
            .arg(DEAD.as_micros() as u64)
            .arg(u8::from(meet.joining))
            .arg(meet.residue)
            .arg(RESIDUES)
            .arg(&*self.run)
            .arg(VERSION)
            .arg(meet.stage as u8)
            .invoke_async(&mut self.writer)
            .await?;
        let id = |number: i64| u64::try_from(number).ok().map(EventId);
        Ok(Met {
            last: id(last),
            first: id(first),
            has: has > 0,
            nodes,
            with,
            others_clients,
            residue,
            version,
        })
    }

    async fn add(&mut self, add: Add) -> Result<Added, Trouble> {
        let mut call = self.scripts.add.key(&*self.stream);
        call.arg(add.keep.from.0)
            .arg(add.keep.age.as_micros() as u64);
        call.arg(add.seen.0).arg(add.given.0);
        for Unwritten { id, count, body } in &add.entries {
            call.arg(id.0).arg(*count).arg(body);
        }
        let last: i64 = call.invoke_async(&mut self.writer).await?;
        Ok(match u64::try_from(last) {
            Ok(last) => Added::Up(EventId(last)),
            Err(_) => Added::Behind,
        })
    }

    async fn read(&mut self, read: Read) -> Result<Vec<Entry>, Trouble> {
        let mut command = ::redis::cmd("XREAD");
        command.arg("COUNT").arg(read.count);
        if read.wait {
            command.arg("BLOCK").arg(WAIT.as_millis() as u64);
        }
        command
            .arg("STREAMS")
            .arg(&*self.stream)
            // Entries with the same number that are no `-0` are none of ours.
            .arg(format!("{}-{}", read.after.0, u64::MAX));
        let answer: Value = command.query_async(&mut self.reader).await?;
        let entries = answer::entries(answer)
            .ok_or_else(|| Trouble::new("what answers there is no stream of hasses"))?;
        let latest = since_1970().as_micros() as u64 + AHEAD;
        if entries.iter().any(|entry| entry.id.0 > latest) {
            // Nothing could be added behind it. Whether it is too far ahead Redis' own time decides.
            let clean = self.scripts.clean.key(&*self.stream);
            let _last: i64 = clean.invoke_async(&mut self.writer).await?;
        }
        Ok(entries)
    }

    async fn restore(&mut self, entries: Vec<Entry>) -> Result<(), Trouble> {
        let mut call = self.scripts.restore.key(&*self.stream);
        for entry in &entries {
            call.arg(entry.id.0).arg(entry.previous.0).arg(&*entry.body);
        }
        let _last: i64 = call.invoke_async(&mut self.writer).await?;
        Ok(())
    }

    async fn mark(&mut self, given: EventId, marker: Vec<u8>) -> Result<(), Trouble> {
        let mut call = self.scripts.gap_marker.key(&*self.stream);
        let _id: u64 = call
            .arg(given.0)
            .arg(marker)
            .invoke_async(&mut self.writer)
            .await?;
        Ok(())
    }

    async fn ask(&mut self, what: String) -> Result<Asked, Trouble> {
        let mut call = self.scripts.ask.key(&*self.nodes);
        call.arg(self.node.to_string()).arg(DEAD.as_micros() as u64);
        call.arg(&*self.channels).arg(what);
        let (nodes, asked) = call.invoke_async(&mut self.writer).await?;
        Ok(Asked { nodes, asked })
    }

    async fn tell(&mut self, node: Node, what: String) -> Result<(), Trouble> {
        let mut publish = ::redis::cmd("PUBLISH");
        publish.arg(format!("{}{node}", self.channels)).arg(what);
        Ok(publish.query_async::<()>(&mut self.writer).await?)
    }

    async fn leave(&mut self) -> Result<(), Trouble> {
        let mut forget = ::redis::cmd("HDEL");
        forget.arg(&*self.nodes).arg(self.node.to_string());
        Ok(forget.query_async(&mut self.writer).await?)
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
    let mut info = ::redis::cmd("XINFO");
    info.arg("STREAM").arg(format!("{}:events", url.prefix()));
    match info.query::<Value>(&mut connection) {
        // There need not be a stream yet.
        Err(error) if error.detail() != Some("no such key") => Err(error.into()),
        _ => Ok(()),
    }
}
