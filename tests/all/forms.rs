//! The forms that a stream may ask for: without positions, with pings, as JSON.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::{Daemon, Stream, publish};

fn open(address: SocketAddr, query: &str) -> Stream {
    let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    Stream::request(address, &request)
}

/// The number of a `retry:` line that is all of this text.
fn retry(text: &str) -> u64 {
    let number = text.strip_prefix("retry: ").unwrap();
    number.strip_suffix('\n').unwrap().parse().unwrap()
}

#[test]
fn without_positions_nothing_comes_but_events() {
    let daemon = Daemon::start("--heartbeat 1 --retry 1000");
    let (first, _) = publish::http(daemon.control, "a", "early");
    let mut stream = open(daemon.listen, "subscribe=a&positions=0");
    let soon = || Instant::now() + Duration::from_secs(5);
    let line = retry(&stream.chunk(soon()).unwrap());
    assert!((700..=1300).contains(&line), "{line}");
    // Silence is broken by comments, which have no empty line.
    for _ in 0..2 {
        assert_eq!(stream.chunk(soon()).unwrap(), ":\n");
    }
    let (id, _) = publish::http(daemon.control, "a", "x");
    assert_eq!(
        stream.chunk(soon()).unwrap(),
        format!("id: {id}\ndata: x\n\n")
    );

    // The line stands in the first block also when that is an event or a gap.
    let query = format!("subscribe=a&positions=0&lastEventId={first}");
    let mut late = open(daemon.listen, &query);
    let block = late.chunk(soon()).unwrap();
    let (line, event) = block.split_once('\n').unwrap();
    retry(&format!("{line}\n"));
    assert_eq!(event, format!("id: {id}\ndata: x\n\n"));
    let mut lost = open(daemon.listen, "subscribe=a&positions=0&lastEventId=x");
    let block = lost.chunk(soon()).unwrap();
    let (_, gap) = block.split_once('\n').unwrap();
    assert_eq!(
        gap,
        format!("event: gap\ndata: {{\"after\":null,\"oldest\":{first}}}\n\n")
    );

    daemon.signal(Signal::SIGTERM);
    for mut stream in [stream, late, lost] {
        let last = loop {
            match stream.chunk(soon()).unwrap() {
                beat if beat == ":\n" => {}
                last => break last,
            }
        };
        assert!((2000..=6000).contains(&retry(&last)), "{last}");
        assert_eq!(stream.chunk(soon()), None);
    }
}

