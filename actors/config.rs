//! What the daemon's shell hands over: everything decided, opened and checked before the actors run.

use std::cell::RefCell;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::Keys;
use crate::model::mercure::{Draft, Identity as Hub};
use crate::model::{BusDown, Cors, LogLevel, Policy, Secret, Target};
use crate::net::BusUrl;
use crate::net::identity::Identity;
use crate::net::trust::Trusted;

/// How often, where heartbeats are not so frequent that it matters.
const USUAL: Duration = Duration::from_secs(1);
/// How often where they are: a heartbeat is late by no more than this.
const OFTEN: Duration = Duration::from_millis(200);
/// The longest heartbeat that counts as frequent.
const FREQUENT: Duration = Duration::from_secs(10);

/// The settings of one running system.
#[derive(Debug, Clone)]
pub struct Config {
    /// The one URL path that subscribers are answered on, such as `/sse`.
    pub path: String,
    /// Allowed origins for subscribers' pages.
    pub cors: Cors,
    /// The ASCII byte that ends a text message or command (a newline does so too).
    pub delimiter: u8,
    /// Longest message in bytes; a longer one is refused whole.
    pub max_message: usize,
    /// How many connections of subscribers there may be, streams and others: descriptors that are
    /// left for everything else.
    pub max_connections: usize,
    /// How many streams there may be.
    pub max_clients: usize,
    /// How many connections one IP address may have; none = any number.
    pub max_clients_per_ip: Option<usize>,
    /// How many bits of an IPv6 address are counted as one address.
    pub ip6_prefix: u8,
    /// How many tokens one subscription may have.
    pub max_tokens: usize,
    /// Bytes that may wait for all clients together.
    pub total_buffer: usize,
    /// Whose word counts for where a subscriber comes from.
    pub trust_proxy: Trusted,
    /// What is kept for replay.
    pub history: Policy,
    /// The file that keeps them across restarts.
    pub history_file: Option<PathBuf>,
    /// What makes several nodes act as one.
    pub bus: Option<Bus>,
    /// The Mercure hub that this is too.
    pub mercure: Option<Arc<Mercure>>,
    /// Unsent bytes a slow client may have waiting before it is disconnected.
    pub client_buffer: usize,
    /// Silence after which a stream gets a position block; none = never. Whole seconds.
    pub heartbeat: Option<Duration>,
    /// Milliseconds of the `retry:` that opens a stream, before jitter; none = not sent.
    pub retry: Option<u32>,
    /// For which tokens it is known who is there.
    pub presence: Vec<Target>,
    /// How long a member without a stream is still there.
    pub presence_grace: Duration,
    /// Who may subscribe to `*`; with a key, anyone whom that lets.
    pub subscribe_all: SubscribeAll,
    /// What subscribers must prove what they may read with; none = any token's name will do.
    pub subscribe_keys: Option<Keys>,
    /// Whether a new GET on an open stream replaces its subscription.
    pub reinit: bool,
    /// Whether 50 ms of silence ends a text message on TCP and Unix sockets too (old switches).
    pub silence_ends_message: bool,
    /// The certificate for the addresses with TLS, if there are any.
    pub tls: Option<Identity>,
    /// Whether subscribers come by TLS, on one address at least: `status` tells it.
    pub encrypted: bool,
    /// Further `Host` names that HTTP on the control port answers to, in lower case, no port.
    pub control_hosts: Vec<String>,
    /// How many connections of publishers there may be.
    pub max_publishers: usize,
    /// Whether the pages and lists that the old daemon did not have are shut: where old switches open the
    /// control port to others, as nobody asked for them.
    pub shut_windows: bool,
    /// What opens the figures alone, besides the control secret.
    pub watch_secret: Option<Secret>,
    /// What publishers on TCP must know; none = whoever connects may publish.
    pub control_secret: Option<Secret>,
    /// How much is logged at the start; commands change it.
    pub log_level: LogLevel,
    /// Where log lines go.
    pub log: LogTarget,
    /// The FIFO to read, already made by the shell.
    pub fifo: Option<Fifo>,
    /// Facts about this program that `status` shows.
    pub about: About,
    /// How the settings are read again on SIGHUP.
    pub reread: Option<Reread>,
    /// Lines for a person who just started it in the foreground, written to stderr as they are
    /// once everything answers.
    pub greeting: Option<String>,
    /// What the administrator should know about this start, to be logged as warnings, one line each.
    pub warnings: Vec<String>,
}

