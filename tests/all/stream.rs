//! The stream: its framing, its ids and positions, its heartbeats and its end.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{Connection, Daemon, Stream, eventually, publish};

#[test]
fn retry_comes_once_with_jitter() {
    let daemon = Daemon::start("--retry 2000 --heartbeat 1");
    let mut seen = HashSet::new();
    for _ in 0..40 {
        let request = "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut stream = Stream::request(daemon.listen, request);
        let first = stream.block().unwrap();
        let retry = first.retry.expect("retry comes first");
        assert!((1400..=2600).contains(&retry), "{retry}");
        // Many clients show a block of its own as an empty message.
        let id = first.id.expect("the position is in the same block");
        assert_eq!(first.raw, format!("retry: {retry}\nid: {id}\n\n"));
        seen.insert(retry);
    }
    assert!(seen.len() > 5, "no jitter: {seen:?}");

    let mut stream = daemon.subscribe("subscribe=a");
    assert_eq!(
        stream.block().unwrap().retry,
        None,
        "the heartbeat has none"
    );

    let none = Daemon::start("--retry 0");
    let request = "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n";
    let first = Stream::request(none.listen, request).block().unwrap();
    assert_eq!(first.retry, None);
    assert!(first.is_position());
}

#[test]
fn the_position_is_the_newest_id() {
    let daemon = Daemon::start("");
    let mut first = Stream::request(
        daemon.listen,
        "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    let before = first.position();
    let (id, recipients) = publish::http(daemon.control, "a", "one");
    assert_eq!(recipients, 1);
    assert!(before < id, "below every id to come: {before} {id}");
    assert_eq!(first.event().id, Some(id));

    let (other, recipients) = publish::http(daemon.control, "other", "two");
    assert_eq!(recipients, 0);
    let mut second = Stream::request(
        daemon.listen,
        "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert_eq!(second.position(), other);
}

#[test]
fn a_silent_stream_gets_its_position() {
    let daemon = Daemon::start("--heartbeat 1 --retry 0");
    let mut stream = daemon.subscribe("subscribe=a");
    let began = Instant::now();
    let (id, _) = publish::http(daemon.control, "other", "x");
    for _ in 0..2 {
        let beat = stream.block().unwrap();
        assert!(beat.is_position(), "{beat:?}");
        assert_eq!(beat.id, Some(id));
        assert_eq!(beat.raw, format!("id: {id}\n\n"));
    }
    let took = began.elapsed();
    let bounds = Duration::from_secs(1)..Duration::from_secs(10);
    assert!(bounds.contains(&took), "two beats in {took:?}");
}

#[test]
fn framing_of_events() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let table = [
        ("hello", "data: hello\n"),
        ("", "data: \n"),
        ("a\nb", "data: a\ndata: b\n"),
        ("a\r\nb\rc\nd", "data: a\ndata: b\ndata: c\ndata: d\n"),
        ("x\n", "data: x\ndata: \n"),
        ("\n", "data: \ndata: \n"),
        ("\n\rz", "data: \ndata: \ndata: z\n"),
        ("  kept  ", "data:   kept  \n"),
        (
            "id: 5\nretry: 1\n: no",
            "data: id: 5\ndata: retry: 1\ndata: : no\n",
        ),
        ("\u{feff}é ☃ 🦀", "data: \u{feff}é ☃ 🦀\n"),
        ("nul\0 stays", "data: nul\0 stays\n"),
    ];
    for (text, lines) in table {
        let (id, _) = publish::http(daemon.control, "a", text);
        let raw = stream.event().raw;
        // An empty line of data may be written with or without the blank after the colon.
        let wanted = format!("id: {id}\n{lines}\n");
        let plain = |text: &str| text.replace("data: \n", "data:\n");
        assert_eq!(plain(&raw), plain(&wanted), "{text:?}");

        let (id, _) = publish::http(daemon.control, "a?event=news", text);
        let raw = stream.event().raw;
        let wanted = format!("id: {id}\nevent: news\n{lines}\n");
        assert_eq!(plain(&raw), plain(&wanted), "{text:?}");
    }
}

#[test]
fn ids_grow_and_are_the_same_for_all_also_after_a_restart() {
    let mut newest = 0;
    for _ in 0..2 {
        let daemon = Daemon::start("");
        let mut one = daemon.subscribe("subscribe=a");
        let mut two = daemon.subscribe("subscribe=b-a");
        publish::tcp(daemon.control, "a=x\n".repeat(2000));
        for _ in 0..2000 {
            let id = one.event().id.unwrap();
            assert_eq!(two.event().id, Some(id));
            assert!(id > newest && id < 1 << 53, "{newest} {id}");
            newest = id;
        }
    }
}

#[test]
fn a_graceful_stop_delivers_what_was_taken_in() {
    let mut daemon = Daemon::start("--control unix:{dir}/control");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut old = Stream::request(daemon.listen, "GET /sse?subscribe=a HTTP/1.0\r\n\r\n");
    old.position();
    for number in 0..500 {
        publish::http(daemon.control, "a", &number.to_string());
    }
    daemon.signal(Signal::SIGTERM);
    for stream in [&mut stream, &mut old] {
        for number in 0..500 {
            assert_eq!(stream.data(), number.to_string());
        }
        // So that browsers which give up after one refused connection come late enough.
        let last = stream.block().unwrap();
        let retry = last.retry.unwrap();
        assert!((2000..=6000).contains(&retry), "{retry}");
        assert_eq!(last.raw, format!("retry: {retry}\n\n"));
    }
    // The last chunk, then the end of the connection.
    assert_eq!(stream.into_connection().rest(), b"");
    old.into_connection();
    assert!(daemon.heard("STOPPING=1", Duration::from_secs(5)));
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
    assert!(!daemon.file("control").exists(), "its socket file is gone");
}

#[test]
fn an_interrupt_stops_too_and_a_second_signal_ends_at_once() {
    let mut daemon = Daemon::start("");
    let stream = daemon.subscribe("subscribe=a");
    daemon.signal(Signal::SIGINT);
    stream.into_connection();
    assert_eq!(daemon.wait_for_exit().code(), Some(0));

    // A client that takes nothing keeps the queue full for the five seconds of grace.
    let mut daemon = Daemon::start("--client-buffer 33554432");
    let _stuck = daemon.subscribe("subscribe=a");
    let message = "x".repeat(1_000_000);
    for _ in 0..20 {
        publish::http(daemon.control, "a", &message);
    }
    let began = Instant::now();
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.heard("STOPPING=1", Duration::from_secs(5)));
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_stop_gives_slow_readers_five_seconds_and_no_more() {
    let text = "x".repeat(1_000_000);
    let stopping = || {
        let daemon = Daemon::start("--client-buffer 33554432");
        let stream = daemon.subscribe("subscribe=a");
        for _ in 0..20 {
            publish::http(daemon.control, "a", &text);
        }
        daemon.signal(Signal::SIGTERM);
        (daemon, stream)
    };
    let (mut daemon, mut stream) = stopping();
    for _ in 0..20 {
        // More than a second in all.
        thread::sleep(Duration::from_millis(70));
        assert_eq!(stream.data(), text);
    }
    stream.into_connection();
    assert_eq!(daemon.wait_for_exit().code(), Some(0));

    let (mut daemon, _stuck) = stopping();
    let began = Instant::now();
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
    let took = began.elapsed();
    let bounds = Duration::from_secs(4)..Duration::from_secs(15);
    assert!(bounds.contains(&took), "{took:?}");
}

/// A load balancer hears of the stop while streams still end.
#[test]
fn health_is_503_from_the_stop_signal_on() {
    let daemon = Daemon::start("--client-buffer 33554432");
    let _slow = daemon.subscribe("subscribe=a");
    for _ in 0..20 {
        publish::http(daemon.control, "a", &"x".repeat(1_000_000));
    }
    let mut kept = Connection::to(daemon.control);
    kept.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(kept.response().status, 200);
    let mut before = Connection::to(daemon.listen);
    before.send(b"GET /sse?health HTTP/1.1\r\n");
    kept.send(b"GET /healthz HTTP/1.1\r\n");
    // Whoever has begun to ask is answered, as it is then.
    eventually("both have come", || {
        let status = publish::ask_tcp(daemon.control, "tcpstatus\n");
        status.contains("\"allconncli\":2").then_some(())
    });
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_log("stopping");
    for connection in [&mut kept, &mut before] {
        let answer = connection.send(b"Host: x\r\n\r\n").response();
        assert_eq!(answer.status, 503, "{answer:?}");
    }
}

#[test]
fn who_was_answered_and_stays_does_not_hold_up_a_stop() {
    let mut daemon = Daemon::start("");
    let mut connection = Connection::to(daemon.listen);
    connection.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.head().status, 404);
    // It has a while to read that, and no more.
    eventually("it is let go", || {
        (status(&daemon)["allconncli"] == 0).then_some(())
    });

    let mut connection = Connection::to(daemon.listen);
    connection.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.head().status, 404);
    let began = Instant::now();
    daemon.stop();
    let took = began.elapsed();
    // Who has not read all may have five seconds.
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_service_manager_hears_that_it_is_alive() {
    let daemon = Daemon::start_after("export WATCHDOG_USEC=200000", "");
    for _ in 0..3 {
        assert!(daemon.heard("WATCHDOG=1", Duration::from_secs(5)));
    }
}

