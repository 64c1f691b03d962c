//! The options as typed: each value understood, nothing decided yet.

use std::path::PathBuf;

use argh::FromArgs;
use hasses_actors::model::LogLevel;
use hasses_actors::model::mercure::{Draft, Identity};
use hasses_actors::model::retention::Rule;
use hasses_actors::model::{BusDown, Target};
use hasses_actors::net::BusUrl;
use hasses_actors::net::Door;
use hasses_actors::net::trust::Range;

use crate::failure::{short, without_login};
use crate::help;
use crate::mercure;
use crate::privileges::{self, Account};
use crate::suggest;
use crate::values;
use crate::words::{Word, is_switch};

/// What argh complains of, in the words of this program: `--option 'value': why`.
fn told(complaint: &str, arguments: &[String]) -> String {
    let complaint = complaint.trim_end();
    if complaint.ends_with(": duplicate values provided") {
        let option = complaint.split('\'').nth(1).unwrap_or_default();
        return format!("{option} is given twice; it takes one value");
    }
    let mut told = complaint.to_owned();
    if let Some(rest) = complaint.strip_prefix("Error parsing option '")
        && let Some((option, rest)) = rest.split_once("' with value ")
    {
        told = format!("{option} {rest}");
    }
    for argument in arguments {
        let shown = short(&without_login(argument));
        if shown != *argument {
            told = told.replace(argument, &shown);
        }
    }
    told
}

