//! The CORS header lines of the subscribers' port (Fetch standard, "CORS protocol").

use std::borrow::Cow;

use crate::model::Cors;

/// The methods of the subscribers' port: the value of `Allow`.
pub const ALLOW: &str = "GET, HEAD, OPTIONS";

/// The header fields that a page's script may always send.
const ALLOWED_HEADERS: &str = "Authorization, Last-Event-ID, Cache-Control, X-Requested-With";

/// The line that lets a page's script read what a refusal says besides.
pub const EXPOSE_DENIED: &str = "Access-Control-Expose-Headers: Hasses-Denied\r\n";

/// The further header lines, CR LF included, of the 204 that answers OPTIONS: what a page's
/// script may do, good for a day. It may send whatever header fields it `wanted` to, as only its
/// origin decides what it gets.
pub fn preflight(wanted: Option<&str>) -> String {
    let mut headers = ALLOWED_HEADERS.to_owned();
    let fields = wanted.unwrap_or_default().split(',').map(str::trim);
    for field in fields.filter(|field| is_field_name(field)) {
        if !headers
            .split(", ")
            .any(|known| known.eq_ignore_ascii_case(field))
        {
            headers += ", ";
            headers += field;
        }
    }
    format!(
        "Allow: {ALLOW}\r\n\
         Access-Control-Allow-Methods: {ALLOW}\r\n\
         Access-Control-Allow-Headers: {headers}\r\n\
         Access-Control-Max-Age: 86400\r\n\
         Vary: Access-Control-Request-Headers\r\n"
    )
}

/// Whether a text is the name of a header field (RFC 9110 §5.6.2: a token).
fn is_field_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// The lines, CR LF included, that say how a stream's right was proved, for a page's script too.
pub fn proof(word: &str) -> String {
    format!("Hasses-Auth: {word}\r\nAccess-Control-Expose-Headers: Hasses-Auth\r\n")
}

/// The header lines, each with its CR LF, that stand on every answer of the subscribers' port,
/// errors too. `origin` is the request's.
///
/// With several allowed origins the answer depends on who asks, so caches are told by
/// `Vary: Origin`, also where the origin is not among them.
pub fn lines(cors: &Cors, origin: Option<&str>) -> Cow<'static, str> {
    match cors {
        Cors::Any => "Access-Control-Allow-Origin: *\r\n".into(),
        Cors::Only(allowed) => match allowed.as_slice() {
            [only] => named(only).into(),
            several => {
                let own = several
                    .iter()
                    .find(|allowed| Some(allowed.as_str()) == origin);
                let named = own.map(|own| named(own)).unwrap_or_default();
                (named + "Vary: Origin\r\n").into()
            }
        },
    }
}

/// The `Origin` in the head of a request that could not be understood, so that its page can read
/// what was wrong.
pub fn origin_of(head: &[u8]) -> Option<&str> {
    let mut lines = head.split(|byte| *byte == b'\n').skip(1);
    lines.find_map(|line| {
        let (name, value) = line.split_at_checked("origin:".len())?;
        let value = std::str::from_utf8(value).ok()?;
        name.eq_ignore_ascii_case(b"origin:")
            .then_some(value.trim())
    })
}

fn named(origin: &str) -> String {
    format!("Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "Access-Control-Allow-Origin: https://a.example\r\n\
        Access-Control-Allow-Credentials: true\r\n";

    #[test]
    fn an_origin_is_found_in_what_is_no_request() {
        for (head, origin) in [
            (
                "GET / HTTP/1.1\r\nHost\r\norigin:  https://a.example \r\n\r\n",
                Some("https://a.example"),
            ),
            ("Origin: x\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nX-Origin: x\r\n", None),
            ("", None),
        ] {
            assert_eq!(origin_of(head.as_bytes()), origin, "{head:?}");
        }
    }

    #[test]
    fn any_origin_gets_no_credentials() {
        for origin in [None, Some("https://a.example")] {
            assert_eq!(
                lines(&Cors::Any, origin),
                "Access-Control-Allow-Origin: *\r\n"
            );
        }
    }

    #[test]
    fn one_origin_is_always_sent() {
        let cors = Cors::Only(vec!["https://a.example".into()]);
        for origin in [None, Some("https://a.example"), Some("https://b.example")] {
            assert_eq!(lines(&cors, origin), A);
        }
    }

    #[test]
    fn of_several_origins_the_requests_own_is_sent() {
        let cors = Cors::Only(vec!["https://b.example".into(), "https://a.example".into()]);
        assert_eq!(
            lines(&cors, Some("https://a.example")),
            format!("{A}Vary: Origin\r\n")
        );
        for origin in [None, Some("null"), Some("https://a.example.evil")] {
            assert_eq!(lines(&cors, origin), "Vary: Origin\r\n");
        }
    }

    #[test]
    fn a_script_may_send_what_it_wants_to() {
        let allowed = |wanted| {
            let lines = preflight(wanted);
            assert!(lines.starts_with(&format!("Allow: {ALLOW}\r\n")));
            assert!(lines.contains("\r\nVary: Access-Control-Request-Headers\r\n"));
            assert!(lines.lines().count() == 5 && lines.ends_with("\r\n"));
            let mut lines = lines.lines();
            let line = lines.find_map(|line| line.strip_prefix("Access-Control-Allow-Headers: "));
            line.map(str::to_owned)
        };
        assert_eq!(allowed(None).as_deref(), Some(ALLOWED_HEADERS));
        assert_eq!(
            allowed(Some(
                "content-type,traceparent, last-event-id , x y,,é, content-type"
            )),
            Some(format!("{ALLOWED_HEADERS}, content-type, traceparent"))
        );
    }
}
