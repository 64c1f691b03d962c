//! Signed URLs: a query that ends in `&expires=UNIXTIME&sign=HEX`, HEX being the HMAC-SHA256 of all
//! before `&sign=`, byte for byte as sent. What widens nothing ([`UNSIGNED`]) may follow.

use std::fmt::Write;
use std::time::Duration;

use ring::hmac;

use super::time::rough;
use super::{Keys, MILLISECONDS, Pass, Proof, unauthorized};
use crate::wire::http::Refused;
use crate::wire::http::query::parameters;

/// The parameters that may follow a signature: they widen nothing.
const UNSIGNED: [&str; 5] = ["lastEventId", "recent", "ping", "format", "positions"];

/// Whether a query says that it is signed, well or badly.
pub fn is_signed(query: &str) -> bool {
    parameters(query).any(|(name, _)| name == "sign")
}

/// Signs a query so that it is good until `expires`, in seconds since 1970, with the first secret; none
/// without one.
pub fn sign(keys: &Keys, query: &str, expires: u64) -> Option<String> {
    let mut signed = format!("{query}&expires={expires}");
    let tag = hmac::sign(keys.url_keys().next()?, signed.as_bytes());
    signed.push_str("&sign=");
    for byte in tag.as_ref() {
        // Writing to a String cannot fail.
        let _ = write!(signed, "{byte:02x}");
    }
    Some(signed)
}

/// Checks a query that [is signed](is_signed).
pub(super) fn check(keys: &Keys, query: &str, now: Duration) -> Result<Pass, Refused> {
    if !keys.has_secret() {
        return Err(unauthorized(
            "signed URLs need a secret, and this server has a public key, which checks JWTs only",
        ));
    }
    let Some((signed, after)) = query.split_once("&sign=") else {
        return Err(unauthorized("sign= must follow &expires=…"));
    };
    let mut after = after.split('&');
    let sign = after.next().unwrap_or_default();
    check_unsigned(signed, after)?;
    let expires = expires(signed)?;
    let tag = digest(sign)
        .ok_or_else(|| unauthorized("sign= needs the 64 hexadecimal digits of an HMAC-SHA256"))?;
    let made_by = |key| hmac::verify(key, signed.as_bytes(), &tag).is_ok();
    if !keys.url_keys().any(made_by) {
        return Err(unauthorized(
            "the URL's signature is wrong: another secret, or its query is not byte for byte \
             what was signed",
        ));
    }
    let end = moment(expires)?;
    if let Some(ago) = now.checked_sub(end) {
        return Err(unauthorized(format!("the URL expired {} ago", rough(ago))));
    }
    let until = parameters(signed).any(|parameter| parameter == ("until", "1"));
    Ok(Pass {
        by: Proof::Url,
        id: None,
        info: None,
        ends: until.then_some(end),
    })
}

/// Checks what follows a signature, which does not cover it.
fn check_unsigned<'a>(signed: &str, after: impl Iterator<Item = &'a str>) -> Result<(), Refused> {
    for parameter in after {
        let name = parameter.split_once('=').map(|(name, _)| name);
        let Some(name) = name.filter(|name| UNSIGNED.contains(name)) else {
            let names = UNSIGNED.join("=, ");
            return Err(unauthorized(format!(
                "nothing but {names}= may follow sign=, as the signature does not cover it"
            )));
        };
        let is_signed = parameters(signed).any(|(known, _)| known == name);
        if is_signed && name != "lastEventId" {
            return Err(unauthorized(format!(
                "{name}= is in the signed part, so it may not follow sign= as well"
            )));
        }
    }
    Ok(())
}

/// The value of `expires`, which the signed part ends with.
fn expires(signed: &str) -> Result<&str, Refused> {
    let expires = parameters(signed).filter(|(name, _)| *name == "expires");
    let last = signed.rsplit('&').next().unwrap_or_default();
    match (last.strip_prefix("expires="), expires.count()) {
        (Some(expires), 1) => Ok(expires),
        _ => Err(unauthorized(
            "just before &sign= there must be expires=UNIXTIME, once",
        )),
    }
}

/// Reads the moment at which a URL expires, since 1970.
fn moment(expires: &str) -> Result<Duration, Refused> {
    let digits = expires.bytes().all(|byte| byte.is_ascii_digit());
    match expires.parse::<u64>() {
        Ok(end) if digits && (end as f64) < MILLISECONDS => Ok(Duration::from_secs(end)),
        Ok(_) if digits => Err(unauthorized(
            "expires= is too far off; are these milliseconds? It needs seconds since 1970",
        )),
        _ => Err(unauthorized(
            "expires= needs a whole number of seconds since 1970",
        )),
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
