//! Signed URLs: a query that ends in `&expires=UNIXTIME&sign=HEX`, HEX being the HMAC-SHA256 of all
//! before `&sign=`, byte for byte as sent. Only `lastEventId` may follow, unsigned.

use std::fmt::Write;
use std::time::Duration;

use ring::hmac;

use super::time::rough;
use super::{Key, unauthorized};
use crate::wire::http::Refused;
use crate::wire::http::query::parameters;

/// Whether a query says that it is signed, well or badly.
pub fn is_signed(query: &str) -> bool {
    parameters(query).any(|(name, _)| name == "sign")
}

/// Signs a query so that it is good until `expires`, in seconds since 1970; none without a secret.
pub fn sign(key: &Key, query: &str, expires: u64) -> Option<String> {
    let mut signed = format!("{query}&expires={expires}");
    let tag = hmac::sign(key.url_key()?, signed.as_bytes());
    signed.push_str("&sign=");
    for byte in tag.as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(signed, "{byte:02x}");
    }
    Some(signed)
}

/// Checks a query that [is signed](is_signed).
pub(super) fn check(key: &Key, query: &str, now: Duration) -> Result<(), Refused> {
    let Some(key) = key.url_key() else {
        return Err(unauthorized(
            "signed URLs need a secret, and this server has a public key, which checks JWTs only",
        ));
    };
    let Some((signed, after)) = query.split_once("&sign=") else {
        return Err(unauthorized("sign= must follow &expires=…"));
    };
    let mut after = after.split('&');
    let sign = after.next().unwrap_or_default();
    if !after.all(|one| one.starts_with("lastEventId=")) {
        return Err(unauthorized(
            "nothing but lastEventId= may follow sign=, as the signature does not cover it",
        ));
    }
    let count = |wanted| {
        parameters(signed)
            .filter(|(name, _)| *name == wanted)
            .count()
    };
    let last = signed.rsplit('&').next().unwrap_or_default();
    let expires = last.strip_prefix("expires=");
    let (Some(expires), 1) = (expires, count("expires")) else {
        return Err(unauthorized(
            "just before &sign= there must be expires=UNIXTIME, once",
        ));
    };
    let tag = digest(sign)
        .ok_or_else(|| unauthorized("sign= needs the 64 hexadecimal digits of an HMAC-SHA256"))?;
    hmac::verify(key, signed.as_bytes(), &tag).map_err(|_| {
        unauthorized(
            "the URL's signature is wrong: another secret, or its query is not byte for byte \
             what was signed",
        )
    })?;
    let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
    let Some(end) = expires.parse().ok().filter(|_| digits) else {
        return Err(unauthorized(
            "expires= needs a whole number of seconds since 1970",
        ));
    };
    match now.checked_sub(Duration::from_secs(end)) {
        None => Ok(()),
        Some(ago) => Err(unauthorized(format!("the URL expired {} ago", rough(ago)))),
    }
}

/// Reads the hexadecimal digits of an HMAC-SHA256.
fn digest(hex: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; 32];
    if hex.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(bytes)
}
