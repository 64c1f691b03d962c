//! Topics and tokens are one space, and nobody forges through it.

use serde_json::json;
use support::{Stream, publish};

use super::hub::{ALL_7, ALL_8, Hub};

const BEARER: &str = "Authorization: Bearer ";

#[test]
fn a_line_reaches_the_hubs_subscribers() {
    let hub = Hub::start("--mercure-anonymous --fifo {dir}/in");
    let mut exact = hub.stream("match=https://example.org/books/1", "");
    let mut pattern = hub.stream("match_urlpattern=https://example.org/books/:id", "");
    let mut template = hub.stream("topic=https://example.org/books/{id}", "");
    let mut all = hub.stream("match=*", "");
    let line = json!({"to": "https://example.org/books/1", "data": "a\nb", "event": "new"});
    publish::fifo(&hub.daemon.file("in"), format!("{line}\n"));
    for stream in [&mut exact, &mut pattern, &mut template, &mut all] {
        let event = stream.event();
        assert_eq!(event.data.as_deref(), Some("a\nb"));
        assert_eq!(event.event.as_deref(), Some("new"));
        assert!(event.id.unwrap().starts_with('#'));
    }
    publish::tcp(hub.daemon.control, "https://example.org/books/1=as text\n");
    assert_eq!(exact.data(), "as text");
    let (id, recipients) = publish::http(
        hub.daemon.control,
        "https%3A%2F%2Fexample.org%2Fbooks%2F1",
        "x",
    );
    assert_eq!(recipients, 4);
    assert_eq!(exact.event().id, Some(format!("#{id}")));
    // Prefixes and all reach them too.
    publish::tcp(hub.daemon.control, "https://example.org/*=prefix\n*=all\n");
    for stream in [&mut template, &mut pattern, &mut exact] {
        let mut data = stream.data();
        while !["prefix", "all"].contains(&&*data) {
            data = stream.data();
        }
        assert_eq!(data, "prefix");
        assert_eq!(stream.data(), "all");
    }
}

#[test]
fn an_update_reaches_other_subscribers_by_its_number() {
    let hub = Hub::start("--mercure-anonymous");
    let mut sse = hub.daemon.subscribe("token=https://example.org/1");
    assert_eq!(
        hub.publish("topic=https://example.org/1&data=x&id=urn:x&type=t"),
        "urn:x"
    );
    let event = sse.event();
    assert_eq!(
        (event.data.as_deref(), event.event.as_deref()),
        (Some("x"), Some("t"))
    );
    assert!(event.id.unwrap() > 1_000_000, "a number");
    // A private one does not, as nobody has proved anything; nor a reserved name.
    hub.publish("topic=https://example.org/1&data=private&private=on");
    for name in ["gap", "ping", "error", "open", "members", "join", "leave"] {
        hub.publish(&format!(
            "topic=https://example.org/1&data={name}&type={name}"
        ));
        let event = sse.event();
        assert_eq!((event.data.as_deref(), event.event), (Some(name), None));
    }
    // In replay neither.
    let first = event.id.unwrap() - 1;
    let again = Stream::resume(hub.daemon.listen, "token=https://example.org/1", first);
    let told = again.data();
    assert_eq!(told.first(), Some(&"x"), "{told:?}");
    assert!(!told.contains(&"private"), "{told:?}");
}

#[test]
fn without_anonymous_subscribers_an_update_stays_in_the_hub() {
    let hub = Hub::start("");
    let mut sse = hub.daemon.subscribe("token=https://example.org/1");
    let mut stream = hub.stream(
        "match=https://example.org/1",
        &format!("{BEARER}{ALL_8}\r\n"),
    );
    hub.publish("topic=https://example.org/1&data=public");
    assert_eq!(stream.data(), "public");
    publish::tcp(hub.daemon.control, "https://example.org/1=line\n");
    assert_eq!((sse.data(), stream.data()), ("line".into(), "line".into()));
}

#[test]
fn lines_are_private_where_they_say_so() {
    let hub = Hub::start("--mercure-anonymous");
    let mut stranger = hub.stream("match=a", "");
    let mut friend = hub.stream("match=a", &format!("{BEARER}{ALL_8}\r\n"));
    publish::tcp(
        hub.daemon.control,
        "{\"to\":\"a\",\"data\":\"secret\",\"private\":true}\n",
    );
    assert_eq!(friend.data(), "secret");
    hub.is_quiet(&mut stranger, "a");
}

#[test]
fn nobody_forges_what_the_hub_says() {
    let hub = Hub::start("--mercure-anonymous --mercure-subscriptions");
    let below = "/.well-known/mercure/subscriptions";
    let bearer = format!("{BEARER}{ALL_8}\r\n");
    let mut pattern = hub.stream(
        &format!("match_urlpattern={below}/:t/:m/:s&match=mark"),
        &bearer,
    );
    let mut exact = hub.stream(&format!("match={below}/exact/a/b&match=mark"), &bearer);
    let bearer_7 = format!("{BEARER}{ALL_7}\r\n");
    let mut template = hub.stream(&format!("topic={below}{{/t}}{{/s}}&topic=mark"), &bearer_7);
    // What the streams told of each other is read.
    hub.is_quiet(&mut exact, "mark");
    let own = [&mut pattern, &mut template];
    for stream in own {
        while !stream.data().starts_with("mark") {}
    }
    let forged = json!({"to": format!("{below}/exact/a/b"), "data": "forged"});
    publish::tcp(hub.daemon.control, format!("{forged}\n"));
    for to in [
        json!("/.well-known/*"),
        json!([format!("{below}/exact/a/b"), "/.well-known/mercure/*"]),
        json!("/*"),
    ] {
        let line = json!({"to": to, "data": "forged", "private": false});
        publish::tcp(hub.daemon.control, format!("{line}\n"));
    }
    let answer = publish::post(
        hub.daemon.control,
        "/publish",
        "application/json",
        json!({"to": "a", "data": "x", "event": "mercure"})
            .to_string()
            .as_bytes(),
    );
    assert_eq!(answer.status, 400, "{answer:?}");
    let answers = publish::talk_tcp(
        hub.daemon.control,
        "{\"to\":\"a\",\"data\":\"x\",\"event\":\"mercure\"}\n",
    );
    assert!(answers[0].contains("mercure"), "{answers:?}");
    for stream in [&mut exact, &mut pattern, &mut template] {
        hub.publish("topic=mark&data=end");
        let mut data = stream.data();
        while data != "end" {
            assert!(!data.contains("forged"), "{data}");
            data = stream.data();
        }
    }
}

