//! An answer: its head, and its body as it comes (RFC 9112 §4 to §7).

use std::io::{self, Read};

/// The longest head that is read.
const LONGEST_HEAD: usize = 64 * 1024;
/// The most header fields.
const MOST_FIELDS: usize = 128;

/// An answer whose head has come. Reading from it gives the body, without its framing.
pub(crate) struct Answer<S> {
    /// The status code.
    pub(crate) status: u16,
    /// The minor version of HTTP/1.
    pub(crate) minor: u8,
    /// The fields, in order, with names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    socket: S,
    /// What has been read of the body and its framing.
    buffer: Vec<u8>,
    taken: usize,
    framing: Framing,
}

/// How the body's end is told.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    /// So many bytes are left.
    Length(u64),
    /// Chunks; so many bytes are left of this one.
    Chunked(u64),
    /// A chunk's data ended: its line end follows.
    ChunkEnd,
    /// It lasts to the end of the connection.
    ToEnd,
    /// Nothing is left.
    Over,
}

/// Reads an answer's head from a connection on which a request was sent. Interim answers (1xx) are
/// passed over.
///
/// # Errors
/// The connection ends before the head is whole, or what comes is not HTTP/1.
pub(crate) fn read_answer<S: Read>(mut socket: S) -> io::Result<Answer<S>> {
    let mut buffer = Vec::new();
    loop {
        if let Some((head, length)) = parse(&buffer)? {
            buffer.drain(..length);
            if head.status < 200 {
                continue;
            }
            let framing = head.framing();
            return Ok(Answer {
                status: head.status,
                minor: head.minor,
                fields: head.fields,
                socket,
                buffer,
                taken: 0,
                framing,
            });
        }
        if buffer.len() >= LONGEST_HEAD {
            return Err(io::Error::other("the answer's head is too long"));
        }
        if fill(&mut socket, &mut buffer)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection ended without an answer",
            ));
        }
    }
}

struct Head {
    status: u16,
    minor: u8,
    fields: Vec<(String, String)>,
}

impl Head {
    fn framing(&self) -> Framing {
        let field = |wanted: &str| {
            let mut fields = self.fields.iter();
            fields.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
        };
        if matches!(self.status, 204 | 304) {
            return Framing::Over;
        }
        if field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked(0);
        }
        match field("content-length").and_then(|value| value.parse().ok()) {
            Some(length) => Framing::Length(length),
            None => Framing::ToEnd,
        }
    }
}

fn parse(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut answer = httparse::Response::new(&mut fields);
    let parsed = answer.parse(bytes);
    let not_http = |why| io::Error::other(format!("the answer is not HTTP: {why}"));
    match (parsed.map_err(not_http)?, answer.code, answer.version) {
        (httparse::Status::Complete(length), Some(status), Some(minor)) => {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            let fields = answer
                .headers
                .iter()
                .map(|field| (field.name.to_ascii_lowercase(), text(field.value)));
            let fields = fields.collect();
            Ok(Some((
                Head {
                    status,
                    minor,
                    fields,
                },
                length,
            )))
        }
        _ => Ok(None),
    }
}

