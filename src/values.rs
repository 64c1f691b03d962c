//! What each option's value may be. Every function says what would be right.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use hasses_actors::model::{BusDown, LogLevel, Target};
use hasses_actors::net::BusUrl;
use hasses_actors::net::Door;
use hasses_actors::net::trust::Range;
use hasses_actors::wire::address;

/// The longest heartbeat: a day.
const HEARTBEAT: RangeInclusive<u64> = 0..=86_400;
/// The longest `retry:`: an hour.
const RETRY: RangeInclusive<u64> = 0..=3_600_000;
/// Events or clients: a hundred million.
const COUNT: RangeInclusive<u64> = 0..=100_000_000;
/// Ages, up to a year.
const AGE: RangeInclusive<u64> = 1..=31_536_000;
/// Sizes of messages and buffers, up to 1 GiB.
const BYTES: RangeInclusive<u64> = 1..=1 << 30;
/// What all kept events may take, up to 1 TiB.
const HISTORY: RangeInclusive<u64> = 1..=1 << 40;

fn number(text: &str, range: RangeInclusive<u64>, of: &str) -> Result<u64, String> {
    // `u64::from_str` would let a `+` pass.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && range.contains(&number) => Ok(number),
        _ => Err(format!(
            "it needs a whole number of {of} ({} to {})",
            range.start(),
            range.end()
        )),
    }
}

pub(crate) fn address(text: &str) -> Result<Door, String> {
    text.parse()
        .map_err(|error: hasses_actors::net::EndpointError| {
            // `8080` and `:8080` are what other programs take.
            let port = text.strip_prefix(':').unwrap_or(text);
            let meant = port.parse::<u16>().is_ok();
            let meant = if meant {
                format!("; did you mean 127.0.0.1:{port}?")
            } else {
                String::new()
            };
            format!("{error}{meant}")
        })
}

pub(crate) fn heartbeat(text: &str) -> Result<u64, String> {
    number(text, HEARTBEAT, "seconds")
}

pub(crate) fn retry(text: &str) -> Result<u32, String> {
    let milliseconds = number(text, RETRY, "milliseconds")?;
    u32::try_from(milliseconds).map_err(|error| error.to_string())
}

pub(crate) fn ip6_prefix(text: &str) -> Result<u8, String> {
    let bits = number(text, 1..=128, "bits")?;
    u8::try_from(bits).map_err(|error| error.to_string())
}

pub(crate) fn tokens(text: &str) -> Result<usize, String> {
    let tokens = number(text, 1..=10_000, "tokens")?;
    usize::try_from(tokens).map_err(|error| error.to_string())
}

pub(crate) fn total_bytes(text: &str) -> Result<usize, String> {
    let bytes = number(text, 1 << 20..=1 << 40, "bytes")?;
    usize::try_from(bytes).map_err(|error| error.to_string())
}

pub(crate) fn bytes(text: &str) -> Result<usize, String> {
    size(text, BYTES)
}

/// What all kept events together may take.
pub(crate) fn history_bytes(text: &str) -> Result<usize, String> {
    size(text, HISTORY)
}

/// A number of bytes, or of KiB, MiB or GiB.
fn size(text: &str, range: RangeInclusive<u64>) -> Result<usize, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let unit = units.iter().find_map(|(unit, shift)| {
        let digits = text.strip_suffix(unit)?;
        Some((digits, *shift))
    });
    let (digits, shift) = unit.unwrap_or((text, 0));
    let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| all_digits);
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    match bytes.filter(|bytes| range.contains(bytes)) {
        Some(bytes) => usize::try_from(bytes).map_err(|error| error.to_string()),
        None => Err(format!(
            "it needs a whole number of bytes ({} to {}), or of KiB, MiB or GiB, such as 64MiB",
            range.start(),
            range.end()
        )),
    }
}

/// How many events or clients; 0 has a meaning of its own.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    let count = number(text, COUNT, "them")?;
    usize::try_from(count).map_err(|error| error.to_string())
}

pub(crate) fn clients(text: &str) -> Result<usize, String> {
    let clients = number(text, 1..=*COUNT.end(), "clients")?;
    usize::try_from(clients).map_err(|error| error.to_string())
}

pub(crate) fn publishers(text: &str) -> Result<usize, String> {
    let publishers = number(text, 4..=100_000, "publishers")?;
    usize::try_from(publishers).map_err(|error| error.to_string())
}

/// How long events are kept.
pub(crate) fn age(text: &str) -> Result<u64, String> {
    number(text, AGE, "seconds")
}

/// For which tokens it is known who is there: a token, `pre*`, or `*`.
pub(crate) fn presence(text: &str) -> Result<Target, String> {
    address::target(text).map_err(|refusal| refusal.to_string())
}

/// How long who went is still there.
pub(crate) fn grace(text: &str) -> Result<u64, String> {
    number(text, 0..=3600, "seconds")
}

/// A file's path.
pub(crate) fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains('\0') {
        return Err("it needs the path of a file".to_owned());
    }
    Ok(text.into())
}

/// The log's file.
pub(crate) fn log(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" => Err("it needs the path of a file; without --log, standard error is used".to_owned()),
        _ => file(text),
    }
}

