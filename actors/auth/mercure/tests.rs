#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Value, json};

use super::*;
use crate::wire::http::Reader;
use crate::wire::mercure::answer::Error;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NOW: Duration = Duration::from_secs(1_000_000);
const HUB: &str = "https://example.org/.well-known/mercure";
const ISSUER: &str = "https://example.org";

/// A token of these parts, signed with the secret.
fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let head = format!("{}.{}", part(header), part(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, head.as_bytes());
    format!("{head}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn seven(claims: &Value) -> String {
    signed(&json!({"alg": "HS256", "typ": "JWT"}), claims)
}

fn eight(claims: &Value) -> String {
    signed(&json!({"alg": "HS256", "typ": "at+jwt"}), claims)
}

/// The claims that a token of form 8 must have, with these details.
fn standard(details: Value) -> Value {
    json!({"iss": ISSUER, "aud": HUB, "exp": 1_000_100, "authorization_details": details})
}

fn detail(actions: &[&str], topics: Value) -> Value {
    json!({
        "type": "https://mercure.rocks/authorization-detail",
        "actions": actions,
        "topics": topics,
    })
}

fn all(actions: &[&str]) -> Value {
    detail(actions, json!([{"match": "*"}]))
}

fn request(method: &str, fields: &str) -> Request {
    let head = format!("{method} /.well-known/mercure HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
    *Reader::new()
        .read(head.as_bytes())
        .unwrap()
        .unwrap()
        .request
}

struct Hub {
    keys: Keys,
    hub: Identity,
    issuers: Vec<String>,
}

impl Hub {
    fn new() -> Self {
        Self {
            keys: Keys::read(SECRET.as_bytes()).unwrap(),
            hub: Identity::new(HUB).unwrap(),
            issuers: vec![ISSUER.into()],
        }
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            keys: &self.keys,
            hub: &self.hub,
            issuers: &self.issuers,
            origins: &self.issuers,
            cookie: None,
            only: None,
        }
    }
}

fn rights_of(request: &Request, draft: Option<Draft>) -> Result<Option<Rights>, Denied> {
    Hub::new().rules().rights(request, draft, None, NOW)
}

fn by_field(token: &str, draft: Option<Draft>) -> Result<Rights, Denied> {
    let request = request("GET", &format!("Authorization: Bearer {token}\r\n"));
    rights_of(&request, draft).map(Option::unwrap)
}

fn denied(token: &str) -> (u16, String) {
    let denied = by_field(token, None).unwrap_err();
    (denied.refused.status, denied.refused.reason)
}

fn may_publish(rights: &Rights, topics: &[&str]) -> bool {
    rights.check_publish(topics, &Hub::new().hub).is_ok()
}

fn may_read(rights: &Rights, topic: &str) -> bool {
    let hub = Hub::new().hub;
    rights.subscribe.covers(&[Topic::new(topic, &hub)])
}

#[test]
fn form_7_has_its_claim() {
    let claims = json!({"mercure": {
        "publish": ["https://e/{id}", "b"], "subscribe": ["c"], "payload": {"name": "ann"},
    }});
    let rights = by_field(&seven(&claims), None).unwrap();
    assert_eq!((rights.draft, rights.ends), (Draft::Seven, None));
    assert!(may_publish(&rights, &["https://e/1", "b"]));
    assert!(
        !may_publish(&rights, &["https://e/1", "c"]),
        "each topic needs a right"
    );
    assert!(may_read(&rights, "c") && !may_read(&rights, "b"));
    let hub = Hub::new().hub;
    let any = Selector::seven("anything").unwrap();
    assert_eq!(
        rights.subscribe.payload(&any, &hub),
        Some(&json!({"name": "ann"}))
    );
    let full =
        json!({"https://mercure.rocks/": {"publish": ["*"]}, "mercure": {"subscribe": ["x"]}});
    let rights = by_field(&seven(&full), None).unwrap();
    assert!(may_publish(&rights, &["anything"]) && rights.subscribe.is_empty());
    for nothing in [
        json!({}),
        json!({"mercure": null}),
        json!({"mercure": {"publish": []}}),
    ] {
        let rights = by_field(&seven(&nothing), None).unwrap();
        let denied = rights.check_publish(&["a"], &hub).unwrap_err();
        assert_eq!(
            (denied.refused.status, denied.error),
            (403, Some(Error::InsufficientScope))
        );
    }
    for wrong in [
        json!({"mercure": []}),
        json!({"mercure": {"publish": "*"}}),
        json!({"mercure": {"subscribe": [1]}}),
        json!({"mercure": {"subscribe": [""]}}),
        json!({"mercure": {"publish": ["a\n"]}}),
    ] {
        assert_eq!(denied(&seven(&wrong)).0, 401, "{wrong}");
    }
}

#[test]
fn form_8_has_details() {
    let claims = standard(json!([
        detail(&["publish"], json!([{"match": "a"}])),
        {"type": "https://other.example/", "anything": 1},
        {
            "type": "https://mercure.rocks/authorization-detail",
            "actions": ["subscribe"],
            "topics": [{"match": "/books/:id", "match_type": "urlpattern"}],
            "payload": {"name": "ann"},
        },
    ]));
    let rights = by_field(&eight(&claims), None).unwrap();
    assert_eq!(
        (rights.draft, rights.ends),
        (Draft::Eight, Some(Duration::from_secs(1_000_100)))
    );
    assert!(may_publish(&rights, &["a"]) && !may_publish(&rights, &["/books/1"]));
    assert!(may_read(&rights, "https://example.org/books/1") && !may_read(&rights, "a"));
    let hub = Hub::new().hub;
    for (kind, text, told) in [
        (
            crate::model::mercure::selector::MatchType::Exact,
            "/books/1",
            true,
        ),
        (
            crate::model::mercure::selector::MatchType::UrlPattern,
            "/books/:id",
            true,
        ),
        (
            crate::model::mercure::selector::MatchType::Exact,
            "a",
            false,
        ),
    ] {
        let selector = Selector::eight(kind, text, &hub).unwrap();
        assert_eq!(
            rights.subscribe.payload(&selector, &hub).is_some(),
            told,
            "{text}"
        );
    }
    // What form 7 would read counts for nothing.
    let mut both = standard(json!([]));
    both["mercure"] = json!({"publish": ["*"], "subscribe": ["*"]});
    let rights = by_field(&eight(&both), None).unwrap();
    assert!(!may_publish(&rights, &["a"]) && !may_read(&rights, "a"));
}

#[test]
fn one_bad_detail_spoils_the_token() {
    let many: Vec<Value> = (0..101).map(|n| json!({"match": n.to_string()})).collect();
    for bad in [
        json!({}),
        json!("x"),
        json!([1]),
        json!([{"actions": ["publish"]}]),
        json!([all(&[])]),
        json!([all(&["write"])]),
        json!([all(&["publish", "write"])]),
        json!([detail(&["publish"], json!([]))]),
        json!([detail(&["publish"], json!("*"))]),
        json!([detail(&["publish"], json!(["*"]))]),
        json!([detail(&["publish"], json!([{"match": 1}]))]),
        json!([detail(&["publish"], json!([{"match": ""}]))]),
        json!([detail(
            &["publish"],
            json!([{"match": "a", "match_type": "regex"}])
        )]),
        json!([detail(
            &["publish"],
            json!([{"match": "/(", "match_type": "urlpattern"}])
        )]),
        json!([detail(&["publish"], json!([{"match": "x".repeat(4097)}]))]),
        json!([detail(&["subscribe"], json!(many))]),
    ] {
        let list = match bad {
            Value::Array(mut list) => {
                list.insert(0, all(&["publish", "subscribe"]));
                Value::Array(list)
            }
            other => other,
        };
        let (status, why) = denied(&eight(&standard(list.clone())));
        assert!(
            status == 401 && why.contains("authorization_details"),
            "{list}: {why}"
        );
    }
}

#[test]
fn form_8_says_who_made_it_for_whom_and_how_long() {
    let good = standard(json!([all(&["publish"])]));
    assert!(by_field(&eight(&good), None).is_ok());
    for (name, value, fits) in [
        ("iss", json!("https://evil.example"), false),
        ("iss", json!(["https://example.org"]), false),
        ("iss", Value::Null, false),
        ("aud", json!([HUB, "https://other.example"]), true),
        ("aud", json!("https://other.example"), false),
        (
            "aud",
            json!("https://example.org/.well-known/mercure/"),
            false,
        ),
        ("aud", json!([HUB, 1]), false),
        ("aud", json!([]), false),
        ("aud", Value::Null, false),
        ("exp", Value::Null, false),
        ("exp", json!("1000100"), false),
        ("exp", json!(1_000_000), false),
        ("exp", json!(1_000_100_000_000_u64), false),
        ("nbf", json!(1_000_000), true),
        ("nbf", json!(1_000_010), false),
    ] {
        let mut claims = good.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            _ => claims[name] = value.clone(),
        }
        assert_eq!(
            by_field(&eight(&claims), None).is_ok(),
            fits,
            "{name} {value}"
        );
    }
    // Form 7 needs none of them, and its clocks may differ a little.
    assert!(by_field(&seven(&json!({"nbf": 1_000_010})), None).is_ok());
    assert_eq!(denied(&seven(&json!({"nbf": 1_000_031}))).0, 401);
    assert_eq!(denied(&seven(&json!({"exp": 1_000_000}))).0, 401);
}

