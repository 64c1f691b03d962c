//! The stream of text messages, commands and JSON lines, cut into pieces.
//!
//! A piece of text ends at a newline, at CR LF or at the delimiter; a line that begins with `{` is
//! JSON and ends at its newline only. So is what begins with `{"` right after a delimiter: in a FIFO
//! one writer's `a=1;` may stand before another's line of JSON. Both also end where the stream does,
//! and text where the stream falls silent, if its owner says so.

use memchr::{memchr, memchr2};

use super::auth::is_auth;

/// Bytes that a text piece may have beside its data: the address of two names, `-`, `*` and `=`.
const ADDRESS_ROOM: usize = 1024;
/// Bytes that a JSON line may have beside its data, whose bytes take up to six as `\u00XX`.
const JSON_ROOM: usize = 65536;
/// How much of a piece that was too long is shown.
const HEAD: usize = 64;
/// A buffer that grew beyond this is given back after its piece.
const KEPT_CAPACITY: usize = 64 * 1024;

/// One piece of the stream, without what ended it; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A message `ADDRESS=TEXT` or a command.
    Text(&'a [u8]),
    /// What begins with `{`, to the end of its line.
    Json(&'a [u8]),
    /// A piece that is longer than any message may be; the rest of it is thrown away.
    TooLong {
        /// Its first bytes, at most 64.
        head: &'a [u8],
        /// Whether it is a JSON line.
        json: bool,
    },
}

/// Cuts one stream into pieces, in whatever portions its bytes arrive.
///
/// A piece that lies whole in one portion is handed on without a copy; only an unfinished rest is
/// buffered. No byte is searched twice.
#[derive(Debug)]
pub struct Splitter {
    delimiter: u8,
    max_text: usize,
    max_json: usize,
    /// What is there of the unfinished piece.
    rest: Vec<u8>,
    /// Whether the unfinished piece was found too long: its bytes are thrown away.
    skipping: bool,
    /// Whether the unfinished piece is a JSON line.
    json: bool,
    /// Whether the piece in hand is the first of its line.
    line_start: bool,
    /// Whether the piece in hand ends at a newline, and a CR before it with it.
    at_newline: bool,
}

impl Splitter {
    /// A splitter at the start of a stream whose messages have at most `max_message` bytes of data.
    pub fn new(delimiter: u8, max_message: usize) -> Self {
        Self::with_limits(
            delimiter,
            max_message.saturating_add(ADDRESS_ROOM),
            max_message.saturating_mul(6).saturating_add(JSON_ROOM),
        )
    }

    fn with_limits(delimiter: u8, max_text: usize, max_json: usize) -> Self {
        Self {
            delimiter,
            max_text,
            max_json,
            rest: Vec::new(),
            skipping: false,
            json: false,
            line_start: true,
            at_newline: false,
        }
    }

    /// Takes the next bytes and hands on each piece that they complete, in order.
    pub fn feed(&mut self, mut bytes: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        while let Some(&first) = bytes.first() {
            if !self.unfinished() {
                self.json = first == b'{' && (self.line_start || bytes.get(1) == Some(&b'"'));
            } else if first == b'"' && self.rest == b"{" {
                self.json = true;
            }
            let end = if self.json {
                memchr(b'\n', bytes)
            } else {
                memchr2(self.delimiter, b'\n', bytes)
            };
            let Some(end) = end else {
                self.keep(bytes, each);
                return;
            };
            self.at_newline = bytes[end] == b'\n';
            self.complete(&bytes[..end], each);
            self.line_start = self.at_newline;
            bytes = &bytes[end + 1..];
        }
    }

    /// The stream has been silent for so long that an unfinished text piece counts as ended. A JSON
    /// line goes on.
    pub fn silence(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        if self.text_waits() {
            self.finish(each);
        }
    }

    /// The stream has ended, or may begin anew (a FIFO without writers): an unfinished piece counts
    /// as ended.
    pub fn finish(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        self.at_newline = false;
        self.complete(&[], each);
        self.line_start = true;
    }

    /// Whether an unfinished text piece waits, which silence would end. An `auth` line would not.
    pub fn text_waits(&self) -> bool {
        self.unfinished() && !self.json && !is_auth(&self.rest)
    }

    fn unfinished(&self) -> bool {
        self.skipping || !self.rest.is_empty()
    }

    fn limit(&self) -> usize {
        if self.json {
            self.max_json
        } else {
            self.max_text
        }
    }

    /// Buffers `bytes`, which have no end of the piece in them.
    fn keep(&mut self, bytes: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        if self.skipping {
            return;
        }
        if self.rest.len() + bytes.len() <= self.limit() {
            self.rest.extend_from_slice(bytes);
        } else {
            self.refuse(bytes, each);
            self.skipping = true;
        }
    }

    /// Hands on the piece that ends with `last`.
    fn complete(&mut self, last: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        if self.skipping {
            self.skipping = false;
        } else if self.rest.len() + last.len() > self.limit() {
            self.refuse(last, each);
        } else if self.rest.is_empty() {
            self.emit(last, each);
        } else {
            self.rest.extend_from_slice(last);
            let mut rest = std::mem::take(&mut self.rest);
            self.emit(&rest, each);
            if rest.capacity() <= KEPT_CAPACITY {
                rest.clear();
                self.rest = rest;
            }
        }
    }

    /// Hands on a whole piece, unless there is nothing in it. A CR before a newline is not part of it.
    fn emit(&self, piece: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        let piece = match piece {
            [line @ .., b'\r'] if self.at_newline => line,
            _ => piece,
        };
        match piece {
            // A CR alone is what silence may leave of a CR LF.
            [] | b"\r" => {}
            _ if self.json => each(Piece::Json(piece)),
            _ => each(Piece::Text(piece)),
        }
    }

    /// Says that the piece which goes on with `next` is too long, and forgets it.
    fn refuse(&mut self, next: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        let mut rest = std::mem::take(&mut self.rest);
        let missing = HEAD.saturating_sub(rest.len()).min(next.len());
        rest.extend_from_slice(&next[..missing]);
        each(Piece::TooLong {
            head: &rest[..rest.len().min(HEAD)],
            json: self.json,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A piece that owns its bytes.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Owned {
        Text(Vec<u8>),
        Json(Vec<u8>),
        TooLong(Vec<u8>, bool),
    }

    impl From<Piece<'_>> for Owned {
        fn from(piece: Piece<'_>) -> Self {
            match piece {
                Piece::Text(text) => Self::Text(text.to_vec()),
                Piece::Json(line) => Self::Json(line.to_vec()),
                Piece::TooLong { head, json } => Self::TooLong(head.to_vec(), json),
            }
        }
    }

    fn text(text: &str) -> Owned {
        Owned::Text(text.into())
    }

    fn json(line: &str) -> Owned {
        Owned::Json(line.into())
    }

    /// Small limits, so that tests reach them.
    fn splitter() -> Splitter {
        Splitter::with_limits(b';', 100, 150)
    }

    fn pieces<'a>(portions: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
        let mut found = Vec::new();
        let mut each = |piece: Piece<'_>| found.push(piece.into());
        let mut splitter = splitter();
        for portion in portions {
            splitter.feed(portion, &mut each);
        }
        splitter.finish(&mut each);
        found
    }

    fn whole(bytes: &str) -> Vec<Owned> {
        pieces([bytes.as_bytes()])
    }

    #[test]
    fn newlines_and_delimiters_end_text() {
        assert_eq!(
            whole("a=1;b=2\nc=3\r\nd=4"),
            ["a=1", "b=2", "c=3", "d=4"].map(text)
        );
        assert_eq!(whole(";;\n\r\n;\r\n\n"), []);
        assert_eq!(whole("a=1\r;b=\rx\n"), ["a=1\r", "b=\rx"].map(text));
        assert_eq!(whole("a=1\r"), [text("a=1\r")]);
        assert_eq!(whole("\r"), []);
    }

    #[test]
    fn json_fills_its_line() {
        assert_eq!(
            whole("{\"a\":\";\"}\r\na=1;{b;c\n{d;e}"),
            [
                json(r#"{"a":";"}"#),
                text("a=1"),
                text("{b"),
                text("c"),
                json("{d;e}")
            ]
        );
        assert_eq!(whole(";{a}\n {b}\n"), [text("{a}"), text(" {b}")]);
        // Another writer's line.
        assert_eq!(
            whole("a=1;{\"b\":\";\"}\nc"),
            [text("a=1"), json(r#"{"b":";"}"#), text("c")]
        );
        assert_eq!(whole("a;{;\"b;c"), ["a", "{", "\"b", "c"].map(text));
    }

    #[test]
    fn silence_ends_text_and_never_json() {
        let mut found: Vec<Owned> = Vec::new();
        let mut each = |piece: Piece<'_>| found.push(piece.into());
        let mut splitter = splitter();
        assert!(!splitter.text_waits());
        splitter.silence(&mut each);
        splitter.feed(b"{\"a\"", &mut each);
        assert!(!splitter.text_waits());
        splitter.silence(&mut each);
        splitter.feed(b":1}\na=1", &mut each);
        assert!(splitter.text_waits());
        splitter.silence(&mut each);
        assert!(!splitter.text_waits());
        splitter.feed(b"{b}\nc=1;", &mut each);
        assert!(!splitter.text_waits());
        splitter.feed(b"\r", &mut each);
        splitter.silence(&mut each);
        splitter.feed(b"\n{d}", &mut each);
        splitter.finish(&mut each);
        splitter.feed(b"{e}\n", &mut each);
        assert_eq!(
            found,
            [
                json("{\"a\":1}"),
                text("a=1"),
                json("{b}"),
                text("c=1"),
                json("{d}"),
                json("{e}")
            ]
        );
    }

    #[test]
    fn what_is_too_long_is_named_once_and_skipped() {
        let bytes = format!("a={};b=1\n{{{}}}\nc=1", "x".repeat(99), "y".repeat(149));
        let expected = [
            Owned::TooLong(format!("a={}", "x".repeat(62)).into(), false),
            text("b=1"),
            Owned::TooLong(format!("{{{}", "y".repeat(63)).into(), true),
            text("c=1"),
        ];
        assert_eq!(whole(&bytes), expected);
        assert_eq!(pieces(bytes.as_bytes().chunks(1)), expected);
        let fits = "x".repeat(100);
        assert_eq!(whole(&fits), [text(&fits)]);
    }

    #[test]
    fn silence_ends_what_is_skipped_too() {
        let mut found: Vec<Owned> = Vec::new();
        let mut each = |piece: Piece<'_>| found.push(piece.into());
        let mut splitter = splitter();
        splitter.feed(&[b'x'; 200], &mut each);
        assert!(splitter.text_waits());
        assert_eq!(splitter.rest.capacity(), 0);
        splitter.silence(&mut each);
        splitter.feed(b"a=1;", &mut each);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1], text("a=1"));
    }

    #[test]
    fn a_big_buffer_is_given_back() {
        let mut splitter = Splitter::new(b';', 1 << 20);
        let mut lengths = Vec::new();
        let mut each = |piece: Piece<'_>| match piece {
            Piece::Text(text) => lengths.push(text.len()),
            _ => lengths.push(0),
        };
        for _ in 0..1000 {
            splitter.feed(&[b'x'; 1000], &mut each);
        }
        splitter.feed(b";a=1", &mut each);
        assert!(splitter.rest.capacity() <= KEPT_CAPACITY);
        splitter.finish(&mut each);
        assert_eq!(lengths, [1_000_000, 3]);
    }

    #[test]
    fn whole_pieces_are_not_copied() {
        let bytes = b"a=1;b=2\n{c}\n";
        Splitter::new(b';', 100).feed(bytes, &mut |piece| {
            let (Piece::Text(piece) | Piece::Json(piece)) = piece else {
                panic!("{piece:?}");
            };
            assert!(bytes.as_ptr_range().contains(&piece.as_ptr()));
        });
    }

    /// The rules once more, written the slow and obvious way.
    fn model(bytes: &[u8]) -> Vec<Owned> {
        let mut found = Vec::new();
        for mut line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut line_start = true;
            while !line.is_empty() {
                let json = line[0] == b'{' && line_start || line.starts_with(b"{\"");
                line_start = false;
                let end = line.iter().position(|byte| *byte == b';' && !json);
                let (raw, after) = line.split_at(end.map_or(line.len(), |end| end + 1));
                line = after;
                let piece = raw.strip_suffix(b"\n").or(raw.strip_suffix(b";"));
                // In JSON a `;` is the text's own.
                let piece = if json { raw.strip_suffix(b"\n") } else { piece };
                let piece = piece.unwrap_or(raw);
                if piece.len() > if json { 150 } else { 100 } {
                    found.push(Owned::TooLong(piece[..64].to_vec(), json));
                    continue;
                }
                let piece = match piece.strip_suffix(b"\r") {
                    Some(line) if raw.ends_with(b"\n") => line,
                    _ => piece,
                };
                match piece {
                    b"" | b"\r" => {}
                    _ if json => found.push(Owned::Json(piece.to_vec())),
                    _ => found.push(Owned::Text(piece.to_vec())),
                }
            }
        }
        found
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            8 => "[{};=\r\na\"]{1,6}".prop_map(String::into_bytes),
            4 => Just(b"\n".to_vec()),
            2 => Just(b"\r\n".to_vec()),
            1 => (95usize..160).prop_map(|length| vec![b'x'; length]),
            1 => any::<Vec<u8>>(),
        ];
        proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_pieces(
            bytes in stream(),
            sizes in proptest::collection::vec(1usize..40, 1..20),
        ) {
            let expected = model(&bytes);
            prop_assert_eq!(&pieces([&bytes[..]]), &expected);
            prop_assert_eq!(&pieces(bytes.chunks(1)), &expected);
            let mut rest = &bytes[..];
            let portions: Vec<&[u8]> = sizes.iter().cycle().map_while(|size| {
                let (portion, after) = rest.split_at((*size).min(rest.len()));
                rest = after;
                (!portion.is_empty()).then_some(portion)
            }).collect();
            prop_assert_eq!(&pieces(portions), &expected);
        }

        #[test]
        fn silence_cuts_no_json_line(
            lines in proptest::collection::vec("\\{[^\r\n]{0,30}", 1..6),
            size in 1usize..20,
        ) {
            let bytes = lines.iter().fold(String::new(), |all, line| all + line + "\n");
            let mut found: Vec<Owned> = Vec::new();
            let mut splitter = splitter();
            for portion in bytes.as_bytes().chunks(size) {
                splitter.feed(portion, &mut |piece| found.push(piece.into()));
                splitter.silence(&mut |piece| found.push(piece.into()));
            }
            let lines: Vec<Owned> = lines.iter().map(|line| json(line)).collect();
            prop_assert_eq!(found, lines);
        }
    }
}
