//! The Huffman code of HPACK (RFC 7541 §5.2 and Appendix B). It is canonical, so the lengths say it all.

use std::sync::LazyLock;

/// How many bits the code of each byte has, and behind the bytes that of the end of string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
/// The end of string, which must not stand in one.
const END: u16 = 256;
/// What a branch that leads nowhere yet is while the tree is made.
const NOWHERE: u16 = u16::MAX;
/// Added to a symbol in the tree, to tell it from the number of a node.
const LEAF: u16 = 0x4000;

/// For each node of the tree where 0 and 1 lead: to another node, or to a symbol.
static TREE: LazyLock<Vec<[u16; 2]>> = LazyLock::new(tree);

fn tree() -> Vec<[u16; 2]> {
    let mut symbols: Vec<u16> = (0..=END).collect();
    let length = |symbol: u16| LENGTHS[usize::from(symbol)];
    symbols.sort_by_key(|&symbol| length(symbol));
    let mut tree = vec![[NOWHERE; 2]];
    let (mut code, mut bits) = (0_u32, length(symbols[0]));
    for symbol in symbols {
        code <<= length(symbol) - bits;
        bits = length(symbol);
        let mut node = 0;
        for bit in (0..bits).rev() {
            let branch = usize::from(code >> bit & 1 != 0);
            if bit == 0 {
                tree[node][branch] = LEAF + symbol;
            } else {
                if tree[node][branch] == NOWHERE {
                    tree[node][branch] = tree.len() as u16;
                    tree.push([NOWHERE; 2]);
                }
                node = usize::from(tree[node][branch]);
            }
        }
        code += 1;
    }
    tree
}

/// Puts what `bytes` stand for behind `text`; none if they are no code, or are padded wrongly.
pub(super) fn decode(bytes: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let tree = &*TREE;
    let (mut node, mut bits, mut ones) = (0, 0, true);
    for &byte in bytes {
        for bit in (0..8).rev() {
            let branch = usize::from(byte >> bit & 1);
            bits += 1;
            ones &= branch == 1;
            match tree[node][branch] {
                next if next < LEAF => node = usize::from(next),
                symbol if symbol == LEAF + END => return None,
                symbol => {
                    text.push((symbol - LEAF) as u8);
                    (node, bits, ones) = (0, 0, true);
                }
            }
        }
    }
    // What is left is the beginning of the end of string: fewer than eight ones.
    (ones && bits < 8).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, Appendix C.4.
    #[test]
    fn examples_are_read() {
        for (bytes, text) in [
            (
                &[
                    0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
                ][..],
                "www.example.com",
            ),
            (&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf], "no-cache"),
            (
                &[0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf],
                "custom-value",
            ),
            (&[], ""),
        ] {
            let mut read = Vec::new();
            assert_eq!(decode(bytes, &mut read), Some(()));
            assert_eq!(read, text.as_bytes());
        }
    }

    #[test]
    fn wrong_padding_and_the_end_of_string_are_refused() {
        let decode = |bytes: &[u8]| decode(bytes, &mut Vec::new());
        assert_eq!(
            decode(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbf, 0xff]),
            None,
            "too long"
        );
        assert_eq!(
            decode(&[0xa8, 0xeb, 0x10, 0x64, 0x9c, 0xbe]),
            None,
            "no ones"
        );
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None, "the end of string");
    }
}
