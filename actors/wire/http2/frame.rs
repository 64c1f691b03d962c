//! Frames (RFC 9113 §4, §6): their heads, and those that a server writes.

/// What every client's side of a connection begins with (RFC 9113 §3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// So much of it that no request of HTTP/1 begins so.
pub const PREFACE_BEGINS: &[u8] = b"PRI * HTTP/2.0";
/// Bytes of a frame's head.
pub const HEAD: usize = 9;
/// The longest frame that a peer may send, and that we send: the protocol's own.
pub const LONGEST: usize = 16_384;

/// The kinds of frames.
pub mod kind {
    #![expect(missing_docs, reason = "their names are those of RFC 9113 §6")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags; what they mean depends on the frame's kind.
pub mod flag {
    #![expect(missing_docs, reason = "their names are those of RFC 9113 §6")]
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 32;
}

/// The settings that are looked at or sent (RFC 9113 §6.5.2, RFC 9218 §2.1).
pub mod setting {
    #![expect(missing_docs, reason = "their names are those of RFC 9113 §6.5.2")]
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub const NO_RFC7540_PRIORITIES: u16 = 9;
}

/// Why a stream or a connection ends (RFC 9113 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Reason {
    /// Nothing is wrong.
    NoError = 0,
    /// The peer breaks the protocol.
    Protocol = 1,
    /// More than the windows allow.
    FlowControl = 3,
    /// A frame on a stream that has ended.
    StreamClosed = 5,
    /// A frame has a wrong length.
    FrameSize = 6,
    /// Nothing was done with the request; it may be sent again.
    Refused = 7,
    /// It is not wanted any more.
    Cancel = 8,
    /// Fields cannot be read.
    Compression = 9,
    /// The peer does more than any client needs to.
    EnhanceYourCalm = 11,
}

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes behind it.
    pub length: usize,
    /// Its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 stands for the connection.
    pub stream: u32,
}

impl Head {
    /// Reads one, if all of it has come.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, d, e, f, g] = bytes.first_chunk()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([d & 0x7f, e, f, g]),
        })
    }

    /// Its bytes.
    pub fn bytes(&self) -> [u8; HEAD] {
        let [_, a, b, c] = (self.length as u32).to_be_bytes();
        let [d, e, f, g] = self.stream.to_be_bytes();
        [a, b, c, self.kind, self.flags, d, e, f, g]
    }
}

/// Writes a frame.
pub fn put(kind: u8, flags: u8, stream: u32, payload: &[u8], out: &mut Vec<u8>) {
    let head = Head {
        length: payload.len(),
        kind,
        flags,
        stream,
    };
    out.extend_from_slice(&head.bytes());
    out.extend_from_slice(payload);
}

/// Writes the settings.
pub fn put_settings(settings: &[(u16, u32)], out: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(6 * settings.len());
    for (name, value) in settings {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    put(kind::SETTINGS, 0, 0, &payload, out);
}

/// Reads the settings of a payload.
pub fn settings(payload: &[u8]) -> impl Iterator<Item = (u16, u32)> {
    payload.chunks_exact(6).map(|setting| {
        let name = u16::from_be_bytes([setting[0], setting[1]]);
        let value = u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]);
        (name, value)
    })
}

/// Writes that a stream ends at once.
pub fn put_reset(stream: u32, reason: Reason, out: &mut Vec<u8>) {
    let payload = (reason as u32).to_be_bytes();
    put(kind::RST_STREAM, 0, stream, &payload, out);
}

/// Writes that the peer may send so many bytes more.
pub fn put_window(stream: u32, bytes: u32, out: &mut Vec<u8>) {
    put(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes(), out);
}

/// Writes that no stream newer than `last` is taken.
pub fn put_goaway(last: u32, reason: Reason, out: &mut Vec<u8>) {
    let mut payload = last.to_be_bytes().to_vec();
    payload.extend_from_slice(&(reason as u32).to_be_bytes());
    put(kind::GOAWAY, 0, 0, &payload, out);
}

/// A payload without its padding (RFC 9113 §6.1); none if that is longer than the payload.
pub fn unpadded<'a>(head: &Head, payload: &'a [u8]) -> Option<&'a [u8]> {
    if head.flags & flag::PADDED == 0 {
        return Some(payload);
    }
    let (&padding, rest) = payload.split_first()?;
    rest.get(..rest.len().checked_sub(padding.into())?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn heads_are_read_as_they_were_written() {
        let head = Head {
            length: 0x01_02_03,
            kind: 4,
            flags: 5,
            stream: 0x7f_01_02_03,
        };
        assert_eq!(Head::read(&head.bytes()), Some(head));
        assert_eq!(Head::read(&head.bytes()[..8]), None);
        let mut reserved = head.bytes();
        reserved[5] |= 0x80;
        assert_eq!(
            Head::read(&reserved),
            Some(head),
            "the reserved bit is ignored"
        );
    }

    #[test]
    fn settings_are_read_as_they_were_written() {
        let mut out = Vec::new();
        put_settings(&[(3, 100), (4, 1 << 20)], &mut out);
        let head = Head::read(&out).unwrap();
        assert_eq!(
            (head.kind, head.length, out.len()),
            (kind::SETTINGS, 12, HEAD + 12)
        );
        let read: Vec<_> = settings(&out[HEAD..]).collect();
        assert_eq!(read, [(3, 100), (4, 1 << 20)]);
    }
}
