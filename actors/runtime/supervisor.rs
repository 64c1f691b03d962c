//! Lives and deaths of the service actors: start, restart, stop in order.
//!
//! * An actor that fails or panics is restarted after a pause that doubles from 100 ms up to 5 s and
//!   starts again at 100 ms once an actor has lived for a minute ([`Spawner::permanent`]), or ends the
//!   whole process with an error ([`Spawner::vital`]), or concerns nobody else ([`Spawner::temporary`]).
//! * Stopping goes stage by stage ([`Stage`]): first what takes messages in, then what hands them out,
//!   the logger last. A deadline bounds the whole.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::FutureExt;
use smol::LocalExecutor;

use crate::runtime::{self, Address, CancelGuard, CancellationToken, Failure, Mailbox};

/// The shortest and the longest pause before a restart, and the life after which it is short again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
const SETTLED: Duration = Duration::from_secs(60);

/// What the supervisor is told.
#[derive(Debug)]
pub enum Message {
    /// An actor came to its end.
    Exited {
        /// Which.
        actor: ActorId,
        /// How.
        how: Exit,
    },
    /// Everything is to end, in order.
    Stop,
    /// Everything is to end as it stands, also where it ends in order already.
    StopNow {
        /// What for.
        why: String,
    },
}

/// The number of an actor under supervision; a restarted one keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ActorId(u64);

/// How an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was done.
    Finished,
    /// It could not go on.
    Failed(String),
    /// It panicked.
    Panicked(String),
}

/// What the end of an actor means.
#[derive(Clone)]
enum Policy {
    /// It is started again.
    Permanent(Rc<dyn Fn(CancellationToken) -> ActorFuture>),
    /// The process cannot go on without it.
    Vital,
    /// It was made for one job, such as one connection.
    Temporary,
}

/// When in a stop an actor is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Takes connections and messages in.
    Intake,
    /// Hands events out.
    Delivery,
    /// Writes events down.
    Store,
    /// Watches: signals, the clock, the service manager.
    Watch,
    /// Writes down what the others say.
    Log,
}

const STAGES: [Stage; 5] = [
    Stage::Intake,
    Stage::Delivery,
    Stage::Store,
    Stage::Watch,
    Stage::Log,
];
/// What each stage has at least, however long those before it took.
const LEAST: Duration = Duration::from_secs(1);

/// Why the supervisor stops restarting what ends.
enum End {
    /// It was told to stop in order.
    Asked,
    /// A vital actor died.
    Died(Failure),
    /// It was told to stop at once.
    Now(Failure),
}

/// The body of an actor.
type ActorFuture = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

struct Entry {
    name: String,
    policy: Policy,
    stage: Stage,
    started: Instant,
    pause: Duration,
}

/// Starts actors; held by whoever makes some. Cheap to clone.
#[derive(Clone)]
pub struct Spawner {
    executor: Rc<LocalExecutor<'static>>,
    shared: Rc<Shared>,
}

struct Shared {
    supervisor: Address<Message>,
    actors: RefCell<HashMap<ActorId, Entry>>,
    next: Cell<u64>,
    stops: Vec<(CancelGuard, CancellationToken)>,
}

/// The supervisor itself.
pub struct Supervisor {
    spawner: Spawner,
    mailbox: Mailbox<Message>,
}

impl Supervisor {
    /// A supervisor for actors that live on `executor`.
    pub fn new(executor: Rc<LocalExecutor<'static>>) -> Self {
        // Ends of clients go to the registry, so these are few: a bound that is never the brake.
        let (supervisor, mailbox) = runtime::mailbox(64);
        let shared = Shared {
            supervisor,
            actors: Default::default(),
            next: Default::default(),
            stops: STAGES.iter().map(|_| runtime::cancellation()).collect(),
        };
        let spawner = Spawner {
            executor,
            shared: Rc::new(shared),
        };
        Self { spawner, mailbox }
    }

    /// Where to start actors.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Runs until everything has ended: after [`Message::Stop`], within `deadline` of it, or when a
    /// vital actor died. At [`Message::StopNow`] it ends without waiting for anyone.
    ///
    /// # Errors
    /// What a vital actor died of, or why all was ended at once.
    pub async fn run(mut self, deadline: Duration) -> Result<(), Failure> {
        let outcome = match self.watch().await {
            End::Asked => Ok(()),
            End::Died(failure) => {
                log::error!("stopping: {failure}");
                Err(failure)
            }
            End::Now(why) => return Err(why),
        };
        let end = Instant::now() + deadline;
        for stage in STAGES {
            self.spawner.shared.stops[stage as usize].0.cancel();
            let end = end.max(Instant::now() + LEAST.min(deadline));
            let late = async {
                Timer::at(end).await;
                log::warn!("stopping took too long; some of {stage:?} were ended where they stood");
                Ok(())
            };
            self.stage_ends(stage).or(late).await?;
        }
        outcome
    }

    /// Restarts what ends, until everything is to.
    async fn watch(&mut self) -> End {
        loop {
            match self.mailbox.next().await {
                Some(Message::Exited { actor, how }) => {
                    if let Err(failure) = self.spawner.exited(actor, how) {
                        return End::Died(failure);
                    }
                }
                Some(Message::Stop) | None => return End::Asked,
                Some(Message::StopNow { why }) => return End::Now(Failure(why)),
            }
        }
    }

