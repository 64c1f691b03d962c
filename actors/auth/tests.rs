#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use super::*;
use crate::wire::http::Reader;
use crate::wire::http::query::Query;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The keys of RFC 7515 A.2 and A.3, and RFC 8037 A.2, as PEM.
const RSA: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W2
6mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMs
D1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5
z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxv
b3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8q2et
hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQAB
-----END RSA PUBLIC KEY-----
";
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END PUBLIC KEY-----
";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";
/// Keys that are none here: RSA of 1024 bits, and P-521.
const WEAK: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCiKMoUq/90wdzSs2AeSRAhJn8z
6wYby+ZQW2Scdp8nGuVJxbNHgPKclifnMr2fiQER9xUBlG8XQXo07jUJdAsj8/qe
htNjbGe5KazZLej4ebxSPzs0D9nbAiVE6Qj3lqzU1rTNoDb80+byajYQjb+uSjpW
uk566GTJtc5OeXgWCQIDAQAB
-----END PUBLIC KEY-----
";
const P521: &str = "-----BEGIN PUBLIC KEY-----
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQADGaxq/p1CoqPDuUj43WbCIZQuhm0
2jXN/hIwduIEQRxt7IRr9AmYVqDjQ6YSveR19TmWanKcp+vLnoy/5sKz+XQA5DnE
8K4Dp1B+4reaAA9SA/Mw3YUCrpWI9X6XSb3Wf2XP4akF8or0T1+eFXBcpEp8cH29
sq12ji6BmzS9y4hISlE=
-----END PUBLIC KEY-----
";
/// The signed part of the examples in RFC 7515 A.1 to A.3, after the header.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const RS256: &str = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const ES256: &str =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/// The moment at which these tests happen.
const NOW: u64 = 1_900_000_000;

/// What Python's hmac made of SECRET and all before `&sign=`.
const SIGNED: &str = "subscribe=room1&id=7&expires=2000000000&sign=ebf61c9b658e8fc31a81662f21009bd4ad729827de4374df3f1f84477e817f52";

fn now() -> Duration {
    Duration::from_secs(NOW)
}

fn key(content: &str) -> Key {
    Key::read(content.as_bytes()).unwrap()
}

/// A JWT made of this header and these claims, signed by HS256.
fn raw(header: &str, claims: &str, secret: &str) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(claims.as_bytes())
    );
    let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&secret, message.as_bytes());
    format!("{message}.{}", encode(tag.as_ref()))
}

