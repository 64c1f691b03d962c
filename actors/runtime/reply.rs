//! The answer to one request.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// What both sides share; a side is gone when the other alone holds it.
#[derive(Debug)]
struct Shared<T> {
    answer: RefCell<Option<T>>,
    asker: RefCell<Option<Waker>>,
}

/// The right to answer one request, once.
#[derive(Debug)]
pub struct Reply<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Reply<T> {
    /// Whether whoever asked has gone.
    pub fn is_closed(&self) -> bool {
        Rc::strong_count(&self.shared) == 1
    }

    /// Answers. Whoever asked may have gone; then the answer is dropped.
    pub fn send(self, answer: T) {
        self.shared.answer.replace(Some(answer));
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        // Answered or not: whoever asked looks when this is gone.
        if let Some(asker) = self.shared.asker.take() {
            asker.wake();
        }
    }
}

/// The answer to come.
#[derive(Debug)]
pub struct Answer<T> {
    shared: Rc<Shared<T>>,
}

impl<T> Answer<T> {
    /// Waits for the answer; `None` when the request was dropped unanswered.
    pub async fn wait(self) -> Option<T> {
        poll_fn(|context| {
            let Shared { answer, asker } = &*self.shared;
            let answer = answer.take();
            if answer.is_some() || Rc::strong_count(&self.shared) == 1 {
                return Poll::Ready(answer);
            }
            match &mut *asker.borrow_mut() {
                Some(known) if known.will_wake(context.waker()) => {}
                asker => *asker = Some(context.waker().clone()),
            }
            Poll::Pending
        })
        .await
    }
}

/// A pair for one request: the reply goes into the message, the answer stays.
pub fn reply<T>() -> (Reply<T>, Answer<T>) {
    let shared = Rc::new(Shared {
        answer: RefCell::new(None),
        asker: RefCell::new(None),
    });
    let reply = Reply {
        shared: Rc::clone(&shared),
    };
    (reply, Answer { shared })
}
