//! How many publishers there may be at once, and who has to go when there are more.
//!
//! Publishers have descriptors of their own, so that no number of them takes one from subscribers. Where
//! there are too many, those that have not yet shown that they are publishers go first, of them those of
//! the address that has most; then whoever was longest without a whole request or message. Who knows the
//! secret, where there is one, and who reads a streamed answer, is not given up.
//!
//! What publishers have unfinished and what waits for subscribers is one account: where the two together
//! take more memory than --total-buffer allows, whoever has most goes first.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

use async_io::Timer;
use futures_lite::FutureExt;

use super::handshakes::{Handshakes, Turn};
use crate::clients::ClientPool;
use crate::config::Settings;
use crate::runtime::{CancelGuard, CancellationToken, Failure, cancellation};

/// The publishers that are connected, on all control addresses.
pub struct Places {
    taken: RefCell<BTreeMap<u64, Taken>>,
    next: Cell<u64>,
    /// Bytes of messages and bodies that are not yet whole, of all publishers.
    unfinished: Cell<usize>,
    /// Bytes that waited for subscribers when that was last looked at.
    waiting: Cell<usize>,
    pool: Rc<ClientPool>,
    handshakes: Rc<Handshakes>,
}

/// What is known of a connection.
#[derive(Debug)]
struct Taken {
    address: Option<IpAddr>,
    /// When its last whole request or message came; before the first, when it connected.
    since: Instant,
    /// Whether a whole request or message has come.
    whole: bool,
    /// Whether nobody needs to know a secret, or it has shown that it does.
    proven: bool,
    streaming: bool,
    /// Whether it is a connection with streams, which count instead.
    carrying: bool,
    /// Bytes of its message or body that is not yet whole.
    unfinished: usize,
    /// Ends it; none once that is under way.
    guard: Option<CancelGuard>,
    /// Why it was given up, if it was.
    why: &'static str,
}

/// There are too many publishers.
const TOO_MANY: &str = "there are as many publishers as --max-publishers allows";
/// There is too little memory.
const TOO_LARGE: &str = "its unfinished message takes the most of what --total-buffer allows";

/// A connection's place, which is free again when this is dropped.
pub(super) struct Place {
    places: Rc<Places>,
    key: u64,
}

/// The right to a streamed answer, given back when it is dropped.
pub(super) struct Streaming<'a>(&'a Place);

impl Places {
    /// No publishers yet; the subscribers are in `pool`.
    pub fn new(pool: Rc<ClientPool>) -> Rc<Self> {
        Rc::new(Self {
            taken: RefCell::default(),
            next: Cell::new(0),
            unfinished: Cell::new(0),
            waiting: Cell::new(0),
            pool,
            handshakes: Rc::default(),
        })
    }

    /// Looks again and again whether too much memory is taken, until it is asked to stop.
    ///
    /// # Errors
    /// None.
    pub async fn watch(
        self: Rc<Self>,
        settings: Rc<Settings>,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let looks = async {
            loop {
                let tick = async {
                    Timer::after(settings.now().tick()).await;
                };
                tick.or(self.pool.grown()).await;
                self.hold_to(settings.now().total_buffer);
            }
        };
        looks.or(stop.cancelled()).await;
        Ok(())
    }

    /// A place for one more connection where there may be `most`, and what tells it that it was given up
    /// for another; none if nobody can be given up for it. `guarded`: there is a secret.
    pub(super) fn take(
        self: &Rc<Self>,
        address: Option<IpAddr>,
        most: usize,
        guarded: bool,
    ) -> Option<(Place, CancellationToken)> {
        let mut taken = self.taken.borrow_mut();
        let counts = |taken: &&Taken| taken.guard.is_some() && !taken.carrying;
        if taken.values().filter(counts).count() >= most {
            let victim = victim(&taken, guarded)?;
            let victim = taken.get_mut(&victim)?;
            (victim.guard, victim.why) = (None, TOO_MANY);
        }
        let (guard, given_up) = cancellation();
        let key = self.next.replace(self.next.get() + 1);
        let place = Taken {
            address,
            since: Instant::now(),
            whole: false,
            proven: false,
            streaming: false,
            carrying: false,
            unfinished: 0,
            guard: Some(guard),
            why: "",
        };
        taken.insert(key, place);
        let places = Rc::clone(self);
        Some((Place { places, key }, given_up))
    }

