//! Events as bytes (WHATWG HTML §9.2, event stream format), framed for chunked transfer.

use std::cell::Cell;

use crate::model::EventId;
use crate::model::histogram::Stopwatch;

mod forms;
mod hub;

pub use hub::hub_id;

/// One block of the stream, encoded once for all who get it: whole it is one chunk (RFC 9112 §7.1),
/// and the part between the chunk's size and its end is what HTTP/1.0 gets.
#[derive(Debug)]
pub struct Frame {
    /// Room for the chunk's size, which stands at its end; the block; the chunk's end.
    bytes: Box<[u8]>,
    /// Where the chunk's size begins.
    start: u8,
    is_event: bool,
    extra: Option<Box<Extra>>,
}

thread_local! {
    /// Bytes of all frames that there are.
    static IN_MEMORY: Cell<usize> = const { Cell::new(0) };
}

/// Bytes of all frames that there are: nearly all of them wait for somebody.
pub fn frames_in_memory() -> usize {
    IN_MEMORY.get()
}

fn counted(bytes: Box<[u8]>) -> Box<[u8]> {
    IN_MEMORY.set(IN_MEMORY.get() + bytes.len());
    bytes
}

impl Drop for Frame {
    fn drop(&mut self) {
        IN_MEMORY.set(IN_MEMORY.get() - self.bytes.len());
    }
}

/// What few frames have.
#[derive(Debug, Default)]
struct Extra {
    /// Ends with the frame, which is when its last recipient has it.
    _stopwatch: Option<Stopwatch>,
    /// The event's text as it was published, where the frame's lines do not tell: it has a CR.
    text: Option<Box<str>>,
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.bytes(true) == other.bytes(true)
    }
}

impl Eq for Frame {}

/// Bytes that the size of any chunk takes at most: as many hexadecimal digits as a number can have,
/// and a line end.
const SIZE_ROOM: usize = 18;
/// What ends a chunk.
const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk, with an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

impl Frame {
    /// An event with its id, its name if it has one, and its text. CR LF, CR and LF each end a
    /// line of the text; a line end at its end is followed by one more, empty, line.
    pub fn event(id: EventId, name: Option<&str>, data: &str) -> Self {
        // Exact for an id of today with one line of data.
        let name_line = name.map_or(0, |name| "\nevent: ".len() + name.len());
        let room = "id: 1795482798583468\ndata: \n\n".len() + name_line + data.len();
        let mut has_cr = false;
        let mut frame = Self::new(room, true, |block| {
            block.extend_from_slice(b"id: ");
            block.extend_from_slice(itoa::Buffer::new().format(id.0).as_bytes());
            if let Some(name) = name {
                block.extend_from_slice(b"\nevent: ");
                block.extend_from_slice(name.as_bytes());
            }
            let mut lines = Lines::of(data.as_bytes());
            for line in &mut lines {
                block.extend_from_slice(b"\ndata: ");
                block.extend_from_slice(line);
            }
            has_cr = lines.has_cr;
            block.extend_from_slice(b"\n\n");
        });
        if has_cr {
            let text = Some(data.into());
            frame.extra = Some(Box::new(Extra {
                text,
                ..Extra::default()
            }));
        }
        frame
    }

    /// The same event without its `id:` line.
    #[must_use]
    pub fn without_id(&self) -> Self {
        let block = self.bytes(false);
        let line = block.iter().position(|byte| *byte == b'\n');
        let rest = line.and_then(|end| block.get(end + 1..));
        let rest = rest.unwrap_or_default();
        Self::new(rest.len(), true, |block| block.extend_from_slice(rest))
    }

    /// A position block: browsers keep its id and show nothing.
    pub fn position(id: EventId) -> Self {
        Self::of_number("id: ", id.0)
    }

    /// A block of one line: a number and what it is.
    fn of_number(field: &str, number: u64) -> Self {
        Self::of_text(&[field, itoa::Buffer::new().format(number), "\n\n"])
    }

    fn of_text(parts: &[&str]) -> Self {
        let room = parts.iter().map(|part| part.len()).sum();
        Self::new(room, false, |block| {
            for part in parts {
                block.extend_from_slice(part.as_bytes());
            }
        })
    }

    /// A frame around the block that `write` adds, for which `room` is made.
    fn new(room: usize, is_event: bool, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::with_capacity(SIZE_ROOM + room + CHUNK_END.len());
        bytes.resize(SIZE_ROOM, 0);
        write(&mut bytes);
        let size = bytes.len() - SIZE_ROOM;
        bytes.extend_from_slice(CHUNK_END);
        let start = put_size(size, &mut bytes[..SIZE_ROOM]);
        Self {
            bytes: counted(bytes.into()),
            start: start as u8,
            is_event,
            extra: None,
        }
    }

    /// A copy whose life is measured: nobody may keep it but those who are to be sent it.
    #[must_use]
    pub fn timed(&self, stopwatch: Stopwatch) -> Self {
        Self {
            bytes: counted(self.bytes.clone()),
            extra: Some(Box::new(Extra {
                _stopwatch: Some(stopwatch),
                text: None,
            })),
            start: self.start,
            is_event: self.is_event,
        }
    }

    /// The bytes for a stream that is, or is not, chunked.
    pub fn bytes(&self, chunked: bool) -> &[u8] {
        if chunked {
            &self.bytes[usize::from(self.start)..]
        } else {
            &self.bytes[SIZE_ROOM..self.bytes.len() - CHUNK_END.len()]
        }
    }

