//! The bodies of `POST /publish`.

use super::raw::Raw;
use super::{JsonMessage, checked, message, parsed};
use crate::wire::command::decode;
use crate::wire::refusal::Refusal;

/// What the answer to an HTTP body looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One receipt, for one object.
    One,
    /// A list of receipts, for a list or lines.
    List,
}

/// Reads an HTTP body: an object or a list of them, or with `ndjson` one in each line that is not
/// blank. All are good or the first that is not is named. Bounds and counts are those of
/// [`message`], with each line, or else the whole body, counted once.
pub fn body(
    bytes: &[u8],
    ndjson: bool,
    max_message: usize,
    invalid_utf8: &mut u64,
) -> Result<(Vec<JsonMessage>, Shape), Refusal> {
    if ndjson {
        let messages = bytes
            .split(|byte| *byte == b'\n')
            .zip(1..)
            .filter(|(line, _)| !line.trim_ascii().is_empty())
            .map(|(line, number)| {
                message(line, max_message, invalid_utf8)
                    .map_err(|refusal| refusal.at(format_args!("line {number}")))
            })
            .collect::<Result<_, _>>()?;
        return Ok((messages, Shape::List));
    }
    let text = decode(bytes, invalid_utf8);
    if !text.trim_ascii_start().starts_with('[') {
        return Ok((vec![checked(parsed(&text)?, max_message)?], Shape::One));
    }
    let messages = parsed::<Vec<Raw<'_>>>(&text)?
        .into_iter()
        .zip(1..)
        .map(|(raw, number)| {
            checked(raw, max_message)
                .map_err(|refusal| refusal.at(format_args!("message {number}")))
        })
        .collect::<Result<_, _>>()?;
    Ok((messages, Shape::List))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_a_shape() {
        let good = r#"{"to":"a","data":"x"}"#;
        let read = |text: &str, ndjson| {
            body(text.as_bytes(), ndjson, 100, &mut 0)
                .map(|(messages, shape)| (messages.len(), shape))
                .map_err(|refusal| refusal.to_string())
        };
        assert_eq!(read(good, false), Ok((1, Shape::One)));
        assert_eq!(
            read(&format!("\n [{good},{good}]"), false),
            Ok((2, Shape::List))
        );
        assert_eq!(read("[]", false), Ok((0, Shape::List)));
        assert_eq!(read("", true), Ok((0, Shape::List)));
        assert_eq!(
            read(&format!("{good}\r\n\r\n  \n{good}"), true),
            Ok((2, Shape::List))
        );
        assert!(read("", false).unwrap_err().starts_with("bad JSON: "));
        assert_eq!(
            read(&format!("[{good},{good},{{\"to\":5}}]"), false).unwrap_err(),
            r#"message 3: "to" must be a string or a list of strings, not a number"#
        );
        assert_eq!(
            read(&format!("[{good},null]"), false).unwrap_err(),
            "message 2: a message must be an object, not null"
        );
        assert_eq!(
            read(&format!("{good}\n\n[]\n"), true).unwrap_err(),
            "line 3: a message must be an object, not a list"
        );
    }
}