/// Options from one place: the command line, the config file, or old switches. What the user reads
/// about them is in `help.rs`.
#[derive(Debug, Default, FromArgs)]
pub(crate) struct Typed {
    /// where subscribers connect
    #[argh(option, from_str_fn(values::address))]
    pub(crate) listen: Vec<Door>,
    /// the URL path
    #[argh(option, from_str_fn(values::path))]
    pub(crate) path: Option<String>,
    /// where publishers connect
    #[argh(option, from_str_fn(values::address))]
    pub(crate) control: Vec<Door>,
    /// certificate
    #[argh(option, from_str_fn(values::file))]
    pub(crate) tls_cert: Option<PathBuf>,
    /// private key
    #[argh(option, from_str_fn(values::file))]
    pub(crate) tls_key: Option<PathBuf>,
    /// named pipe
    #[argh(option, from_str_fn(values::file))]
    pub(crate) fifo: Option<PathBuf>,
    /// end of a text message
    #[argh(option, from_str_fn(values::delimiter))]
    pub(crate) delimiter: Option<u8>,
    /// file with more options
    #[argh(option, from_str_fn(values::file))]
    pub(crate) config: Option<PathBuf>,
    /// only check
    #[argh(switch)]
    pub(crate) check: bool,
    /// allowed origins
    #[argh(option, from_str_fn(values::origin))]
    pub(crate) cors: Vec<String>,
    /// log file
    #[argh(option, from_str_fn(values::log))]
    pub(crate) log: Option<PathBuf>,
    /// how much is logged
    #[argh(option, from_str_fn(values::log_level))]
    pub(crate) log_level: Option<LogLevel>,
    /// pid file
    #[argh(option, from_str_fn(values::file))]
    pub(crate) pidfile: Option<PathBuf>,
    /// detach
    #[argh(switch)]
    pub(crate) daemon: bool,
    /// user to become
    #[argh(option, from_str_fn(privileges::account))]
    pub(crate) user: Option<Account>,
    /// a new GET replaces the subscription
    #[argh(switch)]
    pub(crate) reinit: bool,
    /// seconds of silence
    #[argh(option, from_str_fn(values::heartbeat))]
    pub(crate) heartbeat: Option<u64>,
    /// milliseconds
    #[argh(option, from_str_fn(values::retry))]
    pub(crate) retry: Option<u32>,
    /// anyone may subscribe to all
    #[argh(switch)]
    pub(crate) allow_all: bool,
    /// owner group of what is made
    #[argh(option, from_str_fn(privileges::group))]
    pub(crate) group: Option<u32>,
    /// share the ports
    #[argh(switch)]
    pub(crate) reuse_port: bool,
    /// what subscribers prove their rights with
    #[argh(option, from_str_fn(values::file))]
    pub(crate) subscribe_key: Vec<PathBuf>,
    /// events kept
    #[argh(option, from_str_fn(values::count))]
    pub(crate) history: Option<usize>,
    /// bytes kept
    #[argh(option, from_str_fn(values::history_bytes))]
    pub(crate) history_bytes: Option<usize>,
    /// seconds kept
    #[argh(option, from_str_fn(values::age))]
    pub(crate) history_age: Option<u64>,
    /// other limits for some
    #[argh(option, from_str_fn(Rule::parse))]
    pub(crate) history_for: Vec<Rule>,
    /// file that keeps them
    #[argh(option, from_str_fn(values::file))]
    pub(crate) history_file: Option<PathBuf>,
    /// most clients
    #[argh(option, from_str_fn(values::clients))]
    pub(crate) max_clients: Option<usize>,
    /// most clients of one address
    #[argh(option, from_str_fn(values::count))]
    pub(crate) max_clients_per_ip: Option<usize>,
    /// bits of an IPv6 address that count
    #[argh(option, from_str_fn(values::ip6_prefix))]
    pub(crate) ip6_prefix: Option<u8>,
    /// most tokens of a subscription
    #[argh(option, from_str_fn(values::tokens))]
    pub(crate) max_tokens: Option<usize>,
    /// bytes that may wait for all
    #[argh(option, from_str_fn(values::total_bytes))]
    pub(crate) total_buffer: Option<usize>,
    /// tokens of which it is known who is there
    #[argh(option, from_str_fn(values::presence))]
    pub(crate) presence: Vec<Target>,
    /// seconds until who went is gone
    #[argh(option, from_str_fn(values::grace))]
    pub(crate) presence_grace: Option<u64>,
    /// proxies that are believed
    #[argh(option, from_str_fn(values::range))]
    pub(crate) trust_proxy: Vec<Range>,
    /// longest message
    #[argh(option, from_str_fn(values::bytes))]
    pub(crate) max_message: Option<usize>,
    /// bytes that may wait
    #[argh(option, from_str_fn(values::bytes))]
    pub(crate) client_buffer: Option<usize>,
    /// several nodes as one
    #[argh(option, from_str_fn(values::bus))]
    pub(crate) bus: Option<BusUrl>,
    /// messages while it is away
    #[argh(option, from_str_fn(values::bus_down))]
    pub(crate) bus_down: Option<BusDown>,
    /// also a Mercure hub
    #[argh(option, from_str_fn(mercure::url))]
    pub(crate) mercure: Option<Identity>,
    /// what its publishers' tokens are signed with
    #[argh(option, from_str_fn(values::file))]
    pub(crate) mercure_publish_key: Vec<PathBuf>,
    /// what its subscribers' tokens are signed with
    #[argh(option, from_str_fn(values::file))]
    pub(crate) mercure_subscribe_key: Vec<PathBuf>,
    /// whose tokens hold
    #[argh(option, from_str_fn(mercure::issuer))]
    pub(crate) mercure_issuer: Vec<String>,
    /// public updates need no token
    #[argh(switch)]
    pub(crate) mercure_anonymous: bool,
    /// subscriptions API
    #[argh(switch)]
    pub(crate) mercure_subscriptions: bool,
    /// pages that may send credentials
    #[argh(option, from_str_fn(mercure::origin))]
    pub(crate) mercure_origin: Vec<String>,
    /// cookie's name
    #[argh(option, from_str_fn(mercure::cookie))]
    pub(crate) mercure_cookie: Option<String>,
    /// one draft alone
    #[argh(option, from_str_fn(mercure::version))]
    pub(crate) mercure_version: Option<Draft>,
    /// further Host names
    #[argh(option, from_str_fn(values::host))]
    pub(crate) control_host: Vec<String>,
    /// what publishers must know
    #[argh(option, from_str_fn(values::file))]
    pub(crate) control_secret: Option<PathBuf>,
    /// what opens the figures
    #[argh(option, from_str_fn(values::file))]
    pub(crate) watch_secret: Option<PathBuf>,
    /// most publishers
    #[argh(option, from_str_fn(values::publishers))]
    pub(crate) max_publishers: Option<usize>,
}

