//! The running system of hasses: who sends what to whom.
//!
//! ```text
//!   subscribers                                               publishers
//!       │ sockets                                  FIFO │   TCP, Unix │ HTTP
//!       ▼                                               ▼             ▼
//!   listener ──Arrived──▶ ┌────────────┐ ◀──Publish── fifo    control + one for
//!   client   ─Subscribe─▶ │  registry  │ ◀──Execute─── (intake)  each connection
//!            ──Exited───▶ └────────────┘ ◀──Tick────── clock
//!   client   ◀──Event────┘      │ ──Keep──▶ archive (history file)
//!    (one for each)             ▼
//!                            logger ◀── lines from all        signals ──Stop──▶ supervisor
//! ```
//!
//! One message, in five files: bytes come to [`fifo`] or [`control`]; [`wire::text`] and
//! [`wire::command`] make a [`model::Publication`] of them; [`registry`] gives it its id and asks
//! [`registry::routes`] for the recipients; [`wire::sse`] encodes it once; each [client][`clients::life`] gets it as
//! [`clients::life::Message::Event`] and writes it. Before a client is subscribed, [`auth`] decides whether it
//! may read what it asks for.
//!
//! # Who waits for whom
//!
//! Awaited sends form a graph without circles, so waiting always ends: publishers' actors wait for
//! the registry's answer to each batch (so pressure reaches the writer, and all have their turns), the
//! registry waits for the clients to have had their turns ([`clients::ClientPool::ready`]), clients wait for
//! nobody. The registry never waits for one client: a full one is disconnected. The logger is only
//! offered lines, and the archive events. With `--bus` the [`bus`] stands between publishers' actors and
//! the registry, takes the same messages and waits for its answers.
//!
//! # Two homes, one thread
//!
//! Service actors are tasks under a [`runtime::supervisor`]; clients, of which there are very many, live in
//! [`clients`]; [`runtime::executor`] runs both. What actors promise one another stands in [`runtime`].

pub mod archive;
pub mod auth;
pub mod bus;
pub mod clients;
pub mod clock;
pub mod config;
pub mod control;
pub mod fifo;
pub mod intake;
pub mod listener;
pub mod logger;
pub mod model;
pub mod net;
pub mod notify;
pub mod registry;
pub mod runtime;
pub mod signals;
pub mod wire;

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use smol::LocalExecutor;

use archive::Archive;
use clients::ClientPool;
use clients::life::Context;
pub use config::Config;
use config::Settings;
use futures_lite::FutureExt;
use registry::{ClientMessage, Kept, Registry};
use runtime::supervisor::{Spawner, Stage, Supervisor};
use runtime::{Address, Failure, executor, unbounded};

/// How long a stop may take.
const STOP_TIME: Duration = Duration::from_secs(5);
/// The listening sockets, opened by the shell.
#[derive(Debug)]
pub struct Sockets {
    /// Where subscribers connect.
    pub subscribers: Vec<net::Bound>,
    /// Where publishers connect.
    pub publishers: Vec<net::Bound>,
}

/// Runs until SIGTERM or SIGINT, and returns when everything has ended in order. `ready` is called
/// once everything answers.
///
/// # Errors
/// What cannot be opened at the start, or what an actor died of without which nothing goes on.
pub fn run(config: Config, sockets: Sockets, ready: Box<dyn FnOnce()>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure(error.to_string());
    let (log, logger) = logger::install(&config.log, config.log_level).map_err(failed)?;
    logger::install_panic_hook(log.clone());
    let services = Rc::new(LocalExecutor::new());
    let supervisor = Supervisor::new(Rc::clone(&services));
    let spawner = supervisor.spawner();

    let settings = Settings::new(config);
    let config = settings.now();
    executor::prepare();
    let (registry, inbox) = unbounded();
    let (clients, arrivals) = unbounded();
    let exits = clients.clone();
    let awaiting_request = (config.max_connections / 4).clamp(16, 4096);
    let pool = ClientPool::new(config.client_buffer, awaiting_request, move |key, end| {
        // Refused only when the registry is gone, and with it the process.
        let _gone = exits.try_send(ClientMessage::Exited { key, end });
    })
    .map_err(failed)?;
    let reinit = Rc::new(Cell::new(config.reinit));
    let context = Rc::new(Context {
        settings: Rc::clone(&settings),
        registry: clients,
        reinit: Rc::clone(&reinit),
    });

    spawner.vital("logger", Stage::Log, |stop| logger.run(stop));
    let kept = match &config.history_file {
        None => None,
        Some(path) => Some(open_archive(path, &config, &spawner)?),
    };
    let figures = config
        .bus
        .as_ref()
        .map(|_| Rc::new(model::BusFigures::default()));
    // A bus that has nothing gets what the file had.
    let recovered = figures.as_ref().and(kept.as_ref());
    let recovered =
        recovered.map(|Kept { recovered, .. }| (recovered.records.clone(), recovered.since));
    let decides = Registry::new(
        Rc::clone(&settings),
        Rc::clone(&pool),
        reinit,
        log.clone(),
        kept,
        figures.clone(),
    );
    let position = decides.stands_at();
    spawner.vital("registry", Stage::Delivery, |stop| {
        decides.run(arrivals, inbox, stop)
    });
    let hangup = signals::Hangup {
        logger: log.address(),
        registry: registry.clone(),
        reread: config.reread.clone(),
    };
    watch(&spawner, &pool, &settings, &registry, hangup);
    listen(&spawner, sockets.subscribers, &pool, &context);
    let (opened, open) = runtime::cancellation();
    let taker = match (&config.bus, figures) {
        (Some(bus), Some(figures)) => {
            let parts = bus::Parts {
                url: bus.url.clone(),
                down: bus.down,
                settings: Rc::clone(&settings),
                registry,
                figures,
                position,
                opened,
                recovered: recovered.unwrap_or((Vec::new(), model::EventId(0))),
            };
            let (address, inbox) = unbounded();
            spawner.vital("bus", Stage::Delivery, |stop| {
                bus::Bus::new(parts, inbox).run(stop)
            });
            address
        }
        _ => {
            opened.cancel();
            registry
        }
    };
    take_in(&spawner, sockets.publishers, &settings, &taker);

    // The last to start, so that it speaks when all others have.
    spawner.temporary("announcement", Stage::Intake, |stop| {
        announce(config, ready, open, stop)
    });
    executor::run(&services, &pool, supervisor.run(STOP_TIME))
}

