//! Position, replay, `recent=` and gap: what a subscriber that comes back is given.

use support::stream::{Block, Start};
use support::{Daemon, Stream, eventually, publish};

/// Publishes each `target=data` over HTTP and returns the ids.
fn publish_all(daemon: &Daemon, messages: &[&str]) -> Vec<u64> {
    let publish = |message: &&str| {
        let (target, data) = message.rsplit_once('=').unwrap();
        publish::http(daemon.control, target, data).0
    };
    messages.iter().map(publish).collect()
}

fn resume(daemon: &Daemon, query: &str, last: u64) -> Start {
    Stream::resume(daemon.listen, query, last)
}

fn fresh(daemon: &Daemon, query: &str) -> Start {
    Stream::starting(daemon.listen, query, "")
}

/// The ids of the events before the position.
fn ids(start: &Start) -> Vec<u64> {
    start.events.iter().map(|event| event.id.unwrap()).collect()
}

/// The events before the position, as they came.
fn raw(start: &Start) -> Vec<&str> {
    start.events.iter().map(Block::without_retry).collect()
}

#[test]
fn the_position_before_the_first_event_is_accepted_later() {
    for options in ["", "--history 0"] {
        let daemon = Daemon::start(options);
        let first = fresh(&daemon, "subscribe=a");
        assert!(first.gap.is_none() && first.events.is_empty());
        let again = resume(&daemon, "subscribe=a", first.position);
        assert_eq!(again.gap, None, "{options}");
        assert_eq!(again.position, first.position);
    }
    let daemon = Daemon::start("");
    let first = fresh(&daemon, "subscribe=a");
    let published = publish_all(&daemon, &["a=1", "a=2"]);
    assert!(first.position < published[0]);
    let again = resume(&daemon, "subscribe=a", first.position);
    assert_eq!(again.gap, None);
    assert_eq!(ids(&again), published);
    assert_eq!(again.position, published[1]);
}

#[test]
fn a_replay_repeats_what_the_others_saw_and_leads_into_the_live_events() {
    let daemon = Daemon::start("");
    let mut live = fresh(&daemon, "subscribe=a").stream;
    let published = publish_all(&daemon, &["a?event=news=0", "b=1", "a=2", "a=3\n4", "b=5"]);
    let seen: Vec<String> = (0..3).map(|_| live.event().raw).collect();
    let after = published[0];

    let header = format!("Last-Event-ID: {after}\r\n");
    let requests = [
        format!("?subscribe=a HTTP/1.1\r\nHost: x\r\n{header}"),
        format!("?subscribe=a HTTP/1.1\r\nHost: x\r\nlast-event-id:{after} \r\n"),
        format!("?subscribe=a&lastEventId={after} HTTP/1.1\r\nHost: x\r\n"),
        format!("?lastEventId={after}&subscribe=a HTTP/1.0\r\n"),
        format!("?subscribe=a HTTP/1.0\r\n{header}"),
        // The header wins: a browser that comes back repeats the query of its first request.
        format!("?subscribe=a&lastEventId=1 HTTP/1.1\r\nHost: x\r\n{header}"),
        format!("?subscribe=a&recent=1 HTTP/1.1\r\nHost: x\r\n{header}"),
    ];
    let mut streams = Vec::new();
    for request in requests {
        let start = Stream::request(daemon.listen, &format!("GET /sse{request}\r\n")).start();
        assert_eq!(start.gap, None, "{request:?}");
        assert_eq!(raw(&start), seen[1..], "{request:?}");
        assert_eq!(start.position, published[4], "{request:?}");
        streams.push(start.stream);
    }
    let (id, recipients) = publish::http(daemon.control, "a", "live");
    assert_eq!(recipients, 8);
    for mut stream in streams {
        let event = stream.event();
        assert_eq!((event.id, event.data.as_deref()), (Some(id), Some("live")));
    }
}

