//! The figures in Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
//!
//! Written here rather than by a crate: those keep the numbers in registries of their own, where ours
//! are the actors' plain state, and the best kept one writes OpenMetrics, another format.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::Figures;
use crate::model::{BusFigures, Histogram};

/// The media type of [`metrics`].
pub const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The figures as text: of each metric HELP, TYPE and its samples.
pub fn metrics(figures: &Figures) -> String {
    let mut page = Page(String::with_capacity(8192));
    clients(figures, &mut page);
    traffic(figures, &mut page);
    presence(figures, &mut page);
    history(figures, &mut page);
    inside(figures, &mut page);
    if let Some(figures) = &figures.bus {
        bus(figures, &mut page);
    }
    page.0
}

fn clients(figures: &Figures, page: &mut Page) {
    let counters = &figures.counters;
    page.each(
        "hasses_clients",
        "gauge",
        "Connections of subscribers now: before or after a stream (new), replaying, live (sse).",
        "state",
        figures.clients.by_state(),
    );
    page.gauge(
        "hasses_clients_max",
        "The most connections of subscribers at one time.",
        counters.most_connected,
    );
    page.counter(
        "hasses_connections_total",
        "Connections of subscribers accepted.",
        counters.connections,
    );
    page.counter(
        "hasses_subscriptions_total",
        "Subscriptions entered, replaced ones included.",
        counters.subscriptions,
    );
    page.counter(
        "hasses_reinits_total",
        "Subscriptions that took the place of one on an open stream.",
        counters.reinits,
    );
    page.counter(
        "hasses_slow_disconnects_total",
        "Clients disconnected because they read too slowly.",
        counters.slow,
    );
    page.counter(
        "hasses_replays_total",
        "Streams that began with kept events.",
        counters.replays,
    );
    page.counter(
        "hasses_gaps_total",
        "Streams that began with a gap: events may have been lost.",
        counters.gaps,
    );
}

fn traffic(figures: &Figures, page: &mut Page) {
    let counters = &figures.counters;
    page.each(
        "hasses_messages_total",
        "counter",
        "Messages taken in, by the way they came.",
        "channel",
        figures.messages(),
    );
    page.each(
        "hasses_refused_total",
        "counter",
        "Messages and requests refused, by the reason.",
        "reason",
        counters.refused.iter().map(|(reason, n)| (*reason, *n)),
    );
    page.counter(
        "hasses_invalid_utf8_total",
        "Messages with bytes that were no UTF-8, which were replaced.",
        counters.invalid_utf8,
    );
    page.counter(
        "hasses_events_sent_total",
        "Events written, one for each subscriber, replayed ones included.",
        figures.events_sent,
    );
    page.counter(
        "hasses_sent_bytes_total",
        "Bytes written to subscribers.",
        figures.bytes_sent,
    );
    page.gauge(
        "hasses_waiting_bytes",
        "Bytes that wait for subscribers whose sockets are full.",
        figures.waiting_bytes,
    );
    page.histogram(
        "hasses_delivery_seconds",
        "From an event's id to its last subscriber's write, of a sample of the events.",
        &figures.delivery,
    );
}

fn presence(figures: &Figures, page: &mut Page) {
    let presence = figures.presence;
    page.gauge(
        "hasses_presence_tokens",
        "Tokens of --presence with somebody there.",
        presence.tokens,
    );
    page.gauge(
        "hasses_presence_members",
        "Members, each counted in each of its tokens.",
        presence.members,
    );
    page.counter(
        "hasses_presence_joins_total",
        "Members that came, or of whom something else is shown.",
        presence.joins,
    );
    page.counter(
        "hasses_presence_leaves_total",
        "Members that went.",
        presence.leaves,
    );
}

fn history(figures: &Figures, page: &mut Page) {
    page.gauge(
        "hasses_history_events",
        "Events kept for replay.",
        figures.history_events,
    );
    page.gauge(
        "hasses_history_bytes",
        "Memory that the events kept for replay take, with what keeping them costs.",
        figures.history_bytes,
    );
    page.gauge(
        "hasses_history_targets",
        "Tokens and prefixes, and *, of which events are kept.",
        figures.history_targets,
    );
    page.gauge(
        "hasses_history_marks",
        "Tokens and prefixes, and *, of which it is known exactly what was let go.",
        figures.history_marks,
    );
    page.each(
        "hasses_history_let_go_total",
        "counter",
        "Events that a token, a prefix or * no longer keeps: it had too many, they were too old, or all together had too many bytes.",
        "reason",
        figures.history_let_go,
    );
    page.counter(
        "hasses_history_lost_total",
        "Events that came faster than the history file could be written.",
        figures.history_lost,
    );
    if let Some(writable) = figures.history_writable {
        page.gauge(
            "hasses_history_file_writable",
            "Whether the history file could be written the last time.",
            u64::from(writable),
        );
    }
}

