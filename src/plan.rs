//! The options as meant: command line, config file, environment and defaults brought together.

use std::mem::take;
use std::path::{self, Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::time::Duration;

use hasses_actors::Config;
use hasses_actors::config::{About, Bus, Fifo, LogTarget, Mercure, SubscribeAll};
use hasses_actors::model::{BusDown, Cors, LogLevel};
use hasses_actors::net::BusUrl;
use hasses_actors::net::identity::Files;
use hasses_actors::net::trust::Trusted;
use hasses_actors::net::{Door, Endpoint};

use crate::failure::Failure;
use crate::files;
use crate::legacy;
use crate::mercure::{self, KeyFiles, environment};
use crate::overlaps;
use crate::privileges::Account;
use crate::retention;
use crate::room::Room;
use crate::source::Source;
use crate::typed::Typed;

/// Where subscribers connect by default.
const LISTEN: &str = "127.0.0.1:8080";
/// Where publishers connect by default.
pub(crate) const CONTROL: &str = "127.0.0.1:8085";

/// Whoever names a certificate must not find that all goes in plain text.
const NO_TLS: &str = "--tls-cert: no address has TLS; write tls: in front of one, \
                      as in --listen tls:[::]:443";

/// A start, with everything decided.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What the actors get.
    pub(crate) config: Config,
    /// Where subscribers connect.
    pub(crate) listen: Addresses,
    /// Where publishers connect.
    pub(crate) control: Addresses,
    /// The certificate for addresses with TLS, if there are any, and its key; as they were typed.
    pub(crate) tls: Option<Files>,
    /// Whether other processes may listen on the same ports.
    pub(crate) reuse_port: bool,
    /// The mode of the FIFO, if it has to be made.
    pub(crate) fifo_mode: u32,
    /// Where the process id is written.
    pub(crate) pidfile: Option<PathBuf>,
    /// Whether to leave the terminal.
    pub(crate) detach: bool,
    /// The user to become.
    pub(crate) user: Option<Account>,
    /// The files of the subscribers' keys.
    pub(crate) subscribe_keys: Vec<PathBuf>,
    /// Where the keys of the Mercure hub are.
    pub(crate) mercure_keys: KeyFiles,
    /// The owner group of FIFO and Unix sockets.
    pub(crate) group: Option<u32>,
    /// Whether a log file of root's is handed over to the user: old command lines expect that.
    pub(crate) hands_log_over: bool,
    /// The file with more options.
    pub(crate) config_file: Option<PathBuf>,
    /// The file with the secret of the publishers, as it was named.
    pub(crate) control_secret: Option<PathBuf>,
    /// The file with the secret that opens the figures, as it was named.
    pub(crate) watch_secret: Option<PathBuf>,
}

impl Plan {
    /// Decides everything that the command line and the config file leave open.
    ///
    /// # Errors
    /// Two options contradict each other, or one lacks another.
    pub(crate) fn of(line: Source, file: Source) -> Result<Self, Failure> {
        let Merged {
            mut all,
            old,
            detach,
            certificate_typed,
            mut environment,
        } = merged(line, file)?;
        let place = |path: PathBuf| absolute(path, detach);
        let mercure = mercure::plan(&mut all, &mut environment, place)?;
        let (mercure, mercure_keys) = mercure.unzip();
        let default = match (&all.fifo, old) {
            (Some(_), _) => None,
            (None, true) => Some(legacy::CONTROL),
            (None, false) => Some(CONTROL),
        };
        let listen = addresses(take(&mut all.listen), Some(LISTEN), detach)?;
        let control = addresses(take(&mut all.control), default, detach)?;
        if !all.reuse_port {
            overlaps::addresses(&listen.doors, &control.doors).map_err(Failure::usage)?;
        }
        let mut doors = listen.doors.iter().chain(&control.doors);
        let tls = match doors.find(|door| door.tls) {
            Some(door) => Some(tls_files(door, all.tls_cert.take(), all.tls_key.take())?),
            // Old switches had an effect only beside `-ssl`.
            None if certificate_typed => return Err(Failure::usage(NO_TLS)),
            None => None,
        };
        let mut config = config(&mut all, mercure, old, detach)?;
        config.encrypted = listen.doors.iter().any(|door| door.tls);
        config.warnings.extend(environment.notes);
        let plan = Self {
            config,
            listen,
            control,
            tls,
            reuse_port: all.reuse_port,
            fifo_mode: if old { 0o666 } else { 0o660 },
            pidfile: all.pidfile.map(place).transpose()?,
            detach,
            user: all.user,
            subscribe_keys: (all.subscribe_key.into_iter())
                .map(place)
                .collect::<Result<_, _>>()?,
            mercure_keys: mercure_keys.unwrap_or_default(),
            group: all.group,
            hands_log_over: old,
            // What a daemon looks for as another user, it looks for from `/`.
            config_file: all.config.map(|path| absolute(path, true)).transpose()?,
            control_secret: all.control_secret,
            watch_secret: all.watch_secret,
        };
        overlaps::paths(&plan.files()).map_err(Failure::usage)?;
        Ok(plan)
    }

