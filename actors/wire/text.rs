//! The stream of text messages, commands and JSON lines, cut into pieces.
//!
//! A piece of text ends at a newline, at CR LF or at the delimiter; a line that begins with `{` is
//! JSON and ends at its newline only. So is what begins with `{"` right after a delimiter: in a FIFO
//! one writer's `a=1;` may stand before another's line of JSON; and a line that begins with `[{`, which
//! is refused as a whole. Blanks before `{` are skipped at the beginning of a line, and U+FEFF before
//! every piece: some programs write it in front of all that they write. Pieces also end where the stream
//! does, and text where the stream falls silent, if its owner says so.

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
/// U+FEFF as UTF-8.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// One piece of the stream, without what ended it; never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A message `ADDRESS=TEXT` or a command.
    Text(&'a [u8]),
    /// What begins with `{`, or a line that begins with `[{`, to the end of its line.
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
    /// Whether the unfinished piece has nothing yet but what may stand before it.
    leading: bool,
    /// Whether control characters in addresses end the stream; where they do, how it stands.
    guard: Option<Guard>,
}

/// Looks for control characters in the addresses of text.
///
/// A web page can make a browser write to a port of this machine with WebRTC (ICE over TCP, RFC 6544):
/// frames of STUN, with lengths and texts that the page chooses, but always with NULs before them.
/// No publisher writes control characters other than TAB, CR and LF before the `=` of a message.
#[derive(Debug, Default)]
struct Guard {
    /// Whether the unfinished piece has had its `=`.
    in_data: bool,
    /// Whether such a character came: nothing is taken any more.
    broken: bool,
}

