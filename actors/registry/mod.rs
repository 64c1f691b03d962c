//! The registry actor: who listens to what. It decides, and does no input or output of its own.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use crate::archive;
use crate::clients::ClientPool;
use crate::config::{Config, Settings};
use crate::logger;
use crate::messages::client::Ending;
use crate::messages::publisher::{Receipt, Request, Taken};
use crate::messages::registry::{Elsewhere, FromClient, Message};
use crate::model::deadlines::since_1970;
use crate::model::retention::Policy;
use crate::model::{BusFigures, Counters, EventId, LogLevel, Record, Sequence};
use crate::runtime::{Address, CancellationToken, Failure, Mailbox, turn};

mod bans;
mod bus;
mod clients;
mod commands;
mod copies;
mod figures;
mod forms;
mod frame_cache;
pub mod history;
mod inherit;
mod keys;
mod mercure;
mod phases;
pub(crate) mod presence;
mod publishing;
mod replay;
pub mod routes;
mod samples;
mod session;
mod taking;
#[cfg(test)]
pub(crate) mod tests;

use bans::Bans;
use bus::OnBus;
use copies::Copies;
use figures::Watched;
use forms::Forms;
use history::History;
use keys::Keys;
use mercure::Hub;
use presence::{Presence, Watchers};
use replay::Replays;
use routes::Routes;
use samples::Samples;
use session::Sessions;
use taking::UnderWay;

/// The registry's state.
pub struct Registry {
    settings: Rc<Settings>,
    pool: Rc<ClientPool>,
    routes: Routes,
    sequence: Sequence,
    forms: Forms,
    counters: Counters,
    sessions: Sessions,
    bans: Bans,
    history: History,
    archive: Option<archive::Handle>,
    /// What is being handed over to it once more.
    copies: Option<Copies>,
    keys: Keys,
    /// The bytes that had been let go when it was told of that last.
    told_let_go: u64,
    /// Clients that are still getting kept events.
    replays: Replays,
    /// Who is there, for tokens of which that is to be known.
    presence: Presence,
    watchers: Watchers,
    /// What there is with a bus.
    bus: Option<OnBus>,
    /// What there is with a Mercure hub.
    hub: Option<Box<Hub>>,
    /// Where the hub publishes what it has to say itself, if that is not here.
    sequencer: Option<Address<Request>>,
    log: logger::Handle,
    log_level: LogLevel,
    reinit: Rc<Cell<bool>>,
    started: Instant,
    recipients: Vec<u32>,
    /// What publishers have handed over and is not all taken.
    under_way: UnderWay,
    /// Messages that wait: of clients, of all others.
    waiting: (usize, usize),
    watched: Option<Box<Watched>>,
    samples: Samples,
}

/// When something happened, by the clock that never goes back.
fn instant_of(at: SystemTime) -> Instant {
    let now = Instant::now();
    let age = SystemTime::now().duration_since(at).unwrap_or_default();
    now.checked_sub(age).unwrap_or(now)
}

/// Keeps an event that was written down, and gives the receipt that its publisher got.
fn keep_again(history: &mut History, record: &Record) -> Receipt {
    let (id, recipients) = (record.id, record.recipients as usize);
    history.keep(id, instant_of(record.at), &record.publication, recipients);
    Receipt {
        id,
        recipients,
        how: Taken::Now,
    }
}

/// The history of a file, whose messages' keys are `keys` again.
fn restored(recovered: archive::Recovered, policy: Policy, keys: &mut Keys) -> History {
    let mut history = History::new(policy, recovered.since);
    for record in recovered.records {
        let receipt = keep_again(&mut history, &record);
        keys.remember(&record.publication, receipt, true);
    }
    for (target, id) in recovered.marks {
        history.mark(&target, id);
    }
    history
}

/// What a history file gives.
pub struct Kept {
    /// What was in it.
    pub recovered: archive::Recovered,
    /// Where events are written down.
    pub archive: archive::Handle,
}

/// How long the history may work in one turn.
const WORK: Duration = Duration::from_millis(2);

enum Input {
    Client(FromClient),
    Told(Message),
    Asked(Request),
    GoOn,
    Stop,
}

