//! `GET PATH.js`: the page's script, made at build time of the modules in `examples/clients`.

use std::sync::LazyLock;

use ring::digest::{SHA256, digest};

use crate::wire::http::{Answer, Request};

const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sse.js"));
const COMPRESSED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sse.js.gz"));
/// What is behind a stream's path in that of its script.
const SUFFIX: &str = ".js";
/// A browser may use its copy for five minutes, and for a day where the daemon cannot be reached.
const CACHE: &str = "public, max-age=300, stale-while-revalidate=86400, stale-if-error=86400";

/// The script's entity tag, without quotes (RFC 9110 §8.8.3): the beginning of its hash.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let hash = digest(&SHA256, SCRIPT);
    let hex = hash
        .as_ref()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"));
    hex.collect()
});

/// Whether `path` is that of the script of the stream at `stream`.
pub(super) fn is_at(path: &str, stream: &str) -> bool {
    path.strip_suffix(SUFFIX) == Some(stream)
}

/// The answer to a GET: the script, compressed where the client accepts that; 304 where the client has it.
pub(super) fn answer(request: &Request) -> Answer {
    let compressed = accepts_gzip(request.accept_encoding.as_deref().unwrap_or_default());
    // Each form has a tag of its own (RFC 9110 §8.8.1).
    let tag = if compressed {
        format!("\"{}-gzip\"", *TAG)
    } else {
        format!("\"{}\"", *TAG)
    };
    let known = request
        .if_none_match
        .as_deref()
        .is_some_and(|tags| has(tags, &tag));
    let mut answer = match (known, compressed) {
        (true, _) => Answer::not_modified(),
        (false, true) => Answer::page("text/javascript; charset=utf-8", COMPRESSED)
            .with("Content-Encoding", "gzip"),
        (false, false) => Answer::page("text/javascript; charset=utf-8", SCRIPT),
    };
    answer = answer
        .with("ETag", tag)
        .with("Cache-Control", CACHE)
        .with("Vary", "Accept-Encoding")
        .with("X-Content-Type-Options", "nosniff");
    answer.close = true;
    answer
}

/// Whether `tag` is among the tags of an `If-None-Match`, compared weakly (RFC 9110 §13.1.2): proxies that
/// compress weaken a tag.
fn has(tags: &str, tag: &str) -> bool {
    let mut tags = tags.split(',').map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

/// Whether an `Accept-Encoding` allows gzip (RFC 9110 §12.5.3): named, or by `*`, and not with `q=0`.
fn accepts_gzip(field: &str) -> bool {
    let weight = |wanted: &[&str]| {
        field.split(',').find_map(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let named = wanted
                .iter()
                .any(|wanted| name.trim().eq_ignore_ascii_case(wanted));
            let zero = parameters
                .trim()
                .to_ascii_lowercase()
                .strip_prefix("q=")
                .is_some_and(|q| q.trim().parse() == Ok(0.0));
            named.then_some(!zero)
        })
    };
    weight(&["gzip", "x-gzip"])
        .or_else(|| weight(&["*"]))
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_small_and_whole() {
        assert!(COMPRESSED.len() <= 8 << 10, "{} bytes", COMPRESSED.len());
        let script = str::from_utf8(SCRIPT).unwrap_or_default();
        assert!(
            script.contains("export function connect("),
            "it has no entry"
        );
        for outside in [
            "import{",
            "import ",
            "http:",
            "https:",
            "eval(",
            "innerHTML",
        ] {
            assert!(!script.contains(outside), "{outside}");
        }
    }

    #[test]
    fn paths() {
        assert!(is_at("/sse.js", "/sse") && is_at("/a/b.js", "/a/b"));
        for path in ["/sse", "/sse.js.js", "/ssex.js", "/SSE.js", "/.js"] {
            assert!(!is_at(path, "/sse"), "{path}");
        }
    }

    #[test]
    fn what_may_be_compressed() {
        for field in [
            "gzip",
            "br, GZIP",
            "gzip;q=0.5",
            "*",
            "deflate, *;q=0.1",
            "x-gzip",
        ] {
            assert!(accepts_gzip(field), "{field}");
        }
        for field in [
            "",
            "br",
            "gzip;q=0",
            "gzip; q=0.000, *",
            "*;q=0",
            "identity",
            "gzipped",
        ] {
            assert!(!accepts_gzip(field), "{field}");
        }
    }

    #[test]
    fn what_is_known_already() {
        for tags in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(has(tags, "\"a\""), "{tags}");
        }
        for tags in ["", "a", "\"b\"", "\"a-gzip\""] {
            assert!(!has(tags, "\"a\""), "{tags}");
        }
    }
}