#[test]
fn the_two_forms_are_told_apart() {
    let claims = standard(json!([all(&["publish"])]));
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let token = signed(&json!({"alg": "HS256", "typ": typ}), &claims);
        assert_eq!(by_field(&token, None).unwrap().draft, Draft::Eight, "{typ}");
        assert_eq!(
            by_field(&token, Some(Draft::Seven))
                .unwrap_err()
                .refused
                .status,
            401
        );
    }
    for header in [
        json!({"alg": "HS256"}),
        json!({"alg": "HS256", "typ": "JWT"}),
    ] {
        let token = signed(&header, &claims);
        assert_eq!(by_field(&token, None).unwrap().draft, Draft::Seven);
        assert_eq!(
            by_field(&token, Some(Draft::Eight))
                .unwrap_err()
                .refused
                .status,
            401
        );
    }
    for (draft, status) in [
        (None, 401),
        (Some(Draft::Seven), 401),
        (Some(Draft::Eight), 400),
    ] {
        for no_token in ["x", "a.b", "a.b.c.d", "e30.e30", "!.e30.e30"] {
            let denied = by_field(no_token, draft).unwrap_err();
            assert_eq!(denied.refused.status, status, "{no_token}");
        }
    }
}

#[test]
fn signatures_are_not_got_around() {
    let claims = standard(json!([all(&["publish"])]));
    let good = eight(&claims);
    let (signed_part, _) = good.rsplit_once('.').unwrap();
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    let body = good.split('.').nth(1).unwrap();
    for token in [
        format!("{signed_part}."),
        format!("{signed_part}.AAAA"),
        format!("{none}.{body}."),
        signed(&json!({"alg": "none", "typ": "at+jwt"}), &claims),
        signed(&json!({"alg": "RS256", "typ": "at+jwt"}), &claims),
        signed(&json!({"alg": "HS999", "typ": "at+jwt"}), &claims),
        signed(&json!({"alg": "HS384", "typ": "at+jwt"}), &claims),
        signed(
            &json!({"alg": "HS256", "typ": "at+jwt", "crit": ["x"]}),
            &claims,
        ),
        signed(&json!({"typ": "at+jwt"}), &claims),
    ] {
        assert_eq!(denied(&token).0, 401, "{token}");
    }
}

