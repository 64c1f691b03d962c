//! What `GET /live` sends: the figures as an event stream, one event a second, each with one object of
//! JSON as its data.
//!
//! | key | is |
//! | --- | --- |
//! | `time` | milliseconds since 1970 |
//! | `version`, `running_seconds`, `loglevel` (`quiet`, `normal`, `debug`), `reinit` | the daemon |
//! | `clients` | connections now: `new`, `replay`, `sse`, and `max`, the most at one time |
//! | `total` | since the daemon's start: `connections`, `subscriptions`, `messages`, `events`, `bytes`, `slow_disconnects`, `replays`, `gaps`, `refused`, `log_dropped` |
//! | `seconds` | how much time the figures of the next four rows are about: since the event before, about 1; 0 in the first, where they are 0 or null |
//! | `rates` | in one second: `connections`, `messages`, `events`, `bytes` |
//! | `messages` | messages in one second by channel |
//! | `delivery` | from an event's id to its last write, in seconds: `count` (events measured), `p50`, `p90`, `p99`; bounds of histogram buckets, null with none |
//! | `loop` | the same of rounds of the event loop |
//! | `waiting_bytes`, `history_events`, `history_bytes`, `queues` | now |
//! | `refused` | refusals since the daemon's start by reason |
//! | `recent` | the newest warnings and errors, at most 100, each in one event alone: `number` (none is left out), `time` (as above), `level` (`warning` or `error`), `text`; none for those who may see the figures alone |
//! | `past` | in the first event of a connection alone: one sample a second of the last two minutes, each `[time, clients, replaying, messages, events, bytes, slow, replays, gaps, history]`, of which those from `messages` to `gaps` count from the daemon's start |
//! | `settings` | how the daemon is set up: `key`, `secret`, `all` (anyone may subscribe to `*`), `presence` (the tokens of which it is known who is there), `history_file`, `bus` (null without one, else whether it is there), `cors`, `max_clients`, `max_clients_per_ip`, `max_publishers`, `max_message` |
//! | `tokens` | the busiest at most ten: `subscribers` as `[token, streams]`; `messages` as `[target, messages a second]` in the last seconds, where a target is a token, `pre*` or `*` |

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::figures::level_word;
use super::{Figures, json};
use crate::model::{Histogram, Note, Sample};

/// The busiest tokens.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tokens {
    /// Those with the most streams.
    pub subscribers: Vec<(String, u64)>,
    /// Those with the most messages, and how many a second.
    pub messages: Vec<(String, f64)>,
}

/// What an event tells besides the figures.
#[derive(Debug, Clone, Default)]
pub struct More {
    /// Warnings and errors that were not told yet.
    pub recent: Vec<Note>,
    /// The last two minutes, in the first event.
    pub past: Vec<Sample>,
    /// How the daemon is set up.
    pub settings: Setup,
}

/// How the daemon is set up.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Setup {
    /// Whether subscribers need a key.
    pub key: bool,
    /// Whether publishers on TCP need a secret.
    pub secret: bool,
    /// Whether anyone may subscribe to `*`.
    pub all: bool,
    /// The tokens of which it is known who is there: names, `pre*` and `*`.
    pub presence: Vec<String>,
    /// Whether kept events survive a restart.
    pub history_file: bool,
    /// Whether the bus is there; none without one.
    pub bus: Option<bool>,
    /// The allowed origins.
    pub cors: String,
    /// How many streams there may be.
    pub max_clients: u64,
    /// How many connections of one address.
    pub max_clients_per_ip: Option<u64>,
    /// How many connections of publishers.
    pub max_publishers: u64,
    /// The longest message in bytes.
    pub max_message: u64,
}

/// Milliseconds since 1970.
fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

fn past(sample: &Sample) -> [u64; 10] {
    let Sample {
        clients,
        replaying,
        messages,
        events,
        bytes,
        slow,
        replays,
        gaps,
        history,
        ..
    } = *sample;
    let time = millis(sample.at);
    [
        time, clients, replaying, messages, events, bytes, slow, replays, gaps, history,
    ]
}

/// The data of one event: `now` beside the figures of the event `before`, if there was one.
pub fn live(
    now: &Figures,
    before: Option<&Figures>,
    tokens: &Tokens,
    more: &More,
    at: SystemTime,
) -> String {
    let counters = &now.counters;
    let passed = before.map_or(Duration::ZERO, |before| {
        now.running.saturating_sub(before.running)
    });
    let rate = |figure: fn(&Figures) -> u64| per_second(figure(now), before.map(figure), passed);
    let earlier = before.map(Figures::messages).unwrap_or_default();
    let messages = now.messages().into_iter();
    json(&Live {
        time: millis(at),
        version: now.version,
        running_seconds: now.running.as_secs(),
        loglevel: level_word(now.log_level),
        reinit: now.reinit,
        clients: Clients {
            new: now.clients.new,
            replay: now.clients.replay,
            sse: now.clients.sse,
            max: counters.most_connected,
        },
        total: BTreeMap::from([
            ("connections", counters.connections),
            ("subscriptions", counters.subscriptions),
            ("messages", counters.all_messages()),
            ("events", now.events_sent),
            ("bytes", now.bytes_sent),
            ("slow_disconnects", counters.slow),
            ("replays", counters.replays),
            ("gaps", counters.gaps),
            ("refused", counters.all_refused()),
            ("log_dropped", now.log_dropped),
        ]),
        seconds: passed.as_secs_f64(),
        rates: Rates {
            connections: rate(|figures| figures.counters.connections),
            messages: rate(|figures| figures.counters.all_messages()),
            events: rate(|figures| figures.events_sent),
            bytes: rate(|figures| figures.bytes_sent),
        },
        messages: messages
            .map(|(way, n)| (way, per_second(n, earlier.get(way).copied(), passed)))
            .collect(),
        delivery: Delay::since(&now.delivery, before.map(|before| &before.delivery)),
        r#loop: Delay::since(&now.loop_delay, before.map(|before| &before.loop_delay)),
        waiting_bytes: now.waiting_bytes,
        history_events: now.history_events,
        history_bytes: now.history_bytes,
        queues: now.queues.iter().copied().collect(),
        refused: &counters.refused,
        recent: more.recent.iter().map(Recent::of).collect(),
        past: more.past.iter().map(past).collect(),
        settings: &more.settings,
        tokens,
    })
}

