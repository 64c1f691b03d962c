//! The works that are measured: each starts a server, loads it, and says what that cost.

use std::time::Duration;

use crate::Outcome;
use crate::exchange::{broadcast, burst, flat_out, growth, paced, unicast};
use crate::lane::{Lane, Order, Pace};
use crate::ledger::Target;
use crate::load::{Load, now, run_both};
use crate::publisher::Channel;
use crate::servers::{Kind, Server, Wish, hasses};

/// How everything is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// The processor that servers run on.
    pub(crate) server_cpu: usize,
    /// Part of the messages that are sent: 1, or less for a short look.
    pub(crate) part: f64,
    /// As many clients as one process may have.
    pub(crate) many: u32,
    /// Seconds for which idle clients are watched.
    pub(crate) hold: f64,
}

impl Setting {
    pub(crate) fn count(self, messages: u64) -> u64 {
        ((messages as f64 * self.part) as u64).max(10)
    }

    pub(crate) fn some(self, clients: u32) -> u32 {
        clients.min(self.many)
    }
}

/// What came of one work: figures by name, and deliveries that went wrong.
#[derive(Debug, Default)]
pub(crate) struct Result {
    pub(crate) figures: Vec<(&'static str, f64)>,
    pub(crate) lost: u64,
    /// Doubled, misrouted, never published; and streams that the server ended.
    pub(crate) wrong: u64,
}

impl Result {
    pub(crate) fn add(&mut self, load: &Load) {
        let ledger = &load.ledger;
        self.lost += ledger.lost();
        self.wrong += ledger.doubled + ledger.misrouted + ledger.unknown + load.closed;
    }

    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        let found = self.figures.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value)
    }
}

/// A work's name and how it is done; `None` where a server cannot do it.
type Do = fn(Setting, Kind) -> Outcome<Option<Result>>;
pub(crate) const WORKS: [(&str, Do); 12] = [
    ("W1", |setting, kind| {
        broadcast(setting, kind, 1000, 200).map(Some)
    }),
    ("W2", |setting, kind| {
        broadcast(setting, kind, 10_000, 50).map(Some)
    }),
    ("W3", |setting, kind| {
        let clients = setting.some(10_000);
        let order = Order::RoundRobin(clients);
        unicast(setting, kind, clients, order, 32, 100_000).map(Some)
    }),
    ("W6", growth),
    ("W7", flat_out),
    ("W8", paced),
    ("burst", burst),
    ("beside", beside),
    ("ingest", |setting, kind| {
        ingest(setting, kind, 2_000_000, "")
    }),
    ("fifo", |setting, kind| {
        ingest(setting, kind, 1_000_000, "--fifo {dir}/fifo")
    }),
    ("replay", replay),
    ("idle", idle),
];

/// A message to one client, 200 a second, while a broadcast to 10,000 loops.
fn beside(setting: Setting, kind: Kind) -> Outcome<Option<Result>> {
    let Some(server) = of_text(setting, kind, "")? else {
        return Ok(None);
    };
    let clients = setting.some(10_000);
    let (mut one, mut crowd) = (
        server.load(vec![1], "")?,
        server.load(vec![0, clients], "")?,
    );
    one.connect(0..1)?;
    crowd.connect(0..clients as usize)?;
    crowd.step_aside(16);
    let lane = |token, pace, count| Lane {
        order: Order::Always(Target::Token(token)),
        pace,
        count,
        batch: 1,
        channel: server.channel(),
    };
    crowd.publish(lane(1, Pace::InFlight(1), u64::MAX))?;
    run_both(&mut one, &mut crowd, |_, crowd| crowd.ledger.received() > 0)?;
    let count = setting.count(2000);
    one.publish(lane(0, Pace::PerSecond(200.0), count))?;
    run_both(&mut one, &mut crowd, |one, _| {
        one.ledger.received() == count
    })?;
    crowd.hush();
    crowd.run(|ledger| ledger.quiet())?;
    let latency = &one.ledger.lanes[0].latency;
    let mut result = Result {
        figures: vec![
            ("p50", latency.microseconds(0.5) / 1000.0),
            ("p99", latency.microseconds(0.99) / 1000.0),
        ],
        ..Result::default()
    };
    result.add(&one);
    result.add(&crowd);
    Ok(Some(result))
}

