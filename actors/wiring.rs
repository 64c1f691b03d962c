//! Who gets whose address: all actors are made and started here.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::FutureExt;
use smol::LocalExecutor;

use crate::archive::Archive;
use crate::bus::{Bus, Parts};
use crate::clients::ClientPool;
use crate::clients::life::{self, Context};
use crate::config::{Config, Settings};
use crate::control::OpenStream;
use crate::messages::publisher::Request;
use crate::messages::registry::{FromClient, Message};
use crate::model::{BusFigures, EventId, LogLevel, Record};
use crate::net::stream::Stream;
use crate::registry::{Kept, Registry, presence};
use crate::runtime::supervisor::{Spawner, Stage, Supervisor};
use crate::runtime::{
    Address, CancellationToken, Failure, Latch, Opened, executor, latch, unbounded,
};
use crate::{clock, control, fifo, listener, logger, net, notify, signals, updates};

/// How long a stop may take.
const STOP_TIME: Duration = Duration::from_secs(5);
/// Of the connections that there may be, one in so many may be without a request, within these bounds.
const AWAITING_REQUEST: usize = 4;
const AWAITING_BOUNDS: (usize, usize) = (16, 4096);

/// The listening sockets, opened by the shell.
#[derive(Debug)]
pub struct Sockets {
    /// Where subscribers connect.
    pub subscribers: Vec<net::Bound>,
    /// Where publishers connect.
    pub publishers: Vec<net::Bound>,
}

/// What nearly every actor is made with.
struct Wiring {
    spawner: Spawner,
    settings: Rc<Settings>,
    pool: Rc<ClientPool>,
}

/// Runs until SIGTERM or SIGINT, and returns when everything has ended in order. `ready` is called
/// once everything answers.
///
/// # Errors
/// What cannot be opened at the start, or what an actor died of without which nothing goes on.
pub fn run(config: Config, sockets: Sockets, ready: Box<dyn FnOnce()>) -> Result<(), Failure> {
    let (log, logger) = logger::install(&config.log, config.log_level).map_err(failed)?;
    logger::install_panic_hook(log.clone());
    let services = Rc::new(LocalExecutor::new());
    let supervisor = Supervisor::new(Rc::clone(&services));
    let settings = Settings::new(config);
    let config = settings.now();
    executor::prepare();

    let (registry, inbox) = unbounded();
    let (requests, asked) = unbounded();
    let (to_registry, arrivals) = unbounded();
    let (updates, posted) = unbounded();
    let context = |reinit: &Rc<Cell<bool>>, inside| {
        let (registry, updates) = (to_registry.clone(), updates.clone());
        let (settings, reinit) = (Rc::clone(&settings), Rc::clone(reinit));
        Rc::new(Context::new(settings, registry, updates, reinit, inside))
    };
    let reinit = Rc::new(Cell::new(config.reinit));
    let (outside, inside) = (context(&reinit, false), context(&Rc::default(), true));
    let wiring = Wiring {
        spawner: supervisor.spawner(),
        pool: pool(&config, to_registry.clone())?,
        settings: Rc::clone(&settings),
    };
    let spawner = &wiring.spawner;

    spawner.vital("logger", Stage::Log, |stop| logger.run(stop));
    let mut deciding = wiring.registry(reinit, &log)?;
    // Clients may come as soon as it is clear how the bus is; without a bus, at once.
    let (gate, opened) = latch();
    let sequencer = wiring.sequencer(&mut deciding, &registry, requests, gate);
    let decides = deciding.registry;
    spawner.vital("registry", Stage::Delivery, |stop| {
        decides.run(arrivals, inbox, asked, stop)
    });
    let hangup = signals::Hangup {
        logger: log.address(),
        registry: registry.clone(),
        reread: config.reread.clone(),
    };
    wiring.watch(&registry, hangup);
    wiring.listen(sockets.subscribers, &outside);
    wiring.take_in(sockets.publishers, &sequencer, inside);
    if config.mercure.is_some() {
        let pool = Rc::clone(&wiring.pool);
        spawner.vital("updates", Stage::Intake, |stop| {
            updates::run(posted, sequencer, pool, stop)
        });
    }

    // The last to start, so that it speaks when all others have.
    spawner.temporary("announcement", Stage::Intake, |stop| {
        announce(log, config, ready, opened, stop)
    });
    executor::run(&services, &*wiring.pool, supervisor.run(STOP_TIME))
}