#[test]
fn a_slow_client_is_disconnected_and_delays_nobody() {
    let daemon = Daemon::start("--client-buffer 100000");
    let slow = daemon.subscribe("subscribe=a&id=slow");
    let mut fast = daemon.subscribe("subscribe=a&id=fast");
    daemon.wait_for_clients(2);
    let text = "x".repeat(50_000);
    for _ in 0..400 {
        publish::http(daemon.control, "a", &text);
        assert_eq!(fast.data(), text);
    }
    daemon.wait_for_clients(1);
    assert_eq!(status(&daemon)["slow_disconnects"], 1);
    daemon.wait_for_log("read more slowly than its events came");
    drop(slow);
}

fn status(daemon: &Daemon) -> serde_json::Value {
    serde_json::from_str(&publish::ask_tcp(daemon.control, "tcpstatus\n")).unwrap()
}

#[test]
fn what_waits_for_slow_clients_is_shown() {
    let daemon = Daemon::start("--client-buffer 33554432");
    let waiting = || status(&daemon)["waiting_bytes"].as_u64().unwrap();
    assert_eq!(waiting(), 0);
    let slow = daemon.subscribe("subscribe=a");
    let text = "x".repeat(1_000_000);
    for _ in 0..20 {
        publish::http(daemon.control, "a", &text);
    }
    // The rest is in the sockets' buffers.
    let bytes = waiting();
    assert!((1_000_000..20_100_000).contains(&bytes), "{bytes}");
    let list = publish::ask_tcp(daemon.control, "tcpclientlist\n");
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list[0]["waiting_bytes"], bytes);
    drop(slow);
    daemon.wait_for_clients(0);
    assert_eq!(waiting(), 0);
}

