use proptest::prelude::*;

use super::*;

#[test]
fn one_newline_at_the_end_is_not_part_of_a_secret() {
    for end in ["", "\n", "\r\n"] {
        assert_eq!(ask(&format!("{SECRET}{end}"), SIGNED, ""), Ok(by_url()));
    }
    refused(
        ask(&format!("{SECRET}\n\n"), SIGNED, ""),
        401,
        "signature is wrong",
    );
}

#[test]
fn a_signed_url_is_what_was_signed() {
    let (base, sign) = SIGNED.split_once("&sign=").unwrap();
    assert_eq!(
        signed::sign(&keys(SECRET), "subscribe=room1&id=7", 2_000_000_000).unwrap(),
        SIGNED
    );
    for good in [
        SIGNED.to_owned(),
        format!("{base}&sign={}", sign.to_ascii_uppercase()),
        format!("{SIGNED}&lastEventId=5"),
        format!("{SIGNED}&lastEventId=5&lastEventId=6"),
        format!("{SIGNED}&recent=5&recent=1:room1&ping=1&format=json&positions=0"),
    ] {
        assert_eq!(ask(SECRET, &good, ""), Ok(by_url()), "{good}");
    }
    for (bad, told) in [
        (SIGNED.replace("room1", "room2"), "signature is wrong"),
        (SIGNED.replace("id=7", "id=8"), "signature is wrong"),
        (
            SIGNED.replace("2000000000", "2000000001"),
            "signature is wrong",
        ),
        (
            format!("id=7&subscribe=room1&expires=2000000000&sign={sign}"),
            "signature is wrong",
        ),
        (SIGNED.replace("room1", "room%31"), "signature is wrong"),
        (format!("subscribe=room9&{SIGNED}"), "signature is wrong"),
        (format!("{base}&recent=5&sign={sign}"), "just before &sign="),
        (
            format!("{SIGNED}&subscribe=room2"),
            "nothing but lastEventId=, recent=, ping=, format=, positions= may",
        ),
        (
            format!("{SIGNED}&"),
            "nothing but lastEventId=, recent=, ping=, format=, positions= may",
        ),
        (
            format!("{SIGNED}&lastEventId"),
            "nothing but lastEventId=, recent=, ping=, format=, positions= may",
        ),
        (
            format!("{SIGNED}&lastEventId=1&presence=1"),
            "nothing but lastEventId=, recent=, ping=, format=, positions= may",
        ),
        (
            format!("{SIGNED}&info=1"),
            "nothing but lastEventId=, recent=, ping=, format=, positions= may",
        ),
        (
            format!("{SIGNED}&sign={sign}"),
            "nothing but lastEventId=, recent=, ping=, format=, positions= may",
        ),
        (
            format!("{base}&sign={sign}&expires=2000000000"),
            "nothing but lastEventId=, recent=, ping=, format=, positions= may",
        ),
        (format!("expires=2000000000&{SIGNED}"), "once"),
        (format!("sign={sign}&subscribe=room1"), "must follow"),
        (format!("subscribe=room1&sign={sign}"), "just before &sign="),
        (format!("{base}&sign="), "64 hexadecimal"),
        (format!("{base}&sign"), "must follow"),
        (format!("{SIGNED}0"), "64 hexadecimal"),
        (format!("{base}&sign={}", "é".repeat(32)), "64 hexadecimal"),
        (format!("{base}&sign=+{}", &sign[1..]), "64 hexadecimal"),
        (format!("{base}&%73ign={sign}"), "needs a signed URL"),
        (format!("{base}&SIGN={sign}"), "needs a signed URL"),
        (base.to_owned(), "needs a signed URL"),
    ] {
        refused(ask(SECRET, &bad, ""), 401, told);
    }
    refused(ask("another secret", SIGNED, ""), 401, "signature is wrong");
    refused(ask(RSA, SIGNED, ""), 401, "public key");
    for expires in [NOW - 12, NOW] {
        let late = signed::sign(&keys(SECRET), "subscribe=room1", expires).unwrap();
        let told = format!("expired {} s ago", NOW - expires);
        refused(ask(SECRET, &late, ""), 401, &told);
    }
    let sure = |query: &str| signed::sign(&keys(SECRET), query, 2_000_000_000).unwrap();
    for (query, after, told) in [
        (
            "subscribe=a&recent=1",
            "recent=9",
            Some("recent= is in the signed part"),
        ),
        (
            "subscribe=a&format=",
            "format=json",
            Some("format= is in the signed part"),
        ),
        (
            "subscribe=a&ping",
            "ping=1",
            Some("ping= is in the signed part"),
        ),
        ("subscribe=a&lastEventId=1", "lastEventId=9", None),
        ("subscribe=a&recent=1", "ping=1", None),
    ] {
        let result = ask(SECRET, &format!("{}&{after}", sure(query)), "");
        match told {
            Some(told) => refused(result, 401, told),
            None => assert_eq!(result, Ok(by_url())),
        }
    }
    // Such a stream ends when the URL does.
    let until = ask(SECRET, &sure("subscribe=a&until=1"), "").unwrap();
    assert_eq!(until.ends, Some(Duration::from_secs(2_000_000_000)));
    assert_eq!(
        ask(SECRET, &sure("subscribe=a&until=0"), "").unwrap().ends,
        None
    );
    // What is signed may ask who is there.
    assert!(ask(SECRET, &sure("subscribe=a&presence=1"), "").is_ok());
    let milliseconds = signed::sign(&keys(SECRET), "subscribe=a", NOW * 1000).unwrap();
    refused(ask(SECRET, &milliseconds, ""), 401, "milliseconds");
    let signs = |query: &str| {
        let hs256 = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = hmac::sign(&hs256, query.as_bytes());
        let hex: String = tag
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{query}&sign={hex}")
    };
    for expires in [
        "",
        "soon",
        "+2000000000",
        "2e9",
        "-1",
        "99999999999999999999",
    ] {
        let query = signs(&format!("subscribe=a&expires={expires}"));
        refused(ask(SECRET, &query, ""), 401, "whole number of seconds");
    }
    // A signature that is there decides, whatever else is.
    let lines = format!("Cookie: hasses={}\r\n", jwt(r#"{"subscribe":["*"]}"#));
    refused(
        ask("another secret", SIGNED, &lines),
        401,
        "URL's signature",
    );
}

proptest! {
    #[test]
    fn nothing_else_passes(query in "(subscribe=a|&expires=|&sign=|&lastEventId=|&auth=|[0-9a-f]{1,64}|[.%=&]|\\PC){0,12}") {
        let head = format!("GET /sse?subscribe=a&{query} HTTP/1.1\r\nHost: h\r\n\r\n");
        if let Ok(Some(head)) = Reader::new().read(head.as_bytes())
            && let Ok(asked) = Query::read(head.request.query.as_deref())
        {
            let result = check(&keys(SECRET), &head.request, &asked.subscription, now());
            prop_assert_eq!(result.map_err(|refused| refused.status), Err(401));
        }
    }
}
