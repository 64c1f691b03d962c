//! What is kept of each token, and what a stream is given of it: rules, fair shares, exact gaps.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use support::stream::Start;
use support::{Daemon, Stream, eventually, number_from, publish};

fn fresh(daemon: &Daemon, query: &str) -> Start {
    Stream::starting(daemon.listen, query, "")
}

fn resume(daemon: &Daemon, query: &str, last: u64) -> Start {
    Stream::resume(daemon.listen, query, last)
}

/// A daemon with these lines in its config file.
fn configured(lines: &str) -> Daemon {
    let addresses = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control}";
    Daemon::prepared(
        &format!("{addresses} --config {{dir}}/conf"),
        |preparation| {
            preparation.write("conf", &preparation.fill(lines));
        },
    )
}

fn metric(daemon: &Daemon, name: &str) -> u64 {
    let page = support::Connection::to(daemon.control)
        .send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .response()
        .body;
    let sample = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    sample
        .unwrap_or_else(|| panic!("no {name}"))
        .parse()
        .unwrap()
}

#[test]
fn a_flood_takes_no_quiet_tokens_last_value() {
    const QUIET: usize = 10_000;
    let _alone = support::heavy();
    let flood = number_from("HASSES_FLOOD", 50_000);
    let daemon = Daemon::start("--history 1000000 --history-bytes 8MiB --max-tokens 300");
    let mut text = String::new();
    for n in 0..QUIET {
        writeln!(text, "quiet{n}=value {n}").unwrap();
    }
    publish::talk_tcp(daemon.control, text + "tcpnumberofclients\n");
    let before = fresh(&daemon, "subscribe=quiet0").position;
    let line = format!("flood={}\n", "x".repeat(100));
    for _ in 0..flood / 1000 {
        publish::talk_tcp(daemon.control, line.repeat(1000) + "tcpnumberofclients\n");
    }
    for from in (0..QUIET).step_by(200) {
        let names: Vec<String> = (from..from + 200).map(|n| format!("quiet{n}")).collect();
        let query = format!("subscribe={}", names.join("-"));
        let start = fresh(&daemon, &format!("{query}&recent=1"));
        let values: Vec<String> = (from..from + 200).map(|n| format!("value {n}")).collect();
        assert_eq!(
            (start.data(), &start.gap),
            (values.iter().map(String::as_str).collect(), &None)
        );
        assert_eq!(
            resume(&daemon, &query, before).gap,
            None,
            "nothing of them was let go"
        );
    }
    assert!(resume(&daemon, "subscribe=flood", before).gap.is_some());
    let (bytes, events) = (
        metric(&daemon, "hasses_history_bytes"),
        metric(&daemon, "hasses_history_events"),
    );
    assert!(
        (7 << 20..=8 << 20).contains(&bytes),
        "{bytes} bytes of {events} events"
    );
    assert_eq!(metric(&daemon, "hasses_history_targets"), QUIET as u64 + 1);
    assert_eq!(metric(&daemon, "hasses_history_marks"), 1);
}

#[test]
fn rules_are_for_a_token_or_for_all_that_begin_so() {
    let daemon = configured("--history 2\n--history-for price-* 1/forever\n");
    for (target, data) in [
        ("a", "1"),
        ("a", "2"),
        ("a", "3"),
        ("price-x", "1"),
        ("price-x", "2"),
        ("price-y", "3"),
        ("price-*", "4"),
        ("price-*", "5"),
    ] {
        publish::http(daemon.control, target, data);
    }
    assert_eq!(fresh(&daemon, "subscribe=a&recent=9").data(), ["2", "3"]);
    let query = "token=price-x&token=price-y&recent=9";
    assert_eq!(fresh(&daemon, query).data(), ["2", "3", "5"]);
}

#[test]
fn an_answer_in_parts_is_the_same_in_a_tab_that_comes_back() {
    const PARTS: usize = 2000;
    let daemon = configured("--history 100\n--history-for 'answer-* 5000/15m'\n");
    let part = |n: usize| format!("w{n} ");
    let all: String = (0..PARTS).map(part).collect();
    let mut first = Stream::open(daemon.listen, "token=answer-7&recent=5000");
    let mut publisher = support::Connection::to(daemon.control);
    let mut shown = String::new();
    let mut last = 0;
    for n in 0..PARTS {
        let message = |to: &str, data: &str| json!({"to": to, "data": data}).to_string() + "\n";
        let others = message("other", "no") + &message("answer-8", "no");
        publisher.send((others + &message("answer-7", &part(n))).as_bytes());
        if n < 500 {
            let event = first.event();
            shown += event.data.as_deref().unwrap();
            last = event.id.unwrap();
        }
    }
    // The tab is killed at part 500; its browser comes back, and a new tab opens.
    drop(first);
    let tail = |mut start: Start, mut text: String| {
        assert_eq!(start.gap, None);
        text.extend(start.data());
        while text.len() < all.len() {
            text += &start.stream.data();
        }
        text
    };
    let back = resume(&daemon, "token=answer-7", last);
    assert_eq!(tail(back, shown), all);
    let opened = fresh(&daemon, "token=answer-7&recent=5000");
    assert_eq!(tail(opened, String::new()), all);
}

