//! Streams of text, whole, in any pieces, and against a slow model.

use super::*;
use proptest::prelude::*;

/// A piece that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owned {
    Text(Vec<u8>),
    Json(Vec<u8>),
    TooLong(Vec<u8>, bool),
}

impl From<Piece<'_>> for Owned {
    fn from(piece: Piece<'_>) -> Self {
        match piece {
            Piece::Text(text) => Self::Text(text.to_vec()),
            Piece::Json(line) => Self::Json(line.to_vec()),
            Piece::TooLong { head, json } => Self::TooLong(head.to_vec(), json),
        }
    }
}

fn text(text: &str) -> Owned {
    Owned::Text(text.into())
}

fn json(line: &str) -> Owned {
    Owned::Json(line.into())
}

/// Small limits, so that tests reach them.
fn splitter() -> Splitter {
    Splitter::with_limits(b';', 100, 150)
}

fn pieces<'a>(portions: impl IntoIterator<Item = &'a [u8]>) -> Vec<Owned> {
    let mut found = Vec::new();
    let mut each = |piece: Piece<'_>| found.push(piece.into());
    let mut splitter = splitter();
    for portion in portions {
        splitter.feed(portion, &mut each);
    }
    splitter.finish(&mut each);
    found
}

fn whole(bytes: &str) -> Vec<Owned> {
    pieces([bytes.as_bytes()])
}

#[test]
fn newlines_and_delimiters_end_text() {
    assert_eq!(
        whole("a=1;b=2\nc=3\r\nd=4"),
        ["a=1", "b=2", "c=3", "d=4"].map(text)
    );
    assert_eq!(whole(";;\n\r\n;\r\n\n"), []);
    assert_eq!(whole("a=1\r;b=\rx\n"), ["a=1\r", "b=\rx"].map(text));
    assert_eq!(whole("a=1\r"), [text("a=1\r")]);
    assert_eq!(whole("\r"), []);
}

