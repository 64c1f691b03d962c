//! Which peers are believed when they say whom they speak for: the proxies of `--trust-proxy`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use super::peer::Peer;

/// A range of IP addresses: `10.0.0.0/8`, `fd00::/8`, or one address alone (RFC 4632 §3.1, RFC 4291
/// §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range(IpNet);

/// Why a text is no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeError {
    /// It is neither an address nor an address, `/` and a prefix length.
    Form,
    /// The address has bits behind the prefix: perhaps this range was meant, perhaps one address.
    Host(IpNet),
    /// It is IPv4 written as IPv6. Peers are compared as IPv4, also those of an IPv6 socket.
    Mapped,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => {
                f.write_str("it needs a range of addresses such as 10.0.0.0/8, or an address")
            }
            Self::Host(whole) => write!(
                f,
                "the address has bits behind its prefix; write {whole} for the whole range, or the \
                 address alone"
            ),
            Self::Mapped => f.write_str("write ::ffff: addresses as IPv4, such as 10.0.0.0/8"),
        }
    }
}

impl std::error::Error for RangeError {}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let range = match text.parse() {
            Ok(range) => range,
            Err(_) => IpNet::from(text.parse::<IpAddr>().map_err(|_| RangeError::Form)?),
        };
        if range.addr().to_canonical() != range.addr() {
            return Err(RangeError::Mapped);
        }
        match range.trunc() {
            whole if whole == range => Ok(Self(range)),
            whole => Err(RangeError::Host(whole)),
        }
    }
}

/// The ranges of trusted proxies; empty = nobody is believed.
#[derive(Debug, Clone, Default)]
pub struct Trusted(pub Vec<Range>);

impl Trusted {
    /// Whether an address, in canonical form, is a trusted proxy's.
    pub fn includes(&self, address: IpAddr) -> bool {
        self.0.iter().any(|Range(range)| range.contains(&address))
    }

    /// Whether a peer is believed. The peers of a Unix socket are processes of this machine, and so
    /// are believed where those that come by the loopback address are.
    pub fn believes(&self, peer: &Peer) -> bool {
        match peer.ip() {
            Some(address) => self.includes(address),
            None => {
                self.includes(Ipv4Addr::LOCALHOST.into())
                    || self.includes(Ipv6Addr::LOCALHOST.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::net::SocketAddr;

    use super::*;

    fn trusted(ranges: &str) -> Trusted {
        Trusted(
            ranges
                .split(' ')
                .map(|range| range.parse().unwrap())
                .collect(),
        )
    }

    #[test]
    fn peers_are_believed_by_their_range() {
        let trusted = trusted("10.0.0.0/8 192.0.2.7 fd00::/8 2001:db8::1");
        for (address, believed) in [
            ("10.255.0.1:5", true),
            ("[::ffff:10.1.2.3]:5", true),
            ("11.0.0.1:5", false),
            ("192.0.2.7:5", true),
            ("192.0.2.8:5", false),
            ("[fdff::1]:5", true),
            ("[fe80::1]:5", false),
            ("[2001:db8::1]:5", true),
            ("[2001:db8::2]:5", false),
        ] {
            let peer = Peer::from(address.parse::<SocketAddr>().unwrap());
            assert_eq!(trusted.believes(&peer), believed, "{address}");
            assert!(!Trusted::default().believes(&peer), "{address}");
        }
    }

    #[test]
    fn a_unix_peer_is_this_machine() {
        assert!(trusted("127.0.0.0/8").believes(&Peer::Unix));
        assert!(trusted("::1").believes(&Peer::Unix));
        assert!(trusted("0.0.0.0/0").believes(&Peer::Unix));
        assert!(!trusted("10.0.0.0/8 127.0.0.2").believes(&Peer::Unix));
        assert!(!Trusted::default().believes(&Peer::Unix));
    }

    #[test]
    fn what_is_no_range_is_refused_with_the_reason() {
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/8,fd00::/8",
            "unix",
        ] {
            assert_eq!(text.parse::<Range>(), Err(RangeError::Form), "{text}");
        }
        for text in ["::ffff:10.0.0.1", "::ffff:10.0.0.0/104"] {
            assert_eq!(text.parse::<Range>(), Err(RangeError::Mapped), "{text}");
        }
        let why = "10.0.0.7/8".parse::<Range>().unwrap_err().to_string();
        assert!(why.contains("write 10.0.0.0/8"), "{why}");
    }
}
