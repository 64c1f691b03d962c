#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use futures_lite::future::{block_on, poll_once};
use smol::LocalExecutor;

use super::*;
use crate::client::Ending;
use crate::executor;
use crate::model::EventId;

type Exits = Rc<RefCell<Vec<(Key, End)>>>;

fn crowd(limit: usize) -> (Rc<Crowd>, Exits) {
    let exits = Exits::default();
    let told = Rc::clone(&exits);
    let crowd = Crowd::new(limit, 100_000, move |key, end| {
        told.borrow_mut().push((key, end))
    })
    .unwrap();
    (crowd, exits)
}

fn pair() -> (Stream, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    (Stream::new(OwnedFd::from(ours), None).unwrap(), theirs)
}

/// Joins a client that notes each of its turns by `name` and takes what waits for it.
fn noting(crowd: &Rc<Crowd>, name: usize, turns: &Rc<RefCell<Vec<usize>>>) -> (Key, UnixStream) {
    let (socket, peer) = pair();
    let turns = Rc::clone(turns);
    let life = |seat: Seat| async move {
        seat.frame(true);
        seat.open();
        loop {
            seat.work().await;
            turns.borrow_mut().push(name);
            if seat.flush().unwrap() == Flushed::Message {
                return End::Finished(Ending::Stopped);
            }
            let _drained = seat.read(|_| ());
        }
    };
    (crowd.join(socket, life).unwrap(), peer)
}

/// Joins a client whose other end reads nothing, and sends it more than its socket takes; it ends when
/// it is told that too much waits for it.
fn blocked(crowd: &Rc<Crowd>) -> (Key, UnixStream) {
    let (socket, peer) = pair();
    let life = |seat: Seat| async move {
        seat.open();
        loop {
            seat.work().await;
            match seat.flush() {
                Ok(Flushed::Overflowing) => return End::Slow,
                _ => drop(seat.read(|_| ())),
            }
        }
    };
    let key = crowd.join(socket, life).unwrap();
    run_until(crowd, || crowd.inner.borrow().cells[0].is_ready());
    let large = Rc::new(Frame::event(EventId(1), None, &"x".repeat(4 << 20)));
    crowd.send_all(&[key.index], &large);
    crowd.turn(1);
    (key, peer)
}

/// Runs the crowd with its reactor until `done`.
fn run_until(crowd: &Rc<Crowd>, done: impl Fn() -> bool) {
    let services = LocalExecutor::new();
    let watched = Rc::clone(crowd);
    services
        .spawn(async move { watched.watch().await })
        .detach();
    let main = async {
        while !done() {
            async_io::Timer::after(std::time::Duration::from_millis(1)).await;
        }
    };
    executor::run(&services, crowd, main);
}

impl Cell {
    /// Whether the client has begun, and its socket takes something.
    fn is_ready(&self) -> bool {
        self.flags.writable && self.flags.open
    }
}

fn event(id: u64) -> Rc<Frame> {
    Rc::new(Frame::event(EventId(id), None, "x"))
}

#[test]
fn a_message_for_one_does_not_wait_behind_a_broadcast() {
    let (crowd, _) = crowd(1 << 20);
    let turns = Rc::default();
    let clients: Vec<_> = (0..500).map(|n| noting(&crowd, n, &turns)).collect();
    run_until(&crowd, || {
        crowd
            .inner
            .borrow()
            .cells
            .iter()
            .all(|cell| cell.is_ready())
    });
    let everyone: Vec<u32> = clients.iter().map(|(key, _)| key.index).collect();
    let (key, _peer) = noting(&crowd, 500, &turns);
    run_until(&crowd, || {
        crowd.inner.borrow().cells[key.index as usize].is_ready()
    });
    turns.borrow_mut().clear();
    crowd.send_all(&everyone, &event(1));
    crowd.send_all(&[key.index], &event(2));
    assert!(crowd.turn(4));
    assert!(turns.borrow().contains(&500), "{:?}", turns.borrow());
}

#[test]
fn bulk_keeps_its_share_while_there_is_fast_work() {
    let (crowd, _) = crowd(1 << 20);
    let turns = Rc::default();
    let clients: Vec<_> = (0..200).map(|n| noting(&crowd, n, &turns)).collect();
    run_until(&crowd, || {
        crowd
            .inner
            .borrow()
            .cells
            .iter()
            .all(|cell| cell.is_ready())
    });
    let everyone: Vec<u32> = clients.iter().map(|(key, _)| key.index).collect();
    turns.borrow_mut().clear();
    for client in &everyone[..100] {
        crowd.send_all(&[*client], &event(1));
    }
    crowd.send_all(&everyone[100..], &event(2));
    assert!(crowd.turn(40));
    let bulk = turns.borrow().iter().filter(|name| **name >= 100).count();
    assert_eq!(bulk, 10);
}

#[test]
fn what_waits_is_written_joined_and_in_order() {
    let (crowd, exits) = crowd(1 << 20);
    let turns = Rc::default();
    let (key, mut peer) = noting(&crowd, 0, &turns);
    run_until(&crowd, || crowd.inner.borrow().cells[0].is_ready());
    for id in 1..=3 {
        crowd.send_all(&[key.index], &event(id));
    }
    let end = Ending::Stopped;
    crowd.send(key.index, Message::Finish { end });
    run_until(&crowd, || !exits.borrow().is_empty());
    let mut written = String::new();
    peer.read_to_string(&mut written).unwrap();
    let expected: Vec<u8> = (1..=3)
        .flat_map(|id| event(id).bytes(true).to_vec())
        .collect();
    assert_eq!(written.as_bytes(), expected);
    assert_eq!(*turns.borrow(), [0]);
    assert_eq!(crowd.totals().events, 3);
    assert_eq!(crowd.totals().bytes, expected.len() as u64);
}

