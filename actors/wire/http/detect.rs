//! HTTP told apart from text, which share the control port.

use memchr::{memchr, memmem};

use super::reader::MAX_REQUEST_LINE;

/// The longest word that is taken for a method. Without asking first (a CORS preflight, which is
/// HTTP) a page cannot have its browser send any other than GET, HEAD and POST.
const MAX_METHOD: usize = 64;

/// Whether a control connection that begins with these bytes is spoken to as HTTP. `None` = it
/// could still become either; ask again with more. At the connection's end `None` means text.
///
/// `first` holds the connection's first bytes; while they are nothing but line ends they may be
/// dropped, as neither protocol minds.
///
/// HTTP is whatever looks like a request line: a method (any `token` of RFC 9110 §5.6.2), a space,
/// a target that begins with `/`, `*`, `http://` or `https://` (after `CONNECT`, any), and ` HTTP/`
/// before the newline. Everything that is undecided when its line is over 8 KiB is HTTP too, and so
/// is a TLS handshake.
///
/// **No browser can make a text message of its request.** A page may choose the method, the path
/// and the body, but a browser writes the method as a `token`, the path with a `/` in front and
/// without spaces or control characters (WHATWG URL), and ` HTTP/` after it, so every request
/// line that it can produce is HTTP here, however long, and is then judged as such: by its
/// `Origin` and `Host`. A TLS handshake can carry bytes that a page's server chose (a session
/// ticket), and counts as HTTP so that these are never read as messages either.
pub fn looks_like_http(first: &[u8]) -> Option<bool> {
    let start = first
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    // No more than what is enough to decide, so that it makes no difference how much has come.
    let line = &first[start..first.len().min(start + MAX_REQUEST_LINE + 1)];
    let (line, whole) = match memchr(b'\n', line) {
        Some(length) => (&line[..length], true),
        None => (line, false),
    };
    match line {
        [0x16] if !whole => return None,
        [0x16, 0x03, ..] => return Some(true),
        _ => {}
    }
    match request_line(line) {
        None if whole => Some(false),
        None if line.len() > MAX_REQUEST_LINE => Some(true),
        decided => decided,
    }
}

/// Judges the beginning of a line.
fn request_line(line: &[u8]) -> Option<bool> {
    let Some(space) = line.iter().position(|byte| !is_tchar(*byte)) else {
        return (line.len() > MAX_METHOD).then_some(false);
    };
    if space == 0 || space > MAX_METHOD || line[space] != b' ' {
        return Some(false);
    }
    let (method, target) = (&line[..space], &line[space + 1..]);
    if method != b"CONNECT" && !begins_like_target(target)? {
        return Some(false);
    }
    let control = target.iter().position(u8::is_ascii_control);
    match memmem::find(&target[..control.unwrap_or(target.len())], b" HTTP/") {
        Some(_) => Some(true),
        None => control.map(|_| false),
    }
}

/// Whether a target's beginning can be one's that a server is asked for; `None` = not known yet.
fn begins_like_target(target: &[u8]) -> Option<bool> {
    if matches!(target.first()?, b'/' | b'*') {
        return Some(true);
    }
    for scheme in [&b"http://"[..], b"https://"] {
        let common = target.len().min(scheme.len());
        if target[..common].eq_ignore_ascii_case(&scheme[..common]) {
            return (common == scheme.len()).then_some(true);
        }
    }
    Some(false)
}

