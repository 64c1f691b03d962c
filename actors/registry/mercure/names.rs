//! The names of the hub's subscribers: UUIDs, which say the node where there are several.

/// A new subscriber's name: a UUID of version 8 (RFC 9562 §5.8), of chance but for its first 48 bits,
/// which are the `node`'s where there are several.
pub(super) fn new_name(node: Option<u64>) -> u128 {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 3 << 62;
    let chance = fastrand::u128(..);
    let chance = node.map_or(chance, |node| {
        u128::from(tag(node)) << 80 | chance & ((1 << 80) - 1)
    });
    (chance & !VERSION & !VARIANT) | 8 << 76 | 2 << 62
}

/// What of a node's number is in its subscribers' names.
pub(super) fn tag(node: u64) -> u64 {
    node & ((1 << 48) - 1)
}

pub(super) fn tag_of(subscriber: u128) -> u64 {
    (subscriber >> 80) as u64
}

/// A subscriber's name as a text.
pub(super) fn name(subscriber: u128) -> String {
    let hex = format!("{subscriber:032x}");
    let (a, b, c, d, e) = (
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    );
    format!("urn:uuid:{a}-{b}-{c}-{d}-{e}")
}

/// A subscriber's name as the last segment of a path.
pub(super) fn encoded_name(subscriber: u128) -> String {
    name(subscriber).replace(':', "%3A")
}

pub(super) fn read_name(name: &str) -> Option<u128> {
    let hex = name.strip_prefix("urn:uuid:")?.replace('-', "");
    (hex.len() == 32)
        .then(|| u128::from_str_radix(&hex, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_uuids() {
        let one = new_name(None);
        let text = name(one);
        assert_eq!(read_name(&text), Some(one));
        assert_eq!(text.len(), "urn:uuid:".len() + 36);
        assert_eq!(&text[23..24], "8");
        assert!(
            matches!(text.as_bytes()[28], b'8' | b'9' | b'a' | b'b'),
            "{text}"
        );
        assert_ne!(new_name(None), one);
        let of_node = new_name(Some(0xabcd_1234_5678_9abc));
        assert_eq!(tag_of(of_node), 0x1234_5678_9abc);
        assert!(name(of_node).starts_with("urn:uuid:12345678-9abc-8"));
        assert_eq!(read_name("urn:uuid:x"), None);
        assert_eq!(read_name("x"), None);
    }
}