    /// What is said of a log that nobody can read.
    pub(crate) fn lost_log(&self) -> Option<&'static str> {
        let lost = self.detach && matches!(self.config.log, LogTarget::Stderr);
        lost.then_some("--daemon without --log FILE: what hasses logs is lost")
    }

    /// The files that the options name, with the options, and whether hasses writes them.
    fn files(&self) -> Vec<(&'static str, &Path, bool)> {
        let log = match &self.config.log {
            LogTarget::File(path) => Some(path),
            _ => None,
        };
        let fifo = self.config.fifo.as_ref().map(|fifo| &fifo.path);
        let tls = self.tls.as_ref();
        let mut files: Vec<(&str, &Path, bool)> = [
            ("--config", self.config_file.as_ref(), false),
            ("--control-secret", self.control_secret.as_ref(), false),
            ("--watch-secret", self.watch_secret.as_ref(), false),
            ("--tls-cert", tls.map(|files| &files.cert), false),
            ("--tls-key", tls.map(|files| &files.key), false),
            ("--fifo", fifo, true),
            ("--log", log, true),
            ("--pidfile", self.pidfile.as_ref(), true),
            ("--history-file", self.config.history_file.as_ref(), true),
        ]
        .into_iter()
        .filter_map(|(option, path, writes)| Some((option, path?.as_path(), writes)))
        .collect();
        let keys = self.subscribe_keys.iter();
        files.extend(keys.map(|path| ("--subscribe-key", path.as_path(), false)));
        let keys = self.mercure_keys.files();
        files.extend(keys.map(|(option, path)| (option, path, false)));
        for (option, addresses) in [("--listen", &self.listen), ("--control", &self.control)] {
            for door in &addresses.doors {
                if let Endpoint::Unix(path) = &door.endpoint {
                    files.push((option, path, true));
                }
            }
        }
        files
    }

    /// The first file that is to be made in a folder that is not there; none if there is none.
    pub(crate) fn lacks_folder(&self) -> Option<String> {
        let mut files = self.files().into_iter().filter(|(.., writes)| *writes);
        files.find_map(|(option, path, _)| files::has_folder(option, path).err())
    }

    /// The files that SIGHUP reads again, and the options that name them.
    pub(crate) fn read_again(&self) -> Vec<(&'static str, &Path)> {
        let tls = self.config.tls.as_ref().map(|identity| &identity.files);
        let keys = self.mercure_keys.files();
        [
            ("--config", self.config_file.as_ref()),
            ("--control-secret", self.control_secret.as_ref()),
            ("--watch-secret", self.watch_secret.as_ref()),
            ("--tls-cert", tls.map(|files| &files.cert)),
            ("--tls-key", tls.map(|files| &files.key)),
        ]
        .into_iter()
        .filter_map(|(option, path)| Some((option, path?.as_path())))
        .chain(keys)
        .collect()
    }
}

/// Where to listen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The addresses.
    pub(crate) doors: Vec<Door>,
    /// Whether somebody asked for them; a default gives way to a socket passed by systemd.
    pub(crate) asked: bool,
}