#[test]
fn one_event_fits_an_empty_buffer_whatever_its_size() {
    let daemon = Daemon::start("--client-buffer 1000");
    let mut stream = daemon.subscribe("subscribe=a");
    let text = "y".repeat(900_000);
    for _ in 0..3 {
        publish::http(daemon.control, "a", &text);
        assert_eq!(stream.data(), text);
    }
}

#[test]
fn a_client_that_leaves_is_forgotten() {
    let daemon = Daemon::start("");
    let streams: Vec<Stream> = (0..20).map(|_| daemon.subscribe("subscribe=a")).collect();
    daemon.wait_for_clients(20);
    drop(streams);
    daemon.wait_for_clients(0);
    assert_eq!(publish::http(daemon.control, "a", "x").1, 0);
}

#[test]
fn a_half_closed_connection_costs_no_time() {
    let daemon = Daemon::start("--heartbeat 1");
    let mut connection = Connection::to(daemon.listen);
    connection.send(b"GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.finish();
    let before = daemon.cpu_ticks();
    let mut watcher = daemon.subscribe("subscribe=b");
    // Two heartbeats of another stream: about two seconds.
    watcher.block();
    watcher.block();
    let used = daemon.cpu_ticks() - before;
    assert!(used < 50, "{used} ticks of 10 ms in two seconds");
}
