//! Finding where a replay begins, and keeping events, with 100,000 of them kept.

use std::rc::Rc;
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use hasses_actors::inside::{Entry, History};
use hasses_actors::model::publication::Targets;
use hasses_actors::model::{EventId, Limits, Subscription, Target, Token};
use hasses_actors::wire::sse::Frame;

const KEPT: u64 = 100_000;

fn entry(id: u64, at: Instant, frame: &Rc<Frame>) -> Entry {
    let token = Token::new(&format!("room{}", id % 1000)).unwrap();
    Entry {
        id: EventId(id),
        at,
        to: Targets::One(Target::Token(token)),
        except: None,
        frame: Rc::clone(frame),
        passing: false,
    }
}

fn full() -> (History, Rc<Frame>, Instant) {
    let limits = Limits {
        count: KEPT as usize,
        bytes: 1 << 30,
        age: Duration::from_secs(3600),
    };
    let mut history = History::new(limits, EventId(0));
    let frame = Rc::new(Frame::event(EventId(1), None, &"x".repeat(100)));
    let now = Instant::now();
    for id in 1..=KEPT {
        history.keep(entry(id, now, &frame));
    }
    (history, frame, now)
}

/// By `Last-Event-ID`.
#[divan::bench]
fn last_event_id(bencher: Bencher) {
    let (history, ..) = full();
    let mut id = 0;
    bencher.bench_local(|| {
        id = (id + 7919) % KEPT;
        history.after(black_box(EventId(id)), EventId(KEPT))
    });
}

/// The last ten of one token of a thousand.
#[divan::bench]
fn recent(bencher: Bencher) {
    let (history, ..) = full();
    let subscription = Subscription {
        tokens: vec![Token::new("room77").unwrap()],
        ..Subscription::default()
    };
    bencher.bench_local(|| history.recent(black_box(&subscription), 10));
}

/// One more, for which the oldest goes.
#[divan::bench]
fn keep(bencher: Bencher) {
    let (mut history, frame, now) = full();
    let mut id = KEPT;
    bencher.bench_local(|| {
        id += 1;
        history.keep(entry(id, now, &frame));
    });
}
