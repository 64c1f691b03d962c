//! The works in which messages of one kind go to clients that do nothing but read.

use std::time::Duration;

use crate::Outcome;
use crate::lane::{Lane, Order, Pace};
use crate::ledger::Target;
use crate::servers::{Kind, Server, Wish};
use crate::work::{Result, Setting};

/// Messages and how they are sent to how many.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    clients: u32,
    order: Order,
    pace: Pace,
    count: u64,
    batch: u64,
}

/// Broadcasts, one at a time.
pub(crate) fn broadcast(setting: Setting, kind: Kind, clients: u32, count: u64) -> Outcome<Result> {
    exchange(
        setting,
        kind,
        Exchange {
            clients: setting.some(clients),
            order: Order::Always(Target::All),
            pace: Pace::InFlight(1),
            count,
            batch: 1,
        },
    )
}

/// Messages to one client each, several on their way.
pub(crate) fn unicast(
    setting: Setting,
    kind: Kind,
    clients: u32,
    order: Order,
    in_flight: u64,
    count: u64,
) -> Outcome<Result> {
    exchange(
        setting,
        kind,
        Exchange {
            clients,
            order,
            pace: Pace::InFlight(in_flight),
            count,
            batch: 1,
        },
    )
}

/// To one of as many clients as there may be, against the same with a hundred.
pub(crate) fn growth(setting: Setting, kind: Kind) -> Outcome<Option<Result>> {
    let to_one = |clients| {
        let order = Order::Always(Target::Token(clients / 2));
        unicast(setting, kind, clients, order, 8, 20_000)
    };
    let few = to_one(100)?;
    let mut many = to_one(setting.many)?;
    (many.lost, many.wrong) = (many.lost + few.lost, many.wrong + few.wrong);
    if let (Some(before), Some(after)) = (few.figure("cpu"), many.figure("cpu")) {
        many.figures.push(("growth", after / before));
    }
    Ok(Some(many))
}

/// To one client, as fast as the server takes messages.
pub(crate) fn flat_out(setting: Setting, kind: Kind) -> Outcome<Option<Result>> {
    exchange(
        setting,
        kind,
        Exchange {
            clients: 1,
            order: Order::Always(Target::All),
            pace: Pace::Max,
            count: 500_000,
            batch: 32,
        },
    )
    .map(Some)
}

/// Broadcasts to a thousand, fifty a second.
pub(crate) fn paced(setting: Setting, kind: Kind) -> Outcome<Option<Result>> {
    exchange(
        setting,
        kind,
        Exchange {
            clients: 1000,
            order: Order::Always(Target::All),
            pace: Pace::PerSecond(50.0),
            count: 250,
            batch: 1,
        },
    )
    .map(Some)
}

/// Broadcasts to a thousand, of which several wait for each client at once.
pub(crate) fn burst(setting: Setting, kind: Kind) -> Outcome<Option<Result>> {
    exchange(
        setting,
        kind,
        Exchange {
            clients: 1000,
            order: Order::Always(Target::All),
            pace: Pace::InFlight(16),
            count: 1600,
            batch: 8,
        },
    )
    .map(Some)
}

fn exchange(setting: Setting, kind: Kind, what: Exchange) -> Outcome<Result> {
    let pipeline = match what.pace {
        Pace::InFlight(most) => most as usize,
        Pace::PerSecond(_) => 8,
        Pace::Max => 64,
    };
    let server = Server::start(
        kind,
        setting.server_cpu,
        Wish {
            clients: what.clients as usize,
            broadcast: matches!(what.order, Order::Always(Target::All)),
            pipeline,
            options: "",
        },
    )?;
    let mut load = server.load(vec![1; what.clients as usize], "")?;
    load.connect(0..what.clients as usize)?;
    load.idle(Duration::from_millis(200))?;
    let connected = server.usage()?;
    let lane = load.publish(Lane {
        order: what.order,
        pace: what.pace,
        count: setting.count(what.count),
        batch: what.batch,
        channel: server.channel(),
    })?;
    let start = server.usage()?;
    let seconds = load.run_to_end()?;
    let used = server.usage()?.since(start);
    let tally = &load.ledger.lanes[lane];
    let deliveries = (tally.received as f64).max(1.0);
    let mut result = Result {
        figures: vec![
            ("cpu", used.cpu / deliveries),
            ("user", used.cpu / deliveries * used.user_part()),
            ("rate", deliveries / seconds),
            ("p50", tally.latency.microseconds(0.5)),
            ("p99", tally.latency.microseconds(0.99)),
            ("last", tally.last_receiver.microseconds(0.5)),
            ("resident", connected.resident),
        ],
        ..Result::default()
    };
    result.add(&load);
    Ok(result)
}
