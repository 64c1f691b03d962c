//! Who is at the other end.

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// A subscriber's address, in eight bytes for nearly all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// IPv4, also where it came in through an IPv6 socket. Port 0: a proxy told the address alone.
    V4(SocketAddrV4),
    /// IPv6.
    V6(Box<SocketAddrV6>),
    /// A Unix socket, whose clients have no address.
    Unix,
}

impl Peer {
    /// The IP address, if it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::V4(address) => Some((*address.ip()).into()),
            Self::V6(address) => Some((*address.ip()).into()),
            Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        match SocketAddr::new(address.ip().to_canonical(), address.port()) {
            SocketAddr::V4(address) => Self::V4(address),
            SocketAddr::V6(address) => Self::V6(Box::new(address)),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) if address.port() == 0 => address.ip().fmt(f),
            Self::V6(address) if address.port() == 0 => address.ip().fmt(f),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => address.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn peers_are_shown_as_people_write_them() {
        for (address, shown) in [
            ("192.168.1.151:50190", "192.168.1.151:50190"),
            ("[::ffff:10.0.0.1]:5", "10.0.0.1:5"),
            ("[::1]:5", "[::1]:5"),
            ("10.0.0.1:0", "10.0.0.1"),
            ("[::1]:0", "::1"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(Peer::from(address).to_string(), shown);
        }
        assert_eq!(Peer::Unix.to_string(), "unix");
    }
}