#[test]
fn all_reaches_those_who_listen_to_something_of_theirs() {
    let hub = Hub::start("--mercure-anonymous");
    let mut own = hub.stream("match=/.well-known/mercure/x&match=mark", "");
    let mut other = hub.stream("match=a&match=mark", "");
    publish::tcp(hub.daemon.control, "*=to all\n");
    assert_eq!(other.data(), "to all");
    // This one listens to something else too, and gets it for that.
    assert_eq!(own.data(), "to all");
    let mut below = hub.stream(
        "match=/.well-known/mercure/x",
        &format!("{BEARER}{ALL_8}\r\n"),
    );
    publish::tcp(hub.daemon.control, "*=again\n");
    assert_eq!(other.data(), "again");
    assert_eq!(
        below.position.take().map(|id| id.starts_with('#')),
        Some(true)
    );
    let answer = hub.get("/subscriptions", "");
    assert_eq!(answer.status, 404, "there is no such API here");
}

#[test]
fn the_lists_show_the_hubs_clients() {
    let hub = Hub::start("--mercure-anonymous");
    let _stream = hub.stream("match=a&match_urlpattern=/books/:id", "User-Agent: me\r\n");
    let clients = hub.daemon.control;
    let list = support::publish::ask_tcp(clients, "tcpclientlist\n");
    assert!(
        list.contains("/books/:id") && list.contains("\"a\""),
        "{list}"
    );
    let count = support::publish::ask_tcp(clients, "tcpsubscribedclients:a\n");
    assert!(
        count.contains("\"subscribedclients\":1") || count.contains("\"1\""),
        "{count}"
    );
}

#[test]
fn topics_may_be_long_where_there_is_a_hub() {
    let line = |length| json!({"to": "t".repeat(length), "data": "x", "ack": true});
    let hub = Hub::start("--mercure-anonymous");
    let control = hub.daemon.control;
    let mut stream = hub.stream(&format!("match={}", "t".repeat(4096)), "");
    let answers =
        [4096, 4097].map(|length| publish::ask_tcp(control, &format!("{}\n", line(length))));
    assert!(answers[0].contains("\"recipients\":1"), "{answers:?}");
    assert!(
        answers[1].contains("longer than 255 bytes, or 4096"),
        "{answers:?}"
    );
    assert_eq!(stream.data(), "x");
    publish::tcp(control, format!("{}=as text\n", "t".repeat(4096)));
    assert_eq!(stream.data(), "as text");
    assert_eq!(publish::http(control, &"t".repeat(4096), "by HTTP").1, 1);
    assert_eq!(stream.data(), "by HTTP");
    publish::tcp(control, format!("{}*=to a prefix\n", "t".repeat(4000)));
    assert_eq!(stream.data(), "to a prefix");
    // Where there is none, nobody listens to such.
    let daemon = support::Daemon::start("");
    let answers =
        [255, 256].map(|length| publish::ask_tcp(daemon.control, &format!("{}\n", line(length))));
    assert!(answers[0].contains("\"recipients\":0"), "{answers:?}");
    assert!(answers[1].contains("longer than 255 bytes"), "{answers:?}");
    let path = format!("/publish/{}", "t".repeat(256));
    assert_eq!(
        publish::post(daemon.control, &path, "text/plain", b"x").status,
        400
    );
}

/// Long lines are read elsewhere than short ones.
#[test]
fn a_long_line_does_not_take_the_hubs_name_either() {
    let hub = Hub::start("--mercure-anonymous");
    let line = json!({"to": "a", "event": "mercure", "data": "x".repeat(100_000), "ack": true});
    let answer = publish::ask_tcp(hub.daemon.control, &format!("{line}\n"));
    assert!(answer.contains("is reserved"), "{answer}");
}

#[test]
fn those_inside_see_what_is_private() {
    let hub = Hub::start("--mercure-anonymous");
    let request = "GET /events?token=a&format=json HTTP/1.0\r\n\r\n";
    let mut events = support::Connection::to(hub.daemon.control);
    events.send(request.as_bytes());
    let deadline = || std::time::Instant::now() + support::PATIENCE;
    events.until(b"id: ", deadline()).unwrap();
    hub.publish("topic=a&data=one&private=on");
    hub.publish("topic=a&data=two");
    let told = events.until(b"\"two\"}", deadline()).unwrap();
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("\"private\":true,\"data\":\"one\""), "{told}");
    assert_eq!(told.matches("private").count(), 1, "{told}");
    // In replay too.
    let mut again = support::Connection::to(hub.daemon.control);
    let recent = request.replace("json", "json&recent=2");
    again.send(recent.as_bytes());
    let told = again.until(b"\"two\"}", deadline()).unwrap();
    assert_eq!(String::from_utf8_lossy(&told).matches("private").count(), 1);
}
