//! Asking actors to come to their end.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// What a guard and its tokens share.
#[derive(Debug, Default)]
struct Shared {
    given: Cell<bool>,
    waiting: RefCell<Waiting>,
}

/// Who waits for the signal.
#[derive(Debug, Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    vacant: Vec<usize>,
}

/// Tells an actor that it should come to its end.
#[derive(Debug, Clone)]
pub struct CancellationToken {
    shared: Rc<Shared>,
}

impl CancellationToken {
    /// Waits until stopping is asked for.
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled {
            shared: &self.shared,
            place: None,
        }
    }

    /// Waits until stopping is asked for, and gives `value` then: what an actor that waits for several
    /// things does at its end.
    pub async fn cancelled_then<T>(&self, value: T) -> T {
        self.cancelled().await;
        value
    }

    /// Whether stopping was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.shared.given.get()
    }
}

/// The future of [`CancellationToken::cancelled`].
#[derive(Debug)]
pub struct Cancelled<'a> {
    shared: &'a Shared,
    /// The place of its waker among those that wait.
    place: Option<usize>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.shared.given.get() {
            return Poll::Ready(());
        }
        let waiting = &mut *self.shared.waiting.borrow_mut();
        let place = match self.place {
            Some(place) => place,
            None => waiting.vacant.pop().unwrap_or_else(|| {
                waiting.wakers.push(None);
                waiting.wakers.len() - 1
            }),
        };
        match &mut waiting.wakers[place] {
            Some(known) if known.will_wake(context.waker()) => {}
            waker => *waker = Some(context.waker().clone()),
        }
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waiting = &mut *self.shared.waiting.borrow_mut();
            // None is there any more once the signal was given.
            if let Some(waker) = waiting.wakers.get_mut(place) {
                *waker = None;
                waiting.vacant.push(place);
            }
        }
    }
}

/// The other side of a [`CancellationToken`]; dropping it asks to stop too.
#[derive(Debug)]
pub struct CancelGuard {
    shared: Rc<Shared>,
}

impl CancelGuard {
    /// Asks everyone who holds the [`CancellationToken`] to come to an end.
    pub fn cancel(&self) {
        self.shared.given.set(true);
        let wakers = std::mem::take(&mut *self.shared.waiting.borrow_mut()).wakers;
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// A fresh pair.
pub fn cancellation() -> (CancelGuard, CancellationToken) {
    let shared = Rc::<Shared>::default();
    let guard = CancelGuard {
        shared: Rc::clone(&shared),
    };
    (guard, CancellationToken { shared })
}