fn bus(figures: &BusFigures, page: &mut Page) {
    page.gauge(
        "hasses_bus_up",
        "Whether the bus is there.",
        u64::from(figures.up.get()),
    );
    page.gauge(
        "hasses_cluster_nodes",
        "Nodes on the bus, this one included; 0 while it is away.",
        figures.nodes.get(),
    );
    page.gauge(
        "hasses_cluster_clients",
        "Streams of all nodes, the others as each said last.",
        figures.clients(),
    );
    for (name, help, counter) in [
        ("written", "Messages written to the bus.", &figures.written),
        ("read", "Events read from the bus.", &figures.read),
        ("losses", "How often the bus was lost.", &figures.losses),
        (
            "refused",
            "Messages refused while the bus was away.",
            &figures.refused,
        ),
        (
            "restored",
            "Events added again that the bus had lost.",
            &figures.restored,
        ),
        (
            "passed_over",
            "Entries of the bus that hasses did not write, and messages too large for this node.",
            &figures.passed_over,
        ),
    ] {
        page.counter(&format!("hasses_bus_{name}_total"), help, counter.get());
    }
    page.gauge(
        "hasses_bus_waiting",
        "Events delivered by this node alone that are still to be added to the bus.",
        figures.waiting.get(),
    );
}

fn inside(figures: &Figures, page: &mut Page) {
    page.each(
        "hasses_queue_depth",
        "gauge",
        "Messages, or clients, that wait for a turn, by who is to give it.",
        "actor",
        figures.queues.iter().copied(),
    );
    page.histogram(
        "hasses_loop_delay_seconds",
        "How long rounds of the event loop took: what became ready meanwhile waited no longer.",
        &figures.loop_delay,
    );
    page.counter(
        "hasses_log_dropped_total",
        "Log lines that could not be written.",
        figures.log_dropped,
    );
    page.gauge(
        "hasses_running_seconds",
        "Time since the start.",
        Seconds(figures.running),
    );
    page.each(
        "hasses_build_info",
        "gauge",
        "Which program this is; always 1.",
        "version",
        [(figures.version, 1)],
    );
}

/// The text as it grows. Writing to a `String` cannot fail.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// A sample for each value of a label; the values are words of this program, which need no escapes.
    fn each(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        self.head(name, kind, help);
        for (value, number) in samples {
            let _ = writeln!(self.0, "{name}{{{label}=\"{value}\"}} {number}");
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        for (bound, count) in histogram.cumulative() {
            let _ = writeln!(self.0, "{name}_bucket{{le=\"{}\"}} {count}", Seconds(bound));
        }
        let (count, sum) = (histogram.count(), Seconds(histogram.sum()));
        let _ = writeln!(
            self.0,
            "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}"
        );
    }
}

/// Seconds as a decimal number.
struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_secs_f64().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::figures;
    use super::*;

    #[test]
    fn each_metric_has_its_help_its_type_and_its_samples() {
        let mut figures = figures();
        figures.counters.refused.insert("too_long", 3);
        figures.counters.connections = 9;
        figures.delivery.observe(Duration::from_micros(300));
        figures.delivery.observe(Duration::from_secs(70));
        let text = metrics(&figures);
        for part in [
            "# TYPE hasses_clients gauge\nhasses_clients{state=\"new\"} 1\n\
             hasses_clients{state=\"replay\"} 2\nhasses_clients{state=\"sse\"} 3\n# HELP",
            "# HELP hasses_connections_total Connections of subscribers accepted.\n\
             # TYPE hasses_connections_total counter\nhasses_connections_total 9\n",
            "hasses_messages_total{channel=\"fifo\"} 0\n",
            "hasses_refused_total{reason=\"too_long\"} 3\n",
            "# TYPE hasses_delivery_seconds histogram\n\
             hasses_delivery_seconds_bucket{le=\"0.0001\"} 0\n\
             hasses_delivery_seconds_bucket{le=\"0.00025\"} 0\n\
             hasses_delivery_seconds_bucket{le=\"0.0005\"} 1\n",
            "hasses_delivery_seconds_bucket{le=\"10\"} 1\n\
             hasses_delivery_seconds_bucket{le=\"+Inf\"} 2\n\
             hasses_delivery_seconds_sum 70.0003\nhasses_delivery_seconds_count 2\n",
            "hasses_build_info{version=\"2.0.0\"} 1\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }
}