    /// Waits until no actor of a stage is left, not restarting any; an error if told to stop at once.
    async fn stage_ends(&mut self, stage: Stage) -> Result<(), Failure> {
        while self.spawner.lives(stage) {
            match self.mailbox.next().await {
                Some(Message::Exited { actor, how }) => {
                    let gone = self.spawner.shared.actors.borrow_mut().remove(&actor);
                    let name = gone.map(|entry| entry.name).unwrap_or_default();
                    if how != Exit::Finished {
                        log::error!("{name} {how}");
                    }
                }
                Some(Message::StopNow { why }) => return Err(Failure(why)),
                Some(Message::Stop) | None => {}
            }
        }
        Ok(())
    }
}

impl Spawner {
    /// Tells the supervisor to end everything.
    pub fn supervisor(&self) -> Address<Message> {
        self.shared.supervisor.clone()
    }

    /// Starts an actor that is started again, by `start`, when it ends.
    pub fn permanent<F>(
        &self,
        name: impl Into<String>,
        stage: Stage,
        start: impl Fn(CancellationToken) -> F + 'static,
    ) where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        let start: Rc<dyn Fn(CancellationToken) -> ActorFuture> =
            Rc::new(move |stop| Box::pin(start(stop)));
        let life = start(self.stop(stage));
        self.adopt(name.into(), stage, Policy::Permanent(start), life);
    }

    /// Starts an actor without which the process cannot go on.
    pub fn vital<F>(
        &self,
        name: impl Into<String>,
        stage: Stage,
        start: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        let life = Box::pin(start(self.stop(stage)));
        self.adopt(name.into(), stage, Policy::Vital, life);
    }

    /// Starts an actor for one job.
    pub fn temporary<F>(
        &self,
        name: impl Into<String>,
        stage: Stage,
        start: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        let life = Box::pin(start(self.stop(stage)));
        self.adopt(name.into(), stage, Policy::Temporary, life);
    }

    fn stop(&self, stage: Stage) -> CancellationToken {
        self.shared.stops[stage as usize].1.clone()
    }

    fn lives(&self, stage: Stage) -> bool {
        let actors = self.shared.actors.borrow();
        actors.values().any(|entry| entry.stage == stage)
    }

    fn adopt(&self, name: String, stage: Stage, policy: Policy, life: ActorFuture) {
        let actor = ActorId(self.shared.next.get());
        self.shared.next.set(actor.0 + 1);
        let entry = Entry {
            name,
            policy,
            stage,
            started: Instant::now(),
            pause: PAUSE.0,
        };
        self.shared.actors.borrow_mut().insert(actor, entry);
        self.run(actor, life);
    }

    /// Lets an actor live and reports its end.
    fn run(&self, actor: ActorId, life: ActorFuture) {
        let supervisor = self.supervisor();
        let task = async move {
            let how = match AssertUnwindSafe(life).catch_unwind().await {
                Ok(Ok(())) => Exit::Finished,
                Ok(Err(failure)) => Exit::Failed(failure.0),
                Err(panic) => Exit::Panicked(panic_text(&*panic)),
            };
            // Refused only when the supervisor has gone, and then nobody is left to be told.
            let _gone = supervisor.send(Message::Exited { actor, how }).await;
        };
        self.executor.spawn(task).detach();
    }

    /// Decides what an end means.
    fn exited(&self, actor: ActorId, how: Exit) -> Result<(), Failure> {
        let mut actors = self.shared.actors.borrow_mut();
        let Some(entry) = actors.get_mut(&actor) else {
            return Ok(());
        };
        match &entry.policy {
            Policy::Vital => {
                let name = entry.name.clone();
                actors.remove(&actor);
                return Err(Failure(format!("{name} {how}")));
            }
            Policy::Permanent(start) => {
                if entry.started.elapsed() >= SETTLED {
                    entry.pause = PAUSE.0;
                }
                let pause = entry.pause;
                log::error!("{} {how}; it starts again in {pause:?}", entry.name);
                let life = after(pause, Rc::clone(start), self.stop(entry.stage));
                entry.pause = (pause * 2).min(PAUSE.1);
                entry.started = Instant::now() + pause;
                self.run(actor, life);
            }
            Policy::Temporary => {
                if how != Exit::Finished {
                    log::error!("{} {how}", entry.name);
                }
                actors.remove(&actor);
            }
        }
        Ok(())
    }
}

/// A life that begins after a pause, or at once when it is only to see that it must stop.
fn after(
    pause: Duration,
    start: Rc<dyn Fn(CancellationToken) -> ActorFuture>,
    stop: CancellationToken,
) -> ActorFuture {
    Box::pin(async move {
        let pause = async {
            Timer::after(pause).await;
        };
        pause.or(stop.cancelled()).await;
        start(stop).await
    })
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Failed(why) => write!(f, "ended: {why}"),
            Self::Panicked(why) => write!(f, "panicked: {why}"),
        }
    }
}

/// What a panic said, if it was a text.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_string())
}

#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
