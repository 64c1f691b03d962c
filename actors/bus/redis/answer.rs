//! What Redis answers to XREAD.

use ::redis::Value;

use super::super::entry::Entry;
use crate::model::EventId;

/// The entries of an answer to XREAD on one stream, those that hasses did not write too; `None` when it
/// is no such answer.
pub(super) fn entries(answer: Value) -> Option<Vec<Entry>> {
    let Value::Array(streams) = answer else {
        return matches!(answer, Value::Nil).then(Vec::new);
    };
    let Some(Value::Array(stream)) = streams.into_iter().next() else {
        return None;
    };
    let Some(Value::Array(entries)) = stream.into_iter().nth(1) else {
        return None;
    };
    entries.into_iter().map(entry).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else {
        return None;
    };
    let mut parts = parts.into_iter();
    let (Some(Value::BulkString(id)), Some(Value::Array(fields))) = (parts.next(), parts.next())
    else {
        return None;
    };
    let text = std::str::from_utf8(&id).ok()?;
    let (milliseconds, sequence) = text.split_once('-')?;
    let id = EventId(milliseconds.parse().ok()?);
    let own = sequence == "0" && id.0 < EventId::END;
    let written = own.then(|| written(id, fields)).flatten();
    Some(written.unwrap_or_else(|| Entry::foreign(id)))
}

/// An entry that hasses wrote; none if these fields are not those of one.
fn written(id: EventId, fields: Vec<Value>) -> Option<Entry> {
    let (mut previous, mut body) = (None, None);
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) =
        (fields.next(), fields.next())
    {
        match name.as_slice() {
            b"p" => previous = number(&value),
            b"b" => body = Some(value),
            _ => {}
        }
    }
    let body = body.filter(|body: &Vec<u8>| !body.is_empty())?;
    Some(Entry {
        id,
        previous: previous?,
        body,
    })
}

fn number(digits: &[u8]) -> Option<EventId> {
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(EventId(number)).filter(|id| id.0 < EventId::END)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn an_answer_has_entries() {
        let text = |text: &str| Value::BulkString(text.into());
        let fields = Value::Array(["p", "9", "b", "x"].map(text).into());
        let one = Value::Array(vec![text("13-0"), fields.clone()]);
        let answer =
            |one| Value::Array(vec![Value::Array(vec![text("k"), Value::Array(vec![one])])]);
        let written = Entry {
            id: EventId(13),
            previous: EventId(9),
            body: b"x".into(),
        };
        assert_eq!(entries(answer(one)), Some(vec![written]));
        assert_eq!(entries(Value::Nil), Some(Vec::new()));
        for (id, number) in [("13-1", 13), ("9007199254740992-0", 1 << 53)] {
            let foreign = Value::Array(vec![text(id), fields.clone()]);
            let read = entries(answer(foreign)).unwrap();
            assert_eq!(read, [Entry::foreign(EventId(number))], "{id}");
            assert!(read[0].is_foreign());
        }
        for fields in [
            &["x", "y"][..],
            &["p", "x", "b", "x"],
            &["p", "9", "b", ""],
            &["b", "x"],
        ] {
            let fields = Value::Array(fields.iter().map(|field| text(field)).collect());
            let read = entries(answer(Value::Array(vec![text("13-0"), fields]))).unwrap();
            assert_eq!(read, [Entry::foreign(EventId(13))]);
        }
        for id in ["x-0", "13"] {
            let none = Value::Array(vec![text(id), fields.clone()]);
            assert_eq!(entries(answer(none)), None, "{id}");
        }
        assert_eq!(entries(Value::Okay), None);
    }
}
