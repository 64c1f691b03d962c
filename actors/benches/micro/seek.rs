//! Keeping events, letting them go, and finding them again, with one target, a thousand, and a million.

use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use hasses_actors::inside::{Cursor, History};
use hasses_actors::model::{EventId, Policy, Publication, Retention, Subscription, Target, Token};

/// Events that are kept of each target.
const EACH: usize = 1000;
/// Targets.
const MANY: [u64; 3] = [1, 1000, 1_000_000];

fn message(target: u64) -> Publication {
    let token = Token::new(&format!("room-{target}")).unwrap();
    Publication::new(Target::Token(token), "x".repeat(100))
}

fn subscription(tokens: impl Iterator<Item = u64>) -> Subscription {
    let token = |target| Token::new(&format!("room-{target}")).unwrap();
    Subscription {
        tokens: tokens.map(token).collect(),
        ..Subscription::default()
    }
}

/// So many targets, one event of each; of a single target as many as are kept.
fn full(targets: u64, bytes: usize) -> (History, u64, Instant) {
    let age = Some(Duration::from_secs(3600));
    let retention = Retention { count: EACH, age };
    let mut history = History::new(Policy::new(retention, bytes), EventId(0));
    let now = Instant::now();
    let events = targets.max(EACH as u64);
    for id in 1..=events {
        history.keep(EventId(id), now, &message(id % targets), 0);
    }
    (history, events, now)
}

/// One more of a target that has as many as it may: the oldest of it goes.
#[divan::bench(args = MANY)]
fn keep(bencher: Bencher, targets: u64) {
    let (mut history, mut id, now) = full(targets, 1 << 40);
    let message = message(0);
    for _ in 0..EACH {
        id += 1;
        history.keep(EventId(id), now, &message, 0);
    }
    bencher.bench_local(|| {
        id += 1;
        history.keep(EventId(id), now, black_box(&message), 0)
    });
}

/// One more of a target that has one, with no bytes left: of all the oldest goes.
#[divan::bench(args = MANY)]
fn keep_without_room(bencher: Bencher, targets: u64) {
    let (history, id, now) = full(targets, 1 << 40);
    let bytes = history.bytes();
    drop(history);
    let (mut history, mut target) = (full(targets, bytes).0, 0);
    let mut id = id;
    let messages: Vec<Publication> = (0..1000).map(|n| message(n * targets / 1000)).collect();
    bencher.bench_local(|| {
        id += 1;
        target = (target + 1) % 1000;
        history.keep(EventId(id), now, black_box(&messages[target]), 0)
    });
}

/// Where a stream goes on that missed nothing, and whether it did.
#[divan::bench(args = MANY)]
fn begin(bencher: Bencher, targets: u64) {
    let (history, last, _) = full(targets, 1 << 40);
    let one = subscription(0..1);
    bencher.bench_local(|| {
        let lost = history.lost(black_box(&one), &[], EventId(last));
        let mut cursor = Cursor::after(EventId(last));
        let drawn = history.draw(&one, &mut cursor, EventId(u64::MAX), |_| true);
        (lost, drawn)
    });
}

/// The last event of each of 200 tokens.
#[divan::bench(args = [1000, 1_000_000])]
fn last_of_200(bencher: Bencher, targets: u64) {
    let (history, last, _) = full(targets, 1 << 40);
    let tokens = subscription((0..200).map(|n| n * targets / 200));
    bencher.bench_local(|| {
        let mut cursor = history.recent(black_box(&tokens), 1, &[], None, EventId(last));
        let mut count = 0;
        history.draw(&tokens, &mut cursor, EventId(u64::MAX), |_| {
            count += 1;
            true
        });
        count
    });
}
