//! `GET /live`.

use serde_json::Value;

use super::{ask, chunk, send};
use support::{Connection, Daemon, eventually, publish};

/// Someone who watches.
struct Watcher(Connection);

impl Watcher {
    fn new(daemon: &Daemon) -> Self {
        let mut connection = Connection::to(daemon.control);
        send(&mut connection, "GET /live");
        let head = connection.head();
        assert_eq!(
            head.header("content-type").as_deref(),
            Some("text/event-stream; charset=utf-8")
        );
        Self(connection)
    }

    fn next(&mut self) -> Value {
        let text = chunk(&mut self.0).expect("an event");
        let data = text.strip_prefix("data: ").unwrap();
        serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap()
    }
}

#[test]
fn figures_come_every_second() {
    let daemon = Daemon::start("--allow-all");
    let _streams =
        ["subscribe=a-b", "subscribe=a", "subscribe=*"].map(|query| daemon.subscribe(query));
    let mut watcher = Watcher::new(&daemon);
    let first = watcher.next();
    assert_eq!(first["clients"]["sse"], 3);
    assert_eq!(first["seconds"], 0.0);
    assert_eq!(first["loglevel"], "normal");
    assert_eq!(first["delivery"]["p50"], Value::Null);
    let subscribers = first["tokens"]["subscribers"].to_string();
    assert_eq!(subscribers, r#"[["a",2],["*",1],["b",1]]"#);
    for n in 0..8 {
        publish::http(daemon.control, "a", &n.to_string());
    }
    publish::http(daemon.control, "nobody", "x");
    publish::http(daemon.control, "no*", "x");
    ask(daemon.control, "POST /loglevel/debug");
    let second = watcher.next();
    let seconds = second["seconds"].as_f64().unwrap();
    assert!((0.9..5.0).contains(&seconds), "{seconds}");
    assert_eq!(second["loglevel"], "debug");
    // 8 to three streams, 2 to who listens to everything.
    assert_eq!(second["total"]["events"], 26);
    let rate = |key: &str| second["rates"][key].as_f64().unwrap();
    assert!((rate("events") * seconds - 26.0).abs() < 1.0, "{second}");
    assert!((rate("messages") * seconds - 10.0).abs() < 1.0, "{second}");
    assert!(rate("bytes") > 0.0);
    assert_eq!(second["messages"]["http"], second["rates"]["messages"]);
    assert!(second["delivery"]["count"].as_u64().unwrap() > 0);
    assert!(second["delivery"]["p99"].as_f64().unwrap() >= 0.0001);
    assert!(second["loop"]["count"].as_u64().unwrap() > 0);
    let messages = second["tokens"]["messages"].as_array().unwrap();
    let names: Vec<&str> = messages
        .iter()
        .map(|row| row[0].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "no*", "nobody"]);
    let status = ask(daemon.control, "GET /status").json();
    assert_eq!(status["msgsendcnt"], second["total"]["events"]);
    assert_eq!(status["bytes_sent"], second["total"]["bytes"]);
}

#[test]
fn messages_by_token_are_counted_while_somebody_watches() {
    let daemon = Daemon::start("");
    publish::http(daemon.control, "before", "x");
    let mut watcher = Watcher::new(&daemon);
    assert_eq!(watcher.next()["tokens"]["messages"].to_string(), "[]");
    publish::http(daemon.control, "during", "x");
    eventually("the token", || {
        let tokens = watcher.next()["tokens"]["messages"].to_string();
        assert!(!tokens.contains("before"), "{tokens}");
        tokens.contains("during").then_some(())
    });
    // The window moves on.
    eventually("its end", || {
        let tokens = watcher.next()["tokens"]["messages"].to_string();
        (tokens == "[]").then_some(())
    });
}

#[test]
fn many_tokens_are_searched_for_the_largest() {
    let daemon = Daemon::start("--max-tokens 1000");
    let tokens: Vec<String> = (0..900).map(|n| format!("t{n}")).collect();
    let mut streams = Vec::new();
    for part in 0..10 {
        let own: Vec<String> = (0..900).map(|n| format!("{part}u{n}")).collect();
        streams.push(daemon.subscribe(&format!("subscribe={}", own.join("-"))));
    }
    streams.push(daemon.subscribe(&format!("subscribe={}-big-big2", tokens.join("-"))));
    streams.push(daemon.subscribe("subscribe=big-big2"));
    streams.push(daemon.subscribe("subscribe=big"));
    let top = Watcher::new(&daemon).next()["tokens"]["subscribers"].clone();
    let top = top.as_array().unwrap();
    assert_eq!(top.len(), 10);
    assert_eq!(top[0].to_string(), r#"["big",3]"#);
    assert_eq!(top[1].to_string(), r#"["big2",2]"#);
    assert_eq!(top[2].to_string(), r#"["0u0",1]"#);
}

#[test]
fn a_watcher_that_leaves_is_gone_and_a_stop_ends_the_stream() {
    let mut daemon = Daemon::start("--log-level debug");
    let mut leaving = Watcher::new(&daemon);
    leaving.next();
    let descriptors = || {
        let open = format!("/proc/{}/fd", daemon.pid());
        std::fs::read_dir(open).unwrap().count()
    };
    let before = descriptors();
    drop(leaving);
    eventually("its descriptor's end", || {
        (descriptors() < before).then_some(())
    });
    let mut watcher = Watcher::new(&daemon);
    watcher.next();
    daemon.stop();
    assert_eq!(chunk(&mut watcher.0), None, "the last chunk");
    assert_eq!(watcher.0.rest(), b"");
}