impl Registry {
    /// A registry without clients. `reinit` is the switch that the clients read; `kept` is what there
    /// is with a history file.
    pub fn new(
        settings: Rc<Settings>,
        pool: Rc<ClientPool>,
        reinit: Rc<Cell<bool>>,
        log: logger::Handle,
        kept: Option<Kept>,
        bus: Option<Rc<BusFigures>>,
    ) -> Self {
        let config = settings.now();
        let bus = bus.map(|figures| OnBus::new(figures, kept.as_ref()));
        let mut keys = Keys::default();
        let (sequence, history, archive) = match kept {
            None => {
                let sequence = Sequence::starting(EventId(0));
                let history = History::new(config.history.clone(), sequence.last());
                (sequence, history, None)
            }
            Some(Kept { recovered, archive }) => {
                let sequence = Sequence::starting(recovered.floor);
                let history = restored(recovered, config.history.clone(), &mut keys);
                (sequence, history, Some(archive))
            }
        };
        let mut registry = Self {
            log_level: config.log_level,
            log,
            pool,
            routes: Routes::default(),
            counters: Counters::default(),
            sessions: Sessions::new(config.ip6_prefix),
            bans: Bans::default(),
            history,
            archive,
            copies: None,
            keys,
            told_let_go: 0,
            sequence,
            forms: Forms::default(),
            replays: Replays::default(),
            presence: presence::store::Remembered::default()
                .begin(config.presence.clone(), config.presence_grace),
            watchers: Watchers::default(),
            bus,
            hub: (config.mercure.as_ref()).map(|mercure| Box::new(Hub::new(mercure.hub.clone()))),
            sequencer: None,
            reinit,
            started: Instant::now(),
            recipients: Vec::new(),
            under_way: UnderWay::default(),
            waiting: (0, 0),
            watched: None,
            samples: Samples::default(),
            settings,
        };
        registry.recover_hub();
        registry
    }

    /// Has the hub publish what it has to say itself by way of another actor.
    pub fn publish_by(&mut self, sequencer: Address<Request>) {
        self.sequencer = Some(sequencer);
    }

    /// Begins with who was there before a restart.
    pub fn remember(&mut self, before: presence::store::Remembered) {
        let config = self.settings.now();
        self.presence = before.begin(config.presence.clone(), config.presence_grace);
    }

    /// The newest id that streams may stand at.
    pub fn stands_at(&self) -> EventId {
        self.sequence.last()
    }

    /// Takes messages until it is asked to stop; then lets every stream end with what it still
    /// has to get.
    ///
    /// # Errors
    /// Every address of a mailbox is gone.
    pub async fn run(
        mut self,
        mut clients: Mailbox<FromClient>,
        mut inbox: Mailbox<Message>,
        mut requests: Mailbox<Request>,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        self.await_bus(&mut inbox, &stop).await;
        // Made once: to begin waiting anew costs as much as a delivery.
        let mut cancelled = pin!(stop.cancelled());
        loop {
            self.serve_clients(&mut clients);
            turn::pause().await;
            let input = poll_fn(|context| {
                if let Poll::Ready(message) = inbox.poll_next(context) {
                    Poll::Ready(message.map(Input::Told))
                } else if let Poll::Ready(request) = requests.poll_next(context) {
                    Poll::Ready(request.map(Input::Asked))
                } else if self.poll_under_way(context).is_ready() {
                    Poll::Ready(Some(Input::GoOn))
                } else if let Poll::Ready(message) = clients.poll_next(context) {
                    Poll::Ready(message.map(Input::Client))
                } else {
                    cancelled.as_mut().poll(context).map(|()| Some(Input::Stop))
                }
            });
            match input.await {
                Some(Input::Client(message)) => self.handle_client(message),
                Some(Input::Told(message)) => self.handle(message).await,
                Some(Input::Asked(request)) => {
                    self.waiting = (clients.depth(), inbox.depth() + requests.depth());
                    self.handle_request(request);
                    // Whoever asks again and again does not keep what is under way from going on.
                    self.go_on_if_ready();
                }
                Some(Input::GoOn) => self.go_on(),
                Some(Input::Stop) => break,
                // Where all are asked to stop, those who reach it may end first.
                None if stop.is_cancelled() => break,
                None => return Err(Failure("nobody can reach the registry any more".into())),
            }
        }
        self.wind_up(clients).await;
        Ok(())
    }

    /// Clients first: who has subscribed gets what is published after that. But only for a turn: where a
    /// thousand come, go or replay at once, publishers do not wait behind all of them.
    #[inline]
    fn serve_clients(&mut self, clients: &mut Mailbox<FromClient>) {
        for _ in 0..clients.depth() {
            let Some(message) = clients.try_recv() else {
                break;
            };
            self.handle_client(message);
            if turn::is_over() {
                break;
            }
        }
        self.pool.hold_pending(clients.depth() > 0);
    }

