#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::future::{block_on, poll_once};
use smol::LocalExecutor;

use super::overload::WRITE_TIME;
use super::queues::MUCH;
use super::slot::Slot;
use super::*;
use crate::messages::client::{End, Ending, Message};
use crate::model::{ClientKey, EventId};
use crate::net::stream::Stream;
use crate::runtime::executor::{self, ActorPool};
use crate::wire::sse::Frame;

/// Longer than any slice of these tests.
const TIME: Duration = Duration::from_secs(60);

type Exits = Rc<RefCell<Vec<(ClientKey, End)>>>;

fn pool(limit: usize) -> (Rc<ClientPool>, Exits) {
    let exits = Exits::default();
    let told = Rc::clone(&exits);
    let pool = ClientPool::new(limit, 100_000, move |key, end| {
        told.borrow_mut().push((key, end))
    })
    .unwrap();
    (pool, exits)
}

fn pair() -> (Stream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Stream::new(OwnedFd::from(ours), None).unwrap(), theirs)
}

/// Joins a client that notes each of its turns by `name` and takes what waits for it.
fn noting(
    pool: &Rc<ClientPool>,
    name: usize,
    turns: &Rc<RefCell<Vec<usize>>>,
) -> (ClientKey, UnixStream) {
    let (socket, peer) = pair();
    let turns = Rc::clone(turns);
    let life = |handle: ClientHandle| async move {
        handle.frame(true);
        handle.asked();
        handle.open();
        loop {
            // Not `work`: what waits for a stream at rest is written without a turn of its own.
            handle.input().await;
            turns.borrow_mut().push(name);
            if handle.flush().unwrap() == Flushed::Message {
                return End::Finished(Ending::Stopped);
            }
            let _drained = handle.read(|_| ());
        }
    };
    (pool.join(socket, None, life).unwrap(), peer)
}

/// Joins a client whose other end reads nothing, and sends it more than its socket takes; it ends when
/// it is told that too much waits for it.
fn blocked(pool: &Rc<ClientPool>) -> (ClientKey, UnixStream) {
    let (socket, peer) = pair();
    let life = |handle: ClientHandle| async move {
        handle.asked();
        handle.open();
        loop {
            handle.work().await;
            match handle.flush() {
                Ok(Flushed::Overflowing) => return End::Slow,
                _ => drop(handle.read(|_| ())),
            }
        }
    };
    let key = pool.join(socket, None, life).unwrap();
    run_until(pool, || {
        pool.inner.borrow().slots[key.index as usize].is_ready()
    });
    let large = Rc::new(Frame::event(EventId(1), None, &"x".repeat(4 << 20)));
    pool.send_all(&[key.index], &large);
    pool.turn(1, TIME, true);
    (key, peer)
}

/// Runs the pool with its reactor until `done`.
fn run_until(pool: &Rc<ClientPool>, done: impl Fn() -> bool) {
    let services = LocalExecutor::new();
    let watched = Rc::clone(pool);
    services
        .spawn(async move { watched.watch().await })
        .detach();
    let main = async {
        while !done() {
            async_io::Timer::after(Duration::from_millis(1)).await;
        }
    };
    executor::run(&services, &**pool, main);
}

impl Slot {
    /// Whether the client has begun, and its socket takes something.
    fn is_ready(&self) -> bool {
        self.flags.writable && self.flags.is_open()
    }
}

fn event(id: u64) -> Rc<Frame> {
    Rc::new(Frame::event(EventId(id), None, "x"))
}

#[test]
fn a_message_for_one_does_not_wait_behind_a_broadcast() {
    let (pool, _) = pool(1 << 20);
    let turns = Rc::default();
    let clients: Vec<_> = (0..500).map(|n| noting(&pool, n, &turns)).collect();
    run_until(&pool, || {
        pool.inner.borrow().slots.iter().all(|slot| slot.is_ready())
    });
    let everyone: Vec<u32> = clients.iter().map(|(key, _)| key.index).collect();
    let (key, _peer) = noting(&pool, 500, &turns);
    run_until(&pool, || {
        pool.inner.borrow().slots[key.index as usize].is_ready()
    });
    turns.borrow_mut().clear();
    pool.send_all(&everyone, &event(1));
    pool.send_all(&[key.index], &event(2));
    assert!(pool.turn(4, TIME, true));
    assert!(turns.borrow().contains(&500), "{:?}", turns.borrow());
}

