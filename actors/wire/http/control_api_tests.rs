//! Requests on the control port, by their method, path, query and fields.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::super::Reader;
use super::*;
use crate::model::Token;

/// Routes a request line, with `fields` that each end in a newline.
fn find_with(line: &str, fields: &str) -> Result<Route, Refused> {
    let head = format!("{line} HTTP/1.1\nHost: h\n{fields}\n");
    let head = Reader::new().read(head.as_bytes()).unwrap().unwrap();
    Route::find(&head.request)
}

fn find(line: &str) -> Result<Route, Refused> {
    find_with(line, "")
}

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

fn publish(target: Target) -> Route {
    Route::PublishTo(Publication {
        to: Targets::One(target),
        except: None,
        event: None,
        data: "".into(),
        retain: true,
        private: None,
        key: None,
        update: None,
    })
}

#[test]
fn a_path_names_a_whole_token() {
    for (path, target) in [
        ("room1", Target::Token(token("room1"))),
        ("a-b-r7", Target::Token(token("a-b-r7"))),
        ("a%20b%2Fc+d", Target::Token(token("a b/c+d"))),
        ("a/b", Target::Token(token("a/b"))),
        ("pre*", Target::Prefix(token("pre"))),
        ("a-b%2A", Target::Prefix(token("a-b"))),
        ("*", Target::All),
        ("%2A", Target::All),
    ] {
        let subscribers = find(&format!("GET /subscribers/{path}"));
        assert_eq!(subscribers, Ok(Route::Subscribers(target.clone())));
        assert_eq!(find(&format!("POST /publish/{path}")), Ok(publish(target)));
    }
    for path in ["", "a*b", "**", "%", "%zz", "%ff", "a%0Ab"] {
        let refused = find(&format!("POST /publish/{path}")).unwrap_err();
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.reason.contains(path), "{refused}");
    }
}

#[test]
fn a_query_says_more() {
    let query = "except=7+8&event=new%2Fs&retain=0&private=1";
    let line = format!("POST /publish/a?{query}");
    let route = find_with(&line, "Idempotency-Key: order 7\n");
    let expected = Route::PublishTo(Publication {
        to: Targets::One(Target::Token(token("a"))),
        except: Some(ClientId::new("7 8").unwrap()),
        event: Some("new/s".into()),
        data: "".into(),
        retain: false,
        private: Some(true),
        key: Some("order 7".into()),
        update: None,
    });
    assert_eq!(route, Ok(expected));
    let all = publish(Target::All);
    for query in ["", "&", "event=", "retain=true", "retain=1"] {
        assert_eq!(find(&format!("POST /publish/*?{query}")).as_ref(), Ok(&all));
    }
    for query in [
        "except=",
        "except=%",
        "except=1&except=1",
        "event=a%0Ab",
        "event=%0D",
        "event=&event=",
        "event=gap",
        "private=2",
        "retain=",
        "retain=yes",
        "exept=1",
    ] {
        let refused = find(&format!("POST /publish/a?{query}")).unwrap_err();
        assert_eq!(refused.status, 400, "{query}");
        let name = query.split('=').next().unwrap();
        assert!(refused.reason.contains(name), "{refused}");
    }
}

#[test]
fn messages_are_json() {
    for (kind, ndjson) in [
        ("application/json", false),
        ("Application/JSON ; charset=utf-8", false),
        ("application/x-ndjson", true),
    ] {
        let route = find_with("POST /publish", &format!("Content-Type: {kind}\n"));
        assert_eq!(route, Ok(Route::PublishJson { ndjson, key: None }));
    }
    for field in [
        "",
        "Content-Type: text/plain\n",
        "Content-Type: application/jsonx\n",
    ] {
        let refused = find_with("POST /publish", field).unwrap_err();
        assert_eq!(refused.status, 415);
        assert!(
            refused
                .reason
                .contains("application/json nor application/x-ndjson")
        );
    }
}

