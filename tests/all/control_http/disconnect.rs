//! `POST /disconnect/ID` and `POST /loglevel/LEVEL`.

use serde_json::json;

use super::ask;
use support::{Connection, Daemon, Stream, publish};

#[test]
fn the_streams_with_an_id_end_and_no_others() {
    let daemon = Daemon::start("");
    let named = |id: &str| daemon.subscribe(&format!("subscribe=a&id={id}"));
    let (one, two) = (named("x%2Fy+%C3%A9"), named("x%2Fy%20%C3%A9"));
    let mut other = named("x");
    let answer = ask(daemon.control, "POST /disconnect/x%2Fy%20%C3%A9");
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"disconnected": 2}))
    );
    one.into_connection();
    two.into_connection();
    publish::http(daemon.control, "a", "still there");
    assert_eq!(other.data(), "still there");
    // In a path a plus is a plus.
    let answer = ask(daemon.control, "POST /disconnect/x%2Fy+%C3%A9");
    assert_eq!(answer.json(), json!({"disconnected": 0}));
    daemon.wait_for_log("disconnected 2 clients named \"x/y é\"");
    daemon.wait_for_clients(1);
    for (status, line) in [
        (400, "POST /disconnect/"),
        (400, "POST /disconnect/%zz"),
        (400, "POST /disconnect/x?for=86401"),
        (400, "POST /disconnect/x?for=soon"),
        (400, "POST /disconnect/x?until=7"),
        (400, "POST /disconnect/%ff"),
        (405, "GET /disconnect/x"),
    ] {
        assert_eq!(ask(daemon.control, line).status, status, "{line}");
    }
}

#[test]
fn an_id_is_kept_out_for_a_time() {
    let daemon = Daemon::start("");
    let stream = daemon.subscribe("subscribe=a&id=me");
    let answer = ask(daemon.control, "POST /disconnect/me?for=60");
    assert_eq!(answer.json(), json!({"disconnected": 1}));
    stream.into_connection();
    let get = |query: &str| {
        let accept = "Accept: text/event-stream\r\n";
        let text = format!("GET /sse?{query} HTTP/1.1\r\nHost: x\r\n{accept}\r\n");
        let mut connection = Connection::to(daemon.listen);
        connection.send(text.as_bytes()).head()
    };
    let refused = get("subscribe=a&id=me");
    assert_eq!(refused.status, 403, "a browser is to give up");
    assert_eq!(refused.header("retry-after"), None);
    // Others, and the same without the id, are let in.
    assert_eq!(get("subscribe=a&id=you").status, 200);
    assert_eq!(get("subscribe=a").status, 200);
    daemon.wait_for_log("which are not let in for 60 s");
    // The newest word counts.
    ask(daemon.control, "POST /disconnect/me?for=0");
    assert_eq!(get("subscribe=a&id=me").status, 200);
    ask(daemon.control, "POST /disconnect/me?for=1");
    assert_eq!(get("subscribe=a&id=me").status, 403);
    support::eventually("an end of the second", || {
        (get("subscribe=a&id=me").status == 200).then_some(())
    });
}

#[test]
fn a_stream_that_is_still_getting_kept_events_is_meant_too() {
    let daemon = Daemon::start("--history 10000 --history-bytes 200000000");
    let text = "x".repeat(200_000);
    for _ in 0..100 {
        publish::http(daemon.control, "a", &text);
    }
    // Without reading, so that its replay does not come to an end.
    let request = "GET /sse?subscribe=a&id=me&recent=100 HTTP/1.1\r\nHost: x\r\n\r\n";
    let stream = Stream::request(daemon.listen, request);
    let rows = ask(daemon.control, "GET /clients?limit=5&search=me");
    assert_eq!(rows.json()[0]["id"], "me", "{rows:?}");
    let metrics = ask(daemon.control, "GET /metrics").body;
    assert!(
        metrics.contains("\nhasses_clients{state=\"replay\"} 1\n"),
        "{metrics}"
    );
    let answer = ask(daemon.control, "POST /disconnect/me");
    assert_eq!(answer.json(), json!({"disconnected": 1}));
    stream.into_connection();
}

#[test]
fn the_log_level_can_be_set() {
    let daemon = Daemon::start("");
    let level = || ask(daemon.control, "GET /status").json()["loglevel"].clone();
    for (word, number) in [("debug", 2), ("quiet", 0), ("normal", 1)] {
        let answer = ask(daemon.control, &format!("POST /loglevel/{word}"));
        assert_eq!(answer.json(), json!({"loglevel": word}));
        assert_eq!(level(), number);
    }
    assert_eq!(ask(daemon.control, "POST /loglevel/loud").status, 400);
    assert_eq!(ask(daemon.control, "GET /loglevel/debug").status, 405);
}
