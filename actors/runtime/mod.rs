//! Actors: typed addresses and mailboxes, replies, stopping.
//!
//! An actor is a future that owns its state and takes typed messages from its [`Mailbox`]; others
//! hold an [`Address`] of it and nothing else. The supervisor starts actors and learns of their ends
//! ([`crate::runtime::supervisor`]).
//!
//! # Semantics
//!
//! * **Order.** Messages from one sender arrive in the order in which they were sent. Messages of
//!   several senders are taken in one total order, that of their arrival in the mailbox.
//! * **Full mailbox.** Every mailbox has a bound. [`Address::send`] waits for room, which is how
//!   pressure reaches whoever writes to us; [`Address::try_send`] never waits and gives the message
//!   back. Awaited sends form a graph without circles (drawn in the crate's documentation), so
//!   waiting always ends.
//! * **Close.** When a mailbox is dropped, `send` and `try_send` give the message back as
//!   [`Closed`](mailbox::Undelivered::Closed); what was in it is dropped, so that each [`Reply`] in it tells its
//!   asker. When the last address is dropped, [`Mailbox::next`] gives what is left, then `None`.
//! * **Reply.** A [`Reply`] is used once. Dropped unused, it makes its [`Answer`] give `None`:
//!   nobody waits forever for an actor that died.
//! * **Panic.** A panic ends the one actor that panicked, its mailbox closes, and the supervisor is
//!   told, as of any other end.
//! * **Stop.** An actor is asked to stop, never killed: it watches its [`CancellationToken`], finishes
//!   what it has taken in, and returns.

mod cancellation;
pub mod executor;
mod mailbox;
mod reply;
mod signal;
pub mod supervisor;
pub mod turn;

use std::fmt;
use std::future::pending;
use std::time::Instant;

use async_io::Timer;

pub use cancellation::{CancelGuard, CancellationToken, cancellation};
pub use mailbox::{Address, Gone, Mailbox, mailbox, unbounded};
pub use reply::{Answer, Reply, reply};
pub use signal::Signal;

/// Waits until a moment; for ever where there is none.
pub async fn timer(due: Option<Instant>) {
    match due {
        Some(due) => drop(Timer::at(due).await),
        None => pending().await,
    }
}

/// Something that happens once, and for which others wait.
#[derive(Debug)]
pub struct Latch(CancelGuard);

impl Latch {
    /// Lets everyone who waits go on.
    pub fn open(&self) {
        self.0.cancel();
    }
}

/// The side of a [`Latch`] that waits.
#[derive(Debug, Clone)]
pub struct Opened(CancellationToken);

impl Opened {
    /// Waits until the latch is open, or dropped.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }
}

/// A latch that is closed.
pub fn latch() -> (Latch, Opened) {
    let (guard, token) = cancellation();
    (Latch(guard), Opened(token))
}

/// Why an actor could not go on, told to its supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::mailbox::Undelivered;
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn order_is_kept() {
        let (address, mut mailbox) = mailbox(8);
        for n in 0..5 {
            assert_eq!(address.try_send(n), Ok(()));
        }
        assert_eq!(address.depth(), 5);
        for n in 0..5 {
            assert_eq!(block_on(mailbox.next()), Some(n));
        }
    }

    #[test]
    fn a_full_mailbox_refuses_an_offer_and_holds_a_send() {
        let (address, mut mailbox) = mailbox(1);
        assert_eq!(address.try_send(1), Ok(()));
        assert_eq!(address.try_send(2), Err(Undelivered::Full(2)));
        block_on(async {
            let mut waiting = Box::pin(address.send(2));
            assert!(poll_once(&mut waiting).await.is_none());
            assert_eq!(mailbox.next().await, Some(1));
            assert_eq!(waiting.await, Ok(()));
            assert_eq!(mailbox.try_recv(), Some(2));
            assert_eq!(mailbox.try_recv(), None);
        });
    }

    #[test]
    fn an_unbounded_mailbox_takes_every_message() {
        let (address, mut mailbox) = unbounded();
        for n in 0..100_000 {
            assert_eq!(address.try_send(n), Ok(()));
        }
        assert_eq!(mailbox.try_recv(), Some(0));
    }

    #[test]
    fn a_dropped_mailbox_gives_messages_back_and_tells_askers() {
        let (address, mailbox) = mailbox(2);
        let (to_asker, answer) = reply::<u8>();
        assert!(address.try_send(Some(to_asker)).is_ok());
        drop(mailbox);
        assert!(block_on(answer.wait()).is_none());
        assert!(matches!(
            block_on(address.send(None)),
            Err(Undelivered::Closed(None))
        ));
        assert!(matches!(
            address.try_send(None),
            Err(Undelivered::Closed(None))
        ));
    }

    #[test]
    fn a_mailbox_without_addresses_gives_its_rest_and_ends() {
        let (address, mut mailbox) = mailbox(2);
        assert!(address.try_send(1).is_ok());
        drop(address);
        assert_eq!(block_on(mailbox.next()), Some(1));
        assert_eq!(block_on(mailbox.next()), None);
    }

    #[test]
    fn a_reply_answers_once_or_tells_of_its_loss() {
        let (to_asker, answer) = reply();
        to_asker.send(7);
        assert_eq!(block_on(answer.wait()), Some(7));
        let (to_asker, answer) = reply::<u8>();
        drop(to_asker);
        assert_eq!(block_on(answer.wait()), None);
        let (to_asker, answer) = reply();
        drop(answer);
        to_asker.send(7);
    }

    #[test]
    fn a_stop_reaches_every_clone() {
        let (guard, stop) = cancellation();
        let other = stop.clone();
        block_on(async {
            assert!(poll_once(stop.cancelled()).await.is_none());
            assert!(!other.is_cancelled());
            guard.cancel();
            stop.cancelled().await;
            other.cancelled().await;
            assert!(other.is_cancelled());
        });
    }

    #[test]
    fn a_dropped_stopper_asks_to_stop() {
        let (guard, stop) = cancellation();
        drop(guard);
        block_on(stop.cancelled());
    }
}