/// Opens the history file and starts who writes it.
fn open_archive(path: &Path, config: &Config, spawner: &Spawner) -> Result<Kept, Failure> {
    let opened = Archive::open(path, config.history);
    let named = |why: Failure| Failure(format!("--history-file: {}", why.0));
    let (archive, recovered) = opened.map_err(named)?;
    for note in &recovered.notes {
        log::warn!("{note}");
    }
    let (handle, mailbox) = archive.mailbox();
    spawner.vital("archive", Stage::Store, |stop| archive.run(mailbox, stop));
    Ok(Kept {
        recovered,
        archive: handle,
    })
}

/// Starts who watches: sockets' readiness, time, signals, the service manager.
fn watch(
    spawner: &Spawner,
    pool: &Rc<ClientPool>,
    settings: &Rc<Settings>,
    registry: &Address<registry::Message>,
    hangup: signals::Hangup,
) {
    let pool = Rc::clone(pool);
    spawner.vital("reactor", Stage::Watch, |stop| async move {
        let stopped = async {
            stop.cancelled().await;
            Ok(())
        };
        pool.watch()
            .or(stopped)
            .await
            .map_err(|error| Failure(error.to_string()))
    });
    let (settings, registry) = (Rc::clone(settings), registry.clone());
    spawner.permanent("clock", Stage::Watch, move |stop| {
        clock::run(Rc::clone(&settings), registry.clone(), stop)
    });
    let supervisor = spawner.supervisor();
    spawner.permanent("signals", Stage::Watch, move |stop| {
        signals::run(supervisor.clone(), hangup.clone(), stop)
    });
    spawner.permanent("watchdog", Stage::Watch, notify::watchdog);
}

/// Tells everyone who waits for it that everything answers.
async fn announce(
    config: Rc<Config>,
    ready: Box<dyn FnOnce()>,
    open: runtime::CancellationToken,
    stop: runtime::CancellationToken,
) -> Result<(), Failure> {
    open.cancelled().or(stop.cancelled()).await;
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    if let Some(greeting) = &config.greeting {
        // To a person at a terminal; when nobody is there, nothing is lost.
        let _nobody = io::stderr().write_all(greeting.as_bytes());
    }
    ready();
    notify::announce(stop).await
}

/// Starts a listener for each address where subscribers connect.
fn listen(
    spawner: &Spawner,
    sockets: Vec<net::Bound>,
    pool: &Rc<ClientPool>,
    context: &Rc<Context>,
) {
    for bound in sockets {
        let name = format!("listener {}", bound.address());
        let (bound, pool, context) = (Rc::new(bound), Rc::clone(pool), Rc::clone(context));
        spawner.permanent(name, Stage::Intake, move |stop| {
            listener::run(
                Rc::clone(&bound),
                Rc::clone(&pool),
                Rc::clone(&context),
                stop,
            )
        });
    }
}

/// Starts the ways on which messages come in.
fn take_in(
    spawner: &Spawner,
    sockets: Vec<net::Bound>,
    settings: &Rc<Settings>,
    registry: &Address<registry::Message>,
) {
    for bound in sockets {
        let name = format!("control {}", bound.address());
        let (bound, settings, registry) = (Rc::new(bound), Rc::clone(settings), registry.clone());
        let connections = spawner.clone();
        spawner.permanent(name, Stage::Intake, move |stop| {
            let (bound, settings) = (Rc::clone(&bound), Rc::clone(&settings));
            control::run(bound, settings, registry.clone(), connections.clone(), stop)
        });
    }
    if let Some(fifo) = settings.now().fifo.clone() {
        let (settings, registry) = (Rc::clone(settings), registry.clone());
        let replaced = spawner.clone();
        spawner.permanent(
            format!("FIFO {}", fifo.path.display()),
            Stage::Intake,
            move |stop| {
                fifo::run(
                    Rc::clone(&settings),
                    fifo.path.clone(),
                    registry.clone(),
                    replaced.clone(),
                    stop,
                )
            },
        );
    }
}