#[test]
fn a_panic_ends_one_client_alone() {
    let (crowd, exits) = crowd(1 << 20);
    let turns = Rc::default();
    let (other, mut peer) = noting(&crowd, 0, &turns);
    let (socket, _other_end) = pair();
    let key = crowd.join(socket, |_| async { panic!("a fault") }).unwrap();
    run_until(&crowd, || !exits.borrow().is_empty());
    assert_eq!(*exits.borrow(), [(key, End::Panicked("a fault".into()))]);
    assert_eq!(crowd.totals().connected, 1);
    crowd.send_all(&[key.index, other.index], &event(1));
    crowd.turn(10);
    let mut written = vec![0; event(1).bytes(true).len()];
    peer.read_exact(&mut written).unwrap();
    assert_eq!(written, event(1).bytes(true));
}

#[test]
fn a_cell_is_used_again_only_when_it_was_freed() {
    let (crowd, exits) = crowd(1 << 20);
    let life = |_| async { End::Left };
    let first = crowd.join(pair().0, life).unwrap();
    run_until(&crowd, || exits.borrow().len() == 1);
    let second = crowd.join(pair().0, life).unwrap();
    assert_ne!(first.index, second.index);
    crowd.free(first);
    let third = crowd.join(pair().0, life).unwrap();
    assert_eq!(first.index, third.index);
    assert_ne!(first, third);
    assert_eq!(Key::from_number(third.to_number()), third);
}

#[test]
fn too_much_at_once_holds_the_sender_until_clients_had_a_turn() {
    let (crowd, _) = crowd(1000);
    let turns = Rc::default();
    let (key, mut peer) = noting(&crowd, 0, &turns);
    run_until(&crowd, || crowd.inner.borrow().cells[0].is_ready());
    let mut sent = 0;
    while block_on(poll_once(crowd.relief())).is_some() {
        sent += 1;
        crowd.send_all(&[key.index], &event(sent));
        assert!(sent < 100);
    }
    crowd.turn(1);
    assert!(block_on(poll_once(crowd.relief())).is_some());
    // All were written: who has had no turn is not slow.
    peer.set_nonblocking(true).unwrap();
    let mut written = vec![0; 10_000];
    let count = peer.read(&mut written).unwrap();
    let all = |sum: usize, id: u64| sum + event(id).bytes(true).len();
    assert_eq!(count, (1..=sent).fold(0, all));
}

#[test]
fn who_does_not_read_overflows_and_one_event_always_fits() {
    let (crowd, exits) = crowd(1000);
    let (key, _peer) = blocked(&crowd);
    assert!(crowd.figures(key.index).1 > 1 << 20);
    // A blocked client is not in a queue, and costs nothing, until too much waits for it.
    let mut id = 1;
    while crowd.inner.borrow().fast.is_empty() {
        id += 1;
        crowd.send_all(&[key.index], &event(id));
    }
    let behind: usize = (2..=id).map(|id| event(id).bytes(false).len()).sum();
    assert!((1001..1020).contains(&behind), "{behind}");
    crowd.turn(1);
    assert_eq!(*exits.borrow(), [(key, End::Slow)]);
}

#[test]
fn a_stream_that_takes_nothing_for_long_is_given_up() {
    let (crowd, exits) = crowd(1 << 20);
    let (key, _peer) = blocked(&crowd);
    let wrote_at = crowd.inner.borrow().cells[0].wrote_at;
    crowd.now.set(wrote_at + WRITE_TIME);
    crowd.give_up_stalled();
    assert!(!crowd.turn(1) && exits.borrow().is_empty());
    crowd.now.set(wrote_at + WRITE_TIME + 1);
    crowd.give_up_stalled();
    crowd.turn(1);
    assert_eq!(*exits.borrow(), [(key, End::Slow)]);
}

/// A client that reads only what it was told of, until the peer has ended its side.
fn reading(crowd: &Rc<Crowd>) -> UnixStream {
    let (socket, peer) = pair();
    let life = |seat: Seat| async move {
        loop {
            seat.input().await;
            if seat.read(|bytes| bytes.is_empty()).unwrap() == Some(true) {
                return End::Left;
            }
        }
    };
    crowd.join(socket, life).unwrap();
    peer
}

#[test]
fn an_end_is_seen_whether_it_comes_with_the_last_bytes_or_after_them() {
    let (crowd, exits) = crowd(1 << 20);
    let mut together = reading(&crowd);
    together.write_all(b"x").unwrap();
    together.shutdown(Shutdown::Write).unwrap();
    let mut after = reading(&crowd);
    after.write_all(b"x").unwrap();
    let began = Instant::now();
    let ended = |count: usize| exits.borrow().len() == count || began.elapsed().as_secs() > 20;
    run_until(&crowd, || ended(1));
    after.shutdown(Shutdown::Write).unwrap();
    run_until(&crowd, || ended(2));
    assert_eq!(exits.borrow().len(), 2);
}
