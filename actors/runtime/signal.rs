//! Saying to one who waits that there may be something to do.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Says to one who waits that there may be something to do. What is said while nobody waits is kept, once.
#[derive(Debug, Default)]
pub struct Signal {
    given: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Signal {
    /// Gives it.
    pub fn give(&self) {
        self.given.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits until it is given; gives `value` then.
    pub async fn given_then<T>(&self, value: T) -> T {
        poll_fn(|context| {
            if self.given.take() {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
        value
    }
}