#[test]
fn a_token_that_is_added_brings_its_last_values_and_sets_nothing_back() {
    let daemon = Daemon::start("");
    let publish = |target: &str, data: &str| publish::http(daemon.control, target, data).0;
    let [a1, _b1, a2, all] =
        [("a", "a1"), ("b", "b1"), ("a", "a2"), ("*", "all")].map(|(t, d)| publish(t, d));
    let b2 = publish("b", "b2");
    let start = fresh(
        &daemon,
        &format!("subscribe=a-b&lastEventId={a2}&recent=2:b"),
    );
    assert_eq!(start.data(), ["b1", "all", "b2"]);
    let ids: Vec<Option<u64>> = start.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, [None, Some(all), Some(b2)], "what is older has no id");
    assert_eq!((&start.gap, start.position), (&None, b2));
    // As JSON its id stands in the data.
    let query = format!("subscribe=a-b&lastEventId={b2}&recent=1:a&recent=1:b&format=json");
    let start = fresh(&daemon, &query);
    let line =
        |n: usize| serde_json::from_str::<Value>(start.events[n].data.as_deref().unwrap()).unwrap();
    assert_eq!(line(0), json!({"id": a2, "to": "a", "data": "a2"}));
    assert_eq!(line(2), json!({"id": b2, "to": "b", "data": "b2"}));
    assert!(start.events.iter().all(|event| event.id.is_none()));
    // Without a position it is the last of that token alone; the header wins over all of it.
    assert_eq!(
        fresh(&daemon, "subscribe=a-b&recent=1:a").data(),
        ["a2", "all"]
    );
    let header = Stream::starting(
        daemon.listen,
        "subscribe=a-b&recent=5:b",
        &format!("Last-Event-ID: {all}\r\n"),
    );
    assert_eq!(header.data(), ["b2"]);
    assert!(a1 < a2);
}

#[test]
fn a_gap_is_that_of_the_subscription_and_names_its_tokens() {
    let daemon = Daemon::start("--history 1");
    let before = fresh(&daemon, "subscribe=a").position;
    for target in ["a", "a", "b", "c"] {
        publish::http(daemon.control, target, "x");
    }
    let gap = |query: &str| {
        let start = resume(&daemon, query, before);
        start
            .gap
            .map(|gap| serde_json::from_str::<Value>(gap.data.as_deref().unwrap()).unwrap())
    };
    assert_eq!(gap("subscribe=b-c"), None);
    let oldest = fresh(&daemon, "subscribe=a&recent=1").events[0].id.unwrap();
    let plain = json!({"after": before, "oldest": oldest});
    assert_eq!(gap("subscribe=a-b"), Some(plain));
    let named = json!({"after": before, "oldest": oldest, "tokens": ["a"]});
    assert_eq!(gap("subscribe=b-a-c&format=json"), Some(named));
    // A name whose last values are asked for has lost nothing.
    let query = format!("subscribe=a-b&format=json&lastEventId={before}&recent=1:a");
    assert_eq!(fresh(&daemon, &query).gap, None);
}

#[test]
fn a_last_value_survives_thousands_of_others_and_kills() {
    let mut daemon = configured(
        "--history-file {dir}/history\n--history 100\n--history-for price-* 1/forever\n",
    );
    publish::http(daemon.control, "price-x", "42");
    let line = format!("chat={}\n", "x".repeat(1000));
    for round in 0..3 {
        for _ in 0..5 {
            publish::talk_tcp(daemon.control, line.repeat(400) + "tcpnumberofclients\n");
        }
        if round == 1 {
            std::thread::sleep(Duration::from_millis(1100));
            daemon.crash();
        } else {
            daemon.stop();
        }
        daemon.start_again();
        assert_eq!(
            fresh(&daemon, "token=price-x&recent=1").data(),
            ["42"],
            "{round}"
        );
        assert_eq!(fresh(&daemon, "token=chat&recent=1000").events.len(), 100);
    }
    let size = eventually("a small file", || {
        let size = std::fs::metadata(daemon.file("history")).unwrap().len();
        (size < 2 * 101 * 1100 + 65_536).then_some(size)
    });
    assert!(size > 100_000);
}

