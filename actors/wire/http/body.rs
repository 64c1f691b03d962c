//! A request's body out of bytes in any pieces (RFC 9112 §6, §7.1).

use memchr::memchr;

use super::{BodyLength, Refused};

/// The most bytes that chunk extensions and trailer fields, which are thrown away, may have
/// together.
pub const MAX_EXTRA: usize = 8 * 1024;

/// A body on its way in.
///
/// [`feed`](Self::feed) takes the bytes that are its own and leaves what follows: the next request.
#[derive(Debug)]
pub struct Body {
    state: State,
    data: Vec<u8>,
    max: usize,
    extra: usize,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// This many bytes of a body whose length was told.
    Rest(usize),
    /// The hexadecimal digits of a chunk's size: those so far.
    Size { size: u64, digits: u8 },
    /// Spaces between the size and an extension.
    Space { size: u64 },
    /// An extension.
    Extension { size: u64 },
    /// The newline that ends the size's line.
    SizeEnd { size: u64 },
    /// This many bytes of a chunk.
    Chunk(usize),
    /// The CR after a chunk.
    ChunkCr,
    /// The LF after a chunk.
    ChunkLf,
    /// A trailer field's line; `empty` = nothing of it yet.
    Trailer { empty: bool },
    /// The newline that ends a trailer line.
    TrailerEnd { empty: bool },
    /// Nothing: it is complete.
    Done,
}

impl Body {
    /// A body of which nothing has come, of at most `max` bytes.
    ///
    /// Errors: 413 if the request says already that it is longer.
    pub fn new(length: BodyLength, max: usize) -> Result<Self, Refused> {
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Done,
            BodyLength::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= max => State::Rest(length),
                _ => return Err(too_long(max)),
            },
            BodyLength::Chunked => State::CHUNK,
        };
        Ok(Self {
            state,
            data: Vec::new(),
            max,
            extra: 0,
        })
    }

    /// Takes what of `bytes` belongs to the body and says how many bytes that were: all, unless
    /// the body became complete.
    ///
    /// Errors: 413 as soon as the body is known to be longer than allowed, 431 for more than
    /// [`MAX_EXTRA`] bytes beside the data, 400 for malformed chunks. Bytes fed after an error
    /// have no meaning.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        let mut rest = bytes;
        while self.state != State::Done {
            match self.state {
                State::Rest(wanted) | State::Chunk(wanted) => {
                    let (data, after) = rest.split_at(wanted.min(rest.len()));
                    if data.is_empty() {
                        break;
                    }
                    self.data.extend_from_slice(data);
                    rest = after;
                    self.state = match (self.state, wanted - data.len()) {
                        (State::Rest(_), 0) => State::Done,
                        (State::Rest(_), wanted) => State::Rest(wanted),
                        (_, 0) => State::ChunkCr,
                        (_, wanted) => State::Chunk(wanted),
                    };
                }
                // Thrown away in one go up to the end of their line.
                State::Extension { .. } | State::Trailer { .. } => {
                    let length = memchr(b'\r', rest).unwrap_or(rest.len());
                    let (line, after) = rest.split_at(length);
                    self.throw_away(line)?;
                    let Some((_, after)) = after.split_first() else {
                        rest = after;
                        break;
                    };
                    rest = after;
                    self.state = match self.state {
                        State::Extension { size } => State::SizeEnd { size },
                        State::Trailer { empty } => State::TrailerEnd { empty },
                        other => other,
                    };
                }
                state => {
                    let Some((byte, after)) = rest.split_first() else {
                        break;
                    };
                    self.state = self.framing(state, *byte)?;
                    rest = after;
                }
            }
        }
        Ok(bytes.len() - rest.len())
    }

    /// Whether all of it has come.
    pub fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// The data that has come since the last call, without chunk framing.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.data)
    }

    /// How many bytes of data have come since the last [`take`](Self::take).
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether none have.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Throws the data away that has come; it still counts.
    ///
    /// Errors: 413 when there is more of it than allowed.
    pub fn forget(&mut self) -> Result<(), Refused> {
        match self.max.checked_sub(self.data.len()) {
            Some(rest) => {
                self.max = rest;
                self.data.clear();
                Ok(())
            }
            None => Err(too_long(self.max)),
        }
    }

    fn throw_away(&mut self, line: &[u8]) -> Result<(), Refused> {
        let room = MAX_EXTRA - self.extra;
        let within = &line[..line.len().min(room)];
        if within.iter().any(|byte| matches!(byte, b'\n' | 0)) {
            return Err(malformed(LINE_END));
        }
        if line.len() > room {
            return Err(Refused::new(
                431,
                "chunk extensions and trailer fields are longer than 8 KiB together",
            ));
        }
        self.extra += line.len();
        if !line.is_empty()
            && let State::Trailer { empty } = &mut self.state
        {
            *empty = false;
        }
        Ok(())
    }

    /// The state after one byte of what stands between the chunks' data.
    fn framing(&self, state: State, byte: u8) -> Result<State, Refused> {
        match (state, byte) {
            (State::Size { size, digits }, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                // 16 digits are what a u64 holds.
                if digits == 16 {
                    return Err(malformed("a chunk's size has more than 16 digits"));
                }
                Ok(State::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                })
            }
            (State::Size { digits: 0, .. }, _) => Err(malformed(
                "a chunk does not begin with its size in hexadecimal",
            )),
            (State::Size { size, .. } | State::Space { size }, b' ' | b'\t') => {
                Ok(State::Space { size })
            }
            (State::Size { size, .. } | State::Space { size }, b';') => {
                Ok(State::Extension { size })
            }
            (State::Size { size, .. } | State::Space { size }, b'\r') => {
                Ok(State::SizeEnd { size })
            }
            (State::Size { .. } | State::Space { .. }, _) => Err(malformed(
                "a chunk's size is followed by neither ';' nor CR LF",
            )),
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::Trailer { empty: true }),
            (State::SizeEnd { size }, b'\n') => match usize::try_from(size) {
                Ok(size) if size <= self.max - self.data.len() => Ok(State::Chunk(size)),
                _ => Err(too_long(self.max)),
            },
            (State::ChunkCr, b'\r') => Ok(State::ChunkLf),
            (State::ChunkLf, b'\n') => Ok(State::CHUNK),
            (State::TrailerEnd { empty: true }, b'\n') => Ok(State::Done),
            (State::TrailerEnd { empty: false }, b'\n') => Ok(State::Trailer { empty: true }),
            (State::ChunkCr | State::ChunkLf, _) => {
                Err(malformed("a chunk is not as long as its size says"))
            }
            _ => Err(malformed(LINE_END)),
        }
    }
}