impl Typed {
    /// Understands the options among `words`; others in it are passed over.
    pub(crate) fn parse(words: &[Word]) -> Result<Self, String> {
        let mut arguments = Vec::new();
        for word in words {
            let Word::Option { name, value } = word else {
                continue;
            };
            if !help::options().any(|option| option.name == name) {
                return Err(suggest::no_option(name));
            }
            arguments.push(format!("--{name}"));
            match value {
                Some(_) if is_switch(name) => return Err(format!("--{name} takes no value")),
                Some(value) => arguments.push(value.clone()),
                None if is_switch(name) => {}
                None => return Err(format!("--{name} needs a value")),
            }
        }
        let borrowed: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Self::from_args(&["hasses"], &borrowed).map_err(|exit| told(&exit.output, &arguments))
    }

    /// These options, and where they say nothing those of `lower`.
    pub(crate) fn over(self, lower: Self) -> Self {
        fn list<T>(upper: Vec<T>, lower: Vec<T>) -> Vec<T> {
            if upper.is_empty() { lower } else { upper }
        }
        Self {
            listen: list(self.listen, lower.listen),
            path: self.path.or(lower.path),
            control: list(self.control, lower.control),
            tls_cert: self.tls_cert.or(lower.tls_cert),
            tls_key: self.tls_key.or(lower.tls_key),
            fifo: self.fifo.or(lower.fifo),
            delimiter: self.delimiter.or(lower.delimiter),
            config: self.config.or(lower.config),
            check: self.check || lower.check,
            cors: list(self.cors, lower.cors),
            log: self.log.or(lower.log),
            log_level: self.log_level.or(lower.log_level),
            pidfile: self.pidfile.or(lower.pidfile),
            daemon: self.daemon || lower.daemon,
            user: self.user.or(lower.user),
            reinit: self.reinit || lower.reinit,
            heartbeat: self.heartbeat.or(lower.heartbeat),
            retry: self.retry.or(lower.retry),
            allow_all: self.allow_all || lower.allow_all,
            group: self.group.or(lower.group),
            reuse_port: self.reuse_port || lower.reuse_port,
            subscribe_key: list(self.subscribe_key, lower.subscribe_key),
            history: self.history.or(lower.history),
            history_bytes: self.history_bytes.or(lower.history_bytes),
            history_age: self.history_age.or(lower.history_age),
            history_for: list(self.history_for, lower.history_for),
            history_file: self.history_file.or(lower.history_file),
            max_clients: self.max_clients.or(lower.max_clients),
            max_clients_per_ip: self.max_clients_per_ip.or(lower.max_clients_per_ip),
            ip6_prefix: self.ip6_prefix.or(lower.ip6_prefix),
            max_tokens: self.max_tokens.or(lower.max_tokens),
            total_buffer: self.total_buffer.or(lower.total_buffer),
            presence: list(self.presence, lower.presence),
            presence_grace: self.presence_grace.or(lower.presence_grace),
            trust_proxy: list(self.trust_proxy, lower.trust_proxy),
            max_message: self.max_message.or(lower.max_message),
            client_buffer: self.client_buffer.or(lower.client_buffer),
            bus: self.bus.or(lower.bus),
            bus_down: self.bus_down.or(lower.bus_down),
            mercure: self.mercure.or(lower.mercure),
            mercure_publish_key: list(self.mercure_publish_key, lower.mercure_publish_key),
            mercure_subscribe_key: list(self.mercure_subscribe_key, lower.mercure_subscribe_key),
            mercure_issuer: list(self.mercure_issuer, lower.mercure_issuer),
            mercure_anonymous: self.mercure_anonymous || lower.mercure_anonymous,
            mercure_subscriptions: self.mercure_subscriptions || lower.mercure_subscriptions,
            mercure_origin: list(self.mercure_origin, lower.mercure_origin),
            mercure_cookie: self.mercure_cookie.or(lower.mercure_cookie),
            mercure_version: self.mercure_version.or(lower.mercure_version),
            control_host: list(self.control_host, lower.control_host),
            control_secret: self.control_secret.or(lower.control_secret),
            watch_secret: self.watch_secret.or(lower.watch_secret),
            max_publishers: self.max_publishers.or(lower.max_publishers),
        }
    }
}