    /// Whether it is an event, and no position block.
    pub fn is_event(&self) -> bool {
        self.is_event
    }
}

/// Puts a chunk's size with its line end to the end of `line`; where it begins.
fn put_size(mut size: usize, line: &mut [u8]) -> usize {
    let mut start = line.len() - 2;
    line[start..].copy_from_slice(b"\r\n");
    loop {
        start -= 1;
        line[start] = b"0123456789abcdef"[size & 15];
        size >>= 4;
        if size == 0 {
            return start;
        }
    }
}

/// Appends these parts of a stream as one piece: one chunk, if it is chunked.
pub fn append(parts: &[&[u8]], chunked: bool, out: &mut Vec<u8>) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if chunked {
        let mut line = [0; SIZE_ROOM];
        let start = put_size(length, &mut line);
        out.extend_from_slice(&line[start..]);
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    if chunked {
        out.extend_from_slice(CHUNK_END);
    }
}

/// The line that sets the time after which a client comes back (WHATWG HTML §9.2.6), in
/// milliseconds. It needs no empty line behind it, which many clients take for an empty message.
pub fn retry_line(milliseconds: u32) -> String {
    let mut number = itoa::Buffer::new();
    ["retry: ", number.format(milliseconds), "\n"].concat()
}

/// The lines of a text, by the line ends of the event stream format.
struct Lines<'a> {
    rest: Option<&'a [u8]>,
    /// Whether a CR was among the line ends so far.
    has_cr: bool,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self {
            rest: Some(text),
            has_cr: false,
        }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let text = self.rest?;
        let Some(end) = memchr::memchr2(b'\r', b'\n', text) else {
            self.rest = None;
            return Some(text);
        };
        let length = match text[end..] {
            [b'\r', b'\n', ..] => 2,
            _ => 1,
        };
        self.has_cr |= text[end] == b'\r';
        self.rest = Some(&text[end + length..]);
        Some(&text[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(frame: &Frame) -> String {
        String::from_utf8_lossy(frame.bytes(false)).into_owned()
    }

    #[test]
    fn an_event_has_id_name_and_a_data_line_for_each_line() {
        let frame = Frame::event(EventId(7), Some("done"), "a\r\nb\rc\n");
        assert_eq!(
            plain(&frame),
            "id: 7\nevent: done\ndata: a\ndata: b\ndata: c\ndata: \n\n"
        );
        assert_eq!(
            plain(&Frame::event(EventId(8), None, "")),
            "id: 8\ndata: \n\n"
        );
        assert_eq!(
            plain(&Frame::event(EventId(8), None, " x ")),
            "id: 8\ndata:  x \n\n"
        );
        assert!(frame.is_event());
    }

    #[test]
    fn a_frame_is_one_chunk() {
        assert_eq!(
            Frame::position(EventId(12)).bytes(true),
            b"8\r\nid: 12\n\n\r\n"
        );
        assert!(!Frame::position(EventId(12)).is_event());
    }

    #[test]
    fn the_parts_of_a_stream_make_one_piece() {
        let first = Frame::position(EventId(12));
        let retry = retry_line(2900);
        let parts = [retry.as_bytes(), first.bytes(false)];
        let mut plain = Vec::new();
        append(&parts, false, &mut plain);
        assert_eq!(plain, b"retry: 2900\nid: 12\n\n");
        let mut chunked = Vec::new();
        append(&parts, true, &mut chunked);
        assert_eq!(chunked, b"14\r\nretry: 2900\nid: 12\n\n\r\n");
    }

    /// What an EventSource makes of a stream (WHATWG HTML §9.2.6): (last event id, type, data).
    fn interpret(stream: &str) -> Vec<(String, String, String)> {
        let (mut id, mut name, mut data) = (String::new(), String::new(), String::new());
        let mut events = Vec::new();
        for line in Lines::of(stream.as_bytes()) {
            let line = String::from_utf8_lossy(line).into_owned();
            if line.is_empty() {
                if !data.is_empty() {
                    data.pop();
                    events.push((id.clone(), name.clone(), data.clone()));
                }
                (name, data) = (String::new(), String::new());
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => id = value.to_string(),
                "event" => name = value.to_string(),
                "data" => data.extend([value, "\n"]),
                _ => {}
            }
        }
        events
    }

    proptest! {
        #[test]
        fn a_browser_gets_the_message_back(
            data in "([a-z:é \u{1F600}]|\r|\n|\r\n){0,40}",
            name in proptest::option::of("[a-z: ]{0,4}[a-z]"),
            id in 1..EventId::END,
        ) {
            let frame = Frame::event(EventId(id), name.as_deref(), &data);
            let events = interpret(&plain(&frame));
            // A parser gives every line end back as LF.
            let lines = data.replace("\r\n", "\n").replace('\r', "\n");
            // One leading blank after the colon belongs to the format.
            prop_assert_eq!(events, vec![(id.to_string(), name.unwrap_or_default(), lines)]);
        }

        #[test]
        fn chunked_is_plain_in_one_chunk(data in "[a-z\n]{0,400}") {
            let frame = Frame::event(EventId(1), None, &data);
            let plain = frame.bytes(false);
            let chunk = [format!("{:x}\r\n", plain.len()).as_bytes(), plain, b"\r\n"].concat();
            prop_assert_eq!(frame.bytes(true), &chunk[..]);
        }
    }
}
