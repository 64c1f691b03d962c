//! Events out of the bytes of a stream (WHATWG HTML §9.2.6).

use std::mem;

/// A block of a stream, dispatched or not: one without data only moves the position.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// The last event id that holds from here on.
    pub(crate) id: Option<String>,
    /// The event's name.
    pub(crate) event: Option<String>,
    /// Its data; none in a block without a `data` field, which scripts never see.
    pub(crate) data: Option<String>,
    /// Milliseconds to wait before the next connection.
    pub(crate) retry: Option<u64>,
}

/// Cuts a stream of bytes into events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    after_cr: bool,
    begun: bool,
    now: Event,
}

impl Events {
    /// Takes the next bytes; the blocks that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut whole = Vec::new();
        for &byte in bytes {
            let after_cr = mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    let line = mem::take(&mut self.line);
                    whole.extend(self.end_line(&line));
                }
                _ => self.line.push(byte),
            }
        }
        whole
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Event> {
        let line = match line.strip_prefix("\u{feff}".as_bytes()) {
            Some(rest) if !self.begun => rest,
            _ => line,
        };
        self.begun = true;
        if line.is_empty() {
            let event = mem::take(&mut self.now);
            return (event != Event::default()).then_some(event);
        }
        let text = String::from_utf8_lossy(line);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" if !value.contains('\0') => self.now.id = Some(value.to_owned()),
            "event" => self.now.event = Some(value.to_owned()),
            "data" => match &mut self.now.data {
                None => self.now.data = Some(value.to_owned()),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
            },
            "retry" => self.now.retry = value.parse().ok(),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_split_gives_the_same_events() {
        let bytes = "\u{feff}retry: 5\r\nid: 1\r\n\r\n: x\n\nevent: e\ndata: a\ndata:b\rid: 2\n\ndata\n\nhalf: x\n";
        let mut at_once = Events::default();
        let whole = at_once.push(bytes.as_bytes());
        let mut dripped = Events::default();
        let each: Vec<Event> = (bytes.bytes())
            .flat_map(|byte| dripped.push(&[byte]))
            .collect();
        assert_eq!(whole, each);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            whole,
            [
                Event {
                    id: text("1"),
                    retry: Some(5),
                    ..Event::default()
                },
                Event {
                    id: text("2"),
                    event: text("e"),
                    data: text("a\nb"),
                    retry: None
                },
                Event {
                    data: text(""),
                    ..Event::default()
                },
            ]
        );
    }
}
