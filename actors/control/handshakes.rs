//! The TLS handshakes of publishers: one step at a time, and in turn by address.
//!
//! A step may take many milliseconds, such as a signature by a large RSA key, and whoever connects decides
//! how many there are to do. So each step waits for its [`Turn`]. The turns go round from address to address,
//! and after each one handshakes rest for as long as it took: a flood of them leaves half of the time to
//! everything else, and whoever comes from another address does not wait behind it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use async_io::Timer;

use crate::runtime::{Answer, Reply, reply};

/// The handshakes on all control addresses.
#[derive(Debug, Default)]
pub(super) struct Handshakes(RefCell<Line>);

#[derive(Debug, Default)]
struct Line {
    /// Whether somebody has the turn.
    taken: bool,
    /// Those who wait for it, by address; the addresses in the order of their turns.
    waiting: VecDeque<(Option<IpAddr>, VecDeque<Reply<Turn>>)>,
    /// When the next one may begin.
    from: Option<Instant>,
}

/// The right to do one step, given on when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    handshakes: Rc<Handshakes>,
    began: Option<Instant>,
}

impl Handshakes {
    /// Waits for a turn; none only if the daemon comes to its end.
    pub(super) async fn turn(self: &Rc<Self>, address: Option<IpAddr>) -> Option<Turn> {
        let mut turn = match self.enter(address) {
            Ok(turn) => turn,
            Err(answer) => answer.wait().await?,
        };
        let from = self.0.borrow().from;
        if let Some(from) = from.filter(|from| *from > Instant::now()) {
            Timer::at(from).await;
        }
        turn.began = Some(Instant::now());
        Some(turn)
    }

    /// The turn, if nobody has it; else the answer that brings it.
    fn enter(self: &Rc<Self>, address: Option<IpAddr>) -> Result<Turn, Answer<Turn>> {
        let line = &mut *self.0.borrow_mut();
        if !std::mem::replace(&mut line.taken, true) {
            return Ok(self.given());
        }
        let (reply, answer) = reply();
        let mut groups = line.waiting.iter_mut();
        match groups.find(|(of, _)| *of == address) {
            Some((_, group)) => group.push_back(reply),
            None => line.waiting.push_back((address, [reply].into())),
        }
        Err(answer)
    }

    fn given(self: &Rc<Self>) -> Turn {
        Turn {
            handshakes: Rc::clone(self),
            began: None,
        }
    }
}

impl Line {
    /// The next one who waits, and has not left meanwhile.
    fn next(&mut self) -> Option<Reply<Turn>> {
        while let Some((address, mut group)) = self.waiting.pop_front() {
            let next = std::iter::from_fn(|| group.pop_front()).find(|reply| !reply.is_closed());
            if !group.is_empty() {
                self.waiting.push_back((address, group));
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut line = self.handshakes.0.borrow_mut();
            if let Some(began) = self.began {
                let now = Instant::now();
                line.from = Some(now + (now - began));
            }
            let next = line.next();
            line.taken = next.is_some();
            next
        };
        // Whoever leaves just now gives it on in turn.
        if let Some(next) = next {
            next.send(self.handshakes.given());
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::future::Future;
    use std::net::Ipv4Addr;
    use std::pin::Pin;
    use std::time::Duration;

    use futures_lite::future::{block_on, poll_once};

    use super::*;

    type Waiting<'a> = Pin<Box<dyn Future<Output = Option<Turn>> + 'a>>;

    fn wait(handshakes: &Rc<Handshakes>, last: u8) -> Waiting<'_> {
        let address = Some(Ipv4Addr::new(10, 0, 0, last).into());
        let mut waiting: Waiting<'_> = Box::pin(handshakes.turn(address));
        assert!(block_on(poll_once(&mut waiting)).is_none());
        waiting
    }

    #[test]
    fn turns_go_round_from_address_to_address() {
        let handshakes = Rc::<Handshakes>::default();
        let mut turn = block_on(handshakes.turn(None));
        let mut waiting: Vec<(u8, Waiting<'_>)> = [1, 1, 1, 2, 3, 1]
            .into_iter()
            .map(|last| (last, wait(&handshakes, last)))
            .collect();
        // One who leaves costs nobody a turn.
        drop(waiting.remove(1));
        let mut order = Vec::new();
        while !waiting.is_empty() {
            assert!(turn.take().is_some());
            while handshakes.0.borrow().from > Some(Instant::now()) {}
            waiting.retain_mut(|(last, waiting)| match block_on(poll_once(waiting)) {
                Some(given) => {
                    order.push(*last);
                    turn = given;
                    false
                }
                None => true,
            });
        }
        assert_eq!(order, [1, 2, 3, 1, 1]);
        drop(turn);
        assert!(!handshakes.0.borrow().taken);
    }

    #[test]
    fn handshakes_have_half_of_the_time() {
        let handshakes = Rc::<Handshakes>::default();
        let turn = block_on(handshakes.turn(None)).unwrap();
        let work = Duration::from_millis(30);
        std::thread::sleep(work);
        drop(turn);
        let ended = Instant::now();
        drop(block_on(handshakes.turn(None)));
        assert!(ended.elapsed() >= work);
    }
}