#[test]
fn bulk_keeps_its_share_while_there_is_fast_work() {
    let (pool, _) = pool(1 << 20);
    let turns = Rc::default();
    let clients: Vec<_> = (0..200).map(|n| noting(&pool, n, &turns)).collect();
    run_until(&pool, || {
        pool.inner.borrow().slots.iter().all(|slot| slot.is_ready())
    });
    let everyone: Vec<u32> = clients.iter().map(|(key, _)| key.index).collect();
    turns.borrow_mut().clear();
    for client in &everyone[..100] {
        pool.send_all(&[*client], &event(1));
    }
    pool.send_all(&everyone[100..], &event(2));
    assert!(pool.turn(40, TIME, true));
    let bulk = turns.borrow().iter().filter(|name| **name >= 100).count();
    assert_eq!(bulk, 10);
}

#[test]
fn what_waits_is_written_joined_and_in_order() {
    let (pool, exits) = pool(1 << 20);
    let turns = Rc::default();
    let (key, mut peer) = noting(&pool, 0, &turns);
    run_until(&pool, || pool.inner.borrow().slots[0].is_ready());
    for id in 1..=3 {
        pool.send_all(&[key.index], &event(id));
    }
    let end = Ending::Stopped;
    pool.send(key.index, Message::Finish { end });
    run_until(&pool, || !exits.borrow().is_empty());
    let mut written = String::new();
    peer.read_to_string(&mut written).unwrap();
    let expected: Vec<u8> = (1..=3)
        .flat_map(|id| event(id).bytes(true).to_vec())
        .collect();
    assert_eq!(written.as_bytes(), expected);
    assert_eq!(*turns.borrow(), [0]);
    assert_eq!(pool.totals().events, 3);
    assert_eq!(pool.totals().bytes, expected.len() as u64);
}

#[test]
fn a_stream_at_rest_is_written_without_a_turn_of_its_own() {
    let (pool, exits) = pool(1 << 20);
    let (socket, mut peer) = pair();
    let turns = Rc::new(Cell::new(0));
    let counted = Rc::clone(&turns);
    let life = |handle: ClientHandle| async move {
        handle.frame(true);
        handle.asked();
        handle.open();
        loop {
            handle.work().await;
            counted.set(counted.get() + 1);
            if let Err(error) = handle.read(|_| ()) {
                return error.into();
            }
        }
    };
    let key = pool.join(socket, None, life).unwrap();
    run_until(&pool, || pool.inner.borrow().slots[0].is_ready());
    let before = turns.get();
    pool.send_all(&[key.index], &event(1));
    assert!(!pool.turn(1, TIME, true));
    let mut written = vec![0; event(1).bytes(true).len()];
    peer.read_exact(&mut written).unwrap();
    assert_eq!(written, event(1).bytes(true));
    assert_eq!((turns.get(), pool.totals().events), (before, 1));
    // That a peer is gone ends it as ever.
    drop(peer);
    pool.send_all(&[key.index], &event(2));
    pool.turn(1, TIME, true);
    let end = End::Broken(std::io::ErrorKind::BrokenPipe);
    assert_eq!(*exits.borrow(), [(key, end)]);
}

#[test]
fn a_panic_ends_one_client_alone() {
    let (pool, exits) = pool(1 << 20);
    let turns = Rc::default();
    let (other, mut peer) = noting(&pool, 0, &turns);
    let (socket, _other_end) = pair();
    let key = pool
        .join(socket, None, |_| async { panic!("a fault") })
        .unwrap();
    run_until(&pool, || !exits.borrow().is_empty());
    assert_eq!(*exits.borrow(), [(key, End::Panicked("a fault".into()))]);
    assert_eq!(pool.totals().connected, 1);
    pool.send_all(&[key.index, other.index], &event(1));
    pool.turn(10, TIME, true);
    let mut written = vec![0; event(1).bytes(true).len()];
    peer.read_exact(&mut written).unwrap();
    assert_eq!(written, event(1).bytes(true));
}