fn failed(error: io::Error) -> Failure {
    Failure(error.to_string())
}

/// The clients' home; it tells the registry of each client's end.
fn pool(config: &Config, registry: Address<FromClient>) -> Result<Rc<ClientPool>, Failure> {
    let (least, most) = AWAITING_BOUNDS;
    let awaiting_request = (config.max_connections / AWAITING_REQUEST).clamp(least, most);
    ClientPool::new(config.client_buffer, awaiting_request, move |key, end| {
        // Refused only when the registry is gone, and with it the process.
        let _gone = registry.try_send(FromClient::Exited { key, end });
    })
    .map_err(failed)
}

/// The registry before its actor starts, and what a bus needs of it.
struct Deciding {
    registry: Registry,
    /// What a bus that has nothing gets from the history file: its events, and since when there are
    /// all.
    recovered: Option<(Vec<Record>, EventId)>,
    figures: Option<Rc<BusFigures>>,
}

impl Wiring {
    /// The registry, with what the history file had.
    fn registry(&self, reinit: Rc<Cell<bool>>, log: &logger::Handle) -> Result<Deciding, Failure> {
        let config = self.settings.now();
        let kept = self.open_archive(config.history_file.as_deref())?;
        let figures = config.bus.is_some().then(|| Rc::new(BusFigures::default()));
        let recovered = figures.as_ref().and(kept.as_ref()).map(|kept| {
            let file = &kept.recovered;
            (file.records.clone(), file.since)
        });
        let mut registry = Registry::new(
            Rc::clone(&self.settings),
            Rc::clone(&self.pool),
            reinit,
            log.clone(),
            kept,
            figures.clone(),
        );
        if let Some(path) = &config.history_file {
            registry.remember(presence::store::take(path));
        }
        Ok(Deciding {
            registry,
            recovered,
            figures,
        })
    }

    /// Who gives ids to messages: the bus, which is started then, or the registry itself, to which
    /// `requests` leads.
    fn sequencer(
        &self,
        deciding: &mut Deciding,
        registry: &Address<Message>,
        requests: Address<Request>,
        gate: Latch,
    ) -> Address<Request> {
        let (Some(bus), Some(figures)) = (&self.settings.now().bus, deciding.figures.take()) else {
            gate.open();
            return requests;
        };
        let (to_nodes, told) = unbounded();
        let (to_bus, inbox) = unbounded();
        deciding.registry.tell_nodes(to_nodes);
        deciding.registry.publish_by(to_bus.clone());
        let parts = Parts {
            url: bus.url.clone(),
            down: bus.down,
            settings: Rc::clone(&self.settings),
            registry: registry.clone(),
            requests,
            figures,
            position: deciding.registry.stands_at(),
            gate,
            recovered: (deciding.recovered.take()).unwrap_or_else(|| (Vec::new(), EventId(0))),
            to_nodes: told,
        };
        let run = |stop| Bus::new(parts, inbox).run(stop);
        self.spawner.vital("bus", Stage::Delivery, run);
        to_bus
    }

    /// Opens the history file, if there is one, and starts the actor that writes it.
    fn open_archive(&self, path: Option<&Path>) -> Result<Option<Kept>, Failure> {
        let Some(path) = path else { return Ok(None) };
        let opened = Archive::open(path, self.settings.now().history.together());
        let named = |why: Failure| Failure(format!("--history-file: {}", why.0));
        let (archive, recovered) = opened.map_err(named)?;
        for note in &recovered.notes {
            log::warn!("{note}");
        }
        let (handle, mailbox) = archive.mailbox();
        let run = |stop| archive.run(mailbox, stop);
        self.spawner.vital("archive", Stage::Store, run);
        Ok(Some(Kept {
            recovered,
            archive: handle,
        }))
    }