fn post(daemon: &Daemon, target: &str, key: &str, body: &str) -> (u16, Value) {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{key}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let response = support::Connection::to(daemon.control)
        .send(format!("{head}{body}").as_bytes())
        .response();
    (
        response.status,
        serde_json::from_str(&response.body).unwrap(),
    )
}

#[test]
fn a_message_that_is_sent_again_is_taken_in_once() {
    let mut daemon = Daemon::start("--history-file {dir}/history");
    let mut stream = Stream::open(daemon.listen, "subscribe=a");
    stream.position();
    let key = "Idempotency-Key: order 7\r\n";
    let (status, first) = post(&daemon, "/publish/a", key, "one");
    assert_eq!((status, &first["recipients"]), (200, &json!(1)));
    let again = json!({"id": first["id"], "recipients": 1, "repeated": true});
    assert_eq!(
        post(&daemon, "/publish/a", key, "one"),
        (200, again.clone())
    );
    for (target, body) in [
        ("/publish/b", "one"),
        ("/publish/a", "two"),
        ("/publish/a?event=x", "one"),
    ] {
        let (status, answer) = post(&daemon, target, key, body);
        assert_eq!(status, 409, "{answer}");
        assert!(
            answer["error"].as_str().unwrap().contains("order 7"),
            "{answer}"
        );
    }
    // A body with keys of its messages, and one with a key for all of them.
    let list = r#"[{"to":"a","data":"two","key":"k2"},{"to":"a","data":"one","key":"order 7"}]"#;
    let (status, answer) = post(&daemon, "/publish", "", list);
    assert_eq!(status, 200);
    assert_eq!(answer[1], again);
    assert_eq!(answer[0].get("repeated"), None);
    let body = r#"[{"to":"a","data":"three"},{"to":"a","data":"four"}]"#;
    let whole = "Idempotency-Key: body\r\n";
    let (status, first) = post(&daemon, "/publish", whole, body);
    assert_eq!(status, 200);
    let (status, second) = post(&daemon, "/publish", whole, body);
    assert_eq!(status, 200);
    for n in 0..2 {
        assert_eq!(second[n]["id"], first[n]["id"]);
        assert_eq!(second[n]["repeated"], true);
    }
    let longer = r#"[{"to":"a","data":"three"},{"to":"a","data":"four"},{"to":"a","data":"five"}]"#;
    assert_eq!(post(&daemon, "/publish", whole, longer).0, 409);
    assert_eq!(
        post(&daemon, "/publish", whole, list).0,
        400,
        "a key of its own beside that of the body"
    );
    let clash = r#"[{"to":"a","data":"six","key":"k6"},{"to":"a","data":"seven","key":"k6"}]"#;
    let (status, answer) = post(&daemon, "/publish", "", clash);
    assert_eq!(status, 409, "{answer}");
    let twice = r#"[{"to":"a","data":"six","key":"k6"},{"to":"a","data":"six","key":"k6"}]"#;
    let (status, answer) = post(&daemon, "/publish", "", twice);
    assert_eq!(
        (status, &answer[1]["repeated"]),
        (200, &json!(true)),
        "{answer}"
    );
    // As JSON lines each message is one of its own.
    let lines = "{\"to\":\"a\",\"data\":\"two\",\"key\":\"k2\",\"ack\":true}\n\
        {\"to\":\"b\",\"data\":\"two\",\"key\":\"k2\",\"ack\":true}\n\
        {\"to\":\"a\",\"data\":\"end\",\"ack\":true}\n";
    let answers = publish::talk_tcp(daemon.control, lines);
    let answer = |n: usize| serde_json::from_str::<Value>(&answers[n]).unwrap();
    assert_eq!(answer(0)["repeated"], true);
    assert!(
        answer(1)["error"].as_str().unwrap().contains("key"),
        "{answers:?}"
    );
    assert_eq!(answer(2)["recipients"], 1);
    assert_eq!(
        stream.data_until("end"),
        ["one", "two", "three", "four", "six"]
    );
    // After a restart too, as far as events are kept.
    daemon.stop();
    daemon.start_again();
    assert_eq!(post(&daemon, "/publish/a", key, "one"), (200, again));
    assert_eq!(post(&daemon, "/publish/a", key, "other").0, 409);
    assert_eq!(fresh(&daemon, "subscribe=a&recent=9").data().len(), 6);
}