#[test]
fn a_cell_is_used_again_only_when_it_was_freed() {
    let (pool, exits) = pool(1 << 20);
    let life = |_| async { End::Left };
    let first = pool.join(pair().0, None, life).unwrap();
    run_until(&pool, || exits.borrow().len() == 1);
    let second = pool.join(pair().0, None, life).unwrap();
    assert_ne!(first.index, second.index);
    pool.free(first);
    let third = pool.join(pair().0, None, life).unwrap();
    assert_eq!(first.index, third.index);
    assert_ne!(first, third);
    assert_eq!(ClientKey::from_number(third.to_number()), third);
}

#[test]
fn too_much_at_once_holds_the_sender_until_clients_had_a_turn() {
    let (pool, _) = pool(1000);
    let turns = Rc::default();
    let (key, mut peer) = noting(&pool, 0, &turns);
    run_until(&pool, || pool.inner.borrow().slots[0].is_ready());
    let mut sent = 0;
    while block_on(poll_once(pool.ready())).is_some() {
        sent += 1;
        pool.send_all(&[key.index], &event(sent));
        assert!(sent < 100);
    }
    pool.turn(1, TIME, true);
    assert!(block_on(poll_once(pool.ready())).is_some());
    // All were written: who has had no turn is not slow.
    peer.set_nonblocking(true).unwrap();
    let mut written = vec![0; 10_000];
    let count = peer.read(&mut written).unwrap();
    let all = |sum: usize, id: u64| sum + event(id).bytes(true).len();
    assert_eq!(count, (1..=sent).fold(0, all));
}

#[test]
fn who_does_not_read_overflows_and_one_event_always_fits() {
    let (pool, exits) = pool(1000);
    let (key, _peer) = blocked(&pool);
    assert!(pool.figures(key.index).1 > 1 << 20);
    // A blocked client is not in a queue, and costs nothing, until too much waits for it.
    let mut id = 1;
    while pool.inner.borrow().queues.fast.is_empty() {
        id += 1;
        pool.send_all(&[key.index], &event(id));
    }
    let behind: usize = (2..=id).map(|id| event(id).bytes(false).len()).sum();
    assert!((1001..1020).contains(&behind), "{behind}");
    pool.turn(1, TIME, true);
    assert_eq!(*exits.borrow(), [(key, End::Slow)]);
}

#[test]
fn who_takes_nothing_and_how_much_waits_for_it_can_be_asked() {
    let (pool, exits) = pool(1 << 30);
    assert_eq!((pool.stalled_bytes(), pool.stalled()), (0, vec![]));
    let (key, _peer) = blocked(&pool);
    let waits = pool.figures(key.index).1 as usize;
    assert!(pool.stalled_bytes() >= waits);
    assert_eq!(pool.stalled(), [key.index]);
    let held = pool.held(key.index);
    assert!(held > 1 << 20, "{held}");
    pool.give_up(key.index);
    assert!(pool.stalled().is_empty(), "it is about to go");
    pool.slice(1, TIME, true);
    assert_eq!(*exits.borrow(), [(key, End::Slow)]);
}

#[test]
fn an_event_that_waits_for_several_counts_once_and_its_places_each() {
    let (pool, _exits) = pool(1 << 30);
    let peers: Vec<_> = (0..3).map(|_| blocked(&pool)).collect();
    let recipients: Vec<u32> = peers.iter().map(|(key, _)| key.index).collect();
    let before = pool.stalled_bytes();
    pool.send_all(&recipients, &event(1));
    let grown = pool.stalled_bytes() - before;
    let once = event(1).bytes(true).len();
    assert!(
        (once + 3 * 16..2 * once + 3 * 16).contains(&grown),
        "{grown}"
    );
}

#[test]
fn much_that_waits_is_looked_at_before_its_time() {
    let (pool, _exits) = pool(1 << 30);
    let (key, _peer) = blocked(&pool);
    block_on(poll_once(pool.grown()));
    let mut looks = std::pin::pin!(pool.grown());
    assert!(block_on(poll_once(looks.as_mut())).is_none());
    let frame = event(1);
    let each = frame.bytes(false).len() + 16;
    for _ in 0..=(16 << 20) / each {
        pool.send_all(&[key.index], &frame);
    }
    assert!(block_on(poll_once(looks)).is_some());
}