/// Messages to a token without subscribers; one subscriber gets the last.
fn ingest(
    setting: Setting,
    kind: Kind,
    count: u64,
    options: &'static str,
) -> Outcome<Option<Result>> {
    let fifo = options.contains("fifo");
    if fifo && kind != Kind::Hasses {
        return Ok(None);
    }
    let Some(server) = of_text(setting, kind, options)? else {
        return Ok(None);
    };
    let mut load = server.load(vec![1, 0], "")?;
    load.connect(0..1)?;
    let count = setting.count(count);
    load.publish(Lane {
        order: Order::Then(Target::Token(1), Target::Token(0)),
        pace: Pace::Max,
        count,
        batch: 256,
        channel: if fifo {
            Channel::Fifo(server.file("fifo"))
        } else {
            server.channel()
        },
    })?;
    let start = server.usage()?;
    let seconds = load.run_to_end()?;
    let used = server.usage()?.since(start);
    let mut result = Result {
        figures: vec![
            ("rate", count as f64 / seconds / 1e6),
            ("cpu", used.cpu / count as f64),
        ],
        ..Result::default()
    };
    result.add(&load);
    Ok(Some(result))
}

/// 100,000 kept events to 100 clients who come at once, while 50 others get 500 messages a second.
fn replay(setting: Setting, kind: Kind) -> Outcome<Option<Result>> {
    const OTHERS: u32 = 50;
    const RETURNING: u32 = 100;
    if kind != Kind::Hasses {
        return Ok(None);
    }
    let options = "--history 200000 --history-bytes 268435456";
    let Some(server) = of_text(setting, kind, options)? else {
        return Ok(None);
    };
    let mut tokens = vec![0; OTHERS as usize];
    tokens.extend([1, RETURNING]);
    let mut returning = server.load(tokens, "Last-Event-ID: 0\r\n")?;
    let mut others = server.load(vec![1; OTHERS as usize], "")?;
    returning.connect(0..1)?;
    others.connect(0..OTHERS as usize)?;
    let kept = setting.count(100_000);
    returning.publish(Lane {
        order: Order::Then(Target::Token(OTHERS + 1), Target::Token(OTHERS)),
        pace: Pace::Max,
        count: kept + 1,
        batch: 256,
        channel: server.channel(),
    })?;
    returning.run(|ledger| ledger.received() == 1)?;
    returning.hush();
    returning.step_aside(1);
    others.publish(Lane {
        order: Order::RoundRobin(OTHERS),
        pace: Pace::PerSecond(500.0),
        count: u64::MAX,
        batch: 1,
        channel: server.channel(),
    })?;
    let (start, began) = (server.usage()?, now());
    returning.begin(1..1 + RETURNING as usize);
    let wanted = kept * u64::from(RETURNING);
    run_both(&mut others, &mut returning, |_, returning| {
        returning.ledger.received() == wanted + 1
    })?;
    let seconds = (returning.last_delivery - began) as f64 / 1e9;
    let used = server.usage()?.since(start);
    others.hush();
    others.run(|ledger| ledger.quiet())?;
    let latency = &others.ledger.lanes[0].latency;
    let mut result = Result {
        figures: vec![
            ("rate", wanted as f64 / seconds / 1e6),
            ("cpu", used.cpu / wanted as f64),
            ("p50", latency.microseconds(0.5) / 1000.0),
            ("p99", latency.microseconds(0.99) / 1000.0),
        ],
        ..Result::default()
    };
    result.add(&returning);
    result.add(&others);
    Ok(Some(result))
}

/// Starting, connecting as many as can be, and doing nothing.
fn idle(setting: Setting, kind: Kind) -> Outcome<Option<Result>> {
    let clients = setting.many as usize;
    let server = Server::start(
        kind,
        setting.server_cpu,
        Wish {
            clients,
            options: "--heartbeat 0",
            ..Wish::default()
        },
    )?;
    let mut load = server.load(vec![1; clients], "")?;
    let empty = server.usage()?;
    load.connect(0..clients)?;
    // Until what a rush of connections needed is given back.
    load.idle(Duration::from_millis(2500))?;
    let full = server.usage()?;
    load.idle(Duration::from_secs_f64(setting.hold))?;
    let waited = server.usage()?.since(full);
    let connected = full.since(empty);
    let mut figures = vec![
        ("start", server.took.as_secs_f64() * 1000.0),
        ("empty", empty.resident / f64::from(1 << 20)),
        ("bytes", connected.resident / clients as f64),
        ("connect", connected.cpu / clients as f64),
        ("minute", waited.cpu / 1e6 / setting.hold * 60.0),
    ];
    if kind == Kind::Hasses {
        let size = std::fs::metadata(hasses())?.len();
        figures.push(("size", size as f64 / f64::from(1 << 20)));
    }
    let mut result = Result {
        figures,
        ..Result::default()
    };
    result.add(&load);
    Ok(Some(result))
}

/// A server that takes text; none where this one does not.
fn of_text(setting: Setting, kind: Kind, options: &'static str) -> Outcome<Option<Server>> {
    if !matches!(kind, Kind::Floor | Kind::Hasses) {
        return Ok(None);
    }
    let wish = Wish {
        options,
        ..Wish::default()
    };
    Server::start(kind, setting.server_cpu, wish).map(Some)
}
