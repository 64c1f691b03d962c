//! What somebody may try who has no right, or not that one: each is refused with the right status.

use std::fs;

use serde_json::json;

use super::maker::{self, by_secret, good, hmac, jwts, now, part, signed};
use super::{SECRET, bearer, refused, with_key, with_secret};
use support::needs;

#[test]
fn on_jwts() {
    needs!("node");
    let daemon = with_secret("");
    let some = r#"{"subscribe":["room_*"],"id":"7"}"#;
    let [honest, expired, early, foreign, other] = by_secret(
        SECRET,
        [
            some,
            &format!(r#"{{"subscribe":["*"],"exp":{}}}"#, now() - 100),
            &format!(r#"{{"subscribe":["*"],"nbf":{}}}"#, now() + 1000),
            r#"{"iss":"another service"}"#,
            r#"{"subscribe":["*"],"id":"x"}"#,
        ],
    );
    let [wrong] = by_secret("another secret that is as long", [r#"{"subscribe":["*"]}"#]);
    let file = daemon.file("key");
    let all = r#"{"subscribe":["*"]}"#;
    let with_header = |alg: &str, header| {
        let mut part = part(alg, &file, all);
        part["header"] = header;
        part
    };
    // The key file's newline is no part of the secret, so these would be wrong in any case; what
    // refuses them is what is told.
    let odd = jwts(&[
        with_header("none", json!({"alg": "none"})),
        with_header("none", json!({"alg": "None", "typ": "JWT"})),
        with_header("HS256", json!({"alg": "HS256", "crit": ["exp"]})),
        with_header("HS256", json!({"typ": "JWT"})),
    ]);
    let pieces = |jwt: &str| -> Vec<String> { jwt.split('.').map(str::to_owned).collect() };
    let (mine, theirs) = (pieces(&honest), pieces(&other));
    let tampered = format!("{}.{}.{}", mine[0], theirs[1], mine[2]);
    let stripped = format!("{}.{}.", mine[0], theirs[1]);
    let unsecured = format!("{}.{}.", pieces(&odd[0])[0], theirs[1]);
    for (query, jwt, status, told) in [
        ("subscribe=a", &odd[0], 401, "\"none\" is not allowed"),
        ("subscribe=a", &unsecured, 401, "\"none\" is not allowed"),
        ("subscribe=a", &odd[1], 401, "\"None\" is not allowed"),
        ("subscribe=a", &odd[2], 401, "crit"),
        ("subscribe=a", &odd[3], 401, "alg"),
        ("subscribe=a", &tampered, 401, "signature is wrong"),
        ("subscribe=a", &stripped, 401, "signature is wrong"),
        ("subscribe=a", &wrong, 401, "signature is wrong"),
        ("subscribe=a", &expired, 401, "the JWT expired 10"),
        ("subscribe=a", &early, 401, "not valid yet"),
        ("subscribe=a", &foreign, 403, "\"a\" is not covered"),
        ("subscribe=room", &honest, 403, "\"room\" is not covered"),
        ("subscribe=room1", &honest, 403, "\"room1\" is not covered"),
        (
            "subscribe=room_1-secret",
            &honest,
            403,
            "\"secret\" is not covered",
        ),
        (
            "subscribe=room_1&token=secret",
            &honest,
            403,
            "\"secret\" is not covered",
        ),
        ("subscribe=room_1-%2A", &honest, 403, "\"*\" is not covered"),
        (
            "subscribe=%72oom1",
            &honest,
            403,
            "\"room1\" is not covered",
        ),
    ] {
        refused(&daemon, query, &bearer(jwt), status, told);
        refused(&daemon, &format!("{query}&auth={jwt}"), "", status, told);
        refused(
            &daemon,
            query,
            &format!("Cookie: hasses={jwt}\r\n"),
            status,
            told,
        );
    }
    // A prefix is no pattern for subscribers.
    let answer = super::ask(&daemon, "subscribe=roo*", &bearer(&honest));
    assert_eq!(answer.status, 400);
    // Two of a field are two opinions.
    let twice = bearer(&honest) + &bearer(&wrong);
    assert_eq!(super::ask(&daemon, "subscribe=room_1", &twice).status, 400);
}

#[test]
fn a_public_key_is_no_secret() {
    needs!("node", "python3");
    let keys = maker::keys();
    for kind in ["rsa", "p256", "p384", "ed25519"] {
        let path = keys.path().join(format!("{kind}.pub.pem"));
        let public = fs::read_to_string(&path).unwrap();
        let trimmed = keys.path().join("trimmed");
        fs::write(&trimmed, public.trim_end()).unwrap();
        let daemon = with_key(&public, "");
        let all = r#"{"subscribe":["*"]}"#;
        for jwt in jwts(&[part("HS256", &path, all), part("HS512", &trimmed, all)]) {
            refused(&daemon, "subscribe=a", &bearer(&jwt), 401, "is not allowed");
        }
        refused(&daemon, &good("subscribe=a"), "", 401, "public key");
    }
    // Another's key of the same kind.
    let others = maker::keys();
    let daemon = with_key(
        &fs::read_to_string(keys.path().join("p256.pub.pem")).unwrap(),
        "",
    );
    let foreign = part(
        "ES256",
        &others.path().join("p256.pem"),
        r#"{"subscribe":["*"]}"#,
    );
    refused(
        &daemon,
        "subscribe=a",
        &bearer(&jwts(&[foreign])[0]),
        401,
        "signature is wrong",
    );
}

#[test]
fn on_signed_urls() {
    needs!("node", "python3");
    let daemon = with_secret("");
    let honest = good("subscribe=room1&id=7");
    let (signed_part, sign) = honest.split_once("&sign=").unwrap();
    let late = honest.replace("&expires=", "&expires=9");
    let end = now() + 600;
    // Signatures that exist, of queries which are not what they seem.
    let bare = format!("subscribe=room1&sign={}", hmac("subscribe=room1"));
    let early_end = format!("expires={end}&subscribe=room1");
    let early_end = format!("{early_end}&sign={}", hmac(&early_end));
    let two_ends = signed(&format!("subscribe=room1&expires={}", end + 1), end);
    for (query, told) in [
        (honest.replace("room1", "room2"), "signature is wrong"),
        (honest.replace("id=7", "id=8"), "signature is wrong"),
        (late, "signature is wrong"),
        (
            honest.replace("subscribe=room1&id=7", "id=7&subscribe=room1"),
            "signature is wrong",
        ),
        (honest.replace("room1", "room%31"), "signature is wrong"),
        (honest.replace("room1&", "room1&&"), "signature is wrong"),
        (format!("subscribe=room2&{honest}"), "signature is wrong"),
        (
            format!("{honest}&subscribe=room2"),
            "nothing but lastEventId=",
        ),
        (format!("{honest}&token=room2"), "nothing but lastEventId="),
        (
            format!("{honest}&lastEventId=1&token=room2"),
            "nothing but lastEventId=",
        ),
        (format!("{honest}&sign={sign}"), "nothing but lastEventId="),
        (
            format!("{signed_part}&sign=00&sign={sign}"),
            "nothing but lastEventId=",
        ),
        (
            format!("subscribe=room2&sign=00&{honest}"),
            "nothing but lastEventId=",
        ),
        (format!("{signed_part}&%73ign={sign}"), "needs a signed URL"),
        (format!("{signed_part}&Sign={sign}"), "needs a signed URL"),
        (
            format!("{signed_part}&sign={}", &sign[..63]),
            "64 hexadecimal",
        ),
        (
            format!("{signed_part}&sign={}", "0".repeat(64)),
            "signature is wrong",
        ),
        (
            format!("{signed_part}&sign=%{}", &sign[1..]),
            "64 hexadecimal",
        ),
        (format!("{signed_part}&sign"), "must follow"),
        (bare, "expires=UNIXTIME"),
        (early_end, "expires=UNIXTIME"),
        (two_ends, "expires=UNIXTIME, once"),
        (signed("subscribe=room1", now() - 12), "expired 1"),
        (signed("subscribe=room1", 0), "days ago"),
    ] {
        refused(&daemon, &query, "", 401, told);
    }
    // A signature that is bad is not made up for by a JWT that is good.
    let [jwt] = by_secret(SECRET, [r#"{"subscribe":["*"]}"#]);
    let broken = honest.replace("room1", "room2");
    refused(&daemon, &broken, &bearer(&jwt), 401, "signature is wrong");
}
