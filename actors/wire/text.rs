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
#[path = "text_tests.rs"]
mod tests;