    /// Gives up the publishers and subscribers that have most bytes unfinished or waiting, as long as all
    /// together have more than `most`.
    fn hold_to(&self, most: usize) {
        let mut waiting = self.pool.stalled_bytes();
        let mut stalled = Vec::new();
        if self.unfinished.get() + waiting > most {
            stalled = self.pool.stalled();
        }
        while self.unfinished.get() + waiting > most {
            let of_publishers = self.most_unfinished();
            let worst = stalled
                .last()
                .map(|client| (*client, self.pool.held(*client)));
            match worst.filter(|(_, held)| *held >= of_publishers.0) {
                Some((client, held)) => {
                    stalled.pop();
                    waiting = waiting.saturating_sub(held);
                    self.pool.give_up(client);
                }
                None if of_publishers.0 > 0 => self.give_up_unfinished(of_publishers.1),
                None => break,
            }
        }
        self.waiting.set(waiting);
    }

    /// The most bytes that a publisher has unfinished, and which one that is.
    fn most_unfinished(&self) -> (usize, u64) {
        let taken = self.taken.borrow();
        let living = taken.iter().filter(|(_, taken)| taken.guard.is_some());
        let most = living.map(|(key, taken)| (taken.unfinished, *key)).max();
        most.unwrap_or_default()
    }

    fn give_up_unfinished(&self, key: u64) {
        if let Some(taken) = self.taken.borrow_mut().get_mut(&key) {
            let freed = std::mem::take(&mut taken.unfinished);
            (taken.guard, taken.why) = (None, TOO_LARGE);
            self.unfinished.set(self.unfinished.get() - freed);
        }
    }
}

/// Who has to go.
fn victim(taken: &BTreeMap<u64, Taken>, guarded: bool) -> Option<u64> {
    let may_go = |taken: &Taken| {
        let spared = taken.streaming || taken.carrying || guarded && taken.proven;
        taken.guard.is_some() && !spared
    };
    let candidates = || taken.iter().filter(|(_, taken)| may_go(taken));
    let mut by_address = HashMap::<_, usize>::new();
    for (_, one) in candidates().filter(|(_, taken)| !taken.whole) {
        *by_address.entry(one.address).or_default() += 1;
    }
    let (key, _) = candidates().min_by_key(|(_, taken)| {
        let of_address = by_address.get(&taken.address).copied().unwrap_or_default();
        let rank = if taken.whole { 0 } else { of_address };
        (taken.whole, usize::MAX - rank, taken.since)
    })?;
    Some(*key)
}

impl Place {
    /// Why it was given up.
    pub(super) fn why(&self) -> &'static str {
        let taken = self.places.taken.borrow();
        taken.get(&self.key).map_or("", |taken| taken.why)
    }

    /// A place for a stream of its connection, as [`Places::take`] gives one.
    pub(super) fn another(&self, most: usize, guarded: bool) -> Option<(Self, CancellationToken)> {
        let taken = self.places.taken.borrow();
        let address = taken.get(&self.key).and_then(|taken| taken.address);
        drop(taken);
        self.places.take(address, most, guarded)
    }

    /// Whether its connection has streams.
    pub(super) fn carries(&self, any: bool) {
        self.change(|taken| taken.carrying = any);
    }

    /// A whole request or message has come.
    pub(super) fn has_whole(&self) {
        self.change(|taken| {
            taken.since = Instant::now();
            taken.whole = true;
        });
    }

    /// It knows the secret, or came where none is asked for.
    pub(super) fn is_proven(&self) {
        self.change(|taken| taken.proven = true);
    }

    /// Waits until it may go on with its TLS handshake, which it may as long as what is given lives.
    pub(super) async fn turn_to_shake_hands(&self) -> Option<Turn> {
        let address = self.places.taken.borrow().get(&self.key)?.address;
        self.places.handshakes.turn(address).await
    }

    /// How many bytes of a message or body wait for the rest of it, where all publishers and subscribers may
    /// have `most`.
    pub(super) fn unfinished(&self, bytes: usize, most: usize) {
        let mut before = 0;
        self.change(|taken| before = std::mem::replace(&mut taken.unfinished, bytes));
        let all = self.places.unfinished.get() + bytes - before;
        self.places.unfinished.set(all);
        if bytes > before && all + self.places.waiting.get() > most {
            self.places.hold_to(most);
        }
    }

    /// The right to a streamed answer, of which a quarter of `most` connections may have one.
    pub(super) fn stream(&self, most: usize) -> Option<Streaming<'_>> {
        {
            let taken = self.places.taken.borrow();
            let streaming = taken.values().filter(|taken| taken.streaming).count();
            if streaming >= (most / 4).max(1) {
                return None;
            }
        }
        self.change(|taken| taken.streaming = true);
        Some(Streaming(self))
    }

    fn change(&self, change: impl FnOnce(&mut Taken)) {
        if let Some(taken) = self.places.taken.borrow_mut().get_mut(&self.key) {
            change(taken);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let gone = self.places.taken.borrow_mut().remove(&self.key);
        let bytes = gone.map_or(0, |taken| taken.unfinished);
        let left = self.places.unfinished.get().saturating_sub(bytes);
        self.places.unfinished.set(left);
    }
}

