//! Signals from outside: TERM and INT end the daemon, in order at first and at once when repeated;
//! HUP has what may have changed on disk opened or read again.
//!
//! (SIGPIPE is ignored from the start by Rust's runtime.)

use async_signal::{Signal, Signals};
use futures_lite::{FutureExt, StreamExt};
use smol::unblock;

use crate::config::Reread;
use crate::logger;
use crate::messages::registry;
use crate::runtime::{Address, CancellationToken, Failure, supervisor};

/// Listens for signals until stopped.
///
/// A second TERM or INT cuts the end in order short ([`supervisor::Message::StopNow`]).
///
/// # Errors
/// The system refuses to deliver signals to us.
pub async fn run(
    supervisor: Address<supervisor::Message>,
    hangup: Hangup,
    stop: CancellationToken,
) -> Result<(), Failure> {
    // Apart, so that whoever is slow to be told of a HUP does not hold up an end.
    let ends = ends(supervisor);
    let hangups = hangups(hangup);
    let stopped = stop.cancelled_then(Ok(()));
    ends.or(hangups).or(stopped).await
}

async fn ends(supervisor: Address<supervisor::Message>) -> Result<(), Failure> {
    let mut signals = listen(&[Signal::Term, Signal::Int])?;
    let first = caught(&mut signals).await?;
    log::info!("stopping on {}", name(first));
    // Refused only when the supervisor has gone, and then the end is under way.
    let _gone = supervisor.send(supervisor::Message::Stop).await;
    let second = caught(&mut signals).await?;
    let why = format!("ended at once by a second {}", name(second));
    let _gone = supervisor.send(supervisor::Message::StopNow { why }).await;
    // Whatever comes now, the end is under way.
    std::future::pending().await
}

/// Whom a HUP concerns.
#[derive(Debug, Clone)]
pub struct Hangup {
    /// Reopens its file, and says in the log how it went.
    pub logger: Address<logger::Message>,
    /// Gets the new settings.
    pub registry: Address<registry::Message>,
    /// Reads them.
    pub reread: Option<Reread>,
}

async fn hangups(hangup: Hangup) -> Result<(), Failure> {
    // USR1 is what other daemons reopen their logs on; here it must at least do no harm.
    let mut signals = listen(&[Signal::Hup, Signal::Usr1])?;
    loop {
        let signal = caught(&mut signals).await?;
        // Refused only when its actor has gone, and then the end is under way.
        let _gone = hangup.logger.send(logger::Message::Reopen).await;
        let Some(reread) = hangup.reread.clone().filter(|_| signal == Signal::Hup) else {
            continue;
        };
        match unblock(move || reread.0()).await {
            Ok((config, warnings)) => {
                for warning in warnings {
                    log::warn!("{warning}");
                }
                let config = Box::new(config);
                let reconfigure = registry::Message::Reconfigure { config };
                let _gone = hangup.registry.send(reconfigure).await;
            }
            Err(why) => log::error!("the settings stay as they were: {why}"),
        }
    }
}

fn listen(which: &[Signal]) -> Result<Signals, Failure> {
    Signals::new(which).map_err(|error| Failure(format!("cannot listen for signals: {error}")))
}

async fn caught(signals: &mut Signals) -> Result<Signal, Failure> {
    match signals.next().await {
        Some(Ok(signal)) => Ok(signal),
        Some(Err(error)) => Err(Failure(format!("signals cannot be read: {error}"))),
        None => Err(Failure("signals came to an end".into())),
    }
}

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Int => "SIGINT",
        _ => "SIGTERM",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::runtime;
    use futures_lite::future::poll_once;
    use rustix::process::{Signal as Raised, getpid, kill_process};
    use std::env;
    use std::process::Command;

    const CHILD: &str = "HASSES_TEST_SIGNALS";

    /// Signals concern a whole process, so this one runs in a process of its own.
    #[test]
    fn hup_reopens_term_stops_and_a_second_one_ends_at_once() {
        if env::var_os(CHILD).is_some() {
            return async_io::block_on(in_child());
        }
        let status = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "signals::tests::hup_reopens_term_stops_and_a_second_one_ends_at_once",
            ])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(status.status.success(), "{status:?}");
    }

    async fn in_child() {
        let (supervisor, mut told) = runtime::mailbox(4);
        let (logger, mut logged) = runtime::mailbox(4);
        let (_guard, stop) = runtime::cancellation();
        let (registry, _inbox) = runtime::mailbox(4);
        let reread = None;
        let hangup = Hangup {
            logger,
            registry,
            reread,
        };
        let mut actor = Box::pin(run(supervisor, hangup, stop));
        assert!(poll_once(&mut actor).await.is_none());

        let raise = |signal| kill_process(getpid(), signal).unwrap();
        let script = async {
            raise(Raised::HUP);
            assert!(matches!(logged.next().await, Some(logger::Message::Reopen)));
            raise(Raised::HUP);
            assert!(matches!(logged.next().await, Some(logger::Message::Reopen)));
            raise(Raised::USR1);
            assert!(matches!(logged.next().await, Some(logger::Message::Reopen)));
            raise(Raised::INT);
            assert!(matches!(told.next().await, Some(supervisor::Message::Stop)));
            raise(Raised::TERM);
            let Some(supervisor::Message::StopNow { why }) = told.next().await else {
                panic!("no end at once");
            };
            assert_eq!(why, "ended at once by a second SIGTERM");
            Ok(())
        };
        actor.or(script).await.unwrap();
    }
}