impl Guard {
    /// Looks at the next bytes of a piece of text.
    fn look(&mut self, bytes: &[u8]) {
        if self.in_data {
            return;
        }
        let address = match memchr(b'=', bytes) {
            Some(at) => {
                self.in_data = true;
                &bytes[..at]
            }
            None => bytes,
        };
        self.broken |= address
            .iter()
            .any(|byte| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n'));
    }
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
            leading: false,
            guard: None,
        }
    }

    /// From now on a control character other than TAB, CR and LF in the address of a text message, or in
    /// a command, breaks the stream: see [`Splitter::is_broken`].
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guard = Some(Guard::default());
        self
    }

    /// Whether the stream has to end, as something came that no publisher writes. Nothing of that piece
    /// or of what follows is handed on.
    pub fn is_broken(&self) -> bool {
        self.guard.as_ref().is_some_and(|guard| guard.broken)
    }

    /// Takes the next bytes and hands on each piece that they complete, in order.
    pub fn feed(&mut self, mut bytes: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        while !self.is_broken() {
            if self.leading || !self.unfinished() {
                bytes = self.lead(bytes);
            }
            let Some(&first) = bytes.first() else {
                return;
            };
            if !self.unfinished() {
                self.json = first == b'{' && (self.line_start || bytes.get(1) == Some(&b'"'))
                    || self.line_start && bytes.starts_with(b"[{");
            } else if first == b'"' && self.rest == b"{"
                || first == b'{' && self.rest == b"[" && self.line_start
            {
                self.json = true;
            }
            let end = if self.json {
                memchr(b'\n', bytes)
            } else {
                memchr2(self.delimiter, b'\n', bytes)
            };
            self.look(&bytes[..end.unwrap_or(bytes.len())]);
            if self.is_broken() {
                self.rest = Vec::new();
                return;
            }
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

    fn look(&mut self, bytes: &[u8]) {
        if let Some(guard) = &mut self.guard
            && !self.json
        {
            guard.look(bytes);
        }
    }

    /// Skips what may stand before a piece; the bytes from which on it is decided. Blanks are kept
    /// until then: they are the text's own if it is no JSON.
    fn lead<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while let Some(&first) = bytes.first() {
            let blank = self.line_start && matches!(first, b' ' | b'\t') && self.rest.len() < HEAD;
            let mark = BOM.get(self.rest.len()) == Some(&first) && BOM.starts_with(&self.rest);
            if !blank && !mark {
                if first == b'{' && self.rest.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
                    self.rest.clear();
                }
                break;
            }
            // Nothing is copied where nothing stands before the piece.
            self.rest.push(first);
            self.json = false;
            bytes = &bytes[1..];
            if self.rest == BOM {
                // What one writer puts into a pipe is the beginning of a line.
                self.rest.clear();
                self.line_start = true;
            }
        }
        self.leading = bytes.is_empty() && !self.rest.is_empty();
        bytes
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
        if !self.is_broken() {
            self.complete(&[], each);
        }
        self.line_start = true;
    }

    /// Whether an unfinished text piece waits, which silence would end. An `auth` line would not.
    pub fn text_waits(&self) -> bool {
        self.unfinished() && !self.json && !is_auth(&self.rest)
    }

    /// How many bytes wait for the end of their piece.
    pub fn waiting(&self) -> usize {
        self.rest.len()
    }

    /// Whether a piece waits for its end.
    pub fn unfinished(&self) -> bool {
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
        self.leading = false;
        if let Some(guard) = &mut self.guard {
            guard.in_data = false;
        }
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
        assert_eq!(whole(";{a}\n {b}\n"), [text("{a}"), json("{b}")]);
        assert_eq!(whole("a=1; {b;c\n"), ["a=1", " {b", "c"].map(text));
        assert_eq!(
            whole(" \t{b;}\n a=1\n \n"),
            [json("{b;}"), text(" a=1"), text(" ")]
        );
        // A list of messages is no message: the whole line is refused, not its pieces published.
        assert_eq!(
            whole("[{a=1;b}]\n[a=1;[{b\n"),
            [json("[{a=1;b}]"), text("[a=1"), text("[{b")]
        );
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

    #[test]
    fn a_byte_order_mark_is_skipped_before_a_piece() {
        for (bytes, expected) in [
            (
                "\u{feff}a=1\n\u{feff}b=2;\u{feff}c=3",
                ["a=1", "b=2", "c=3"].map(text).to_vec(),
            ),
            (
                "\u{feff}{a;}\n\u{feff} {b;}\n",
                vec![json("{a;}"), json("{b;}")],
            ),
            // The second writer's first write.
            ("a=1;\u{feff}{b;}\n", vec![text("a=1"), json("{b;}")]),
            ("\u{feff}\n\u{feff}", vec![]),
            ("a\u{feff}=\u{feff}\n", vec![text("a\u{feff}=\u{feff}")]),
            ("\u{fe00}=1\n", vec![text("\u{fe00}=1")]),
        ] {
            assert_eq!(whole(bytes), expected, "{bytes:?}");
            assert_eq!(pieces(bytes.as_bytes().chunks(1)), expected, "{bytes:?}");
        }
        assert_eq!(
            pieces([&b"\xef\xbb"[..], b"a=1"]),
            [Owned::Text(b"\xef\xbba=1".to_vec())]
        );
    }

    /// A request of STUN as Chromium writes it over TCP (RFC 4571, RFC 8489), with a message in the
    /// user name that a page chose.
    const STUN: &[u8] = b"\x00\x74\x00\x01\x00\x58\x21\x12\xa4\x42abcdefghijkl\x00\x06\x00;\
                          room1=FORGED/BY/A/PAGE;:abcd\n\xc0\x57\x00\x04";

    #[test]
    fn a_control_character_in_an_address_breaks_a_guarded_stream() {
        let guarded = |portions: &[&[u8]]| {
            let mut found: Vec<Owned> = Vec::new();
            let mut each = |piece: Piece<'_>| found.push(piece.into());
            let mut splitter = splitter().guarded();
            for portion in portions {
                splitter.feed(portion, &mut each);
            }
            splitter.finish(&mut each);
            (found, splitter.is_broken())
        };
        for (bytes, taken) in [
            (STUN, vec![]),
            (b"a=1\n\0b=2;c=3", vec![text("a=1")]),
            (b"a=1;b\x7f=2\nc=3\n", vec![text("a=1")]),
            (b"status\x1b\nstatus\n", vec![]),
            (b"a=1\nb\x01", vec![text("a=1")]),
        ] {
            let expected = (taken, true);
            assert_eq!(guarded(&[bytes]), expected);
            let each: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(guarded(&each), expected);
        }
        // Long before its end, and however long it is.
        let mut splitter = splitter().guarded();
        splitter.feed(&[b'x'; 500], &mut |_| {});
        splitter.feed(b"\0", &mut |_| {});
        assert!(splitter.is_broken() && splitter.rest.capacity() == 0);
        // Data may hold whatever it likes, and JSON has its own rules.
        let fine = b"a\tb=\0\x01\r\nc=\0;{\"\0\n";
        assert_eq!(
            guarded(&[fine]),
            (
                vec![text("a\tb=\0\x01"), text("c=\0"), json("{\"\0")],
                false
            )
        );
    }

    /// The rules once more, written the slow and obvious way.
    fn model(bytes: &[u8]) -> Vec<Owned> {
        let mut found = Vec::new();
        for mut line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut line_start = true;
            while !line.is_empty() {
                while let Some(rest) = line.strip_prefix(BOM) {
                    (line, line_start) = (rest, true);
                }
                let blanks = line
                    .iter()
                    .take_while(|byte| matches!(byte, b' ' | b'\t'))
                    .count();
                let text = &line[blanks..];
                if line_start && blanks <= HEAD && text.starts_with(b"{") {
                    line = text;
                }
                if line.is_empty() {
                    break;
                }
                let json = line_start && (line.starts_with(b"{") || line.starts_with(b"[{"))
                    || line.starts_with(b"{\"");
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
            8 => "[{};=\r\na\" \t\\[\u{feff}]{1,6}".prop_map(String::into_bytes),
            1 => Just(b"\xef\xbb".to_vec()),
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
