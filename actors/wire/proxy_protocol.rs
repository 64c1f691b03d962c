//! The PROXY protocol, version 2 (haproxy's `proxy-protocol.txt` §2.2): the binary header that a
//! proxy which passes bytes on as they are writes first, to say whom it speaks for.

use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header, ParseError};

use super::http::Refused;

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// Something else.
    Other,
    /// Such a header.
    Header {
        /// Its bytes, those of its TLVs included; the request follows. At most 16 + 65535.
        length: usize,
        /// Who is spoken for; none where the proxy speaks for itself (LOCAL, for its health checks)
        /// or tells no IP address (AF_UNSPEC, AF_UNIX).
        client: Option<SocketAddr>,
    },
}

/// Looks at a connection's first bytes; `None` = ask again with more.
///
/// # Errors
/// 400 for what begins like such a header and is none.
pub fn begins(bytes: &[u8]) -> Result<Option<Beginning>, Refused> {
    let header = match Header::try_from(bytes) {
        Ok(header) => header,
        Err(ParseError::Incomplete(_) | ParseError::Partial(..)) => return Ok(None),
        Err(ParseError::Prefix) => return Ok(Some(Beginning::Other)),
        Err(error) => {
            let why = format!("malformed PROXY protocol header: {error}");
            return Err(Refused::new(400, why));
        }
    };
    let client = match (header.command, header.addresses) {
        (Command::Proxy, Addresses::IPv4(both)) => {
            Some((both.source_address, both.source_port).into())
        }
        (Command::Proxy, Addresses::IPv6(both)) => {
            Some((both.source_address, both.source_port).into())
        }
        _ => None,
    };
    let length = header.header.len();
    Ok(Some(Beginning::Header { length, client }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    /// A header out of its version and command, its family and protocol, and what follows.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([command, family]);
        bytes.extend((rest.len() as u16).to_be_bytes());
        bytes.extend(rest);
        bytes
    }

    const TCP4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n";

    #[test]
    fn who_is_spoken_for() {
        let mut tcp6 = [0; 36];
        (tcp6[0], tcp6[1], tcp6[15], tcp6[32], tcp6[33]) = (0x20, 0x01, 7, 0x12, 0x67);
        let with_tlvs = [&TCP4[..], &[0x04, 0, 3, 0, 0, 0, 0xea, 0, 1, 0]].concat();
        for (command, family, rest, client) in [
            (0x21, 0x11, &TCP4[..], Some("192.0.2.7:4711")),
            (0x21, 0x11, &with_tlvs, Some("192.0.2.7:4711")),
            (0x21, 0x21, &tcp6, Some("[2001::7]:4711")),
            (0x21, 0x31, &[b'/'; 216], None),
            (0x21, 0x00, &[], None),
            (0x21, 0x00, &TCP4, None),
            (0x20, 0x00, &[], None),
            (0x20, 0x11, &TCP4, None),
        ] {
            let mut bytes = header(command, family, rest);
            let length = bytes.len();
            bytes.extend(REQUEST);
            let client = client.map(|client| client.parse().unwrap());
            let expected = Beginning::Header { length, client };
            assert_eq!(begins(&bytes), Ok(Some(expected)), "{command:x} {family:x}");
            for end in 0..length {
                assert_eq!(begins(&bytes[..end]), Ok(None), "{end}");
            }
        }
    }

    #[test]
    fn another_beginning_is_known_at_once() {
        for bytes in [
            "GET",
            "\n",
            "\r\n\r\nGET",
            "\r\n\r\n\0\r\nQUIT\r",
            "PROXY TCP4",
        ] {
            assert_eq!(
                begins(bytes.as_bytes()),
                Ok(Some(Beginning::Other)),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_wrong_header_is_refused() {
        for (command, family, rest) in [
            (0x11, 0x11, &TCP4[..]),
            (0x22, 0x11, &TCP4),
            (0x21, 0x41, &TCP4),
            (0x21, 0x13, &TCP4),
            (0x21, 0x11, &TCP4[..11]),
            (0x21, 0x21, &TCP4),
            (0x21, 0x31, &TCP4),
        ] {
            let refused = begins(&header(command, family, rest)).unwrap_err();
            assert_eq!(refused.status, 400);
            assert!(refused.reason.contains("PROXY protocol"), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn once_decided_more_bytes_change_nothing(
            command in 0x1fu8..0x23,
            family: u8,
            rest in prop::collection::vec(any::<u8>(), 0..250),
            cut in 0..16usize,
        ) {
            let mut bytes = header(command, family, &rest);
            bytes.drain(16 - cut..16);
            bytes.extend(REQUEST);
            let decided = |end: &usize| begins(&bytes[..*end]) != Ok(None);
            if let Some(at) = (0..=bytes.len()).find(decided) {
                for end in at..=bytes.len() {
                    prop_assert_eq!(begins(&bytes[..end]), begins(&bytes[..at]));
                }
            }
        }
    }
}