#[test]
fn a_stream_that_takes_nothing_for_long_is_given_up() {
    let (pool, exits) = pool(1 << 20);
    let (key, _peer) = blocked(&pool);
    let wrote_at = pool.inner.borrow().slots[0].wrote_at;
    pool.now.set(wrote_at + WRITE_TIME);
    pool.give_up_stalled();
    assert!(!pool.turn(1, TIME, true) && exits.borrow().is_empty());
    pool.now.set(wrote_at + WRITE_TIME + 1);
    pool.give_up_stalled();
    pool.turn(1, TIME, true);
    assert_eq!(*exits.borrow(), [(key, End::Slow)]);
}

/// A client that reads only what it was told of, until the peer has ended its side.
fn reading(pool: &Rc<ClientPool>) -> UnixStream {
    let (socket, peer) = pair();
    let life = |handle: ClientHandle| async move {
        loop {
            handle.input().await;
            if handle.read(|bytes| bytes.is_empty()).unwrap() == Some(true) {
                return End::Left;
            }
        }
    };
    pool.join(socket, None, life).unwrap();
    peer
}

#[test]
fn an_end_is_seen_whether_it_comes_with_the_last_bytes_or_after_them() {
    let (pool, exits) = pool(1 << 20);
    let mut together = reading(&pool);
    together.write_all(b"x").unwrap();
    together.shutdown(Shutdown::Write).unwrap();
    let mut after = reading(&pool);
    after.write_all(b"x").unwrap();
    let began = Instant::now();
    let ended = |count: usize| exits.borrow().len() == count || began.elapsed().as_secs() > 20;
    run_until(&pool, || ended(1));
    after.shutdown(Shutdown::Write).unwrap();
    run_until(&pool, || ended(2));
    assert_eq!(exits.borrow().len(), 2);
}

/// How long a handshake of these tests takes, and a slice.
const HANDSHAKE: Duration = Duration::from_millis(2);
const SLICE: Duration = Duration::from_micros(500);

thread_local! {
    /// How many handshakes there were, and how long they took, the longest of them.
    static HANDSHAKES: Cell<(u32, Duration, Duration)> = const { Cell::new((0, Duration::ZERO, Duration::ZERO)) };
}

/// A connection that does a handshake in each of its turns.
async fn shakes_hands(handle: ClientHandle) -> End {
    loop {
        let began = Instant::now();
        while began.elapsed() < HANDSHAKE {}
        let (number, sum, longest) = HANDSHAKES.get();
        let took = began.elapsed();
        HANDSHAKES.set((number + 1, sum + took, longest.max(took)));
        handle.pool.inner.borrow_mut().queues.moved += MUCH;
        handle.step_back().await;
    }
}

#[test]
fn handshakes_leave_half_of_the_time_to_others() {
    let (pool, _) = pool(1 << 20);
    let mut peers = Vec::new();
    for _ in 0..50 {
        let (socket, peer) = pair();
        pool.join(socket, None, shakes_hands).unwrap();
        peers.push(peer);
    }
    run_until(&pool, || pool.queues().2 > 0);
    HANDSHAKES.set((0, Duration::ZERO, Duration::ZERO));
    // However slow the machine is just now: what is compared was measured together.
    let began = Instant::now();
    while HANDSHAKES.get().0 < 10 {
        pool.turn(64, SLICE, false);
    }
    let (_, sum, longest) = HANDSHAKES.get();
    let all = began.elapsed();
    assert!(
        sum <= all / 2 + longest,
        "{sum:?} of {all:?}, the longest took {longest:?}"
    );
}

#[test]
fn no_requests_are_read_while_the_registry_is_behind() {
    let (pool, _) = pool(1 << 20);
    let (socket, _peer) = pair();
    pool.join(socket, None, shakes_hands).unwrap();
    run_until(&pool, || pool.queues().2 > 0);
    HANDSHAKES.set((0, Duration::ZERO, Duration::ZERO));
    pool.hold_pending(true);
    assert!(pool.turn(64, SLICE, true), "there is something to do yet");
    assert_eq!(HANDSHAKES.get().0, 0);
    pool.hold_pending(false);
    pool.turn(64, SLICE, true);
    assert!(HANDSHAKES.get().0 > 0);
}