/// A Mercure hub to be.
#[derive(Debug, Clone)]
pub struct Mercure {
    /// Its public URL.
    pub hub: Hub,
    /// The keys of which one must have signed a publisher's token; none = nobody publishes.
    pub publish_keys: Option<Keys>,
    /// The keys of which one must have signed a subscriber's token; none = tokens mean nothing to them.
    pub subscribe_keys: Option<Keys>,
    /// Whose tokens hold in draft 8.
    pub issuers: Vec<String>,
    /// Whether who has no token may subscribe to what is public.
    pub anonymous: bool,
    /// Whether there are the subscriptions API and its events.
    pub subscriptions: bool,
    /// Origins of pages that may send credentials, and publish by cookie.
    pub origins: Vec<String>,
    /// The name of the cookie with a token, if it is not the draft's own.
    pub cookie: Option<String>,
    /// The only draft that is spoken, if it is one alone.
    pub only: Option<Draft>,
    /// How long after a stream's end its subscriptions are told of as ended.
    pub grace: Duration,
}

impl Config {
    /// The time from one tick of the clock to the next.
    pub fn tick(&self) -> Duration {
        let often = self
            .heartbeat
            .is_some_and(|heartbeat| heartbeat <= FREQUENT);
        if often { OFTEN } else { USUAL }
    }
}

/// A bus to join.
#[derive(Debug, Clone, PartialEq)]
pub struct Bus {
    /// Where it is.
    pub url: BusUrl,
    /// What becomes of messages while it is away.
    pub down: BusDown,
}

/// What `status` says about the program itself.
#[derive(Debug, Clone)]
pub struct About {
    /// Such as `2.0.0`.
    pub version: &'static str,
    /// The day it was compiled, such as `May  7 2020`.
    pub compiled: &'static str,
    /// The user asked for with `--user`, if any.
    pub user: Option<String>,
}

/// Who may subscribe to `*`, where no key decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubscribeAll {
    /// Nobody: 403.
    Nobody,
    /// Anyone, for live events only: the old switches' rule.
    LiveOnly,
    /// Anyone.
    Anyone,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard error.
    Stderr,
    /// Standard output (old switches with `-nodaemon`).
    Stdout,
    /// A file, appended to, reopened on SIGHUP.
    File(PathBuf),
}

/// The named pipe that publishers write to.
#[derive(Debug, Clone)]
pub struct Fifo {
    /// Its path; absolute when the daemon detaches.
    pub path: PathBuf,
}

/// Reads the settings again; called off the loop, as files may be slow.
#[derive(Clone)]
pub struct Reread(pub Arc<ReadAgain>);

/// The new settings, with warnings about what only a restart can change; or what is wrong.
pub type ReadAgain = dyn Fn() -> Result<(Config, Vec<String>), String> + Send + Sync;

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reread")
    }
}

/// The settings that hold now. All actors look here each time they need one; only the registry
/// replaces them, all at once.
#[derive(Debug)]
pub struct Settings {
    now: RefCell<Rc<Config>>,
}

impl Settings {
    /// The first settings.
    pub fn new(config: Config) -> Rc<Self> {
        Rc::new(Self {
            now: RefCell::new(Rc::new(config)),
        })
    }

    /// The settings that hold now.
    pub fn now(&self) -> Rc<Config> {
        Rc::clone(&self.now.borrow())
    }

    /// The path of the Mercure hub, if there is one.
    pub fn hub_path(&self) -> Option<Rc<str>> {
        let config = self.now.borrow();
        Some(config.mercure.as_ref()?.hub.path().into())
    }

    /// Puts others in their place.
    pub fn replace(&self, config: Config) {
        *self.now.borrow_mut() = Rc::new(config);
    }
}