#[test]
fn a_refusal_without_positions_has_no_empty_line() {
    let daemon = Daemon::start("--max-clients 1");
    let _only = daemon.subscribe("subscribe=a");
    for (query, empty) in [
        ("", "\n"),
        ("&ping=1&positions=0", "\n"),
        ("&positions=0", ""),
    ] {
        let request = format!(
            "GET /sse?subscribe=a{query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        );
        let mut stream = Stream::request(daemon.listen, &request);
        let soon = Instant::now() + Duration::from_secs(5);
        let last = stream.chunk(soon).unwrap();
        let later = retry(last.strip_suffix(empty).unwrap());
        assert!((21_000..=39_000).contains(&later), "{last:?}");
        assert_eq!(stream.chunk(soon), None);
    }
}

#[test]
fn pings_are_seen_by_scripts_and_come_beside_events() {
    let daemon = Daemon::start("--heartbeat 1");
    let mut stream = open(daemon.listen, "subscribe=a&ping=1&positions=0");
    let first = stream.block().unwrap();
    let (retry, position) = (first.retry.unwrap(), first.id.unwrap());
    assert_eq!(
        first.raw,
        format!("retry: {retry}\nevent: ping\nid: {position}\ndata: 1\n\n")
    );
    let (began, mut events, mut newest) = (Instant::now(), 0, position);
    let mut pings = Vec::new();
    while pings.len() < 4 {
        newest = newest.max(publish::http(daemon.control, "a", "x").0);
        let mut ids = Vec::new();
        while ids.last() != Some(&newest) {
            let block = stream.event();
            ids.push(block.id.unwrap());
            match block.event.as_deref() {
                Some("ping") => {
                    assert_eq!(block.data.as_deref(), Some("1"));
                    pings.push(began.elapsed());
                }
                _ => events += 1,
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(events > 50, "{events}");
    // One in each second; what this machine adds is not the daemon's.
    assert!(pings[3] < Duration::from_secs(6), "{pings:?}");

    let off = Daemon::start("--heartbeat 0 --retry 0");
    let first = open(off.listen, "subscribe=a&ping=1").block().unwrap();
    let id = first.id.unwrap();
    assert_eq!(first.raw, format!("event: ping\nid: {id}\ndata: 0\n\n"));
}

#[test]
fn as_json_an_event_says_whom_it_was_for() {
    let daemon = Daemon::start("--allow-all");
    let mut both = daemon.subscribe("subscribe=a-b1&format=json");
    let mut one = daemon.subscribe("subscribe=b1&format=json");
    let mut all = daemon.subscribe("subscribe=*&format=json");
    let mut plain = daemon.subscribe("subscribe=a-b1");
    let table = [
        (json!("a"), Some(json!("a")), None),
        (json!("b*"), Some(json!("b*")), Some(json!("b*"))),
        (json!("*"), Some(json!("*")), Some(json!("*"))),
        (
            json!(["x", "b1", "y"]),
            Some(json!("b1")),
            Some(json!("b1")),
        ),
        (
            json!(["b1", "a", "b*", "x"]),
            Some(json!(["b1", "a", "b*"])),
            Some(json!(["b1", "b*"])),
        ),
        (json!(["x", "*"]), Some(json!("*")), Some(json!("*"))),
    ];
    let text = "line\r\nanother\rthird\n\u{2028} \"quoted\" é";
    for (number, (to, for_both, for_one)) in table.iter().enumerate() {
        let mut message = json!({"to": to, "data": text});
        if number % 2 == 0 {
            message["event"] = "news".into();
        }
        let id = publish::json_lines(daemon.control, [message.to_string()])[0];
        let event = plain.event();
        assert_eq!(event.id, Some(id));
        let check = |stream: &mut Stream, to: &Value| {
            let event = stream.event();
            let data = event.data.unwrap();
            assert_eq!(event.raw, format!("id: {id}\ndata: {data}\n\n"));
            let mut wanted = json!({"id": id, "to": to, "data": text});
            if number % 2 == 0 {
                wanted["event"] = "news".into();
            }
            assert_eq!(serde_json::from_str::<Value>(&data).unwrap(), wanted);
        };
        check(&mut both, for_both.as_ref().unwrap());
        check(&mut all, to);
        if let Some(to) = for_one {
            check(&mut one, to);
        }
    }
    // The same by replay.
    let start = Stream::resume(daemon.listen, "subscribe=b1&format=json", 1);
    let gap: Value = serde_json::from_str(start.gap_data()).unwrap();
    assert_eq!(gap["tokens"], json!(["b1"]));
    let to = start.data().into_iter().map(|data| {
        let value: Value = serde_json::from_str(data).unwrap();
        assert_eq!(value["data"], text);
        value["to"].clone()
    });
    let wanted: Vec<Value> = table.iter().filter_map(|row| row.2.clone()).collect();
    assert_eq!(to.collect::<Vec<_>>(), wanted);
    let start = Stream::resume(daemon.listen, "subscribe=*-b1&format=json", "x");
    let gap: Value = serde_json::from_str(start.gap_data()).unwrap();
    assert_eq!(gap["tokens"], json!(["*"]));
    let start = Stream::resume(daemon.listen, "subscribe=b1", "x");
    assert!(!start.gap_data().contains("tokens"));
}

#[test]
fn a_form_that_is_none_is_refused() {
    let daemon = Daemon::start("");
    for (query, why) in [
        ("ping=yes", "ping=\"yes\" must be 0 or 1"),
        ("positions=none", "must be 0 or 1"),
        ("format=xml", "is no format"),
    ] {
        let request = format!("GET /sse?subscribe=a&{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = daemon.ask(request);
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains(why), "{}", answer.body);
    }
}
