//! Whatever may happen to Redis and to the nodes, in an order that chance decides.
//!
//! `HASSES_TORTURE_SECONDS=600 cargo test --test all bus::chance -- --nocapture` is the long one;
//! `HASSES_TORTURE_SEED` repeats the order of the faults, though not their moments.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::Redis;
use super::crowd::{Crowd, account, kill};
use support::{Daemon, needs, number_from};

/// One of the faults, and its end.
fn fault(
    random: &mut fastrand::Rng,
    crowd: &mut Crowd,
    redis: &mut Redis,
    nodes: &mut [Daemon; 3],
) {
    let lasts = Duration::from_millis(random.u64(..3000));
    match random.u8(..11) {
        0 => {
            redis.crash();
            crowd.live(lasts);
            redis.start_again();
        }
        1 => {
            redis.crash();
            crowd.live(lasts);
            redis.start_empty();
        }
        2 => {
            redis.signal(Signal::SIGSTOP);
            crowd.live(2 * lasts);
            redis.signal(Signal::SIGCONT);
        }
        3 => {
            redis.ask("config set maxmemory 1000");
            crowd.live(lasts);
            redis.ask("config set maxmemory 0");
        }
        4 => {
            redis.ask("replicaof 127.0.0.1 1");
            crowd.live(lasts);
            redis.ask("replicaof no one");
        }
        5 => kill(random.usize(..3), crowd, nodes),
        6 => {
            let node = &nodes[random.usize(..3)];
            node.signal(Signal::SIGSTOP);
            crowd.live(lasts / 2);
            node.signal(Signal::SIGCONT);
        }
        other => {
            let command = match other {
                7 => "client kill type normal",
                8 => "flushall",
                9 => "del hasses:events",
                _ => "script flush",
            };
            redis.ask(command);
        }
    }
}

fn whatever_happens(down: &str) {
    let time = Duration::from_secs(number_from("HASSES_TORTURE_SECONDS", 5));
    let seed = number_from("HASSES_TORTURE_SEED", 1);
    let mut redis = Redis::start("--appendonly yes --appendfsync always");
    let name = format!("chance {seed}, {down}");
    account(&name, down, true, &mut redis, |crowd, redis, nodes| {
        let mut random = fastrand::Rng::with_seed(seed);
        let end = Instant::now() + time;
        while Instant::now() < end {
            fault(&mut random, crowd, redis, nodes);
            crowd.live(Duration::from_millis(random.u64(..4000)));
        }
    });
}

#[test]
fn nobody_is_left_in_silence_when_messages_are_refused() {
    needs!("redis-server", "redis-cli");
    let _alone = support::heavy();
    whatever_happens("refuse");
}

#[test]
fn nobody_is_left_in_silence_when_nodes_are_alone() {
    needs!("redis-server", "redis-cli");
    let _alone = support::heavy();
    whatever_happens("local");
}