const LINE_END: &str = "a line of the chunked body does not end in CR LF";

impl State {
    /// The beginning of a chunk.
    const CHUNK: Self = Self::Size { size: 0, digits: 0 };
}

fn too_long(max: usize) -> Refused {
    Refused::new(
        413,
        format!("the body is longer than {max} bytes, the most that is taken here"),
    )
}

fn malformed(reason: &str) -> Refused {
    Refused::new(400, reason)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in pieces that end at `ends`: the data, and how many bytes were taken;
    /// no data = incomplete.
    fn read(
        length: BodyLength,
        bytes: &[u8],
        ends: impl Iterator<Item = usize>,
    ) -> Result<(Option<Vec<u8>>, usize), Refused> {
        let mut body = Body::new(length, 100)?;
        let mut taken = 0;
        for end in ends.chain([bytes.len()]) {
            taken += body.feed(&bytes[taken..end.max(taken)])?;
        }
        Ok((body.is_complete().then(|| body.take()), taken))
    }

    fn chunked(text: &str) -> Result<(Option<String>, usize), u16> {
        read(BodyLength::Chunked, text.as_bytes(), std::iter::empty())
            .map(|(data, taken)| (data.map(|data| String::from_utf8(data).unwrap()), taken))
            .map_err(|refused| refused.status)
    }

    #[test]
    fn a_length_leaves_what_follows() {
        let read = |length, bytes| read(length, bytes, std::iter::empty()).unwrap();
        assert_eq!(
            read(BodyLength::Length(3), b"abcGET"),
            (Some(b"abc".to_vec()), 3)
        );
        assert_eq!(read(BodyLength::Length(3), b"ab"), (None, 2));
        assert_eq!(read(BodyLength::Length(0), b"GET"), (Some(Vec::new()), 0));
        assert_eq!(read(BodyLength::None, b"GET"), (Some(Vec::new()), 0));
    }

    #[test]
    fn what_is_too_long_is_refused_when_it_is_known() {
        assert!(Body::new(BodyLength::Length(100), 100).is_ok());
        for length in [101, u64::MAX] {
            assert_eq!(
                Body::new(BodyLength::Length(length), 100)
                    .unwrap_err()
                    .status,
                413
            );
        }
        assert_eq!(chunked("65\r\n"), Err(413));
        assert_eq!(chunked("ffffffffffffffff\r\n"), Err(413));
        assert_eq!(
            chunked(&format!("64\r\n{}\r\n1\r\n", "a".repeat(100))),
            Err(413)
        );
        let most = format!("64\r\n{}\r\n0\r\n\r\n", "a".repeat(100));
        assert_eq!(chunked(&most), Ok((Some("a".repeat(100)), most.len())));
    }

    #[test]
    fn chunks() {
        for (text, data) in [
            ("0\r\n\r\n", ""),
            ("3\r\nabc\r\n0\r\n\r\n", "abc"),
            (
                "003\r\na\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n",
                "a\r\n0123456789",
            ),
            ("1;a=b;c=\"d e\"\r\nx\r\n0;last\r\n\r\n", "x"),
            ("1 \t;a\r\nx\r\n0 \r\n\r\n", "x"),
            ("1\r\nx\r\n0\r\nTrailer: a\r\nB: c\r\n\r\n", "x"),
        ] {
            assert_eq!(
                chunked(text),
                Ok((Some(data.to_owned()), text.len())),
                "{text:?}"
            );
            let followed = text.to_owned() + "GET / HTTP/1.1";
            assert_eq!(chunked(&followed), Ok((Some(data.to_owned()), text.len())));
            let begun = &text[..text.len() - 1];
            assert_eq!(chunked(begun), Ok((None, begun.len())));
        }
    }

    #[test]
    fn malformed_chunks() {
        for text in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "0x1\r\n",
            ";a\r\n",
            " 1\r\n",
            "1\nx\r\n",
            "1\rx",
            "1 2\r\n",
            "1;a\nx\r\n",
            "1;a\0\r\n",
            "1\r\nxy\r\n",
            "1\r\nx\n",
            "0\r\n\n",
            "0\r\na\n\r\n",
            "0\r\n\rx",
            "00000000000000001\r\n",
        ] {
            assert_eq!(chunked(text), Err(400), "{text:?}");
        }
    }

    #[test]
    fn what_is_thrown_away_is_bounded() {
        let long = "a".repeat(MAX_EXTRA / 2);
        assert!(chunked(&format!("1;{long}\r\nx\r\n0\r\n{long}\r\n\r\n")).is_ok());
        assert_eq!(
            chunked(&format!("1;{long}\r\nx\r\n0\r\n{long}b\r\n\r\n")),
            Err(431)
        );
        assert_eq!(chunked(&format!("1;{long}{long}b")), Err(431));
    }

    /// Chunked bodies, mostly with something wrong here and there.
    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..20).prop_map(|data| {
                let size = format!("{:x}\r\n", data.len()).into_bytes();
                [size, data, b"\r\n".to_vec()].concat()
            }),
            1 => "[0-9a-f;\\r\\n ]{0,4}".prop_map(String::into_bytes),
            1 => Just(b"1;a=b\r\nx\r\n".to_vec()),
            1 => Just(b"0\r\n\r\n".to_vec()),
            1 => Just(b"0\r\nA: b\r\n\r\n".to_vec()),
            1 => (8180_usize..8200, "\\n?").prop_map(|(length, end)| {
                format!("1;{}{end}", "a".repeat(length)).into_bytes()
            }),
            1 => prop::collection::vec(any::<u8>(), 0..5),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            bytes in bodies(),
            length in prop_oneof![
                4 => Just(BodyLength::Chunked),
                1 => (0_u64..120).prop_map(BodyLength::Length),
            ],
            ends in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let whole = read(length, &bytes, std::iter::empty());
            let mut ends: Vec<_> = ends.iter().map(|end| end.index(bytes.len() + 1)).collect();
            ends.sort_unstable();
            prop_assert_eq!(&read(length, &bytes, ends.into_iter()), &whole);
            prop_assert_eq!(&read(length, &bytes, 0..bytes.len()), &whole);
        }

        #[test]
        fn what_was_chunked_comes_out(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..5),
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
            let result = read(BodyLength::Chunked, &bytes, std::iter::empty());
            prop_assert_eq!(result, Ok((Some(chunks.concat()), bytes.len())));
        }
    }
}