impl Drop for Streaming<'_> {
    fn drop(&mut self) {
        self.0.change(|taken| taken.streaming = false);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::net::Ipv4Addr;

    use super::*;

    fn at(last: u8) -> Option<IpAddr> {
        Some(Ipv4Addr::new(10, 0, 0, last).into())
    }

    fn places() -> Rc<Places> {
        Places::new(ClientPool::new(1 << 20, 100, |_, _| {}).unwrap())
    }

    #[test]
    fn the_address_with_most_that_never_spoke_gives_up_its_oldest() {
        let places = places();
        let take = |last| places.take(at(last), 4, false).unwrap();
        let (_honest, honest_up) = take(1);
        let (_first, first_up) = take(2);
        let (_second, second_up) = take(2);
        let (speaker, speaker_up) = take(2);
        speaker.has_whole();
        let (_fifth, fifth_up) = take(3);
        assert!(
            first_up.is_cancelled(),
            "the oldest of the address with most"
        );
        for alive in [&honest_up, &second_up, &speaker_up, &fifth_up] {
            assert!(!alive.is_cancelled());
        }
    }

    #[test]
    fn then_whoever_was_longest_silent() {
        let places = places();
        let take = || places.take(at(1), 3, false).unwrap();
        let (a, a_up) = take();
        let (b, b_up) = take();
        let (c, c_up) = take();
        for one in [&a, &b, &c] {
            one.has_whole();
        }
        a.has_whole();
        let streaming = b.stream(4).unwrap();
        let (_d, _) = take();
        assert!(c_up.is_cancelled() && !a_up.is_cancelled() && !b_up.is_cancelled());
        drop(streaming);
    }

    #[test]
    fn who_knows_the_secret_stays() {
        let places = places();
        let (a, _a_up) = places.take(at(1), 2, true).unwrap();
        let (b, b_up) = places.take(at(2), 2, true).unwrap();
        a.is_proven();
        let (c, _c_up) = places.take(at(3), 2, true).unwrap();
        assert!(b_up.is_cancelled());
        c.is_proven();
        assert!(places.take(at(4), 2, true).is_none(), "nobody can go");
        drop(b);
        assert!(
            places.take(at(4), 2, true).is_none(),
            "it was given up already"
        );
        drop(a);
        assert!(places.take(at(4), 2, true).is_some());
    }

    #[test]
    fn streamed_answers_are_a_quarter() {
        let places = places();
        let all: Vec<_> = (0..8)
            .map(|n| places.take(at(n), 8, false).unwrap().0)
            .collect();
        let first = all[0].stream(8).unwrap();
        let _second = all[1].stream(8).unwrap();
        assert!(all[2].stream(8).is_none());
        drop(first);
        assert!(all[2].stream(8).is_some());
    }

    #[test]
    fn streams_count_instead_of_their_connection() {
        let places = places();
        let (connection, connection_up) = places.take(at(1), 2, false).unwrap();
        connection.carries(true);
        let (_first, first_up) = connection.another(2, false).unwrap();
        let (_second, second_up) = connection.another(2, false).unwrap();
        assert!(!first_up.is_cancelled());
        let (_third, _) = places.take(at(2), 2, false).unwrap();
        assert!(first_up.is_cancelled() && !second_up.is_cancelled());
        assert!(!connection_up.is_cancelled(), "its streams need it");
        connection.carries(false);
        let (_fourth, _) = places.take(at(2), 2, false).unwrap();
        assert!(connection_up.is_cancelled(), "it counts again");
    }

    #[test]
    fn the_one_with_most_bytes_goes_first() {
        let places = places();
        let (a, a_up) = places.take(at(1), 8, false).unwrap();
        let (b, b_up) = places.take(at(2), 8, false).unwrap();
        a.unfinished(10, 100);
        b.unfinished(20, 100);
        a.unfinished(30, 50);
        assert_eq!(places.unfinished.get(), 50);
        b.unfinished(25, 50);
        assert!(a_up.is_cancelled() && !b_up.is_cancelled());
        assert!(a.why().contains("--total-buffer"));
        assert_eq!(places.unfinished.get(), 25);
        drop((a, b));
        assert_eq!(places.unfinished.get(), 0);
    }
}
