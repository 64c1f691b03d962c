//! Numbers for people who watch: they are right, agree with one another, and never go back.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use socket2::{Domain, Socket, Type};
use support::{Connection, Daemon, Stream, eventually, needs, publish};

/// The samples of `/metrics`, by name and labels.
type Samples = BTreeMap<String, f64>;

fn page(daemon: &Daemon) -> String {
    let answer = Connection::to(daemon.control)
        .send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .response();
    let kind = answer.header("content-type");
    assert_eq!(
        kind.as_deref(),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    answer.body
}

fn samples(page: &str) -> Samples {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

fn scrape(daemon: &Daemon) -> Samples {
    samples(&page(daemon))
}

/// A subscriber that takes little ahead, and reads nothing by itself.
fn narrow(daemon: &Daemon, query: &str) -> Stream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&daemon.listen.into()).unwrap();
    let mut connection = Connection::over(TcpStream::from(socket));
    let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.send(request.as_bytes());
    let mut stream = Stream::answered(connection);
    stream.position();
    stream
}

/// Does something of everything, so that every counter has something to count.
fn workload(daemon: &Daemon) {
    let mut one = daemon.subscribe("subscribe=a&id=one");
    let mut two = daemon.subscribe("subscribe=a-b&id=two");
    publish::tcp(daemon.control, b"a=1;a-one=2\nbogus;=x;\xff");
    one.data();
    let first = two.event().id.unwrap();
    two.data();
    publish::unix(&daemon.file("control"), "{\"to\":\"b\",\"data\":\"3\"}\n");
    assert_eq!(two.data(), "3");
    publish::fifo(&daemon.file("in"), b"a=4;a=\xff\n");
    assert_eq!((one.data(), two.data()), ("4".into(), "4".into()));
    assert_eq!(
        (one.data(), two.data()),
        ("\u{fffd}".into(), "\u{fffd}".into())
    );
    publish::http(daemon.control, "a", "6");
    assert_eq!((one.data(), two.data()), ("6".into(), "6".into()));
    // Four of the events that follow the first, and a gap.
    let replayed = Stream::resume(daemon.listen, "subscribe=a", first);
    assert_eq!(replayed.events.len(), 4);
    let gap = Stream::resume(daemon.listen, "subscribe=none", 7);
    assert!(gap.gap.is_some());
    // Refused: a path, a token, a target.
    assert_eq!(daemon.ask("GET / HTTP/1.1\r\nHost: x\r\n\r\n").status, 404);
    assert_eq!(
        daemon.ask("GET /sse HTTP/1.1\r\nHost: x\r\n\r\n").status,
        400
    );
    let not_found = publish::post(daemon.control, "/nothing", "", b"");
    assert_eq!(not_found.status, 404);
    slow_client(daemon);
}

/// A client that reads nothing until it is disconnected.
fn slow_client(daemon: &Daemon) {
    let _slow = narrow(daemon, "subscribe=slow");
    let text = "x".repeat(1 << 20);
    eventually("a slow client's end", || {
        publish::http(daemon.control, "slow?retain=false", &text);
        let slow = scrape(daemon)["hasses_slow_disconnects_total"];
        (slow == 1.0).then_some(())
    });
}

fn busy_daemon() -> Daemon {
    let daemon = Daemon::start(
        "--fifo {dir}/in --control unix:{dir}/control --client-buffer 100000 --heartbeat 0",
    );
    workload(&daemon);
    daemon
}