/// What all sources say, each over the next: command line, config file, environment.
struct Merged {
    all: Typed,
    /// Whether the defaults are those of the old daemon.
    old: bool,
    detach: bool,
    /// Whether new options, not old switches, name a certificate.
    certificate_typed: bool,
    environment: environment::Environment,
}

fn merged(mut line: Source, mut file: Source) -> Result<Merged, Failure> {
    let old = line.old_defaults || file.old_defaults;
    if !old && let Some(why) = line.needs_port.or(file.needs_port) {
        return Err(Failure::usage(why));
    }
    let detach = detaches(&line.new, line.foreground)
        .or(detaches(&file.new, file.foreground))
        .unwrap_or(old)
        // A container ends with its first process.
        && process::id() != 1;
    if line.tls || file.tls {
        // The old daemon's publishers came without it.
        let old = line.old.listen.iter_mut().chain(&mut file.old.listen);
        old.for_each(|door| door.tls = true);
    }
    let certificate_typed = line.new.tls_cert.is_some() || file.new.tls_cert.is_some();
    // A config file does not name another.
    let config_file = line.new.config.clone();
    let all = (line.new.over(line.old)).over(file.new.over(file.old));
    let variable = |name: &str| std::env::var(name).ok();
    let mut environment =
        environment::read(variable, all.mercure.is_some(), all.tls_cert.is_some())
            .map_err(Failure::usage)?;
    let mut all = all.over(take(&mut environment.typed));
    all.config = config_file;
    Ok(Merged {
        all,
        old,
        detach,
        certificate_typed,
        environment,
    })
}

fn log_by_default(old: bool, detach: bool) -> LogTarget {
    match (old, detach) {
        (true, true) => LogTarget::File(legacy::LOG_FILE.into()),
        (true, false) => LogTarget::Stdout,
        (false, _) => LogTarget::Stderr,
    }
}

fn subscribe_all(all: &Typed, old: bool) -> SubscribeAll {
    if all.allow_all || !all.subscribe_key.is_empty() {
        SubscribeAll::Anyone
    } else if old {
        SubscribeAll::LiveOnly
    } else {
        SubscribeAll::Nobody
    }
}

/// Whether the pages that the old daemon did not have are shut: with old switches, unless an option says
/// who may see them.
fn shuts_windows(all: &Typed, old: bool) -> bool {
    old && all.control_secret.is_none() && all.watch_secret.is_none() && all.control_host.is_empty()
}

/// What the actors get. Takes what it uses out of `all`.
fn config(
    all: &mut Typed,
    mercure: Option<Mercure>,
    old: bool,
    detach: bool,
) -> Result<Config, Failure> {
    let place = |path: PathBuf| absolute(path, detach);
    let room = Room::of(all);
    Ok(Config {
        path: all.path.take().unwrap_or_else(|| "/sse".to_owned()),
        cors: cors(take(&mut all.cors))?,
        delimiter: all.delimiter.unwrap_or(b';'),
        max_message: all.max_message.unwrap_or(1 << 20),
        max_connections: room.connections,
        max_clients: room.clients,
        max_publishers: room.publishers,
        max_clients_per_ip: all.max_clients_per_ip.and_then(unless_zero),
        ip6_prefix: all.ip6_prefix.unwrap_or(64),
        max_tokens: all.max_tokens.unwrap_or(256),
        total_buffer: all.total_buffer.unwrap_or(256 << 20),
        trust_proxy: Trusted(take(&mut all.trust_proxy)),
        history: retention::policy(
            all.history,
            all.history_age,
            all.history_bytes,
            take(&mut all.history_for),
        )?,
        history_file: all.history_file.take().map(place).transpose()?,
        bus: bus(all.bus.take(), all.bus_down)?,
        mercure: mercure.map(Arc::new),
        client_buffer: all.client_buffer.unwrap_or(1 << 20),
        heartbeat: unless_zero(all.heartbeat.unwrap_or(15)).map(Duration::from_secs),
        retry: unless_zero(all.retry.unwrap_or(3000)),
        presence: take(&mut all.presence),
        presence_grace: Duration::from_secs(all.presence_grace.unwrap_or(10)),
        subscribe_all: subscribe_all(all, old),
        reinit: all.reinit,
        silence_ends_message: old,
        shut_windows: shuts_windows(all, old),
        control_hosts: take(&mut all.control_host),
        log_level: all.log_level.unwrap_or(LogLevel::Normal),
        log: match all.log.take() {
            Some(path) => LogTarget::File(place(path)?),
            None => log_by_default(old, detach),
        },
        fifo: (all.fifo.take().map(place).transpose()?).map(|path| Fifo { path }),
        about: About {
            version: env!("CARGO_PKG_VERSION"),
            compiled: env!("HASSES_COMPILED"),
            user: all.user.as_ref().map(|user| user.asked.clone()),
        },
        warnings: room.warnings,
        // What files hold is read when they are opened.
        subscribe_keys: None,
        tls: None,
        encrypted: false,
        control_secret: None,
        watch_secret: None,
        reread: None,
        greeting: None,
    })
}

