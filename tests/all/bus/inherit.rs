//! A node that has just started gives what one gives that was there before, though Redis does not keep that any
//! more.

use std::time::Duration;

use serde_json::json;
use support::{Connection, Daemon, Stream, eventually, needs};

use super::{Redis, node};

/// One history holds few events, so that much is let go.
const OPTIONS: &str = "--history 2 --heartbeat 0";

/// Publishes these messages in one request; gives their ids.
fn publish_all(node: &Daemon, messages: &[serde_json::Value]) -> Vec<u64> {
    let body = serde_json::to_string(messages).unwrap();
    let request = format!(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = Connection::to(node.control)
        .send(request.as_bytes())
        .response()
        .json();
    let receipts = answer.as_array().unwrap_or_else(|| panic!("{answer}"));
    receipts
        .iter()
        .map(|receipt| receipt["id"].as_u64().unwrap())
        .collect()
}

/// What a stream begins with.
fn start(node: &Daemon, query: &str, last: Option<u64>) -> (Option<String>, Vec<String>) {
    let headers = last.map(|id| format!("Last-Event-ID: {id}\r\n"));
    let start = Stream::starting(node.listen, query, &headers.unwrap_or_default());
    let gap = start.gap.as_ref().map(|gap| gap.without_retry().to_owned());
    let events = start.events.iter();
    (
        gap,
        events
            .map(|event| event.without_retry().to_owned())
            .collect(),
    )
}

#[test]
fn a_node_that_has_just_started_knows_what_the_others_keep() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let old = node(&redis, OPTIONS);
    let before = Stream::starting(old.listen, "subscribe=nothing", "").position;
    let key =
        json!({"to": "quiet", "data": "of long ago", "key": "k", "event": "e", "except": "me"});
    let quiet = publish_all(&old, std::slice::from_ref(&key))[0];
    publish_all(
        &old,
        &[
            json!({"to": "qui*", "data": "to a prefix"}),
            json!({"to": ["one", "two"], "data": "to two"}),
        ],
    );
    // More than fits into one portion, of events and of marks.
    for text in ["first", "second", "third"] {
        let padding = "x".repeat(60);
        let many = (0..5000)
            .map(|n| json!({"to": format!("many{n}"), "data": format!("{text} {n} {padding}")}));
        publish_all(&old, &many.collect::<Vec<_>>());
    }
    let chats: Vec<_> = (0..10)
        .map(|n| json!({"to": "chat", "data": n.to_string()}))
        .collect();
    let chats = publish_all(&old, &chats);
    redis.ask("xtrim hasses:events maxlen 2");
    let new = node(&redis, OPTIONS);
    let last = publish_all(&new, &[json!({"to": "chat", "data": "live"})])[0];
    eventually("the new node's message", || {
        (start(&old, "subscribe=chat&recent=1", None).1[0].contains("live")).then_some(())
    });

    let (gap, events) = start(&new, "subscribe=quiet&recent=1", None);
    assert_eq!((gap, events.len()), (None, 2));
    assert_eq!(
        events[0],
        format!("id: {quiet}\nevent: e\ndata: of long ago\n\n")
    );
    let queries = [
        "subscribe=quiet-chat-one-two&recent=2",
        "subscribe=quiet&id=me&recent=1",
        "subscribe=many0-many2500-many4999&recent=5",
        "subscribe=*&recent=1&format=json",
    ];
    for query in queries {
        let both = [&old, &new].map(|node| start(node, query, None));
        assert!(
            both[0].0.is_none() && !both[0].1.is_empty(),
            "{:?}",
            both[0]
        );
        assert_eq!(both[0], both[1], "{query}");
    }
    let ids = [before, quiet - 1, quiet, chats[0], chats[4], chats[8], last];
    let (mut gaps, mut none) = (0, 0);
    for query in [
        "subscribe=quiet",
        "subscribe=chat",
        "subscribe=one-chat&format=json",
        "subscribe=many77",
        "subscribe=*",
    ] {
        for id in ids {
            let both = [&old, &new].map(|node| start(node, query, Some(id)));
            assert_eq!(both[0], both[1], "{query} after {id}");
            gaps += usize::from(both[0].0.is_some());
            none += usize::from(both[0].0.is_none());
        }
    }
    assert!(gaps > 3 && none > 10, "{gaps} gaps, {none} without");
    // What was published with a key is known.
    assert_eq!(publish_all(&new, &[key])[0], quiet);
}

#[test]
fn a_node_that_starts_waits_for_nobody_who_is_not_there() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let mut old = node(&redis, OPTIONS);
    let event = json!({"to": "room", "data": "in the stream"});
    publish_all(&old, &[event]);
    old.crash();
    // The dead node is in Redis' list for some time yet.
    let new = node(&redis, OPTIONS);
    let (gap, events) = start(&new, "subscribe=room&recent=1", None);
    assert_eq!((gap, events.len()), (None, 1));
}

#[test]
fn a_history_file_tells_of_the_time_before_the_stream() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let options = format!("{OPTIONS} --history-file {{dir}}/history");
    let mut one = node(&redis, &options);
    let quiet = publish_all(&one, &[json!({"to": "quiet", "data": "of long ago"})])[0];
    let chats: Vec<_> = (0..10)
        .map(|n| json!({"to": "chat", "data": n.to_string()}))
        .collect();
    publish_all(&one, &chats);
    for crash in [false, true] {
        redis.ask("xtrim hasses:events maxlen 1");
        if crash {
            std::thread::sleep(Duration::from_millis(1500));
            one.crash();
        } else {
            one.stop();
        }
        one.start_again();
        super::wait_for_bus(&one, true);
        let (gap, events) = start(&one, "subscribe=quiet&recent=1", None);
        assert_eq!((gap, events.len()), (None, 1), "{crash}");
        assert!(events[0].contains("of long ago"));
        // What the file may lack after a crash the stream need not have had.
        let (gap, _) = start(&one, "subscribe=quiet", Some(quiet));
        assert_eq!(gap.is_some(), crash);
        assert!(start(&one, "subscribe=chat", Some(quiet)).0.is_some());
        publish_all(&one, &chats);
    }
}