#[test]
fn a_body_is_utf8_and_no_form() {
    for kind in [
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/plain; Charset=\"utf8\"",
        "text/plain; charset=us-ascii",
        "application/x-www-form-urlencoded; x=y",
    ] {
        let route = find_with("POST /publish/*", &format!("Content-Type: {kind}\n"));
        assert_eq!(route, Ok(publish(Target::All)), "{kind}");
    }
    for (line, kind, named) in [
        ("/publish/a", "text/plain;charset=ISO-8859-1", "ISO-8859-1"),
        (
            "/publish/a",
            "text/plain; x=y; CHARSET=\"utf-16\"",
            "utf-16",
        ),
        ("/publish", "application/json; charset=latin1", "latin1"),
        ("/publish/a", "Multipart/Form-Data; boundary=x", "Form-Data"),
        ("/publish", "multipart/form-data", "form-data"),
    ] {
        let refused = find_with(&format!("POST {line}"), &format!("Content-Type: {kind}\n"));
        let refused = refused.unwrap_err();
        assert_eq!(refused.status, 415, "{kind}");
        assert!(refused.reason.contains(named), "{refused}");
    }
}

#[test]
fn an_idempotency_key_has_1_to_255_bytes() {
    let json = "Content-Type: application/json\n";
    for (line, fields) in [("/publish/a", ""), ("/publish", json)] {
        let find = |key: &str| {
            find_with(
                &format!("POST {line}"),
                &format!("{fields}Idempotency-Key: {key}\n"),
            )
        };
        assert!(find(&"k".repeat(255)).is_ok());
        for key in ["", &"k".repeat(256)] {
            let refused = find(key).unwrap_err();
            assert_eq!(refused.status, 400);
            assert!(refused.reason.contains("idempotency key"), "{refused}");
        }
    }
}

#[test]
fn an_id_in_a_path() {
    let id = ClientId::new("a/b+c é").unwrap();
    let found = find("POST /disconnect/a%2Fb+c%20%C3%A9");
    let seconds = None;
    assert_eq!(found, Ok(Route::Disconnect { id, seconds }));
    for (query, seconds) in [("for=0", 0), ("for=86400", 86_400), ("&for=7&", 7)] {
        let id = ClientId::new("a").unwrap();
        let seconds = Some(seconds);
        let found = find(&format!("POST /disconnect/a?{query}"));
        assert_eq!(found, Ok(Route::Disconnect { id, seconds }));
    }
    for query in ["for=", "for=86401", "for=-1", "for=1&for=1", "fur=1"] {
        let refused = find(&format!("POST /disconnect/a?{query}")).unwrap_err();
        assert_eq!(refused.status, 400, "{query}");
    }
    for path in ["", "%", "%ff", "a%0Ab"] {
        let refused = find(&format!("POST /disconnect/{path}")).unwrap_err();
        assert_eq!(refused.status, 400, "{path}");
    }
    let level = find("POST /loglevel/debug");
    assert_eq!(level, Ok(Route::SetLogLevel(LogLevel::Debug)));
}

#[test]
fn the_rest() {
    for method in ["GET", "HEAD"] {
        assert_eq!(find(&format!("{method} /status?x")), Ok(Route::Status));
        assert_eq!(find(&format!("{method} /")), Ok(Route::Dashboard));
        assert_eq!(find(&format!("{method} /healthz")), Ok(Route::Healthz));
        assert_eq!(find(&format!("{method} /metrics")), Ok(Route::Metrics));
        assert_eq!(find(&format!("{method} /live")), Ok(Route::Live));
        let events = find(&format!("{method} /events?token=a&format=json"));
        assert_eq!(events, Ok(Route::Events));
        assert_eq!(find(&format!("{method} /events")).unwrap_err().status, 400);
    }
    for (line, status, allow) in [
        ("GET /publish", 405, Some("POST")),
        ("PUT /publish/a", 405, Some("POST")),
        ("GET /disconnect/a", 405, Some("POST")),
        ("GET /loglevel/debug", 405, Some("POST")),
        ("POST /clients", 405, Some("GET, HEAD")),
        ("POST /loglevel/loud", 400, None),
        ("POST /status", 405, Some("GET, HEAD")),
        ("OPTIONS /healthz", 405, Some("GET, HEAD")),
        ("DELETE /subscribers/a", 405, Some("GET, HEAD")),
        ("BREW /status", 501, None),
        ("POST /", 405, Some("GET, HEAD")),
        ("GET /index.html", 404, None),
        ("GET /status/", 404, None),
        ("POST /publishes", 404, None),
        ("OPTIONS *", 404, None),
    ] {
        let refused = find(line).unwrap_err();
        assert_eq!((refused.status, refused.allow), (status, allow), "{line}");
    }
}
