//! What the release build costs, counted and not timed, so that a busy machine changes nothing:
//! instructions (callgrind), system calls (strace), resident bytes. Each figure has a bound a little
//! above what it was when the bound was set; whoever makes something dearer for a good reason
//! raises the bound in the same change.
//!
//! What starting and stopping cost is taken out by counting twice, for n operations and for 2n, and
//! looking at the difference.
//!
//! How often the daemon wakes up for one message depends on how busy the machine is, and each wake-up
//! costs: a busy machine only adds. So a figure above its bound is counted again, and the smallest counts.
//!
//! `cargo test --test cost -- --nocapture` prints the figures. The release build is what is
//! measured, as users run it: the test builds it if it is not there or is old.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counted;
mod load;
mod requests;

use counted::{Counter, per_operation};
use load::{
    come_and_go, connect, connect_streams, deliver, deliver_to_streams, publish, publish_http,
    publish_http_apart,
};
use support::{Daemon, needs};

/// Subscribers of the broadcasts that are counted.
const CROWD: usize = 100;

/// Says what a figure is, and fails if it is above its bound.
#[expect(clippy::print_stderr, reason = "shown with --nocapture")]
fn judge(what: &str, figure: f64, bound: f64) {
    eprintln!("{what}: {figure:.2} (bound {bound})");
    assert!(
        figure <= bound,
        "{what}: {figure:.2}, which is above the bound of {bound}; if this is meant, raise it"
    );
}

/// How often a figure is counted at most, until it is within its bound.
const TIMES: usize = 3;

/// Judges what something costs of both.
fn judge_both(what: &str, cost: impl Fn(Counter) -> f64, instructions: f64, calls: f64) {
    for (name, counter, bound) in [
        ("instructions", Counter::Instructions, instructions),
        ("system calls", Counter::Calls, calls),
    ] {
        let figure = smallest(|| cost(counter), bound);
        judge(&format!("{name} {what}"), figure, bound);
    }
}

/// The smallest of several counts, which end with one that is within the bound.
fn smallest(count: impl Fn() -> f64, bound: f64) -> f64 {
    let mut smallest = f64::INFINITY;
    for _ in 0..TIMES {
        smallest = smallest.min(count());
        if smallest <= bound {
            break;
        }
    }
    smallest
}

/// A message to a crowd, each awaited by all before the next: per recipient, the publishing with it.
#[test]
fn a_delivery() {
    needs!("valgrind", "strace");
    let cost = |counter| {
        per_operation(counter, 60, |daemon, messages| {
            let mut crowd = connect(daemon.listen, "crowd", CROWD);
            deliver(daemon.control, &mut crowd, messages);
        }) / CROWD as f64
    };
    // Rounds of the loop are bounded by time: beside other tests there are more of them.
    judge_both("per delivery", cost, 790.0, 1.4);
}

/// A message to a crowd by HTTP/2, with so many streams on each connection.
fn a_delivery_by_http2(streams: usize, instructions: f64, calls: f64) {
    needs!("valgrind", "strace");
    let cost = |counter| {
        per_operation(counter, 60, |daemon, messages| {
            let mut crowd = connect_streams(daemon.listen, "crowd", CROWD / streams, streams);
            deliver_to_streams(daemon.control, &mut crowd, streams, messages);
        }) / CROWD as f64
    };
    let what = format!("per delivery by HTTP/2, {streams} streams a connection");
    judge_both(&what, cost, instructions, calls);
}

#[test]
fn a_delivery_by_http2_with_a_connection() {
    a_delivery_by_http2(1, 1250.0, 1.6);
}

#[test]
fn a_delivery_by_http2_of_20_streams() {
    a_delivery_by_http2(20, 1300.0, 0.4);
}

/// A message that nobody listens to, kept for replay, 250 in one write.
#[test]
fn a_publish() {
    needs!("valgrind", "strace");
    const TOGETHER: usize = 250;
    let cost = |counter| {
        per_operation(counter, 20, |daemon, writes| {
            let mut witness = connect(daemon.listen, "witness", 1);
            publish(daemon.control, &mut witness[0], writes, TOGETHER);
        }) / TOGETHER as f64
    };
    judge_both("per publish", cost, 4100.0, 0.08);
}

/// A message to one, who has it before the next is written: what joining messages does not share.
#[test]
fn a_message_alone() {
    needs!("valgrind", "strace");
    let cost = |counter| {
        per_operation(counter, 500, |daemon, messages| {
            let mut witness = connect(daemon.listen, "witness", 1);
            publish(daemon.control, &mut witness[0], messages, 1);
        })
    };
    judge_both("per message alone", cost, 16500.0, 10.5);
}

/// A message to one by HTTP, which has it, as the publisher has its answer, before the next is written.
#[test]
fn a_message_by_http() {
    needs!("valgrind", "strace");
    let cost = |counter| {
        per_operation(counter, 300, |daemon, messages| {
            let mut witness = connect(daemon.listen, "witness", 1);
            publish_http(daemon.control, &mut witness[0], messages, 1);
        })
    };
    judge_both("per message by HTTP", cost, 26500.0, 13.0);
}

/// The same, 20 in one write.
#[test]
fn messages_by_http_together() {
    needs!("valgrind", "strace");
    const TOGETHER: usize = 20;
    let cost = |counter| {
        per_operation(counter, 30, |daemon, writes| {
            let mut witness = connect(daemon.listen, "witness", 1);
            publish_http(daemon.control, &mut witness[0], writes, TOGETHER);
        }) / TOGETHER as f64
    };
    judge_both("per message by HTTP of 20 together", cost, 21000.0, 1.0);
}

/// The same with a connection for each.
#[test]
fn a_message_by_http_alone() {
    needs!("valgrind", "strace");
    let cost = |counter| {
        per_operation(counter, 200, |daemon, messages| {
            let mut witness = connect(daemon.listen, "witness", 1);
            publish_http_apart(daemon.control, &mut witness[0], messages);
        })
    };
    judge_both(
        "per message by HTTP with its connection",
        cost,
        50000.0,
        26.0,
    );
}

/// A subscriber who comes, gets the answer's head and the first position, and leaves; 100 at once.
#[test]
fn a_connect() {
    needs!("valgrind", "strace");
    let cost = |counter| {
        per_operation(counter, 10, |daemon, times| {
            for _ in 0..times {
                come_and_go(daemon, CROWD);
            }
        }) / CROWD as f64
    };
    // Rounds of the loop are bounded by time, and strace makes every call slow: so each has fewer
    // connections in it than without strace, and there are more looks at epoll.
    judge_both("per connect", cost, 21400.0, 11.0);
}

/// Memory for clients that are only there, from 1,000 of them to 6,000.
#[test]
fn an_idle_client() {
    counted::raise_descriptors(6200);
    let resident = || {
        let daemon = Daemon::instead(counted::release_build(), "");
        let _some = connect(daemon.listen, "room", 1000);
        let before = daemon.resident_kib();
        let _more = connect(daemon.listen, "room", 5000);
        (daemon.resident_kib() - before) as f64 * 1024.0 / 5000.0
    };
    judge(
        "resident bytes per idle client",
        smallest(resident, 390.0),
        390.0,
    );
}
