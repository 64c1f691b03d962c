#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod claims;
mod jwts;
mod keys;
mod urls;

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
/// The moment at which these tests happen.
const NOW: u64 = 1_900_000_000;

/// What Python's hmac made of SECRET and all before `&sign=`.
const SIGNED: &str = "subscribe=room1&id=7&expires=2000000000&sign=ebf61c9b658e8fc31a81662f21009bd4ad729827de4374df3f1f84477e817f52";

fn now() -> Duration {
    Duration::from_secs(NOW)
}

fn keys(content: &str) -> Keys {
    Keys::read(content.as_bytes()).unwrap()
}

fn by_url() -> Pass {
    Pass {
        by: Proof::Url,
        id: None,
        info: None,
        ends: None,
    }
}

fn by_jwt() -> Pass {
    Pass {
        by: Proof::Jwt,
        ..by_url()
    }
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
    check(&keys(content), &head.request, &asked, now())
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