    /// Takes what publishers have handed over, and lets every stream end with what it still has to get.
    async fn wind_up(mut self, mut clients: Mailbox<FromClient>) {
        self.pool.hold_pending(false);
        while !self.under_way.is_empty() {
            self.pool.ready().await;
            self.go_on();
            turn::pause().await;
        }
        let presence = self.freeze_presence();
        self.end_streams();
        if let (Some(archive), true) = (&self.archive, self.others_go_on()) {
            archive.others_go_on();
        }
        // With the last client gone, what is left says how it ended.
        while let Some(message) = match self.pool.totals().connected {
            0 => clients.try_recv(),
            _ => clients.next().await,
        } {
            self.handle_client(message);
        }
        if let Some(path) = &self.settings.now().history_file
            && presence.is_on()
            && let Err(error) = presence.save(path)
        {
            log::error!("who was there could not be written down: {error}");
        }
    }

    async fn handle(&mut self, message: Message) {
        match message {
            Message::Reconfigure { config } => self.reconfigure(*config),
            Message::Tick => self.tick(),
            Message::PresenceTick => self.tick_presence(),
            Message::Bus(message) => self.handle_bus(message).await,
        }
    }

    fn handle_request(&mut self, request: Request) {
        match request {
            Request::Publish {
                publications,
                channel,
                reply,
            } => self.take(publications, channel, reply),
            Request::Execute { command, reply } => {
                reply.send(self.execute(command, Elsewhere::default()));
            }
            Request::Disconnect { id, until, reply } => {
                reply.send(self.disconnect_until(&id, until));
            }
            Request::Report { reply } => reply.send(self.figures()),
            Request::Samples { reply } => reply.send(self.samples.all()),
            Request::Watch { reply } => reply.send((self.figures(), self.watched())),
            Request::Search { search, reply } => reply.send(self.search(search)),
            Request::List {
                from,
                search,
                most,
                reply,
            } => reply.send(self.list(from, search.as_deref(), most)),
            Request::ClientLines { lines, reply } => reply.send(self.client_lines(lines)),
            Request::Presence {
                token,
                after,
                most,
                reply,
            } => reply.send(self.presence_page(&token, after.as_ref(), most)),
            Request::PresenceStart { seen, reply } => reply.send(self.presence_start(seen)),
            Request::PresenceNews { after, reply } => self.presence_news(after, reply),
            Request::Count {
                refused,
                lossy_utf8,
                reply,
            } => {
                for (reason, count) in refused {
                    self.counters.refuse(reason, count);
                }
                self.counters.invalid_utf8 += lossy_utf8;
                reply.send(());
            }
        }
    }

    fn reconfigure(&mut self, mut config: Config) {
        // Connections are counted by it.
        config.ip6_prefix = self.settings.now().ip6_prefix;
        self.log_level = config.log_level;
        logger::set_level(config.log_level);
        self.reinit.set(config.reinit);
        self.pool.set_limit(config.client_buffer);
        self.history.set_policy(config.history.clone());
        (self.presence).configure(config.presence.clone(), config.presence_grace);
        if let Some(archive) = &self.archive {
            archive.set_limits(config.history.together());
        }
        self.settings.replace(config);
        log::info!("settings read again");
    }

    /// Lets go of kept events that are too old, for as long as a turn may take.
    fn work(&mut self, now: Instant) {
        loop {
            self.history.work(now);
            self.rescue();
            if !self.history.has_work(now) || now.elapsed() > WORK {
                break;
            }
        }
    }

    fn tick(&mut self) {
        logger::tell_withheld();
        self.pool.expire();
        self.tick_bus();
        self.look_at_nodes();
        self.tick_hub();
        self.pool.give_up_stalled();
        self.pool.wake_carriers();
        self.give_up_replays();
        let now = Instant::now();
        self.work(now);
        self.look_at_file();
        self.sample(now);
        self.watched.take_if(|watched| watched.is_forgotten(now));
        while let Some(client) = self.sessions.due(since_1970()) {
            self.finish(client, Ending::Expired);
        }
        if let Some(silence) = self.settings.now().heartbeat {
            let tenths = |time: Duration| (time.as_millis() / 100) as u32;
            let tick = tenths(self.settings.now().tick());
            let heartbeat = self.heartbeat();
            self.pool.send_heartbeats(tenths(silence), tick, &heartbeat);
        }
    }
}
