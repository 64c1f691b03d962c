//! Several nodes as one, on a real Redis.
mod batches;
mod chance;
mod counts;
mod crowd;
mod cut_off;
mod failover;
mod faults;
mod files;
mod foreign;
mod inherit;
mod ledger;
mod lost;
mod nodes;
mod presence;
pub(crate) mod redis;
mod speed;
mod start;

use redis::Redis;
use support::{Daemon, eventually};

/// A node on a Redis.
fn node(redis: &Redis, options: &str) -> Daemon {
    let node = Daemon::start(&format!("--allow-all --bus {} {options}", redis.url()));
    wait_for_bus(&node, true);
    node
}

/// One of the numbers of `tcpstatus`.
fn figure(node: &Daemon, name: &str) -> u64 {
    let status = support::publish::ask_tcp(node.control, "tcpstatus\n");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let figure = status[name].as_u64();
    figure.unwrap_or_else(|| panic!("{name} in {status}"))
}

fn wait_for_bus(node: &Daemon, up: bool) {
    eventually("the bus is there, or away", || {
        (figure(node, "bus_up") == u64::from(up)).then_some(())
    });
}
