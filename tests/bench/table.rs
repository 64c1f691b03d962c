//! The results, and the table that is made of them.

use crate::servers::Kind;

/// One figure of one work by one server in one round.
#[derive(Debug)]
struct Entry {
    work: &'static str,
    figure: &'static str,
    server: Kind,
    round: usize,
    value: f64,
}

/// All figures.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<Entry>);

/// A row: the work, its figure, what that is, and what is aimed at.
type Row = (&'static str, &'static str, &'static str, &'static str);

const ROWS: [Row; 30] = [
    (
        "W1",
        "cpu",
        "W1 broadcast to 1,000, one at a time: CPU µs per delivery",
        "≤ 1.05 × floor",
    ),
    ("W1", "user", "… of that in user mode, µs", "≤ 0.35"),
    ("W1", "last", "… until the last has it, p50 µs", ""),
    (
        "W2",
        "cpu",
        "W2 broadcast to 10,000: CPU µs per delivery",
        "≤ 1.05 × floor",
    ),
    ("W2", "user", "… of that in user mode, µs", "≤ 0.35"),
    (
        "W3",
        "cpu",
        "W3 unicast among 10,000, 32 in flight: CPU µs per message",
        "≤ 1.15 × floor",
    ),
    ("W3", "user", "… of that in user mode, µs", "≤ 1.2"),
    ("W3", "p99", "… latency p99 µs", ""),
    (
        "W6",
        "cpu",
        "W6 unicast to one of 18,500: CPU µs per message",
        "",
    ),
    (
        "W6",
        "growth",
        "… against the same among 100, times",
        "≤ 1.05",
    ),
    (
        "W7",
        "rate",
        "W7 one client, publisher flat out: messages/s received",
        "≥ 4 × floor",
    ),
    ("W7", "cpu", "… CPU µs per message", ""),
    (
        "W8",
        "cpu",
        "W8 50 broadcasts/s to 1,000: CPU µs per delivery",
        "≤ 1.0 × floor",
    ),
    ("W8", "p99", "… latency p99 µs", ""),
    (
        "burst",
        "cpu",
        "burst: broadcast to 1,000, 16 in flight, 8 a write: CPU µs per delivery",
        "≤ 0.15 × floor",
    ),
    (
        "beside",
        "p50",
        "to one client while a broadcast to 10,000 loops: p50 ms",
        "≤ 1",
    ),
    ("beside", "p99", "… p99 ms", "≤ 5"),
    (
        "ingest",
        "rate",
        "ingest over TCP without subscribers: million messages/s",
        "≥ 1.5",
    ),
    ("ingest", "cpu", "… CPU µs per message", ""),
    (
        "fifo",
        "rate",
        "ingest through the FIFO: million messages/s",
        "≥ 0.5",
    ),
    (
        "replay",
        "rate",
        "replay of 100,000 events to 100 clients: million events/s",
        "≥ 1",
    ),
    (
        "replay",
        "p99",
        "… others' latency meanwhile, p99 ms",
        "≤ 5",
    ),
    (
        "idle",
        "connect",
        "connect and subscribe: CPU µs",
        "≤ 1.15 × floor",
    ),
    ("idle", "bytes", "resident bytes per idle client", "≤ 400"),
    (
        "idle",
        "minute",
        "CPU s in 60 s with 18,500 idle clients",
        "≤ 0.1",
    ),
    ("idle", "empty", "resident without clients, MiB", "≤ 4"),
    ("idle", "size", "binary, MiB", "≤ 6"),
    ("idle", "start", "start to listening, ms", "≤ 15"),
    ("lost", "", "deliveries lost", "0"),
    (
        "wrong",
        "",
        "deliveries doubled, misrouted or unknown; streams ended",
        "0",
    ),
];

impl Results {
    pub(crate) fn add(
        &mut self,
        work: &'static str,
        figure: &'static str,
        server: Kind,
        round: usize,
        value: f64,
    ) {
        self.0.push(Entry {
            work,
            figure,
            server,
            round,
            value,
        });
    }

    /// Whether nothing was measured.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The table in Markdown: medians of the rounds, and medians of the ratios to the floor in the
    /// same round, which a change of the machine's mood leaves alone.
    pub(crate) fn markdown(&self, servers: &[Kind]) -> String {
        let others: Vec<Kind> = servers
            .iter()
            .copied()
            .filter(|kind| *kind != Kind::Floor)
            .collect();
        let mut text = String::from("| work |");
        for server in servers {
            text += &format!(" {} |", server.name());
        }
        for server in &others {
            text += &format!(" {} / floor |", server.name());
        }
        text += " target for hasses |\n|";
        text += &" --- |".repeat(servers.len() + others.len() + 2);
        for (work, figure, about, target) in ROWS {
            let median_of = |server: &Kind| {
                let values = self.of(work, figure, *server).map(|entry| entry.value);
                if figure.is_empty() {
                    Some(values.sum())
                } else {
                    median(values.collect())
                }
            };
            if !self
                .0
                .iter()
                .any(|entry| (entry.work, entry.figure) == (work, figure))
            {
                continue;
            }
            text += &format!("\n| {about} |");
            for server in servers {
                text += &format!(" {} |", cell(median_of(server)));
            }
            for server in &others {
                let ratio = median(self.ratios(work, figure, *server));
                text += &format!(
                    " {} |",
                    ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}×"))
                );
            }
            text += &format!(" {target} |");
        }
        text
    }

    /// Sum of what went wrong with servers that must not lose anything.
    pub(crate) fn faults(&self) -> f64 {
        let counts = self
            .0
            .iter()
            .filter(|entry| entry.figure.is_empty() && !entry.server.is_rival());
        counts.map(|entry| entry.value).sum()
    }

    fn of(&self, work: &str, figure: &str, server: Kind) -> impl Iterator<Item = &Entry> {
        let wanted = move |entry: &&Entry| {
            (entry.work, entry.figure, entry.server) == (work, figure, server)
        };
        self.0.iter().filter(wanted)
    }

    fn ratios(&self, work: &str, figure: &str, server: Kind) -> Vec<f64> {
        let floors = |round| {
            let mut floors = self.of(work, figure, Kind::Floor);
            floors
                .find(|entry| entry.round == round)
                .map(|entry| entry.value)
        };
        let entries = self
            .of(work, figure, server)
            .filter(|entry| !entry.figure.is_empty());
        let ratio =
            |entry: &Entry| Some(entry.value / floors(entry.round).filter(|floor| *floor > 0.0)?);
        entries.filter_map(ratio).collect()
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len().checked_sub(1)? / 2;
    Some((values[middle] + values[values.len() / 2]) / 2.0)
}

/// A number with three digits that say something.
fn cell(value: Option<f64>) -> String {
    match value {
        None => "–".into(),
        Some(value) if value == 0.0 || value.abs() >= 100.0 => grouped(value),
        Some(value) if value.abs() >= 10.0 => format!("{value:.1}"),
        Some(value) => format!("{value:.2}"),
    }
}

/// A whole number with commas.
pub(crate) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let comma = |at: usize| at > 0 && (digits.len() - at).is_multiple_of(3);
    let chars = digits.chars().enumerate();
    chars
        .flat_map(|(at, digit)| comma(at).then_some(',').into_iter().chain([digit]))
        .collect()
}