/// How much a counter grew in one second.
fn per_second(now: u64, before: Option<u64>, passed: Duration) -> f64 {
    let grown = now - before.unwrap_or(now).min(now);
    let rate = grown as f64 / passed.as_secs_f64().max(0.001);
    (rate * 10.0).round() / 10.0
}

#[derive(Serialize)]
struct Live<'a> {
    time: u64,
    version: &'a str,
    running_seconds: u64,
    loglevel: &'a str,
    reinit: bool,
    clients: Clients,
    total: BTreeMap<&'a str, u64>,
    seconds: f64,
    rates: Rates,
    messages: BTreeMap<&'a str, f64>,
    delivery: Delay,
    r#loop: Delay,
    waiting_bytes: u64,
    history_events: u64,
    history_bytes: u64,
    queues: BTreeMap<&'a str, u64>,
    refused: &'a BTreeMap<&'static str, u64>,
    recent: Vec<Recent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    past: Vec<[u64; 10]>,
    settings: &'a Setup,
    tokens: &'a Tokens,
}

#[derive(Serialize)]
struct Recent<'a> {
    number: u64,
    time: u64,
    level: &'a str,
    text: &'a str,
}

impl<'a> Recent<'a> {
    fn of(note: &'a Note) -> Self {
        Self {
            number: note.number,
            time: millis(note.at),
            level: note.level,
            text: &note.text,
        }
    }
}

#[derive(Serialize)]
struct Clients {
    new: u64,
    replay: u64,
    sse: u64,
    max: u64,
}

#[derive(Serialize)]
struct Rates {
    connections: f64,
    messages: f64,
    events: f64,
    bytes: f64,
}

#[derive(Serialize)]
struct Delay {
    count: u64,
    p50: Option<f64>,
    p90: Option<f64>,
    p99: Option<f64>,
}

impl Delay {
    fn since(now: &Histogram, before: Option<&Histogram>) -> Self {
        let since = now.since(before.unwrap_or(now));
        let quantile = |share| since.quantile(share).map(|delay| delay.as_secs_f64());
        Self {
            count: since.count(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use serde_json::Value;

    use super::super::figures::tests::figures;
    use super::*;
    use crate::model::Channel;

    #[test]
    fn rates_are_of_the_time_between_two_events() {
        let before = figures();
        let mut now = figures();
        now.running += Duration::from_secs(2);
        now.bytes_sent = 1000;
        now.counters.messages.insert(Channel::Tcp, 5);
        now.delivery.observe(Duration::from_micros(200));
        let tokens = Tokens {
            subscribers: vec![("a\"\n".into(), 7)],
            messages: vec![("*".into(), 0.5)],
        };
        let at = UNIX_EPOCH + Duration::from_millis(1500);
        let first: Value =
            serde_json::from_str(&live(&now, None, &tokens, &More::default(), at)).unwrap();
        assert_eq!(first["time"], 1500);
        assert_eq!(first["rates"]["bytes"], 0.0);
        assert_eq!(first["total"]["messages"], 5);
        assert_eq!(first["delivery"]["p50"], Value::Null);
        assert_eq!(first["clients"]["sse"], 3);
        assert_eq!(first["tokens"]["subscribers"][0][0], "a\"\n");
        let note = Note {
            number: 7,
            at,
            level: "warning",
            text: "a\nb".into(),
        };
        let sample = Sample {
            at,
            clients: 1,
            replaying: 2,
            messages: 3,
            events: 4,
            bytes: 5,
            slow: 6,
            replays: 7,
            gaps: 8,
            history: 9,
        };
        let more = More {
            recent: vec![note],
            past: vec![sample],
            settings: Setup::default(),
        };
        let text = live(&now, Some(&before), &tokens, &more, at);
        assert!(!text.contains('\n'), "one line of an event stream");
        let second: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(second["seconds"], 2.0);
        assert_eq!(second["rates"]["bytes"], 500.0);
        assert_eq!(second["messages"]["tcp"], 2.5);
        assert_eq!(second["delivery"]["p99"], 0.00025);
        assert_eq!(second["loop"]["count"], 0);
        let expected = serde_json::json!([
            {"number": 7, "time": 1500, "level": "warning", "text": "a\nb"}
        ]);
        assert_eq!(second["recent"], expected);
        let sample = serde_json::json!([[1500, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
        assert_eq!(second["past"], sample);
        assert_eq!(second["settings"]["bus"], Value::Null);
        assert!(first["past"].is_null());
    }
}
