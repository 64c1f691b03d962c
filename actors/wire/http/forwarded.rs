//! `X-Forwarded-For`: whom a proxy speaks for.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The client's address by the field's text, where each proxy has added, at the end, who it was
/// spoken to by: the last entry that `trusts` does not know as a proxy, or the first if all are.
///
/// Whatever stands before the entry of somebody who is not trusted is only what they say. So is
/// what stands before an entry that is no address (`unknown`, a name, nothing): there the last
/// proxy before it counts. `None` = not even the last entry is an address.
///
/// An entry is an IPv4 or IPv6 address, in brackets or not, with a port or not; port 0 = none was
/// given. Addresses are canonical: IPv4 written as IPv6 is IPv4.
pub fn client(field: &str, trusts: impl Fn(IpAddr) -> bool) -> Option<SocketAddr> {
    let mut client = None;
    for entry in field.rsplit(',') {
        let Some(address) = address(entry.trim_matches([' ', '\t'])) else {
            break;
        };
        client = Some(address);
        if !trusts(address.ip()) {
            break;
        }
    }
    client
}

fn address(entry: &str) -> Option<SocketAddr> {
    let (ip, port) = if let Ok(address) = entry.parse::<SocketAddr>() {
        (address.ip(), address.port())
    } else if let Ok(ip) = entry.parse::<IpAddr>() {
        (ip, 0)
    } else {
        let inner = entry.strip_prefix('[')?.strip_suffix(']')?;
        (inner.parse::<Ipv6Addr>().ok()?.into(), 0)
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// The result where 10.0.0.0/8 and ::1 are proxies; empty = none.
    fn found(field: &str) -> String {
        let trusts = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.octets()[0] == 10,
            IpAddr::V6(ip) => ip == Ipv6Addr::LOCALHOST,
        };
        client(field, trusts).map_or(String::new(), |address| match address.port() {
            0 => address.ip().to_string(),
            _ => address.to_string(),
        })
    }

    #[test]
    fn the_last_entry_that_is_no_proxy() {
        for (field, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            (" 192.0.2.7\t", "192.0.2.7"),
            ("192.0.2.7:4711", "192.0.2.7:4711"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "[2001:db8::7]:4711"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("[::ffff:192.0.2.7]:1", "192.0.2.7:1"),
            // What stands before it, anybody may have written.
            ("203.0.113.1, 192.0.2.7", "192.0.2.7"),
            ("203.0.113.1,192.0.2.7,10.0.0.1", "192.0.2.7"),
            (
                "192.0.2.7, 10.0.0.1:80, [::1], ::ffff:10.1.1.1",
                "192.0.2.7",
            ),
            ("evil\u{fffd}, 192.0.2.7, ::1", "192.0.2.7"),
            // All are proxies: the first.
            ("10.0.0.9", "10.0.0.9"),
            ("10.0.0.9, 10.0.0.1", "10.0.0.9"),
        ] {
            assert_eq!(found(field), expected, "{field}");
        }
    }

    #[test]
    fn what_is_no_address_ends_the_search() {
        for (field, expected) in [
            ("", ""),
            (",", ""),
            ("unknown", ""),
            ("192.0.2.7, unknown", ""),
            ("192.0.2.7,", ""),
            ("192.0.2.7, , 10.0.0.1", "10.0.0.1"),
            ("192.0.2.7, _hidden, 10.0.0.2, 10.0.0.1", "10.0.0.2"),
            ("192.0.2.7 10.0.0.1", ""),
            ("192.0.2.7:", ""),
            ("192.0.2.7:70000", ""),
            ("192.0.2.07", ""),
            ("[192.0.2.7]", ""),
            ("[2001:db8::7", ""),
            ("2001:db8::7]", ""),
            ("\"192.0.2.7\"", ""),
            ("localhost", ""),
            ("192.0.2.7\r\n10.0.0.1", ""),
        ] {
            assert_eq!(found(field), expected, "{field}");
        }
        assert_eq!(client("10.0.0.1", |_| false).unwrap().port(), 0);
    }
}
