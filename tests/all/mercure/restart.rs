//! What the history file keeps for the hub.

use super::hub::{ALL_8, Hub};

const BEARER: &str = "Authorization: Bearer ";

#[test]
fn updates_survive_with_all_that_they_have() {
    let mut hub = Hub::start("--mercure-anonymous --history-file {dir}/history");
    let long = format!("https://example.org/{}", "x".repeat(3000));
    hub.publish("topic=a&data=1&id=urn:1");
    hub.publish(&format!(
        "topic=a&topic={long}&data=2&id=urn:2,with comma&type=t&retry=77"
    ));
    hub.publish("topic=a&data=secret&private=on&id=urn:3");
    hub.daemon.stop();
    hub.daemon.start_again();
    let mut stranger = hub.stream("match=a&last_event_id=urn:1", "");
    assert_eq!(
        stranger.head.header("mercure-last-event-id").as_deref(),
        Some("urn:1")
    );
    let event = stranger.event();
    assert_eq!(event.id.as_deref(), Some("urn:2,with comma"));
    assert_eq!(
        (event.data.as_deref(), event.event.as_deref()),
        (Some("2"), Some("t"))
    );
    hub.is_quiet(&mut stranger, "a");
    let lines = format!("{BEARER}{ALL_8}\r\nLast-Event-ID: urn:2,with comma\r\n");
    let mut friend = hub.stream(&format!("match=a&match={long}"), &lines);
    assert_eq!(friend.data(), "secret");
    let mut by_other = hub.stream(&format!("match={long}&last_event_id=earliest"), "");
    assert_eq!(by_other.data(), "2");
}

#[test]
fn an_unknown_id_is_a_gap_and_everything_follows() {
    let hub = Hub::start("--mercure-anonymous");
    hub.publish("topic=a&data=1");
    let mut stream = hub.stream("match=a", "Last-Event-ID: urn:unknown\r\n");
    assert_eq!(
        stream.head.header("mercure-last-event-id").as_deref(),
        Some("earliest")
    );
    assert_eq!(stream.event().event.as_deref(), Some("gap"));
    assert_eq!(stream.data(), "1");
    let position = stream.position.clone().unwrap();
    let again = hub.stream("match=a", &format!("Last-Event-ID: {position}\r\n"));
    assert_eq!(again.head.header("mercure-last-event-id"), Some(position));
    let bare = hub.stream("topic=a&lastEventID=123", "");
    assert_eq!(
        bare.head.header("last-event-id").as_deref(),
        Some("earliest")
    );
}
