//! What is sent to a hub to hurt it, or to read what is not for the sender.

use std::time::Instant;

use support::{Connection, PATIENCE};

use super::hub::{ALL_7, ALL_8, Hub};

#[test]
fn requests_have_bounds() {
    let hub = Hub::start("--mercure-anonymous --max-message 1000");
    let bearer = format!("Authorization: Bearer {ALL_8}\r\n");
    let too_long = "x".repeat(33 * 1024);
    assert_eq!(hub.get(&format!("?match={too_long}"), "").status, 414);
    // Elsewhere the line may be half as long.
    let answer = hub.daemon.ask(format!(
        "GET /sse?subscribe={} HTTP/1.1\r\nHost: h\r\n\r\n",
        "x".repeat(20 * 1024)
    ));
    assert_eq!(answer.status, 414);
    for (form, status) in [
        (format!("topic=a&data={}", "x".repeat(1001)), 413),
        (format!("topic=a&data={}", "x".repeat(1 << 20)), 413),
        (format!("topic=a&data={}", "%41".repeat(1000)), 200),
    ] {
        assert_eq!(hub.post(&form, &bearer).status, status, "{}", form.len());
    }
    let answer = hub.daemon.ask(format!(
        "POST /.well-known/mercure HTTP/1.1\r\nHost: h\r\n{bearer}Content-Type: application/json\r\n\
         Content-Length: 2\r\n\r\n{{}}"
    ));
    assert_eq!(answer.status, 415);
}

#[test]
fn a_body_in_pieces_and_with_expect() {
    let hub = Hub::start("--mercure-anonymous");
    let mut stream = hub.stream("match=a", "");
    let mut connection = Connection::to(hub.daemon.listen);
    let head = format!(
        "POST /.well-known/mercure HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {ALL_8}\r\n\
         Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    connection.send(head.as_bytes());
    let interim = connection
        .until(b"\r\n\r\n", Instant::now() + PATIENCE)
        .unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"), "{interim:?}");
    for piece in ["7\r\ntop", "ic=a\r\n8\r", "\n&data=xy\r\n0\r\n", "\r\n"] {
        connection.send(piece.as_bytes());
    }
    assert_eq!(connection.response().status, 200);
    assert_eq!(stream.data(), "xy");
}

#[test]
fn nothing_breaks_out_of_a_line() {
    let hub = Hub::start("--mercure-anonymous");
    let mut stream = hub.stream("topic=a", "");
    let bearer = format!("Authorization: Bearer {ALL_7}\r\n");
    for form in [
        "topic=a&id=x%0Adata: forged",
        "topic=a&id=x%0D%0A%0D%0Adata: forged",
        "topic=a&id=%00",
        "topic=a&type=x%0Adata: forged",
        "topic=a%0Ab",
        "topic=a&retry=1%0Adata: forged",
    ] {
        assert_eq!(hub.post(form, &bearer).status, 400, "{form}");
    }
    // What data has is data.
    hub.publish("topic=a&data=x%0D%0A%0D%0Aid: forged%0Aevent: forged");
    let event = stream.event();
    assert_eq!(
        event.data.as_deref(),
        Some("x\n\nid: forged\nevent: forged")
    );
    assert_eq!(event.event, None);
}

#[test]
fn patterns_of_uncommon_form_are_few() {
    let hub = Hub::start("--mercure-anonymous");
    let mut open = Vec::new();
    let mut refused = None;
    for stream in 0..4 {
        let query: Vec<String> = (0..90)
            .map(|n| format!("match_urlpattern=/s{stream}/p{n}/:x(%5Cd%2B)"))
            .collect();
        let request = format!(
            "GET /.well-known/mercure?{} HTTP/1.1\r\nHost: h\r\n\r\n",
            query.join("&")
        );
        let mut connection = Connection::to(hub.daemon.listen);
        connection.send(request.as_bytes());
        let head = connection.head();
        if head.status != 200 {
            refused = Some(head.status);
            break;
        }
        open.push(connection);
    }
    assert_eq!((refused, open.len()), (Some(429), 2));
    // Plain ones have no such bound.
    hub.stream("match_urlpattern=/any/:x", "");
}

#[test]
fn a_hostile_pattern_takes_no_time() {
    let hub = Hub::start("--mercure-anonymous");
    let _stream = hub.stream("match_urlpattern=/:x((?:a%2B)%2Bb)", "");
    let _other = hub.stream("match_urlpattern=/(.*)*(.*)*(.*)*x", "");
    let _template = hub.stream("topic=/{x}{y}{z}{+a}{+b}{+c}/end", "");
    let began = Instant::now();
    hub.publish(&format!("topic=/{}&data=x", "a".repeat(4000)));
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
}

#[test]
fn credentials_never_reach_a_log() {
    let hub = Hub::start("--mercure-anonymous --log-level debug");
    hub.get(&format!("?topic=&authorization={ALL_7}"), "");
    hub.get("?topic=a&authorization=secret.secret.secret", "");
    let answer = hub.post("topic=a", "Authorization: Bearer secret.secret.secret\r\n");
    assert_eq!(answer.status, 401);
    let log = hub.daemon.log();
    assert!(
        !log.contains("secret.secret") && !log.contains(ALL_7),
        "{log}"
    );
}
