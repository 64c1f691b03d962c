//! From an encoded event to the mailboxes of its recipients, and their turns.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use hasses_actors::inside::{ActorPool, ClientHandle, ClientPool, End, Routes, Stream};
use hasses_actors::model::{EventId, Subscription, Target, Token};
use hasses_actors::wire::sse::Frame;

/// A client that throws away what it gets.
async fn idle(handle: ClientHandle) -> End {
    handle.asked();
    loop {
        handle.mail().await;
        handle.discard();
    }
}

/// Pushing one event to so many, through the fast queue (up to 64 recipients) or the bulk queue.
#[divan::bench(args = [1, 64, 400])]
fn push_and_turn(bencher: Bencher, clients: usize) {
    let pool = ClientPool::new(1 << 20, 100_000, |_, _| {}).unwrap();
    let mut peers = Vec::new();
    let mut join = || {
        let (ours, theirs) = UnixStream::pair().unwrap();
        peers.push(theirs);
        let key = pool
            .join(Stream::new(OwnedFd::from(ours), None).unwrap(), None, idle)
            .unwrap();
        key.index
    };
    let recipients: Vec<u32> = (0..clients).map(|_| join()).collect();
    let frame = Rc::new(Frame::event(EventId(1), None, &"x".repeat(100)));
    bencher.counter(ItemsCount::new(clients)).bench_local(|| {
        pool.send_all(&recipients, &frame);
        pool.turn(clients, Duration::from_secs(60), true)
    });
}

fn routes(clients: u32) -> Routes {
    let mut routes = Routes::default();
    for client in 0..clients {
        let tokens = [format!("tok{client}"), "all".into()];
        routes.join(
            client,
            &Subscription {
                tokens: tokens
                    .iter()
                    .map(|name| Token::new(name).unwrap())
                    .collect(),
                ..Subscription::default()
            },
        );
    }
    routes
}

/// Finding the one recipient among so many clients, and finding all.
#[divan::bench(args = [100, 10_000])]
fn find_one(bencher: Bencher, clients: u32) {
    let (mut routes, mut recipients) = (routes(clients), Vec::new());
    let to = [Target::Token(Token::new("tok50").unwrap())];
    bencher.bench_local(|| {
        routes.recipients(&to, None, &mut recipients);
        recipients.len()
    });
}

#[divan::bench(args = [10_000])]
fn find_all(bencher: Bencher, clients: u32) {
    let (mut routes, mut recipients) = (routes(clients), Vec::new());
    let to = [Target::Token(Token::new("all").unwrap())];
    bencher.counter(ItemsCount::new(clients)).bench_local(|| {
        routes.recipients(&to, None, &mut recipients);
        recipients.len()
    });
}