fn fill(socket: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 16 * 1024];
    loop {
        match socket.read(&mut piece) {
            Ok(length) => {
                buffer.extend_from_slice(&piece[..length]);
                return Ok(length);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

impl<S> Answer<S> {
    /// The first field of this name, which is given in lower case.
    pub(crate) fn field(&self, wanted: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find_map(|(name, value)| (name == wanted).then_some(value.as_str()))
    }

    /// The connection below.
    pub(crate) fn socket(&self) -> &S {
        &self.socket
    }

    /// Whether the body ended as its framing says, and not just with the connection.
    pub(crate) fn ended_well(&self) -> bool {
        matches!(self.framing, Framing::Over | Framing::ToEnd)
    }
}

impl<S: Read> Answer<S> {
    /// The whole body, or its first `most` bytes.
    ///
    /// # Errors
    /// The connection fails, or ends in the middle.
    pub(crate) fn body(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.take(most).read_to_end(&mut body)?;
        Ok(body)
    }

    fn cut_off() -> io::Error {
        io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut off")
    }

    /// Takes up to `most` bytes of what is read, reading if nothing is there.
    fn raw(&mut self, into: &mut [u8], most: u64) -> io::Result<usize> {
        if self.taken == self.buffer.len() {
            self.buffer.clear();
            self.taken = 0;
            if fill(&mut self.socket, &mut self.buffer)? == 0 {
                return Ok(0);
            }
        }
        let there = &self.buffer[self.taken..];
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let length = there.len().min(into.len()).min(most);
        into[..length].copy_from_slice(&there[..length]);
        self.taken += length;
        Ok(length)
    }

    /// Reads the line in front of a chunk; the chunk's length. The trailer behind the last is dropped.
    fn chunk(&mut self) -> io::Result<u64> {
        loop {
            match httparse::parse_chunk_size(&self.buffer[self.taken..]) {
                Ok(httparse::Status::Complete((length, size))) => {
                    self.taken += length;
                    return Ok(size);
                }
                Ok(httparse::Status::Partial) => {
                    if fill(&mut self.socket, &mut self.buffer)? == 0 {
                        return Err(Self::cut_off());
                    }
                }
                Err(_) => return Err(io::Error::other("the answer has a bad chunk")),
            }
        }
    }

    /// Takes the line end behind a chunk's data.
    fn line_end(&mut self) -> io::Result<()> {
        let mut byte = [0];
        loop {
            if self.raw(&mut byte, 1)? == 0 {
                return Err(Self::cut_off());
            }
            match byte[0] {
                b'\r' => {}
                b'\n' => return Ok(()),
                _ => return Err(io::Error::other("the answer has a bad chunk")),
            }
        }
    }
}

impl<S: Read> Read for Answer<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match self.framing {
                Framing::Over => return Ok(0),
                Framing::ToEnd => return self.raw(into, u64::MAX),
                Framing::Length(0) => self.framing = Framing::Over,
                Framing::Length(left) => {
                    let length = self.raw(into, left)?;
                    if length == 0 {
                        return Err(Self::cut_off());
                    }
                    self.framing = Framing::Length(left - length as u64);
                    return Ok(length);
                }
                Framing::ChunkEnd => {
                    self.line_end()?;
                    self.framing = Framing::Chunked(0);
                }
                Framing::Chunked(0) => {
                    self.framing = match self.chunk()? {
                        0 => Framing::Over,
                        size => Framing::Chunked(size),
                    };
                }
                Framing::Chunked(left) => {
                    let length = self.raw(into, left)?;
                    if length == 0 {
                        return Err(Self::cut_off());
                    }
                    self.framing = match left - length as u64 {
                        0 => Framing::ChunkEnd,
                        left => Framing::Chunked(left),
                    };
                    return Ok(length);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// Gives one byte at a time: any split must give the same.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.0.len().min(1);
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn answered(bytes: &str) -> (u16, io::Result<Vec<u8>>) {
        let whole = read_answer(bytes.as_bytes()).unwrap().body(1 << 20);
        let mut dripped = read_answer(Drip(bytes.as_bytes())).unwrap();
        let status = dripped.status;
        let dripped = dripped.body(1 << 20);
        assert_eq!(whole.as_ref().ok(), dripped.as_ref().ok());
        (status, whole)
    }

    #[test]
    fn bodies_of_each_framing() {
        for (bytes, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", "abc"),
            ("HTTP/1.0 200 OK\r\n\r\nabc", "abc"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                "abcde",
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
                "a",
            ),
            ("HTTP/1.1 204 No\r\n\r\n", ""),
        ] {
            let (_, told) = answered(bytes);
            assert_eq!(told.unwrap(), body.as_bytes(), "{bytes}");
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        for bytes in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ] {
            assert!(answered(bytes).1.is_err(), "{bytes}");
        }
        for bytes in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0-OpenSSH\r\n"] {
            assert!(read_answer(bytes.as_bytes()).is_err(), "{bytes}");
        }
    }
}