/// A character of a `token` (RFC 9110 §5.6.2), which a method is.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::super::Reader;
    use super::*;

    /// How many bytes it takes to decide, and how it is decided.
    fn decided(bytes: impl AsRef<[u8]>) -> Option<(usize, bool)> {
        let bytes = bytes.as_ref();
        (0..=bytes.len()).find_map(|end| Some((end, looks_like_http(&bytes[..end])?)))
    }

    #[test]
    fn text_is_known_at_its_first_byte_that_no_request_has() {
        for (text, at) in [
            ("room1=x", "room1="),
            ("GET=x", "GET="),
            ("GET =x", "GET ="),
            ("hello world=1", "hello w"),
            ("hello house=1", "hello ho"),
            ("status;", "status;"),
            ("status\n", "status\n"),
            ("subscribedclients:a", "subscribedclients:"),
            ("{\"to\":\"a\"}", "{"),
            ("*=x", "*="),
            ("auth secret\n", "auth s"),
            (" GET / HTTP/1.1\n", " "),
            ("\r\n\nroom=x", "\r\n\nroom="),
            ("news /sport=x\nGET / HTTP/1.1\n", "news /sport=x\n"),
            ("GET /\tHTTP/1.1\n", "GET /\t"),
            ("GET /HTTP/1.1\n", "GET /HTTP/1.1\n"),
            ("\u{16}a", "\u{16}a"),
            ("\u{e1}=x", "\u{e1}"),
        ] {
            let (length, http) = decided(text).unwrap();
            assert!(!http, "{text:?}");
            assert!(length <= at.len(), "{text:?} only at {length}");
        }
    }

    #[test]
    fn a_request_line_is_http() {
        for line in [
            "GET / HTTP/",
            "\r\nGET / HTTP/",
            "POST /publish/a HTTP/",
            "anything /?a=b;c=d HTTP/",
            "OPTIONS * HTTP/",
            "PRI * HTTP/",
            "GET http://a/ HTTP/",
            "GET HTTPS://a/ HTTP/",
            "CONNECT a:443 HTTP/",
            "GET /a b HTTP/",
            "\u{16}\u{3}",
        ] {
            assert_eq!(decided(line), Some((line.len(), true)), "{line:?}");
        }
    }

    #[test]
    fn a_word_is_undecided() {
        for text in [
            "",
            "\r\n\r\n",
            "status",
            "GET",
            "GET ",
            "GET http:/",
            "GET /",
        ] {
            assert_eq!(looks_like_http(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_undecided_for_8_kib_is_http() {
        for start in ["GET /", "\nGET /"] {
            let mut bytes = start.as_bytes().to_vec();
            bytes.resize(20_000, b'a');
            let (length, http) = decided(&bytes).unwrap();
            assert!(http && length <= MAX_REQUEST_LINE + 2);
            bytes.extend_from_slice(b"\n");
            assert_eq!(looks_like_http(&bytes), Some(true));
            // And is refused as such.
            assert_eq!(Reader::new().read(&bytes).unwrap_err().status, 414);
        }
    }

    #[test]
    fn a_word_that_is_no_method_is_text() {
        let word = "g".repeat(MAX_METHOD + 1);
        assert_eq!(decided(&word), Some((MAX_METHOD + 1, false)));
        assert_eq!(
            looks_like_http(format!("{word} / HTTP/1.1\r\n").as_bytes()),
            Some(false)
        );
    }

    proptest! {
        /// Once decided, more bytes change nothing.
        #[test]
        fn any_split_gives_the_same(bytes in "[\\r\\n]{0,2}[\u{16}A-Z=]{0,3}( ?(/|\\*|http://)?[a-z\u{3}\\r\\n=]{0,3}( HTTP/)?){0,4}") {
            if let Some((length, http)) = decided(&bytes) {
                for end in length..=bytes.len() {
                    prop_assert_eq!(looks_like_http(&bytes.as_bytes()[..end]), Some(http));
                }
            }
        }

        /// Whatever method, target and body a page's script may choose.
        #[test]
        fn no_browser_request_is_text(
            method in "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}",
            target in "/[!-~]{0,40}",
            body in "[*]=.{0,20}",
        ) {
            let bytes = format!("{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n{body}");
            prop_assert_eq!(decided(bytes).unwrap().1, true);
        }

        /// What the reader would take, text must never be.
        #[test]
        fn nothing_that_the_reader_takes_is_text(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = bytes;
            bytes.extend_from_slice(b" / HTTP/1.1\r\nHost: h\r\n\r\n");
            if Reader::new().read(&bytes).is_ok_and(|head| head.is_some()) {
                prop_assert_eq!(decided(bytes).unwrap().1, true);
            }
        }
    }
}
