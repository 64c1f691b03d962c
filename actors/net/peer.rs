//! Who is at the other end.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

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

/// The address for which a connection counts where addresses are counted: of IPv6 the first `prefix` bits,
/// as one customer has at least a /64 (RFC 6177).
pub fn counted(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
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

    #[test]
    fn ipv6_counts_by_its_prefix() {
        for (address, prefix, group) in [
            ("2001:db8:1:2:3::4", 64, "2001:db8:1:2::"),
            ("2001:db8:1:2:3::4", 128, "2001:db8:1:2:3::4"),
            ("2001:db8:1:2:3::4", 48, "2001:db8:1::"),
            ("2001:db8:1:2:3::4", 0, "::"),
            ("10.1.2.3", 8, "10.1.2.3"),
        ] {
            let group: IpAddr = group.parse().unwrap();
            assert_eq!(counted(address.parse().unwrap(), prefix), group);
        }
    }
}