/// Zero switches some things off.
fn unless_zero<T: Default + PartialEq>(number: T) -> Option<T> {
    (number != T::default()).then_some(number)
}

/// Whether one source says that hasses detaches; none if it says nothing.
fn detaches(new: &Typed, foreground: bool) -> Option<bool> {
    match (new.daemon, foreground) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

/// The path as it is found from `/`, where a daemon lives.
fn absolute(path: PathBuf, detach: bool) -> Result<PathBuf, Failure> {
    if !detach {
        return Ok(path);
    }
    path::absolute(&path).map_err(|error| Failure::start(format!("{}: {error}", path.display())))
}

/// The files that TLS at `door` needs.
fn tls_files(door: &Door, cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Files, Failure> {
    let lacks = |what| Failure::usage(format!("{door}: TLS there needs {what}"));
    Ok(Files {
        cert: cert.ok_or_else(|| lacks("--tls-cert FILE (old: -cert-file=FILE)"))?,
        key: key.ok_or_else(|| lacks("--tls-key FILE (old: -privatekey-file=FILE)"))?,
    })
}

fn addresses(asked: Vec<Door>, default: Option<&str>, detach: bool) -> Result<Addresses, Failure> {
    if asked.is_empty() {
        let default = default.map(str::parse).transpose();
        let doors = Vec::from_iter(default.map_err(Failure::start)?);
        return Ok(Addresses {
            doors,
            asked: false,
        });
    }
    let mut doors: Vec<Door> = Vec::new();
    for Door { endpoint, tls } in asked {
        let endpoint = match endpoint {
            Endpoint::Unix(path) => {
                let path = absolute(path, detach)?;
                Endpoint::unix(&path)
                    .map_err(|why| Failure::usage(format!("unix:{}: {why}", path.display())))?
            }
            endpoint => endpoint,
        };
        match doors.iter().find(|door| door.endpoint == endpoint) {
            None => doors.push(Door { endpoint, tls }),
            Some(door) if door.tls == tls => {}
            Some(_) => {
                let why = format!("{endpoint} is given twice, with TLS and without");
                return Err(Failure::usage(why));
            }
        }
    }
    Ok(Addresses { doors, asked: true })
}

fn bus(url: Option<BusUrl>, down: Option<BusDown>) -> Result<Option<Bus>, Failure> {
    match (url, down) {
        (None, Some(_)) => Err(Failure::usage(
            "--bus-down: it says what to do without the bus that --bus names; there is none",
        )),
        (url, down) => Ok(url.map(|url| Bus {
            url,
            down: down.unwrap_or(BusDown::Local),
        })),
    }
}

fn cors(mut origins: Vec<String>) -> Result<Cors, Failure> {
    origins.dedup();
    match origins.as_slice() {
        [] => Ok(Cors::Any),
        [any] if any == "*" => Ok(Cors::Any),
        several if several.iter().any(|origin| origin == "*") => Err(Failure::usage(
            "--cors: '*' means every origin; name either '*' or the origins",
        )),
        _ => Ok(Cors::Only(origins)),
    }
}