/// The path of the URL.
pub(crate) fn path(text: &str) -> Result<String, String> {
    let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
    if text.starts_with('/') && text.bytes().all(visible) {
        Ok(text.to_owned())
    } else {
        Err(
            "it needs a URL path that begins with '/', in visible ASCII without '?' and '#'"
                .to_owned(),
        )
    }
}

/// The character that ends a message. Commands (`loglevel_quiet`, `disconnect:ID`) and addresses are
/// made of some, which would cut them in two, and `{` begins a line of JSON.
pub(crate) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii_punctuation() && !b"=*-{:_".contains(byte) => Ok(*byte),
        _ => Err(
            "it needs one printable ASCII character that is no letter, digit or blank and none of \
             = * - { : _ as addresses, commands and JSON contain those"
                .to_owned(),
        ),
    }
}

/// Where several nodes meet.
pub(crate) fn bus(text: &str) -> Result<BusUrl, String> {
    text.parse()
}

pub(crate) fn bus_down(text: &str) -> Result<BusDown, String> {
    match text {
        "local" => Ok(BusDown::Local),
        "refuse" => Ok(BusDown::Refuse),
        _ => Err("it needs local or refuse".to_owned()),
    }
}

pub(crate) fn log_level(text: &str) -> Result<LogLevel, String> {
    match text {
        "quiet" => Ok(LogLevel::Quiet),
        "normal" => Ok(LogLevel::Normal),
        "debug" => Ok(LogLevel::Debug),
        _ => Err("it needs quiet, normal or debug".to_owned()),
    }
}

/// `*` or an origin as browsers write it (RFC 6454 §6.2).
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let is_origin = text.split_once("://").is_some_and(|(scheme, host)| {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"/?#*,@\\\"".contains(&byte);
        !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !host.is_empty()
            && host.bytes().all(plain)
    });
    if is_origin || matches!(text, "*" | "null") {
        Ok(text.to_owned())
    } else {
        Err("it needs * or an origin such as https://www.example.com, without a path".to_owned())
    }
}

/// A range of addresses.
pub(crate) fn range(text: &str) -> Result<Range, String> {
    text.parse()
        .map_err(|error: hasses_actors::net::trust::RangeError| error.to_string())
}

/// A host's name as a `Host` field has it, without the port; or the origin of a page behind a proxy, as
/// browsers write it: without a port that goes without saying.
pub(crate) fn host(text: &str) -> Result<String, String> {
    for (scheme, usual) in [("http://", ":80"), ("https://", ":443")] {
        if let Some(rest) = text.strip_prefix(scheme)
            && origin(text).is_ok()
        {
            let rest = rest.strip_suffix(usual).unwrap_or(rest);
            return Ok(format!("{scheme}{rest}").to_ascii_lowercase());
        }
    }
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if (1..=253).contains(&text.len()) && text.bytes().all(named) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(
            "it needs a host's name such as hasses.example.com, without a port, or a page's origin \
             such as https://ops.example.com:8443"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        for (text, value) in [("0", Some(0)), ("86400", Some(86_400)), ("86401", None)] {
            assert_eq!(heartbeat(text).ok(), value, "{text}");
        }
        for text in ["", "1x", "+1", "-1", " 1", "1.5", "99999999999999999999"] {
            let why = heartbeat(text);
            assert_eq!(
                why,
                Err("it needs a whole number of seconds (0 to 86400)".to_owned())
            );
        }
        assert_eq!(retry("3600000"), Ok(3_600_000));
        assert!(retry("3600001").is_err());
        assert_eq!((bytes("1"), bytes("0").is_err()), (Ok(1), true));
        assert_eq!(bytes("1073741824"), Ok(1 << 30));
    }

    #[test]
    fn texts_have_their_form() {
        type Check = fn(&str) -> bool;
        let checks: [(Check, &[&str], &[&str]); 5] = [
            (
                |text| path(text).is_ok(),
                &["/", "/sse", "/a/b%20c"],
                &["", "sse", "/a?b", "/a#b", "/a b", "/é"],
            ),
            (
                |text| delimiter(text).is_ok(),
                &[";", "|", "#", "~", ",", "%", "}", "/"],
                &[
                    "", ";;", "=", "*", "-", "{", ":", "_", "a", "7", " ", "\n", "é",
                ],
            ),
            (
                |text| origin(text).is_ok(),
                &[
                    "*",
                    "null",
                    "http://localhost:3000",
                    "https://a.b",
                    "app+x://[::1]:1",
                ],
                &[
                    "",
                    "a.b",
                    "https://",
                    "https://a.b/",
                    "https://a.b/c",
                    "http://a,http://b",
                    "http://a\r",
                ],
            ),
            (
                |text| host(text).is_ok(),
                &["a", "hasses.example.com"],
                &["", "a:80", "http://a/b", "a b"],
            ),
            (
                |text| log_level(text).is_ok(),
                &["quiet", "normal", "debug"],
                &["", "Quiet", "info"],
            ),
        ];
        for (check, right, wrong) in checks {
            assert!(right.iter().all(|text| check(text)), "{right:?}");
            assert!(!wrong.iter().any(|text| check(text)), "{wrong:?}");
        }
        assert_eq!(host("A.Example"), Ok("a.example".to_owned()));
    }
}
