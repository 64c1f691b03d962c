use super::*;

#[test]
fn claims_hold_for_a_time() {
    let at = |claim: &str| claims(&format!(r#"{{"subscribe":["*"],{claim}}}"#));
    for (claim, ends) in [
        (
            format!(r#""exp":{}"#, NOW + 1),
            Some(Duration::from_secs(NOW + 1)),
        ),
        (
            format!(r#""exp":{NOW}.5"#),
            Some(Duration::from_millis(NOW * 1000 + 500)),
        ),
        (format!(r#""nbf":{NOW}"#), None),
        // Another machine's clock may be ahead.
        (format!(r#""nbf":{}"#, NOW + 30), None),
        (format!(r#""nbf":{}.9"#, NOW - 1), None),
        (r#""nbf":-1"#.to_owned(), None),
        (
            r#""exp":99999999999"#.to_owned(),
            Some(Duration::from_secs(99_999_999_999)),
        ),
        (
            r#""iat":"x","iss":{"a":1},"sub":7,"aud":["b"]"#.to_owned(),
            None,
        ),
    ] {
        let pass = Pass { ends, ..by_jwt() };
        assert_eq!(at(&claim), Ok(pass), "{claim}");
    }
    for (claim, told) in [
        (format!(r#""exp":{}"#, NOW - 12), "expired 12 s ago"),
        (format!(r#""exp":{NOW}"#), "expired 0 s ago"),
        (format!(r#""exp":{}.9"#, NOW - 1), "expired 0 s ago"),
        (r#""exp":-5"#.to_owned(), "expired"),
        (r#""exp":-1e300"#.to_owned(), "expired"),
        (
            format!(r#""nbf":{}"#, NOW + 31),
            "not valid yet, for 31 s more",
        ),
        (format!(r#""nbf":{}.1"#, NOW + 30), "not valid yet"),
        (format!(r#""exp":{NOW}000"#), "milliseconds"),
        (format!(r#""nbf":{NOW}000"#), "milliseconds"),
        (r#""exp":1e300"#.to_owned(), "milliseconds"),
        (format!(r#""exp":"{}""#, NOW + 9), "must be numbers"),
        (r#""exp":null"#.to_owned(), "must be numbers"),
        (r#""nbf":[{"a":1}]"#.to_owned(), "must be numbers"),
        (r#""exp":1e999"#.to_owned(), "header or claims"),
    ] {
        refused(at(&claim), 401, told);
    }
}

#[test]
fn claims_name_the_client() {
    let pass = claims(r#"{"subscribe":["room1"],"id":"7"}"#).unwrap();
    assert_eq!(pass.id.unwrap().as_str(), "7");
    for id in ["7", "null", "\"\"", "\"a\\nb\"", "[\"7\"]"] {
        refused(
            claims(&format!(r#"{{"subscribe":["*"],"id":{id}}}"#)),
            401,
            "claim id",
        );
    }
}

#[test]
fn claims_cover_tokens() {
    let ask = |list: &str, query: &str| {
        let token = jwt(&format!(r#"{{"subscribe":{list}}}"#));
        ask(SECRET, &format!("{query}&auth={token}"), "")
    };
    for (list, query) in [
        (r#"["room1"]"#, "subscribe=room1"),
        (r#"["room2","room1"]"#, "subscribe=room1-room2&token=room1"),
        (r#"["room_*"]"#, "subscribe=room_1-room_&token=room_a-b"),
        (r#"["*"]"#, "subscribe=a&token=b-c"),
        (r#"["*"]"#, "subscribe=*"),
        (r#"["a-b"]"#, "token=a-b"),
        (r#"["szoba é"]"#, "subscribe=szoba+%C3%A9"),
    ] {
        assert_eq!(ask(list, query), Ok(by_jwt()), "{list} {query}");
    }
    for (list, query, token) in [
        (r#"["room_*"]"#, "subscribe=room", "room"),
        (r#"["room_*"]"#, "subscribe=room_1-room2", "room2"),
        (r#"["room"]"#, "subscribe=room1", "room1"),
        (r#"["room1"]"#, "subscribe=room", "room"),
        (r#"["room1"]"#, "subscribe=Room1", "Room1"),
        (r#"["room_*","room2"]"#, "subscribe=*", "*"),
        (r#"["room1"]"#, "subscribe=room1-*", "*"),
        (r#"[]"#, "subscribe=a", "a"),
        (r#"[""]"#, "subscribe=a", "a"),
    ] {
        let result = ask(list, query);
        let denied = result.as_ref().unwrap_err().denied.clone();
        assert_eq!(denied.as_deref(), Some(token));
        refused(result, 403, &format!("token \"{token}\" is not covered"));
    }
    let several = ask(r#"["b"]"#, "subscribe=a-b-c+d-%C3%A9&token=x-%2C").unwrap_err();
    assert_eq!(several.denied.as_deref(), Some("a,c%20d,%C3%A9,x-%2C"));
    let told = "the tokens \"a\", \"c d\", \"é\", \"x-,\" are not covered";
    assert!(several.reason.starts_with(told), "{several}");
    let many: Vec<String> = (0..30).map(|number| number.to_string()).collect();
    let many = ask("[]", &format!("subscribe={}", many.join("-"))).unwrap_err();
    assert_eq!(many.denied.unwrap().split(',').count(), 30);
    assert!(
        many.reason.contains("\"9\", 20 more are not covered"),
        "{}",
        many.reason
    );
    refused(claims("{}"), 403, "\"room1\" is not covered");
    for list in [
        r#""*""#,
        r#""room1""#,
        "7",
        "null",
        r#"{"0":"*"}"#,
        r#"["room1",7]"#,
        "[[\"*\"]]",
    ] {
        refused(
            ask(list, "subscribe=room1"),
            401,
            "must be a list of strings",
        );
    }
    for list in [r#"["ro*m1"]"#, r#"["**"]"#, r#"["*room1"]"#] {
        refused(ask(list, "subscribe=room1"), 401, "not at its end");
    }
}

#[test]
fn claims_say_what_presence_shows_and_who_may_see_it() {
    let pass = claims(r#"{"subscribe":["*"],"info":{"name":"Ann  B"}}"#).unwrap();
    assert_eq!(pass.info.as_deref(), Some(r#"{"name":"Ann  B"}"#));
    let long = |length: usize| {
        let info = "x".repeat(length - 2);
        claims(&format!(r#"{{"subscribe":["*"],"info":"{info}"}}"#))
    };
    assert!(long(1024).is_ok());
    refused(long(1025), 400, "longer than 1024");

    let ask = |claims: &str| {
        let query = format!("subscribe=room1&presence=1&auth={}", jwt(claims));
        ask(SECRET, &query, "")
    };
    assert!(ask(r#"{"subscribe":["*"],"presence":true}"#).is_ok());
    for claims in [
        r#"{"subscribe":["*"]}"#,
        r#"{"subscribe":["*"],"presence":false}"#,
    ] {
        refused(ask(claims), 403, "claim presence: true");
    }
    refused(
        ask(r#"{"subscribe":["*"],"presence":1}"#),
        401,
        "must be true or false",
    );
}
