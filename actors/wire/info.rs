//! What presence shows of a client: any JSON, of at most [`LONGEST`] bytes.

use serde::de::IgnoredAny;

use super::http::Refused;
use super::http::query::decode;

/// The most bytes that it may have.
pub const LONGEST: usize = 1024;

/// Reads a raw `info=` of a query, and takes out the blanks between its parts, line ends among them.
///
/// # Errors
/// 400; what was given is not shown, as it may be personal.
pub fn read(value: &str) -> Result<String, Refused> {
    let refused = |why: String| Refused::new(400, format!("info= {why}"));
    let text = decode(value, true).map_err(|error| refused(error.to_string()))?;
    if text.len() > LONGEST {
        return Err(refused(format!("is longer than {LONGEST} bytes")));
    }
    match serde_json::from_str::<IgnoredAny>(&text) {
        Ok(_) => Ok(compact(&text)),
        Err(error) => Err(refused(format!(
            "is no JSON: a fault in line {}, column {}",
            error.line(),
            error.column()
        ))),
    }
}

/// JSON without the blanks between its parts (RFC 8259 §2).
fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|&char| {
            if in_string {
                in_string = escaped || char != '"';
                escaped = !escaped && char == '\\';
                return true;
            }
            in_string = char == '"';
            !matches!(char, ' ' | '\t' | '\n' | '\r')
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn any_json_is_taken_and_stands_in_one_line() {
        for (value, info) in [
            (
                "%7B%20%22name%22%3A+%22Ann%20B%22%2C%0A%22n%22%3A1e400%7D",
                r#"{"name":"Ann B","n":1e400}"#,
            ),
            ("%22a%5C%5C%5C%22+b%22+", r#""a\\\" b""#),
            ("null", "null"),
            ("[%201,%202%20]", "[1,2]"),
        ] {
            assert_eq!(read(value).unwrap(), info);
        }
        assert!(read(&format!("%22{}%22", "x".repeat(LONGEST - 2))).is_ok());
        for (value, why) in [
            ("%7B", "no JSON: a fault in line 1"),
            ("secret", "no JSON"),
            ("1+2", "no JSON"),
            ("%zz", "%25"),
            (
                &*format!("%22{}%22", "x".repeat(LONGEST - 1)),
                "longer than 1024",
            ),
        ] {
            let refused = read(value).unwrap_err();
            assert_eq!(refused.status, 400);
            assert!(refused.reason.contains(why), "{refused}");
            assert!(!refused.reason.contains("secret"), "{refused}");
        }
    }
}