#[test]
fn a_replay_lets_through_what_the_live_stream_does() {
    let daemon = Daemon::start("--allow-all");
    let queries = [
        "subscribe=room1&id=7",
        "subscribe=room1-room2&id=8",
        "subscribe=room2-room1-room2&id=r7",
        "subscribe=roof",
        "token=room1-7",
        "subscribe=*&id=9",
        "subscribe=nobody",
        "subscribe=other&id=7",
    ];
    let mut live: Vec<Start> = queries.iter().map(|query| fresh(&daemon, query)).collect();
    let before = live[0].position;
    publish::tcp(
        daemon.control,
        "room1=1\nroom2=2;room1-7=3\nroom1-r7=4;ro*=5;roo*-7=6\n*=7\n*-9=8;zzz*=9;*-8=10\n",
    );
    publish::json_lines(
        daemon.control,
        [
            r#"{"to":["room1","room2"],"data":"11"}"#,
            r#"{"to":["room1","ro*","*","roof"],"data":"12","event":"x"}"#,
            r#"{"to":["roof","room1"],"except":"7","data":"13"}"#,
            r#"{"to":"room1-7","data":"14","retain":true}"#,
            r#"{"to":["nobody2","room1-*"],"data":"15"}"#,
            r#"{"to":"*","data":"end"}"#,
        ]
        .iter()
        .map(|line| (*line).to_owned()),
    );
    for (query, live) in queries.iter().zip(&mut live) {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|raw: &String| !raw.contains("end")) {
            seen.push(live.stream.event().raw);
        }
        let again = resume(&daemon, query, before);
        assert_eq!(again.gap, None, "{query}");
        assert_eq!(raw(&again), seen, "{query}");
    }
}