#[test]
fn the_numbers_are_those_of_what_happened() {
    let daemon = busy_daemon();
    // Everyone has left.
    let samples = eventually("the clients' ends", || {
        let samples = scrape(&daemon);
        (samples["hasses_clients{state=\"sse\"}"] == 0.0).then_some(samples)
    });
    let published = samples["hasses_messages_total{channel=\"http\"}"] - 1.0;
    assert!(published >= 1.0);
    for (name, value) in [
        ("hasses_clients{state=\"new\"}", 0.0),
        ("hasses_clients{state=\"replay\"}", 0.0),
        ("hasses_messages_total{channel=\"fifo\"}", 2.0),
        ("hasses_messages_total{channel=\"tcp\"}", 2.0),
        ("hasses_messages_total{channel=\"unix\"}", 1.0),
        ("hasses_connections_total", 7.0),
        ("hasses_subscriptions_total", 5.0),
        // Also who has a gap looks through what is kept.
        ("hasses_replays_total", 2.0),
        ("hasses_gaps_total", 1.0),
        ("hasses_slow_disconnects_total", 1.0),
        // An unknown path, and what nothing is at.
        ("hasses_refused_total{reason=\"not_found\"}", 2.0),
        ("hasses_refused_total{reason=\"bad_request\"}", 1.0),
        ("hasses_refused_total{reason=\"unknown_command\"}", 2.0),
        ("hasses_refused_total{reason=\"bad_address\"}", 1.0),
        ("hasses_invalid_utf8_total", 2.0),
        ("hasses_history_events", 6.0),
        ("hasses_history_targets", 2.0),
        ("hasses_history_marks", 0.0),
        ("hasses_history_let_go_total{reason=\"count\"}", 0.0),
        ("hasses_log_dropped_total", 0.0),
        ("hasses_build_info{version=\"2.0.0\"}", 1.0),
        ("hasses_waiting_bytes", 0.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name}: {samples:#?}");
    }
    let least = |name: &str, value: f64| assert!(samples[name] >= value, "{name}: {samples:#?}");
    least("hasses_clients_max", 3.0);
    // Nine as they came, four again.
    least("hasses_events_sent_total", 13.0);
    least("hasses_sent_bytes_total", 13.0 * 20.0);
    least("hasses_history_bytes", 6.0 * 57.0 + 2.0 * 90.0);
    least("hasses_loop_delay_seconds_count", 10.0);
    least("hasses_delivery_seconds_count", 1.0);
    for actor in [
        "registry",
        "registry_clients",
        "logger",
        "archive",
        "clients_fast",
    ] {
        least(&format!("hasses_queue_depth{{actor=\"{actor}\"}}"), 0.0);
    }
}

#[test]
fn status_the_log_and_metrics_say_the_same() {
    let daemon = busy_daemon();
    let _stays = daemon.subscribe("subscribe=c");
    daemon.wait_for_clients(1);
    let status = Connection::to(daemon.control)
        .send(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .response()
        .json();
    let samples = scrape(&daemon);
    let sum = |start: &str| -> f64 {
        let parts = samples.iter().filter(|(name, _)| name.starts_with(start));
        parts.map(|(_, value)| value).sum()
    };
    for (key, name) in [
        ("allconncli", "hasses_clients{"),
        ("sseconncli", "hasses_clients{state=\"sse\""),
        ("maxconncli", "hasses_clients_max"),
        ("msgproccnt", "hasses_messages_total"),
        ("msgsendcnt", "hasses_events_sent_total"),
        ("connections", "hasses_connections_total"),
        ("subscriptions", "hasses_subscriptions_total"),
        ("bytes_sent", "hasses_sent_bytes_total"),
        ("waiting_bytes", "hasses_waiting_bytes"),
        ("slow_disconnects", "hasses_slow_disconnects_total"),
        ("replays", "hasses_replays_total"),
        ("gaps", "hasses_gaps_total"),
        ("refused", "hasses_refused_total"),
        ("invalid_utf8", "hasses_invalid_utf8_total"),
        ("history_events", "hasses_history_events"),
        ("history_bytes", "hasses_history_bytes"),
        ("log_lines_dropped", "hasses_log_dropped_total"),
    ] {
        assert_eq!(status[key].as_f64(), Some(sum(name)), "{key} {status}");
    }
    let log = publish::talk_tcp(daemon.control, "status\n");
    for (label, name) in [
        ("Count of connected clients", "hasses_clients{"),
        ("Maximum number of connections", "hasses_clients_max"),
        ("Total client handshaked", "hasses_subscriptions_total"),
        ("Total message processed", "hasses_messages_total"),
        ("Total message sent", "hasses_events_sent_total"),
    ] {
        let line = format!("{label}: {}", sum(name));
        assert!(log.contains(&line), "{line}: {log:#?}");
        daemon.wait_for_log(&line);
    }
}

#[test]
fn counters_never_go_back() {
    let daemon =
        Daemon::start("--fifo {dir}/in --control unix:{dir}/control --client-buffer 100000");
    let mut before = Samples::new();
    let grows = |name: &str| {
        let name = name.split('{').next().unwrap();
        ["_total", "_bucket", "_sum", "_count"]
            .iter()
            .any(|end| name.ends_with(end))
    };
    for _ in 0..3 {
        workload_again(&daemon);
        let now = scrape(&daemon);
        for (name, value) in before.iter().filter(|(name, _)| grows(name)) {
            assert!(
                now[name] >= *value,
                "{name} was {value} and is {}",
                now[name]
            );
        }
        before = now;
    }
    assert!(before.keys().filter(|name| grows(name)).count() > 40);
}

fn workload_again(daemon: &Daemon) {
    let mut stream = daemon.subscribe("subscribe=a");
    publish::tcp(daemon.control, "a=1;bogus;a=2");
    stream.data();
    stream.data();
    drop(stream);
    daemon.wait_for_clients(0);
}

#[test]
fn an_event_is_delivered_when_the_last_client_has_it() {
    let daemon = Daemon::start("--client-buffer 100000000 --history-bytes 1000");
    let mut stalled = narrow(&daemon, "subscribe=a");
    let mut quick = daemon.subscribe("subscribe=a");
    let text = "x".repeat(1 << 20);
    for _ in 0..20 {
        publish::http(daemon.control, "a", &text);
        assert_eq!(quick.data(), text);
    }
    let measured = |daemon: &Daemon| scrape(daemon)["hasses_delivery_seconds_count"];
    let before = measured(&daemon);
    assert!(before < 19.0, "{before} though one client has not got them");
    let waits = scrape(&daemon)["hasses_waiting_bytes"];
    assert!(waits > 1e6, "{waits}");
    for _ in 0..20 {
        stalled.data();
    }
    let samples = eventually("the last write", || {
        let samples = scrape(&daemon);
        (samples["hasses_delivery_seconds_count"] >= 19.0).then_some(samples)
    });
    let count = samples["hasses_delivery_seconds_count"];
    assert!(count <= 20.0, "{count}");
    assert_eq!(
        samples["hasses_delivery_seconds_bucket{le=\"+Inf\"}"],
        count
    );
    assert!(samples["hasses_delivery_seconds_sum"] > 0.0);
    // What is kept for replay has been delivered all the same.
    publish::http(daemon.control, "a", "kept");
    stalled.data();
    eventually("one more", || (measured(&daemon) > count).then_some(()));
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    needs!("promtool");
    let page = page(&busy_daemon());
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which tests/run installs");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{page}");
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[test]
fn what_a_stranger_sends_is_no_label() {
    let daemon = Daemon::start("");
    let refusals = |daemon: &Daemon| -> Vec<String> {
        let samples = scrape(daemon).into_keys();
        samples
            .filter(|name| name.starts_with("hasses_refused"))
            .collect()
    };
    let address: SocketAddr = daemon.control;
    for n in 0..50 {
        publish::post(address, &format!("/{n}"), "", b"");
        let request = format!("GET /sse?subscribe=a*{n} HTTP/1.1\r\nHost: x\r\n\r\n");
        daemon.ask(&request);
        publish::tcp(address, format!("nonsense{n}\n"));
    }
    eventually("all refusals", || {
        (refusals(&daemon).len() == 3).then_some(())
    });
}
