//! The time of one turn: the one rule by which all actors share the thread.
//!
//! An actor's turn is one poll of its future. The executor says when a turn begins ([`begin`]). Every
//! loop over input, over messages or over clients asks whether the turn is over, and then lets the
//! others have theirs: [`pause`] does both. Without that, a loop goes on for as long as its peer has
//! something to say, because reading, writing and taking a message from a mailbox do not wait while
//! there is something to read, room to write or a message to take.
//!
//! | loop | where it pauses |
//! | --- | --- |
//! | over a publisher's bytes, in and out | in its connection, behind each read and write |
//! | over an actor's messages | in [`Mailbox::next`](crate::runtime::Mailbox::next) |
//! | over accepted connections | in [`Acceptor::next`](crate::net::accept::Acceptor::next) |
//! | over items of one message | in the loop itself |
//!
//! The clients have no such loops: each does a bounded piece of work in its turn, and the slice of
//! the clients as a whole is bounded by time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use futures_lite::future::yield_now;

/// How long one turn of a service actor may last before the actor has to let others go on.
pub const TURN: Duration = Duration::from_micros(250);

thread_local! {
    /// When the turn that is under way began; none outside of the executor, as in most unit tests.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Says that a turn begins now; for the executor.
pub fn begin(now: Instant) {
    BEGAN.set(Some(now));
}

/// Whether the turn has lasted for [`TURN`]. Costs a look at the clock.
pub fn is_over() -> bool {
    BEGAN.get().is_some_and(|began| began.elapsed() >= TURN)
}

/// Lets all others who are ready have their turns, if this turn is over. Costs a look at the clock.
pub async fn pause() {
    if is_over() {
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{block_on, poll_once};

    use super::*;

    #[test]
    fn a_turn_is_over_when_its_time_is() {
        assert!(!is_over(), "without an executor there are no turns");
        begin(Instant::now());
        assert!(block_on(poll_once(pause())).is_some());
        begin(Instant::now() - TURN);
        assert!(is_over());
        assert!(block_on(poll_once(pause())).is_none());
    }
}