    /// Starts those who watch: sockets' readiness, time, signals, the service manager.
    fn watch(&self, registry: &Address<Message>, hangup: signals::Hangup) {
        let spawner = &self.spawner;
        let pool = Rc::clone(&self.pool);
        spawner.vital("reactor", Stage::Watch, |stop| async move {
            let stopped = stop.cancelled_then(Ok(()));
            pool.watch().or(stopped).await.map_err(failed)
        });
        let (settings, registry) = (Rc::clone(&self.settings), registry.clone());
        spawner.permanent("clock", Stage::Watch, move |stop| {
            clock::run(Rc::clone(&settings), registry.clone(), stop)
        });
        let supervisor = spawner.supervisor();
        spawner.permanent("signals", Stage::Watch, move |stop| {
            signals::run(supervisor.clone(), hangup.clone(), stop)
        });
        spawner.permanent("watchdog", Stage::Watch, notify::watchdog);
    }

    /// Starts a listener for each address where subscribers connect.
    fn listen(&self, sockets: Vec<net::Bound>, context: &Rc<Context>) {
        for bound in sockets {
            let name = format!("listener {}", bound.address());
            let (bound, pool) = (Rc::new(bound), Rc::clone(&self.pool));
            let context = Rc::clone(context);
            self.spawner.permanent(name, Stage::Intake, move |stop| {
                let (bound, pool) = (Rc::clone(&bound), Rc::clone(&pool));
                listener::run(bound, pool, Rc::clone(&context), stop)
            });
        }
    }

    /// Starts the ways on which messages come in.
    fn take_in(&self, sockets: Vec<net::Bound>, sequencer: &Address<Request>, inside: Rc<Context>) {
        let pool = Rc::clone(&self.pool);
        let open_stream: OpenStream = Rc::new(move |socket, peer| {
            let stream = Stream::new(socket, None)?;
            let descriptor = stream.descriptor();
            let context = Rc::clone(&inside);
            let key = pool.join(stream, None, |handle| life::live(handle, context))?;
            inside.cast(FromClient::Arrived {
                key,
                peer,
                descriptor,
                tls: false,
            });
            Ok(())
        });
        let places = control::Places::new(Rc::clone(&self.pool));
        let (watched, settings) = (Rc::clone(&places), Rc::clone(&self.settings));
        self.spawner.permanent("memory", Stage::Watch, move |stop| {
            Rc::clone(&watched).watch(Rc::clone(&settings), stop)
        });
        for bound in sockets {
            let name = format!("control {}", bound.address());
            let (places, open_stream) = (Rc::clone(&places), Rc::clone(&open_stream));
            let (bound, settings) = (Rc::new(bound), Rc::clone(&self.settings));
            let (sequencer, connections) = (sequencer.clone(), self.spawner.clone());
            self.spawner.permanent(name, Stage::Intake, move |stop| {
                let (bound, settings) = (Rc::clone(&bound), Rc::clone(&settings));
                control::run(
                    bound,
                    settings,
                    sequencer.clone(),
                    Rc::clone(&places),
                    Rc::clone(&open_stream),
                    connections.clone(),
                    stop,
                )
            });
        }
        if let Some(fifo) = self.settings.now().fifo.clone() {
            let name = format!("FIFO {}", fifo.path.display());
            let (settings, sequencer) = (Rc::clone(&self.settings), sequencer.clone());
            let replaced = self.spawner.clone();
            self.spawner.permanent(name, Stage::Intake, move |stop| {
                let (settings, path) = (Rc::clone(&settings), fifo.path.clone());
                fifo::run(settings, path, sequencer.clone(), replaced.clone(), stop)
            });
        }
    }
}

/// Tells everyone who waits for it that everything answers.
async fn announce(
    log: logger::Handle,
    config: Rc<Config>,
    ready: Box<dyn FnOnce()>,
    opened: Opened,
    stop: CancellationToken,
) -> Result<(), Failure> {
    opened.wait().or(stop.cancelled()).await;
    for warning in &config.warnings {
        if config.log_level == LogLevel::Quiet {
            // What may be unsafe is told in a quiet log too.
            log.answer(vec![format!("warning: {warning}")]);
        } else {
            log::warn!("{warning}");
        }
    }
    if let Some(greeting) = &config.greeting {
        // To a person at a terminal; when nobody is there, nothing is lost.
        let _nobody = io::stderr().write_all(greeting.as_bytes());
    }
    ready();
    notify::announce(stop).await
}