#[test]
fn what_is_not_retained_is_not_replayed_and_leaves_no_gap() {
    let daemon = Daemon::start("--history 3");
    let mut first = fresh(&daemon, "subscribe=a");
    let kept = publish_all(&daemon, &["a=1", "a?retain=false=2", "a=3"]);
    let lines = (0..10).map(|_| r#"{"to":"a","data":"4","retain":false}"#.to_owned());
    let last = *publish::json_lines(daemon.control, lines).last().unwrap();
    for data in ["1", "2", "3", "4"] {
        assert_eq!(first.stream.data(), data, "live, all come");
    }
    let again = resume(&daemon, "subscribe=a", first.position);
    assert_eq!(again.gap, None);
    assert_eq!(ids(&again), [kept[0], kept[2]]);
    assert_eq!(again.position, last, "the position counts what is not kept");
    let after = resume(&daemon, "subscribe=a", last);
    assert_eq!((after.gap, after.events), (None, vec![]));
    let between = resume(&daemon, "subscribe=a", kept[1]);
    assert_eq!((&between.gap, between.data()), (&None, vec!["3"]));
}

#[test]
fn recent_gives_the_last_of_each_token() {
    let daemon = Daemon::start("");
    let messages = [
        "a=1", "b=2", "a=3", "b=4", "c=5", "a=6", "c=7", "b=8", "pre1=9",
    ];
    let published = publish_all(&daemon, &messages);
    let newest = *published.last().unwrap();
    let table: [(&str, &[&str]); 11] = [
        ("subscribe=a&recent=1", &["6"]),
        ("subscribe=a&recent=2", &["3", "6"]),
        ("recent=2&subscribe=a-b", &["3", "4", "6", "8"]),
        ("subscribe=c-a&recent=1", &["6", "7"]),
        ("subscribe=a&token=b&recent=1", &["6", "8"]),
        ("subscribe=a-a&token=a&recent=1", &["6"]),
        ("subscribe=a-b&recent=0", &[]),
        ("subscribe=none&recent=5", &[]),
        ("subscribe=b&recent=1000000", &["2", "4", "8"]),
        (
            "subscribe=b&recent=99999999999999999999999",
            &["2", "4", "8"],
        ),
        ("subscribe=b&recent=", &[]),
    ];
    for (query, wanted) in table {
        let start = fresh(&daemon, query);
        assert_eq!(start.data(), wanted, "{query}");
        assert_eq!((start.gap, start.position), (None, newest), "{query}");
    }
    // What goes to prefixes, lists or everyone is of the token as well, and comes once.
    publish::talk_tcp(daemon.control, "pre*=10\n*=11\n*-7=12\n");
    publish::json_lines(
        daemon.control,
        [r#"{"to":["a","b","a*"],"data":"13"}"#.to_owned()],
    );
    for (query, wanted) in [
        ("subscribe=pre1&id=8&recent=9", vec!["9", "10", "11", "12"]),
        ("subscribe=pre1&id=7&recent=9", vec!["9", "10", "11"]),
        // What goes to everyone hides no token's own last.
        ("subscribe=a-b&recent=1", vec!["12", "13"]),
    ] {
        assert_eq!(fresh(&daemon, query).data(), wanted, "{query}");
    }
    for bad in ["x", "-1", "1.5", "+1", "%00"] {
        let answer = daemon.ask(format!(
            "GET /sse?subscribe=a&recent={bad} HTTP/1.1\r\nHost: x\r\n\r\n"
        ));
        assert_eq!(answer.status, 400, "recent={bad}: {answer:?}");
        assert!(answer.body.contains("recent"), "{answer:?}");
    }
}

#[test]
fn an_older_id_than_what_is_kept_is_a_gap() {
    let daemon = Daemon::start("--history 3");
    let before = fresh(&daemon, "subscribe=a").position;
    let e = publish_all(&daemon, &["a=1", "a=2", "a=3", "a=4", "a=5"]);
    for (after, gap, wanted) in [
        (e[4], false, vec![]),
        (e[3], false, vec!["5"]),
        // Just before the oldest kept: nothing is missing.
        (e[1], false, vec!["3", "4", "5"]),
        (e[0], true, vec!["3", "4", "5"]),
        (before, true, vec!["3", "4", "5"]),
        (1, true, vec!["3", "4", "5"]),
        (0, true, vec!["3", "4", "5"]),
    ] {
        let start = resume(&daemon, "subscribe=a", after);
        assert_eq!(start.data(), wanted, "after {after}, published {e:?}");
        assert_eq!(start.position, e[4]);
        if gap {
            assert_eq!(
                start.gap_data(),
                format!(r#"{{"after":{after},"oldest":{}}}"#, e[2])
            )
        } else {
            assert_eq!(start.gap, None, "after {after}, published {e:?}")
        }
    }
}

#[test]
fn an_unknown_id_is_a_gap() {
    let daemon = Daemon::start("");
    let e = publish_all(&daemon, &["a=1", "a=2"]);
    let oldest = e[0];
    let above = e[1] + 3_600_000_000;
    let start = resume(&daemon, "subscribe=a", above);
    assert_eq!(
        start.gap_data(),
        format!(r#"{{"after":{above},"oldest":{oldest}}}"#)
    );
    assert_eq!(start.position, e[1]);
    for word in ["x", "1x", "-1", "1.5", "0x10", "{\"", "é", "%31"] {
        let start = Stream::resume(daemon.listen, "subscribe=a", word);
        let wanted = format!(r#"{{"after":null,"oldest":{oldest}}}"#);
        assert_eq!(start.gap_data(), wanted, "{word:?}");
        assert_eq!(start.position, e[1]);
    }
    let start = fresh(&daemon, "subscribe=a&lastEventId=x%0Adata:%20forged");
    let wanted = format!(r#"{{"after":null,"oldest":{oldest}}}"#);
    assert_eq!(start.gap_data(), wanted);
    // A number that no id can be.
    let start = Stream::resume(daemon.listen, "subscribe=a", u64::MAX.to_string() + "0");
    assert!(start.gap_data().contains(&format!("\"oldest\":{oldest}}}")));
    // None at all, as a page's template writes it that has none yet.
    let start = fresh(&daemon, "subscribe=a&lastEventId=");
    assert_eq!((start.gap, start.events), (None, vec![]));
}

#[test]
fn after_a_restart_without_a_file_an_earlier_id_is_a_gap() {
    let mut daemon = Daemon::start("");
    let e = publish_all(&daemon, &["a=1", "a=2"]);
    daemon.stop();
    daemon.start_again();
    let start = resume(&daemon, "subscribe=a", e[1]);
    assert_eq!(
        start.gap_data(),
        format!(r#"{{"after":{},"oldest":null}}"#, e[1])
    );
    assert!(start.position >= e[1], "ids grow across restarts");
    assert_eq!(resume(&daemon, "subscribe=a", start.position).gap, None);
    let later = publish_all(&daemon, &["a=3"]);
    let start = resume(&daemon, "subscribe=a", e[0]);
    let wanted = format!(r#"{{"after":{},"oldest":{}}}"#, e[0], later[0]);
    assert_eq!(start.gap_data(), wanted);
    assert_eq!(start.data(), ["3"]);
}

#[test]
fn history_is_bounded_by_bytes() {
    let daemon = Daemon::start("--history-bytes 20000");
    let before = fresh(&daemon, "subscribe=a").position;
    let text = "x".repeat(1000);
    let messages: Vec<String> = (0..100).map(|_| format!("a={text}")).collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let published = publish_all(&daemon, &messages);
    let start = resume(&daemon, "subscribe=a", before);
    let kept = ids(&start);
    assert!((10..=20).contains(&kept.len()), "{} are kept", kept.len());
    assert_eq!(kept, published[100 - kept.len()..]);
    let wanted = format!(r#"{{"after":{before},"oldest":{}}}"#, kept[0]);
    assert_eq!(start.gap_data(), wanted);
    // One that alone is over the limit cannot be kept, and is a gap, not a silence.
    let large = publish::http(daemon.control, "a", &"y".repeat(50_000)).0;
    let start = resume(&daemon, "subscribe=a", published[99]);
    assert_eq!(
        start.gap_data(),
        format!(r#"{{"after":{},"oldest":null}}"#, published[99])
    );
    assert_eq!(start.position, large);
}

#[test]
fn history_is_bounded_by_age() {
    let daemon = Daemon::start("--history-age 2");
    let before = fresh(&daemon, "subscribe=a").position;
    let old = publish_all(&daemon, &["a=1"])[0];
    assert_eq!(resume(&daemon, "subscribe=a", before).data(), ["1"]);
    eventually("the event has gone", || {
        let start = resume(&daemon, "subscribe=a", before);
        match &start.gap {
            None => assert_eq!(start.data(), ["1"], "there or a gap"),
            Some(_) => assert_eq!(start.events, []),
        }
        let recent = fresh(&daemon, "subscribe=a&recent=1").events.len();
        (start.gap.is_some() && recent == 0).then(|| {
            assert_eq!(
                start.gap_data(),
                format!(r#"{{"after":{before},"oldest":null}}"#)
            );
        })
    });
    // Whoever had seen it misses nothing, however old that is.
    assert_eq!(resume(&daemon, "subscribe=a", old).gap, None);
}

#[test]
fn without_a_history_only_what_was_missed_is_a_gap() {
    let daemon = Daemon::start("--history 0");
    let before = fresh(&daemon, "subscribe=a").position;
    let e = publish_all(&daemon, &["a=1", "b=2"]);
    let start = resume(&daemon, "subscribe=a", before);
    let wanted = format!(r#"{{"after":{before},"oldest":null}}"#);
    assert_eq!(start.gap_data(), wanted);
    assert_eq!((start.position, start.events.len()), (e[1], 0));
    assert_eq!(
        resume(&daemon, "subscribe=a", e[0]).gap,
        None,
        "only b's was missed"
    );
    assert!(resume(&daemon, "subscribe=b", e[0]).gap.is_some());
    assert_eq!(resume(&daemon, "subscribe=b", e[1]).gap, None);
    assert_eq!(fresh(&daemon, "subscribe=a&recent=3").events, []);
}

#[test]
fn a_heartbeat_keeps_a_quiet_stream_free_of_gaps() {
    let daemon = Daemon::start("--heartbeat 1 --history 2");
    let mut quiet = fresh(&daemon, "subscribe=quiet").stream;
    let others: Vec<u64> = publish_all(&daemon, &["a=1", "a=2", "a=3", "a=4"]);
    let beat = eventually("a heartbeat with the newest id", || {
        let block = quiet.block().unwrap();
        assert!(block.is_position(), "{block:?}");
        (block.id == Some(others[3])).then_some(others[3])
    });
    drop(quiet);
    publish_all(&daemon, &["a=5", "quiet=6"]);
    let start = resume(&daemon, "subscribe=quiet", beat);
    assert_eq!((&start.gap, start.data()), (&None, vec!["6"]));
}

#[test]
fn with_old_switches_a_star_is_live_only() {
    let daemon = Daemon::command_line("-p={listen} -cp={control} -nodaemon");
    let e = publish_all(&daemon, &["a=1", "b=2", "a=3"]);
    let start = fresh(&daemon, "subscribe=*&recent=5");
    assert_eq!((start.gap, start.events), (None, vec![]));
    for after in e {
        let mut start = resume(&daemon, "subscribe=*", after);
        let gap: serde_json::Value = serde_json::from_str(start.gap_data()).unwrap();
        assert_eq!(gap["after"], after);
        assert_eq!(start.events, [], "nothing kept is shown to it");
        publish::http(daemon.control, "b", "live");
        assert_eq!(start.stream.data(), "live");
        // A token that is named replays as ever.
        assert!(!resume(&daemon, "subscribe=b", after).events.is_empty());
    }
    let start = fresh(&daemon, "subscribe=a&recent=1");
    assert_eq!(start.data(), ["3"]);
}
