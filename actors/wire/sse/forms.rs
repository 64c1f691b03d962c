//! Blocks other than events, and events in the form that a stream has asked for.

use super::Frame;
use crate::model::EventId;

/// Characters that are no line ends of the event stream format, but are for programs that split it at
/// every line end that Unicode has; JSON may escape them.
const SEPARATORS: [(char, &str); 3] = [
    ('\u{85}', r"\u0085"),
    ('\u{2028}', r"\u2028"),
    ('\u{2029}', r"\u2029"),
];

impl Frame {
    /// A position that scripts see too: an event named `ping`, whose data is the time between two of
    /// them in seconds, 0 if no further ones come.
    pub fn ping(id: EventId, heartbeat: u64) -> Self {
        let id = id.to_string();
        let heartbeat = heartbeat.to_string();
        Self::of_text(&["event: ping\nid: ", &id, "\ndata: ", &heartbeat, "\n\n"])
    }

    /// The heartbeat of a stream without positions: a comment, and no empty line, which some clients
    /// take for an empty message.
    pub fn comment() -> Self {
        Self::of_text(&[":\n"])
    }

    /// Blocks that are no events of the stream, without ids: what each is called, and its data in one
    /// line. All are written at once.
    pub fn of_blocks(blocks: &[(&str, String)]) -> Self {
        let parts = blocks
            .iter()
            .flat_map(|(name, data)| ["event: ", name, "\ndata: ", data.as_str(), "\n\n"]);
        Self::of_text(&parts.collect::<Vec<_>>())
    }

