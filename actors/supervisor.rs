//! Lives and deaths of the service actors: start, restart, stop in order.
//!
//! * An actor that fails or panics is restarted after a pause that doubles from 100 ms up to 5 s and
//!   starts again at 100 ms once an actor has lived for a minute ([`Nursery::keep`]), or ends the
//!   whole process with an error ([`Nursery::entrust`]), or concerns nobody else ([`Nursery::pass`]).
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

use crate::system::{self, Address, Failure, Mailbox, Stop, Stopper};

/// The shortest and the longest pause before a restart, and the life after which it is short again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
const SETTLED: Duration = Duration::from_secs(60);

/// What the supervisor is told.
#[derive(Debug)]
pub enum Message {
    /// An actor came to its end.
    Exited {
        /// Which.
        child: Child,
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
pub struct Child(u64);

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
    Restart(Rc<dyn Fn(Stop) -> Life>),
    /// The process cannot go on without it.
    Vital,
    /// It was made for one job, such as one connection.
    Passing,
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
type Life = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

struct Entry {
    name: String,
    policy: Policy,
    stage: Stage,
    started: Instant,
    pause: Duration,
}

/// Starts actors; held by whoever makes some. Cheap to clone.
#[derive(Clone)]
pub struct Nursery {
    executor: Rc<LocalExecutor<'static>>,
    shared: Rc<Shared>,
}

struct Shared {
    supervisor: Address<Message>,
    children: RefCell<HashMap<Child, Entry>>,
    next: Cell<u64>,
    stops: Vec<(Stopper, Stop)>,
}

/// The supervisor itself.
pub struct Supervisor {
    nursery: Nursery,
    mailbox: Mailbox<Message>,
}

impl Supervisor {
    /// A supervisor for actors that live on `executor`.
    pub fn new(executor: Rc<LocalExecutor<'static>>) -> Self {
        // Ends of clients go to the registry, so these are few: a bound that is never the brake.
        let (supervisor, mailbox) = system::mailbox(64);
        let shared = Shared {
            supervisor,
            children: Default::default(),
            next: Default::default(),
            stops: STAGES.iter().map(|_| system::stopper()).collect(),
        };
        let nursery = Nursery {
            executor,
            shared: Rc::new(shared),
        };
        Self { nursery, mailbox }
    }

    /// Where to start actors.
    pub fn nursery(&self) -> Nursery {
        self.nursery.clone()
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
            self.nursery.shared.stops[stage as usize].0.stop();
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
                Some(Message::Exited { child, how }) => {
                    if let Err(failure) = self.nursery.exited(child, how) {
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
        while self.nursery.lives(stage) {
            match self.mailbox.next().await {
                Some(Message::Exited { child, how }) => {
                    let gone = self.nursery.shared.children.borrow_mut().remove(&child);
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

impl Nursery {
    /// Tells the supervisor to end everything.
    pub fn supervisor(&self) -> Address<Message> {
        self.shared.supervisor.clone()
    }

    /// Starts an actor that is started again, by `start`, when it ends.
    pub fn keep<F>(
        &self,
        name: impl Into<String>,
        stage: Stage,
        start: impl Fn(Stop) -> F + 'static,
    ) where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        let start: Rc<dyn Fn(Stop) -> Life> = Rc::new(move |stop| Box::pin(start(stop)));
        let life = start(self.stop(stage));
        self.adopt(name.into(), stage, Policy::Restart(start), life);
    }

    /// Starts an actor without which the process cannot go on.
    pub fn entrust<F>(&self, name: impl Into<String>, stage: Stage, start: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        let life = Box::pin(start(self.stop(stage)));
        self.adopt(name.into(), stage, Policy::Vital, life);
    }

    /// Starts an actor for one job.
    pub fn pass<F>(&self, name: impl Into<String>, stage: Stage, start: impl FnOnce(Stop) -> F)
    where
        F: Future<Output = Result<(), Failure>> + 'static,
    {
        let life = Box::pin(start(self.stop(stage)));
        self.adopt(name.into(), stage, Policy::Passing, life);
    }

    fn stop(&self, stage: Stage) -> Stop {
        self.shared.stops[stage as usize].1.clone()
    }

    fn lives(&self, stage: Stage) -> bool {
        let children = self.shared.children.borrow();
        children.values().any(|entry| entry.stage == stage)
    }

    fn adopt(&self, name: String, stage: Stage, policy: Policy, life: Life) {
        let child = Child(self.shared.next.get());
        self.shared.next.set(child.0 + 1);
        let entry = Entry {
            name,
            policy,
            stage,
            started: Instant::now(),
            pause: PAUSE.0,
        };
        self.shared.children.borrow_mut().insert(child, entry);
        self.run(child, life);
    }

    /// Lets an actor live and reports its end.
    fn run(&self, child: Child, life: Life) {
        let supervisor = self.supervisor();
        let task = async move {
            let how = match AssertUnwindSafe(life).catch_unwind().await {
                Ok(Ok(())) => Exit::Finished,
                Ok(Err(failure)) => Exit::Failed(failure.0),
                Err(panic) => Exit::Panicked(panic_text(&*panic)),
            };
            // Refused only when the supervisor has gone, and then nobody is left to be told.
            let _gone = supervisor.send(Message::Exited { child, how }).await;
        };
        self.executor.spawn(task).detach();
    }

    /// Decides what an end means.
    fn exited(&self, child: Child, how: Exit) -> Result<(), Failure> {
        let mut children = self.shared.children.borrow_mut();
        let Some(entry) = children.get_mut(&child) else {
            return Ok(());
        };
        match &entry.policy {
            Policy::Vital => {
                let name = entry.name.clone();
                children.remove(&child);
                return Err(Failure(format!("{name} {how}")));
            }
            Policy::Restart(start) => {
                if entry.started.elapsed() >= SETTLED {
                    entry.pause = PAUSE.0;
                }
                let pause = entry.pause;
                log::error!("{} {how}; it starts again in {pause:?}", entry.name);
                let life = after(pause, Rc::clone(start), self.stop(entry.stage));
                entry.pause = (pause * 2).min(PAUSE.1);
                entry.started = Instant::now() + pause;
                self.run(child, life);
            }
            Policy::Passing => {
                if how != Exit::Finished {
                    log::error!("{} {how}", entry.name);
                }
                children.remove(&child);
            }
        }
        Ok(())
    }
}

/// A life that begins after a pause, or at once when it is only to see that it must stop.
fn after(pause: Duration, start: Rc<dyn Fn(Stop) -> Life>, stop: Stop) -> Life {
    Box::pin(async move {
        let pause = async {
            Timer::after(pause).await;
        };
        pause.or(stop.requested()).await;
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