#[test]
fn json_fills_its_line() {
    assert_eq!(
        whole("{\"a\":\";\"}\r\na=1;{b;c\n{d;e}"),
        [
            json(r#"{"a":";"}"#),
            text("a=1"),
            text("{b"),
            text("c"),
            json("{d;e}")
        ]
    );
    assert_eq!(whole(";{a}\n {b}\n"), [text("{a}"), json("{b}")]);
    assert_eq!(whole("a=1; {b;c\n"), ["a=1", " {b", "c"].map(text));
    assert_eq!(
        whole(" \t{b;}\n a=1\n \n"),
        [json("{b;}"), text(" a=1"), text(" ")]
    );
    // A list of messages is no message: the whole line is refused, not its pieces published.
    assert_eq!(
        whole("[{a=1;b}]\n[a=1;[{b\n"),
        [json("[{a=1;b}]"), text("[a=1"), text("[{b")]
    );
    // Another writer's line.
    assert_eq!(
        whole("a=1;{\"b\":\";\"}\nc"),
        [text("a=1"), json(r#"{"b":";"}"#), text("c")]
    );
    assert_eq!(whole("a;{;\"b;c"), ["a", "{", "\"b", "c"].map(text));
}

#[test]
fn silence_ends_text_and_never_json() {
    let mut found: Vec<Owned> = Vec::new();
    let mut each = |piece: Piece<'_>| found.push(piece.into());
    let mut splitter = splitter();
    assert!(!splitter.text_waits());
    splitter.silence(&mut each);
    splitter.feed(b"{\"a\"", &mut each);
    assert!(!splitter.text_waits());
    splitter.silence(&mut each);
    splitter.feed(b":1}\na=1", &mut each);
    assert!(splitter.text_waits());
    splitter.silence(&mut each);
    assert!(!splitter.text_waits());
    splitter.feed(b"{b}\nc=1;", &mut each);
    assert!(!splitter.text_waits());
    splitter.feed(b"\r", &mut each);
    splitter.silence(&mut each);
    splitter.feed(b"\n{d}", &mut each);
    splitter.finish(&mut each);
    splitter.feed(b"{e}\n", &mut each);
    assert_eq!(
        found,
        [
            json("{\"a\":1}"),
            text("a=1"),
            json("{b}"),
            text("c=1"),
            json("{d}"),
            json("{e}")
        ]
    );
}

#[test]
fn what_is_too_long_is_named_once_and_skipped() {
    let bytes = format!("a={};b=1\n{{{}}}\nc=1", "x".repeat(99), "y".repeat(149));
    let expected = [
        Owned::TooLong(format!("a={}", "x".repeat(62)).into(), false),
        text("b=1"),
        Owned::TooLong(format!("{{{}", "y".repeat(63)).into(), true),
        text("c=1"),
    ];
    assert_eq!(whole(&bytes), expected);
    assert_eq!(pieces(bytes.as_bytes().chunks(1)), expected);
    let fits = "x".repeat(100);
    assert_eq!(whole(&fits), [text(&fits)]);
}

#[test]
fn silence_ends_what_is_skipped_too() {
    let mut found: Vec<Owned> = Vec::new();
    let mut each = |piece: Piece<'_>| found.push(piece.into());
    let mut splitter = splitter();
    splitter.feed(&[b'x'; 200], &mut each);
    assert!(splitter.text_waits());
    assert_eq!(splitter.rest.capacity(), 0);
    splitter.silence(&mut each);
    splitter.feed(b"a=1;", &mut each);
    assert_eq!(found.len(), 2);
    assert_eq!(found[1], text("a=1"));
}

#[test]
fn a_big_buffer_is_given_back() {
    let mut splitter = Splitter::new(b';', 1 << 20);
    let mut lengths = Vec::new();
    let mut each = |piece: Piece<'_>| match piece {
        Piece::Text(text) => lengths.push(text.len()),
        _ => lengths.push(0),
    };
    for _ in 0..1000 {
        splitter.feed(&[b'x'; 1000], &mut each);
    }
    splitter.feed(b";a=1", &mut each);
    assert!(splitter.rest.capacity() <= KEPT_CAPACITY);
    splitter.finish(&mut each);
    assert_eq!(lengths, [1_000_000, 3]);
}

#[test]
fn whole_pieces_are_not_copied() {
    let bytes = b"a=1;b=2\n{c}\n";
    Splitter::new(b';', 100).feed(bytes, &mut |piece| {
        let (Piece::Text(piece) | Piece::Json(piece)) = piece else {
            panic!("{piece:?}");
        };
        assert!(bytes.as_ptr_range().contains(&piece.as_ptr()));
    });
}

#[test]
fn a_byte_order_mark_is_skipped_before_a_piece() {
    for (bytes, expected) in [
        (
            "\u{feff}a=1\n\u{feff}b=2;\u{feff}c=3",
            ["a=1", "b=2", "c=3"].map(text).to_vec(),
        ),
        (
            "\u{feff}{a;}\n\u{feff} {b;}\n",
            vec![json("{a;}"), json("{b;}")],
        ),
        // The second writer's first write.
        ("a=1;\u{feff}{b;}\n", vec![text("a=1"), json("{b;}")]),
        ("\u{feff}\n\u{feff}", vec![]),
        ("a\u{feff}=\u{feff}\n", vec![text("a\u{feff}=\u{feff}")]),
        ("\u{fe00}=1\n", vec![text("\u{fe00}=1")]),
    ] {
        assert_eq!(whole(bytes), expected, "{bytes:?}");
        assert_eq!(pieces(bytes.as_bytes().chunks(1)), expected, "{bytes:?}");
    }
    assert_eq!(
        pieces([&b"\xef\xbb"[..], b"a=1"]),
        [Owned::Text(b"\xef\xbba=1".to_vec())]
    );
}

/// A request of STUN as Chromium writes it over TCP (RFC 4571, RFC 8489), with a message in the
/// user name that a page chose.
const STUN: &[u8] = b"\x00\x74\x00\x01\x00\x58\x21\x12\xa4\x42abcdefghijkl\x00\x06\x00;\
                      room1=FORGED/BY/A/PAGE;:abcd\n\xc0\x57\x00\x04";

#[test]
fn a_control_character_in_an_address_breaks_a_guarded_stream() {
    let guarded = |portions: &[&[u8]]| {
        let mut found: Vec<Owned> = Vec::new();
        let mut each = |piece: Piece<'_>| found.push(piece.into());
        let mut splitter = splitter().guarded();
        for portion in portions {
            splitter.feed(portion, &mut each);
        }
        splitter.finish(&mut each);
        (found, splitter.is_broken())
    };
    for (bytes, taken) in [
        (STUN, vec![]),
        (b"a=1\n\0b=2;c=3", vec![text("a=1")]),
        (b"a=1;b\x7f=2\nc=3\n", vec![text("a=1")]),
        (b"status\x1b\nstatus\n", vec![]),
        (b"a=1\nb\x01", vec![text("a=1")]),
    ] {
        let expected = (taken, true);
        assert_eq!(guarded(&[bytes]), expected);
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(guarded(&each), expected);
    }
    // Long before its end, and however long it is.
    let mut splitter = splitter().guarded();
    splitter.feed(&[b'x'; 500], &mut |_| {});
    splitter.feed(b"\0", &mut |_| {});
    assert!(splitter.is_broken() && splitter.rest.capacity() == 0);
    // Data may hold whatever it likes, and JSON has its own rules.
    let fine = b"a\tb=\0\x01\r\nc=\0;{\"\0\n";
    assert_eq!(
        guarded(&[fine]),
        (
            vec![text("a\tb=\0\x01"), text("c=\0"), json("{\"\0")],
            false
        )
    );
}

/// The rules once more, written the slow and obvious way.
fn model(bytes: &[u8]) -> Vec<Owned> {
    let mut found = Vec::new();
    for mut line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let mut line_start = true;
        while !line.is_empty() {
            while let Some(rest) = line.strip_prefix(BOM) {
                (line, line_start) = (rest, true);
            }
            let blanks = line
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count();
            let text = &line[blanks..];
            if line_start && blanks <= HEAD && text.starts_with(b"{") {
                line = text;
            }
            if line.is_empty() {
                break;
            }
            let json = line_start && (line.starts_with(b"{") || line.starts_with(b"[{"))
                || line.starts_with(b"{\"");
            line_start = false;
            let end = line.iter().position(|byte| *byte == b';' && !json);
            let (raw, after) = line.split_at(end.map_or(line.len(), |end| end + 1));
            line = after;
            let piece = raw.strip_suffix(b"\n").or(raw.strip_suffix(b";"));
            // In JSON a `;` is the text's own.
            let piece = if json { raw.strip_suffix(b"\n") } else { piece };
            let piece = piece.unwrap_or(raw);
            if piece.len() > if json { 150 } else { 100 } {
                found.push(Owned::TooLong(piece[..64].to_vec(), json));
                continue;
            }
            let piece = match piece.strip_suffix(b"\r") {
                Some(line) if raw.ends_with(b"\n") => line,
                _ => piece,
            };
            match piece {
                b"" | b"\r" => {}
                _ if json => found.push(Owned::Json(piece.to_vec())),
                _ => found.push(Owned::Text(piece.to_vec())),
            }
        }
    }
    found
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => "[{};=\r\na\" \t\\[\u{feff}]{1,6}".prop_map(String::into_bytes),
        1 => Just(b"\xef\xbb".to_vec()),
        4 => Just(b"\n".to_vec()),
        2 => Just(b"\r\n".to_vec()),
        1 => (95usize..160).prop_map(|length| vec![b'x'; length]),
        1 => any::<Vec<u8>>(),
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_pieces(
        bytes in stream(),
        sizes in proptest::collection::vec(1usize..40, 1..20),
    ) {
        let expected = model(&bytes);
        prop_assert_eq!(&pieces([&bytes[..]]), &expected);
        prop_assert_eq!(&pieces(bytes.chunks(1)), &expected);
        let mut rest = &bytes[..];
        let portions: Vec<&[u8]> = sizes.iter().cycle().map_while(|size| {
            let (portion, after) = rest.split_at((*size).min(rest.len()));
            rest = after;
            (!portion.is_empty()).then_some(portion)
        }).collect();
        prop_assert_eq!(&pieces(portions), &expected);
    }

    #[test]
    fn silence_cuts_no_json_line(
        lines in proptest::collection::vec("\\{[^\r\n]{0,30}", 1..6),
        size in 1usize..20,
    ) {
        let bytes = lines.iter().fold(String::new(), |all, line| all + line + "\n");
        let mut found: Vec<Owned> = Vec::new();
        let mut splitter = splitter();
        for portion in bytes.as_bytes().chunks(size) {
            splitter.feed(portion, &mut |piece| found.push(piece.into()));
            splitter.silence(&mut |piece| found.push(piece.into()));
        }
        let lines: Vec<Owned> = lines.iter().map(|line| json(line)).collect();
        prop_assert_eq!(found, lines);
    }
}