    /// Says that events may have been lost after `after` (none: what the subscriber said is no id)
    /// and that `oldest` is the oldest that is kept. It has no id, so that the next reconnection
    /// says again what was seen last. `tokens` are those that may have lost something, for streams
    /// whose events are JSON.
    pub fn gap(after: Option<EventId>, oldest: Option<EventId>, tokens: Option<&[&str]>) -> Self {
        let number =
            |id: Option<EventId>| id.map_or_else(|| "null".to_string(), |id| id.to_string());
        let mut data = format!(r#"{{"after":{},"oldest":{}"#, number(after), number(oldest));
        if let Some(tokens) = tokens {
            data += &format!(r#","tokens":{}"#, on_one_line(&serde_json::json!(tokens)));
        }
        Self::of_text(&["event: gap\ndata: ", &data, "}\n\n"])
    }

    /// An event as one line of JSON, which says whom it was for, the names of its targets, and whether it
    /// was published as private.
    pub fn to_json(&self, to: &[&str], private: bool) -> Self {
        let Parts { id, name, text } = self.parts();
        let to = match to {
            [one] => serde_json::json!(one),
            several => serde_json::json!(several),
        };
        let mut line = format!(r#"{{"id":{id},"to":{}"#, on_one_line(&to));
        if let Some(name) = name {
            line += &format!(r#","event":{}"#, on_one_line(&name.into()));
        }
        if private {
            line += r#","private":true"#;
        }
        line += &format!(r#","data":{}}}"#, on_one_line(&text.into()));
        let room = line.len() + id.len() + "id: \ndata: \n\n".len();
        Self::new(room, true, |block| {
            for part in ["id: ", id, "\ndata: ", &line, "\n\n"] {
                block.extend_from_slice(part.as_bytes());
            }
        })
    }

    /// Takes an event apart again.
    fn parts(&self) -> Parts<'_> {
        // Made of texts; what is said here of its form is what `Frame::event` writes.
        let block = str::from_utf8(self.bytes(false)).unwrap_or_default();
        let block = block.strip_suffix("\n\n").unwrap_or(block);
        let (id, block) = block.split_once('\n').unwrap_or((block, ""));
        let (name, block) = match block.strip_prefix("event: ") {
            Some(named) => {
                let (name, block) = named.split_once('\n').unwrap_or((named, ""));
                (Some(name), block)
            }
            None => (None, block),
        };
        let text = match self.extra.as_ref().and_then(|extra| extra.text.as_ref()) {
            Some(text) => text.to_string(),
            None => {
                let lines = block.split('\n');
                let lines = lines.map(|line| line.strip_prefix("data: ").unwrap_or(line));
                lines.collect::<Vec<_>>().join("\n")
            }
        };
        Parts {
            id: id.strip_prefix("id: ").unwrap_or(id),
            name,
            text,
        }
    }
}

/// What an event's block says.
struct Parts<'a> {
    id: &'a str,
    name: Option<&'a str>,
    text: String,
}

/// JSON that no client takes for several lines.
fn on_one_line(value: &serde_json::Value) -> String {
    let mut json = value.to_string();
    for (separator, escaped) in SEPARATORS {
        if json.contains(separator) {
            json = json.replace(separator, escaped);
        }
    }
    json
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn plain(frame: &Frame) -> String {
        String::from_utf8(frame.bytes(false).to_vec()).unwrap()
    }

    #[test]
    fn positions_have_three_forms() {
        let id = EventId(12);
        assert_eq!(plain(&Frame::position(id)), "id: 12\n\n");
        assert_eq!(
            plain(&Frame::ping(id, 15)),
            "event: ping\nid: 12\ndata: 15\n\n"
        );
        assert_eq!(Frame::comment().bytes(true), b"2\r\n:\n\r\n");
        assert!(!Frame::ping(id, 0).is_event() && !Frame::comment().is_event());
    }

    #[test]
    fn a_gap_may_name_its_tokens() {
        let id = |number| Some(EventId(number));
        for (gap, data) in [
            (Frame::gap(id(5), id(9), None), r#"{"after":5,"oldest":9}"#),
            (
                Frame::gap(None, None, None),
                r#"{"after":null,"oldest":null}"#,
            ),
            (
                Frame::gap(id(5), None, Some(&["a\u{2028}\"", "*"])),
                r#"{"after":5,"oldest":null,"tokens":["a\u2028\"","*"]}"#,
            ),
        ] {
            assert_eq!(plain(&gap), format!("event: gap\ndata: {data}\n\n"));
        }
    }

    #[test]
    fn an_event_as_json_says_whom_it_was_for() {
        let event = Frame::event(EventId(7), Some("done"), "a\nb");
        assert_eq!(
            plain(&event.to_json(&["pre*"], false)),
            "id: 7\ndata: {\"id\":7,\"to\":\"pre*\",\"event\":\"done\",\"data\":\"a\\nb\"}\n\n"
        );
        let event = Frame::event(EventId(8), None, "event: x\ndata: \u{85}");
        assert_eq!(
            plain(&event.to_json(&["a", "*"], false)),
            "id: 8\ndata: {\"id\":8,\"to\":[\"a\",\"*\"],\"data\":\"event: x\\ndata: \\u0085\"}\n\n"
        );
        let private = event.to_json(&["a"], true);
        assert!(private.is_event());
        assert!(plain(&private).contains(r#","private":true,"data":"#));
    }

    proptest! {
        #[test]
        fn the_text_is_the_publishers_own(
            data in "(\\PC|[\r\n\u{85}\u{2028}\0\"\\\\]){0,20}",
            name in proptest::option::of("\\PC{1,5}"),
        ) {
            let frame = Frame::event(EventId(1), name.as_deref(), &data).to_json(&["a"], false);
            let block = plain(&frame);
            prop_assert_eq!(block.lines().count(), 3);
            let line = block.lines().nth(1).unwrap().strip_prefix("data: ").unwrap();
            let value: Value = serde_json::from_str(line).unwrap();
            let mut wanted = json!({"id": 1, "to": "a", "data": data});
            if let Some(name) = name {
                wanted["event"] = name.into();
            }
            prop_assert_eq!(value, wanted);
        }
    }
}
