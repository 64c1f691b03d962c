//! What proxies say of whom they speak for.

use std::net::IpAddr;

use fastrand::Rng;
use hasses_actors::wire::http::forwarded;
use hasses_actors::wire::proxy_protocol::{Beginning, begins};

use crate::engine::{assert_safe, portions};

/// A header is the same however its bytes were split, and within them.
pub(crate) fn header(input: &[u8], rng: &mut Rng) {
    let whole = begins(input);
    let mut prefix = Vec::new();
    for some in portions(input, rng) {
        prefix.extend_from_slice(some);
        let now = begins(&prefix);
        if now != Ok(None) {
            assert_eq!(now, whole);
            break;
        }
    }
    match whole {
        Ok(Some(Beginning::Header { length, .. })) => {
            assert!((16..=input.len()).contains(&length));
            assert_eq!(begins(&input[..length]), whole);
        }
        Ok(_) => {}
        Err(refused) => assert_safe(&refused.reason),
    }
}

/// Whatever somebody wrote in front of what trusted proxies have added changes nothing.
pub(crate) fn forwarded(input: &[u8], _: &mut Rng) {
    let trusts = |ip: IpAddr| ip.is_loopback();
    let said = String::from_utf8_lossy(input);
    let told = forwarded::client(&format!("{said}, 192.0.2.7:1, ::1,127.0.0.1"), trusts);
    assert_eq!(
        told.map(|told| told.to_string()).as_deref(),
        Some("192.0.2.7:1")
    );
    if let Some(told) = forwarded::client(&said, trusts) {
        assert_eq!(told.ip(), told.ip().to_canonical());
        let last = said.rsplit(',').next().unwrap_or_default();
        assert!(forwarded::client(last, trusts).is_some());
    }
}