#[test]
fn a_token_has_its_places() {
    let old = seven(&json!({"mercure": {"publish": ["*"]}}));
    let new = eight(&standard(json!([all(&["publish"])])));
    let found =
        |fields: &str, draft, in_query| find(&request("GET", fields), draft, in_query, None);
    let field = format!("authorization: bearer {new}\r\nCookie: {COOKIE_8}=c\r\n");
    assert_eq!(
        found(&field, Some(Draft::Eight), None),
        Some((new, Place::Field))
    );
    assert_eq!(
        found("", Some(Draft::Seven), Some("q")),
        Some(("q".into(), Place::Query))
    );
    assert_eq!(found("", Some(Draft::Eight), Some("q")), None);
    for (cookies, draft, token) in [
        (
            format!("a=b; {COOKIE_7}={old}"),
            Some(Draft::Seven),
            Some(&*old),
        ),
        (format!("{COOKIE_7}={old}"), Some(Draft::Eight), None),
        (
            format!("{COOKIE_8}=x; {COOKIE_8}=y"),
            Some(Draft::Eight),
            Some("x"),
        ),
        (format!("{COOKIE_8}=x"), Some(Draft::Seven), None),
        (format!("{COOKIE_7}=x; {COOKIE_8}=y"), None, Some("y")),
        (format!("{COOKIE_7}=x"), None, Some("x")),
        (format!("x{COOKIE_7}=x; {COOKIE_7}="), None, None),
    ] {
        let found = found(&format!("Cookie: {cookies}\r\n"), draft, None);
        assert_eq!(
            found.as_ref().map(|(token, _)| &**token),
            token,
            "{cookies}"
        );
    }
    let own = request("GET", "Cookie: mine=z\r\n");
    assert_eq!(find(&own, None, None, Some("mine")).unwrap().0, "z");
}

#[test]
fn a_cookie_is_used_by_known_pages_alone() {
    for (token, cookie, status) in [
        (
            seven(&json!({"mercure": {"publish": ["*"]}})),
            COOKIE_7,
            403,
        ),
        (eight(&standard(json!([all(&["publish"])]))), COOKIE_8, 400),
    ] {
        let post = |fields: &str| {
            let fields = format!("Cookie: {cookie}={token}\r\nContent-Length: 0\r\n{fields}");
            rights_of(&request("POST", &fields), None)
        };
        for good in [
            "Origin: https://example.org\r\n",
            "Referer: https://example.org/page?x\r\n",
            "Origin: https://example.org\r\nReferer: https://evil.example/\r\n",
        ] {
            assert!(post(good).unwrap().is_some(), "{good}");
        }
        for bad in [
            "",
            "Origin: null\r\n",
            "Origin: https://evil.example\r\n",
            "Origin: https://example.org.evil.example\r\n",
            "Origin: http://example.org\r\n",
            "Referer: https://evil.example/https://example.org\r\n",
            "Referer: x\r\n",
            "Origin: https://evil.example\r\nReferer: https://example.org/\r\n",
        ] {
            assert_eq!(post(bad).unwrap_err().refused.status, status, "{bad}");
        }
        // Who reads with a cookie, or has the token in hand, is no forger.
        let get = request(
            "GET",
            &format!("Cookie: {cookie}={token}\r\nOrigin: https://e\r\n"),
        );
        assert!(rights_of(&get, None).unwrap().is_some());
        let bearer = request(
            "POST",
            &format!("Authorization: Bearer {token}\r\nContent-Length: 0\r\n"),
        );
        assert!(rights_of(&bearer, None).unwrap().is_some());
    }
}
