//! Signed URLs.

use super::maker::{good, now, signed};
use super::{SECRET, open, refused, with_secret, write_key};
use support::{Stream, needs, publish, run};

#[test]
fn a_signed_url_opens_what_it_says() {
    needs!("python3");
    let daemon = with_secret("");
    let mut stream = daemon.subscribe(&good("subscribe=room1&token=a-b&id=7"));
    for token in ["room1", "a-b"] {
        assert_eq!(publish::http(daemon.control, token, token).1, 1);
        assert_eq!(stream.data(), token);
    }
    assert_eq!(
        publish::http(daemon.control, "room1?except=7", "spared").1,
        0
    );
    assert_eq!(publish::http(daemon.control, "room2", "other").1, 0);
    let mut all = daemon.subscribe(&good("subscribe=*"));
    publish::http(daemon.control, "anything", "x");
    assert_eq!(all.data(), "x");
    let head = format!("HEAD /sse?{} HTTP/1.0\r\n\r\n", good("subscribe=a"));
    assert_eq!(daemon.ask(head).status, 200);
}

#[test]
fn a_position_may_follow_unsigned() {
    needs!("python3");
    let daemon = with_secret("");
    let (first, _) = publish::http(daemon.control, "a", "one");
    publish::http(daemon.control, "a", "two");
    let query = good("subscribe=a");
    let after = Stream::starting(daemon.listen, &format!("{query}&lastEventId={first}"), "");
    assert_eq!(after.data(), ["two"]);
    let recent = Stream::starting(daemon.listen, &good("subscribe=a&recent=1"), "");
    assert_eq!(recent.data(), ["two"]);
}

#[test]
fn what_widens_nothing_may_follow_unsigned() {
    needs!("python3");
    let daemon = with_secret("");
    publish::http(daemon.control, "a", "one");
    publish::http(daemon.control, "a", "two");
    let after = format!(
        "{}&recent=1:a&recent=1&format=json&positions=0&ping=1",
        good("subscribe=a")
    );
    let request = format!("GET /sse?{after} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut stream = Stream::request(daemon.listen, &request);
    let last = stream.event().data.unwrap();
    assert!(last.contains(r#""to":"a","data":"two""#), "{last}");
    assert_eq!(stream.event().event.as_deref(), Some("ping"));
    for (query, told) in [
        (
            format!("{}&subscribe=b", good("subscribe=a")),
            "may follow sign=",
        ),
        (format!("{}&id=8", good("subscribe=a")), "may follow sign="),
        (
            format!("{}&info=1", good("subscribe=a")),
            "may follow sign=",
        ),
        (
            format!("{}&until=0", good("subscribe=a")),
            "may follow sign=",
        ),
        (
            format!("{}&recent=9", good("subscribe=a&recent=1")),
            "recent= is in the signed part",
        ),
        (
            format!("{}&ping=1", good("subscribe=a&ping=0")),
            "ping= is in the signed part",
        ),
    ] {
        refused(&daemon, &query, "", 401, told);
    }
    open(
        &daemon,
        &format!("{}&lastEventId=5", good("subscribe=a&lastEventId=4")),
        "",
    );
}

#[test]
fn a_stream_may_end_with_its_url() {
    needs!("python3");
    let daemon = with_secret("");
    let end = now() + 5;
    let queries = ["subscribe=a&until=1", "subscribe=a&until=0"].map(|query| signed(query, end));
    let [stream, mut other] = queries.map(|query| daemon.subscribe(&query));
    stream.into_connection();
    assert!((end..end + 5).contains(&now()));
    publish::http(daemon.control, "a", "still");
    assert_eq!(other.data(), "still");
}

#[test]
fn its_end_is_looked_at_when_it_connects_and_not_later() {
    needs!("python3");
    let daemon = with_secret("");
    let query = signed("subscribe=a", now() + 4);
    let mut stream = daemon.subscribe(&query);
    support::eventually("its end", || {
        (super::ask(&daemon, &signed("subscribe=a", now() - 1), "").status == 401
            && now() > query_end(&query))
        .then_some(())
    });
    refused(&daemon, &query, "", 401, "the URL expired ");
    publish::http(daemon.control, "a", "still");
    assert_eq!(stream.data(), "still");
    refused(
        &daemon,
        &signed("subscribe=a", now() - 100),
        "",
        401,
        "expired 10",
    );
}

fn query_end(query: &str) -> u64 {
    let end = query.split("expires=").nth(1).unwrap();
    end.split('&').next().unwrap().parse().unwrap()
}

#[test]
fn old_switches_let_a_proof_replay_everything() {
    needs!("python3");
    let daemon = support::Daemon::prepared(
        "-p={listen} -cp={control} -nodaemon --subscribe-key {dir}/key",
        |place| write_key(&place.dir.join("key"), SECRET),
    );
    refused(&daemon, "subscribe=*", "", 401, "needs a signed URL");
    publish::http(daemon.control, "a", "before");
    let start = Stream::starting(daemon.listen, &good("subscribe=*&recent=5"), "");
    assert!(start.gap.is_none());
    let last = start.position - 1;
    let back = Stream::starting(
        daemon.listen,
        &good("subscribe=*"),
        &format!("Last-Event-ID: {last}\r\n"),
    );
    assert_eq!(back.data(), ["before"]);
}

#[test]
fn hasses_signs_for_the_shell() {
    needs!("python3");
    let daemon = with_secret("");
    let key = daemon.file("key");
    let hasses = |arguments: &[&str]| {
        let output = run(env!("CARGO_BIN_EXE_hasses"), arguments).stdout;
        String::from_utf8(output).unwrap()
    };
    let key = key.to_str().unwrap();
    let before = now();
    let query = hasses(&["sign", "--key", key, "subscribe=room1&id=7", "--for", "1h"]);
    let query = query.trim_end();
    let end = query_end(query);
    assert!((before + 3600..=now() + 3600).contains(&end), "{query}");
    assert_eq!(query, signed("subscribe=room1&id=7", end));
    let mut stream = open(&daemon, query, "");
    publish::http(daemon.control, "room1", "x");
    assert_eq!(stream.data(), "x");
    assert!(hasses(&["sign", "--help"]).contains("--key FILE"));
}
