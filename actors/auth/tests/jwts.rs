use super::*;

#[test]
fn a_jwt_is_found_in_three_places_in_order() {
    let good = jwt(r#"{"subscribe":["room1"]}"#);
    let narrow = jwt(r#"{"subscribe":["other"]}"#);
    let bad = "x.y";
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let cookie = |token: &str| format!("Cookie: a=b; hasses={token}; hasses2=c\r\n");
    let query = |token: &str| format!("subscribe=room1&auth={token}");
    let plain = "subscribe=room1";
    for (query, lines) in [
        (plain.to_owned(), bearer(&good)),
        (plain.to_owned(), bearer(&good).replace("Bearer", "bEARER")),
        (plain.to_owned(), cookie(&good)),
        (plain.to_owned(), cookie(&format!("\"{good}\""))),
        (query(&good), String::new()),
        (query(&good.replace('.', "%2E")), String::new()),
        (query(bad), bearer(&good) + &cookie(bad)),
        // The first that holds and covers what is asked for counts.
        (query(&good), bearer(bad)),
        (query(&good), cookie(bad)),
        (query(&good), bearer(&narrow) + &cookie(bad)),
        (
            plain.to_owned(),
            format!("Cookie: hasses={bad}; hasses={narrow}\r\nCookie: hasses={good}\r\n"),
        ),
        (format!("{}&auth={good}", query(bad)), String::new()),
        (format!("{}&auth={good}", query("%")), String::new()),
        (query(bad), cookie(&good)),
        (query(&good), cookie("")),
        (query(&good), "Authorization: Basic eDp5\r\n".to_owned()),
    ] {
        assert_eq!(ask(SECRET, &query, &lines), Ok(by_jwt()), "{query} {lines}");
    }
    for (query, lines, told) in [
        (plain.to_owned(), String::new(), "needs a signed URL"),
        (
            plain.to_owned(),
            "Cookie: xhasses=a\r\n".to_owned(),
            "needs a signed URL",
        ),
        (query("x"), bearer(bad), "no JWT"),
        (plain.to_owned(), cookie(bad), "no JWT"),
        (query("%"), String::new(), "%25"),
    ] {
        refused(ask(SECRET, &query, &lines), 401, told);
    }
    refused(ask(RSA, plain, ""), 401, "needs a JWT");
    // What holds tells more than what does not.
    for lines in [
        bearer(&narrow) + &cookie(bad),
        bearer(bad) + &cookie(&narrow),
    ] {
        refused(ask(SECRET, plain, &lines), 403, "\"room1\" is not covered");
    }
}

#[test]
fn no_request_has_more_than_some_signatures_checked() {
    let wrong = raw(r#"{"alg":"HS256"}"#, r#"{"subscribe":["*"]}"#, "another");
    let many = |count: usize| {
        let cookies = format!("hasses={wrong}; ").repeat(count);
        let good = jwt(r#"{"subscribe":["*"]}"#);
        ask(
            SECRET,
            "subscribe=a",
            &format!("Cookie: {cookies}hasses={good}\r\n"),
        )
    };
    assert_eq!(many(15), Ok(by_jwt()));
    refused(many(16), 401, "signature is wrong");
}

#[test]
fn a_jwt_has_its_form() {
    let claims = r#"{"subscribe":["*"]}"#;
    let good = jwt(claims);
    let (message, _) = good.rsplit_once('.').unwrap();
    let of_header = |header: &str| raw(header, claims, SECRET);
    for (token, told) in [
        ("x".to_owned(), "no JWT"),
        ("..".to_owned(), "JWT's header"),
        (format!("{good}.x"), "no JWT"),
        (format!("{good}="), "base64url"),
        (format!("{message}."), "signature is wrong"),
        (format!("{message}.AA"), "signature is wrong"),
        (of_header("{}"), "missing field"),
        (of_header("[\"HS256\",null]"), "expected a JSON object"),
        (
            of_header("{\"alg\":\"HS256\",\"kid\":7}"),
            "expected a string",
        ),
        (of_header("{\"alg\":7}"), "JWT's header"),
        (
            of_header("{\"alg\":\"HS256\",\"alg\":\"HS256\"}"),
            "duplicate",
        ),
        (
            of_header("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}"),
            "crit",
        ),
        (of_header("{\"alg\":\"HS256\",\"crit\":null}"), "crit"),
        (of_header("{\"alg\":\"HS256\""), "JWT's header"),
        (of_header("{\"alg\":\"none\"}"), "\"none\" is not allowed"),
        (of_header("{\"alg\":\"hs256\"}"), "not allowed"),
        (
            of_header("{\"alg\":\"RS256\"}"),
            "allowed: HS256, HS384, HS512",
        ),
        (of_header("{\"alg\":\"HS512\"}"), "signature is wrong"),
        (
            raw("{\"alg\":\"HS256\"}", claims, "another"),
            "signature is wrong",
        ),
        (jwt("[[\"*\"]]"), "expected a JSON object"),
        (jwt("{\"subscribe\":[\"*\"],\"subscribe\":[]}"), "duplicate"),
    ] {
        let result = ask(SECRET, &format!("subscribe=room1&auth={token}"), "");
        refused(result, 401, told);
    }
    let lenient = of_header("{\"typ\":\"at+jwt\",\"kid\":\"7\",\"x\":{},\"alg\":\"HS256\"}");
    assert!(ask(SECRET, &format!("subscribe=a&auth={lenient}"), "").is_ok());
    // A public key is no secret: what is made with its text is not even looked at.
    for public in [RSA, P256, ED25519] {
        for secret in [public, public.trim_end()] {
            let confused = raw("{\"alg\":\"HS256\"}", claims, secret);
            let result = ask(public, &format!("subscribe=a&auth={confused}"), "");
            refused(result, 401, "\"HS256\" is not allowed");
        }
    }
}