fn jwt(claims: &str) -> String {
    raw(r#"{"alg":"HS256"}"#, claims, SECRET)
}

/// Decides on a request with this query and these further header lines.
fn ask(content: &str, query: &str, lines: &str) -> Result<Pass, Refused> {
    let head = format!("GET /sse?{query} HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let head = Reader::new().read(head.as_bytes()).unwrap().unwrap();
    let asked = Query::read(head.request.query.as_deref())
        .unwrap()
        .subscription;
    check(&key(content), &head.request, &asked, now())
}

/// Decides on a request for `room1` with a JWT of these claims.
fn claims(claims: &str) -> Result<Pass, Refused> {
    ask(SECRET, &format!("subscribe=room1&auth={}", jwt(claims)), "")
}

#[track_caller]
fn refused(result: Result<Pass, Refused>, status: u16, told: &str) {
    let refused = result.unwrap_err();
    assert_eq!(refused.status, status, "{refused}");
    assert!(refused.reason.contains(told), "{refused}");
}

#[test]
fn the_examples_of_the_rfcs() {
    let binary = URL_SAFE_NO_PAD.decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    );
    let hs256 = Key::read(&binary.unwrap()).unwrap();
    let verify = |key: &Key, token: &str| jwt::verify(key, token).map(drop);
    let token = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    assert_eq!(verify(&hs256, &token), Ok(()));
    assert_eq!(
        verify(&key(RSA), &format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{RS256}")),
        Ok(())
    );
    assert_eq!(
        verify(&key(P256), &format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{ES256}")),
        Ok(())
    );
    // RFC 8037 A.4 signs what is no JSON.
    let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = URL_SAFE_NO_PAD
        .decode("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
        .unwrap();
    assert_eq!(
        key(ED25519).verify("EdDSA", message.as_bytes(), &signature),
        Ok(())
    );
    // RFC 7515 A.5, unsecured.
    let unsecured = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    for key in [&hs256, &key(RSA), &key(P256), &key(ED25519)] {
        let refused = verify(key, &unsecured).unwrap_err();
        assert!(
            refused.reason.contains("\"none\" is not allowed"),
            "{refused}"
        );
    }
    // They expired in 2011.
    let subscription = Subscription::default();
    let claims = jwt::verify(&hs256, &token).unwrap();
    refused(
        claims.check(&subscription, now()),
        401,
        "expired 6934 days ago",
    );
    let just_before = Duration::from_millis(1_300_819_379_999);
    assert!(claims.check(&subscription, just_before).is_ok());
}

#[test]
fn a_file_holds_a_secret_or_a_public_key() {
    for (content, algorithms) in [
        ("x", "HS256, HS384, HS512"),
        (RSA, "RS256, RS384, RS512, PS256, PS384, PS512"),
        (P256, "ES256"),
        (ED25519, "EdDSA"),
    ] {
        assert_eq!(key(content).algorithms(), algorithms);
        assert_eq!(format!("{:?}", key(content)), format!("Key({algorithms})"));
    }
    let private = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    for (content, error) in [
        ("", KeyError::Empty),
        ("\n", KeyError::Empty),
        ("\r\n", KeyError::Empty),
        (WEAK, KeyError::RsaBits(1024)),
        (P521, KeyError::Unknown),
        (private, KeyError::Private),
        (&private.replace("EC ", ""), KeyError::Private),
        (&format!("{P256}{private}"), KeyError::Private),
        (
            &private.replace("EC PRIVATE KEY", "CERTIFICATE"),
            KeyError::NoKey,
        ),
        (&private.replace("EC PRIVATE", "PUBLIC"), KeyError::Unknown),
        (&format!("{P256}{RSA}"), KeyError::NoKey),
        ("-----BEGIN PUBLIC KEY-----\n", KeyError::Pem),
    ] {
        assert_eq!(
            Key::read(content.as_bytes()).err(),
            Some(error),
            "{content}"
        );
    }
    assert!(
        KeyError::Private
            .to_string()
            .contains("public key is needed")
    );
    assert!(key(&SECRET[1..]).is_short() && !key(SECRET).is_short() && !key(RSA).is_short());
}

#[test]
fn one_newline_at_the_end_is_not_part_of_a_secret() {
    for end in ["", "\n", "\r\n"] {
        assert_eq!(
            ask(&format!("{SECRET}{end}"), SIGNED, ""),
            Ok(Pass::default())
        );
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
        signed::sign(&key(SECRET), "subscribe=room1&id=7", 2_000_000_000).unwrap(),
        SIGNED
    );
    for good in [
        SIGNED.to_owned(),
        format!("{base}&sign={}", sign.to_ascii_uppercase()),
        format!("{SIGNED}&lastEventId=5"),
        format!("{SIGNED}&lastEventId=5&lastEventId=6"),
    ] {
        assert_eq!(ask(SECRET, &good, ""), Ok(Pass::default()), "{good}");
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
            "nothing but lastEventId=",
        ),
        (format!("{SIGNED}&"), "nothing but lastEventId="),
        (format!("{SIGNED}&lastEventId"), "nothing but lastEventId="),
        (
            format!("{SIGNED}&lastEventId=1&recent=8"),
            "nothing but lastEventId=",
        ),
        (format!("{SIGNED}&sign={sign}"), "nothing but lastEventId="),
        (
            format!("{base}&sign={sign}&expires=2000000000"),
            "nothing but lastEventId=",
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
        let late = signed::sign(&key(SECRET), "subscribe=room1", expires).unwrap();
        let told = format!("expired {} s ago", NOW - expires);
        refused(ask(SECRET, &late, ""), 401, &told);
    }
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
        "99999999999999999999",
        "-1",
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

#[test]
fn a_jwt_is_found_in_three_places_in_order() {
    let good = jwt(r#"{"subscribe":["room1"]}"#);
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
        (query(bad), cookie(&good)),
        (query(&good), cookie("")),
        (query(&good), "Authorization: Basic eDp5\r\n".to_owned()),
    ] {
        assert_eq!(
            ask(SECRET, &query, &lines),
            Ok(Pass::default()),
            "{query} {lines}"
        );
    }
    for (query, lines, told) in [
        (plain.to_owned(), String::new(), "needs a signed URL"),
        (
            plain.to_owned(),
            "Cookie: xhasses=a\r\n".to_owned(),
            "needs a signed URL",
        ),
        (query(&good), bearer(bad), "no JWT"),
        (query(&good), cookie(bad), "no JWT"),
        (
            format!("{}&auth={good}", query(&good)),
            String::new(),
            "twice",
        ),
        (query("%"), String::new(), "%25"),
    ] {
        refused(ask(SECRET, &query, &lines), 401, told);
    }
    refused(ask(RSA, plain, ""), 401, "needs a JWT");
}

#[test]
fn a_jwt_has_its_form() {
    let claims = r#"{"subscribe":["*"]}"#;
    let good = jwt(claims);
    let (message, _) = good.rsplit_once('.').unwrap();
    let of_header = |header: &str| raw(header, claims, SECRET);
    for (token, told) in [
        ("x".to_owned(), "no JWT"),
        ("..".to_owned(), "no JSON object"),
        (format!("{good}.x"), "no JWT"),
        (format!("{good}="), "base64url"),
        (format!("{message}."), "signature is wrong"),
        (format!("{message}.AA"), "signature is wrong"),
        (of_header("{}"), "missing field"),
        (of_header("[\"HS256\",null]"), "no JSON object"),
        (of_header("{\"alg\":7}"), "header part"),
        (
            of_header("{\"alg\":\"HS256\",\"alg\":\"HS256\"}"),
            "duplicate",
        ),
        (
            of_header("{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}"),
            "crit",
        ),
        (of_header("{\"alg\":\"HS256\",\"crit\":null}"), "crit"),
        (of_header("{\"alg\":\"HS256\""), "header part"),
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
        (jwt("[[\"*\"]]"), "no JSON object"),
        (jwt("{\"subscribe\":[\"*\"],\"subscribe\":[]}"), "duplicate"),
    ] {
        let result = ask(SECRET, &format!("subscribe=room1&auth={token}"), "");
        refused(result, 401, told);
    }
    let lenient = of_header("{\"typ\":[1],\"kid\":7,\"x\":{},\"alg\":\"HS256\"}");
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
