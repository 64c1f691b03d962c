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
        (format!(r#""nbf":{}.9"#, NOW - 1), None),
        (r#""nbf":-1"#.to_owned(), None),
        (r#""exp":1e300"#.to_owned(), None),
    ] {
        let pass = Pass { id: None, ends };
        assert_eq!(at(&claim), Ok(pass), "{claim}");
    }
    for (claim, told) in [
        (format!(r#""exp":{}"#, NOW - 12), "expired 12 s ago"),
        (format!(r#""exp":{NOW}"#), "expired 0 s ago"),
        (format!(r#""exp":{}.9"#, NOW - 1), "expired 0 s ago"),
        (r#""exp":-5"#.to_owned(), "expired"),
        (r#""exp":-1e300"#.to_owned(), "expired"),
        (
            format!(r#""nbf":{}"#, NOW + 30),
            "not valid yet, for 30 s more",
        ),
        (format!(r#""nbf":{NOW}.1"#), "not valid yet"),
        (format!(r#""exp":"{}""#, NOW + 9), "exp must be a number"),
        (r#""exp":null"#.to_owned(), "exp must be a number"),
        (r#""nbf":[]"#.to_owned(), "nbf must be a number"),
        (r#""exp":1e999"#.to_owned(), "claims part"),
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
        assert_eq!(ask(list, query), Ok(Pass::default()), "{list} {query}");
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
        refused(
            ask(list, query),
            403,
            &format!("token \"{token}\" is not covered"),
        );
    }
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
