//! What subscribers prove their rights with is in no log and no list.

use super::maker::{by_secret, good};
use super::{SECRET, bearer, open, with_secret};
use support::{needs, publish};

#[test]
fn no_secret_reaches_a_log() {
    needs!("node", "python3");
    let daemon = with_secret("--log-level debug --reinit");
    let claims = r#"{"subscribe":["a"],"marker":"123456789"}"#;
    let ([good_jwt], [bad_jwt]) = (by_secret(SECRET, [claims]), by_secret("another", [claims]));
    let honest = good("subscribe=a");
    let broken = honest.replace("subscribe=a", "subscribe=b");
    let mut streams = vec![open(&daemon, &honest, "")];
    for (query, lines) in [
        (format!("subscribe=a&auth={good_jwt}"), String::new()),
        ("subscribe=a".to_owned(), bearer(&good_jwt)),
        (
            "subscribe=a".to_owned(),
            format!("Cookie: hasses={good_jwt}\r\n"),
        ),
    ] {
        streams.push(open(&daemon, &query, &lines));
    }
    for (query, lines) in [
        (broken.clone(), String::new()),
        (format!("{honest}&subscribe=b"), String::new()),
        (format!("subscribe=a&auth={bad_jwt}"), String::new()),
        (format!("subscribe=b&auth={good_jwt}"), String::new()),
        (good("subscribe=a&info=personal-7651"), String::new()),
        (good("subscribe=a&info=%22personal-7651"), String::new()),
        (
            format!("subscribe=a&authorization={good_jwt}"),
            bearer(&bad_jwt),
        ),
        (format!("subscribe=&auth={good_jwt}"), String::new()),
        ("subscribe=a".to_owned(), bearer(&bad_jwt)),
        (
            "subscribe=a".to_owned(),
            format!("Cookie: hasses={bad_jwt}\r\n"),
        ),
    ] {
        let answer = super::ask(&daemon, &query, &lines);
        assert!((400..404).contains(&answer.status), "{answer:?}");
    }
    for request in [
        format!("GET sse?auth={good_jwt} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /sse?auth={good_jwt} x HTTP/1.1\r\n\r\n"),
        format!("GET /sse?{honest} HTTP/2.0\r\n\r\n"),
        format!("GET /sse HTTP/1.1\r\nHost: h\r\nAuthorization : Bearer {good_jwt}\r\n\r\n"),
        format!("GET /sse HTTP/1.1\r\nHost: h\r\nAuthorization Bearer {good_jwt}\r\n\r\n"),
        format!("BREW /sse?auth={good_jwt} HTTP/1.1\r\nHost: h\r\n\r\n"),
        format!("GET /x?auth={good_jwt} HTTP/1.1\r\nHost: h\r\n\r\n"),
    ] {
        let answer = daemon.ask(&request);
        assert!(answer.status >= 400, "{answer:?}");
        assert!(!answer.body.contains(&good_jwt[..30]), "{answer:?}");
    }
    let list = publish::talk_tcp(daemon.control, "clientlist\ntcpclientlist\nstatus\n").concat();
    daemon.wait_for_log("Subscribes: a");
    // The last answer is in the log before it is here.
    let log = daemon.log() + &list;
    assert!(log.contains("was refused with 401"));
    let sign = honest.rsplit('=').next().unwrap();
    for secret in [
        SECRET,
        &SECRET[..12],
        sign,
        &sign[..16],
        "auth=",
        "authorization=",
        "personal-7651",
        "sign=0",
        "Bearer ",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    for jwt in [&good_jwt, &bad_jwt] {
        for piece in jwt.split('.') {
            assert!(!log.contains(&piece[..16]), "{piece} in {log}");
        }
    }
}
