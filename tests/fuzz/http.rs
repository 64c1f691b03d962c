//! Requests: heads, bodies, queries, and whether bytes are a request at all.

use fastrand::Rng;
use hasses_actors::wire::http::query::Query;
use hasses_actors::wire::http::{Body, BodyLength, Head, Method, Reader, Refused, looks_like_http};

use crate::engine::{assert_name, assert_safe, assert_token, portions};

/// The longest method that [`looks_like_http`] knows.
const MAX_METHOD: usize = 64;

/// Heads are the same however their bytes were split.
pub(crate) fn reader(input: &[u8], rng: &mut Rng) {
    let whole = heads(&[input]);
    assert_eq!(whole, heads(&portions(input, rng)));
    for result in whole {
        match result {
            Ok(Head { request, .. }) => assert!(
                request.path.starts_with('/')
                    || request.method == Method::Connect
                    || (request.method == Method::Options && request.path == "*"),
            ),
            Err(refused) => {
                assert!(matches!(refused.status, 400 | 414 | 431 | 501 | 505));
                assert_safe(&refused.reason);
            }
        }
    }
}

/// All heads, as if none had a body, up to the first that is refused.
fn heads(portions: &[&[u8]]) -> Vec<Result<Head, Refused>> {
    let (mut reader, mut buffer, mut found) = (Reader::new(), Vec::new(), Vec::new());
    for portion in portions {
        buffer.extend_from_slice(portion);
        loop {
            match reader.read(&buffer) {
                Ok(None) => break,
                Ok(Some(head)) => {
                    buffer.drain(..head.length);
                    found.push(Ok(head));
                }
                Err(refused) => {
                    found.push(Err(refused));
                    return found;
                }
            }
        }
    }
    found
}

/// What counts as text is no request to the reader either, more bytes change no decision, and what
/// a browser can send is never text.
pub(crate) fn detection(input: &[u8], rng: &mut Rng) {
    let mut decided = None;
    let mut prefix = Vec::new();
    let portions = portions(&input[..input.len().min(10_000)], rng);
    // Each look is at all that has come, so that thousands of them would take long.
    for some in portions.chunks(portions.len().div_ceil(256).max(1)) {
        prefix.extend(some.concat());
        let now = looks_like_http(&prefix);
        assert!(decided.is_none() || now == decided);
        decided = now;
    }
    let whole = looks_like_http(input);
    assert_eq!(looks_like_http(&[b"\r\n", input].concat()), whole);
    if let Ok(Some(_)) = Reader::new().read(input) {
        let line = input.iter().skip_while(|byte| b"\r\n".contains(byte));
        let method = line.take_while(|byte| **byte != b' ').count();
        assert!(whole == Some(true) || method > MAX_METHOD);
    }
    let (method, path) = input.split_at(rng.usize(..=input.len()));
    let method = method.iter().copied().filter(u8::is_ascii_alphanumeric);
    let path = path
        .iter()
        .copied()
        .filter(|byte| *byte > b' ' && *byte != 0x7f);
    let mut request: Vec<_> = b"M".iter().copied().chain(method.take(63)).collect();
    request.extend_from_slice(b" /");
    request.extend(path);
    request.extend_from_slice(b" HTTP/1.1\r\na=1\r\n");
    assert_eq!(looks_like_http(&request), Some(true));
}

/// Data is the same however the bytes were split, within its bound, and comes back as it was cut
/// into chunks.
pub(crate) fn body(input: &[u8], rng: &mut Rng) {
    let max = [8, 64, 4096, 100_000][rng.usize(..4)];
    let length = match rng.u8(..8) {
        0 => BodyLength::Length(rng.u64(..=input.len() as u64 + 1)),
        1 => BodyLength::Length(rng.u64(..)),
        _ => BodyLength::Chunked,
    };
    let whole = taken(length, max, &[input]);
    assert_eq!(whole, taken(length, max, &portions(input, rng)));
    match whole {
        Ok((data, used, complete)) => {
            assert!(data.len() <= max && (complete || used == input.len()));
            if let BodyLength::Length(length) = length {
                assert_eq!(data, &input[..used]);
                assert_eq!(complete, used as u64 == length);
            }
        }
        Err(refused) => {
            assert!(matches!(refused.status, 400 | 413 | 431));
            assert_safe(&refused.reason);
        }
    }
    let data = &input[..input.len().min(max)];
    let mut chunked = Vec::new();
    for chunk in portions(data, rng).iter().filter(|chunk| !chunk.is_empty()) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let length = chunked.len();
    chunked.extend_from_slice(input);
    let back = taken(BodyLength::Chunked, max, &portions(&chunked, rng));
    assert_eq!(back, Ok((data.to_vec(), length, true)));
}

/// The data, how many bytes it took, and whether it is complete.
fn taken(
    length: BodyLength,
    max: usize,
    portions: &[&[u8]],
) -> Result<(Vec<u8>, usize, bool), Refused> {
    let mut body = Body::new(length, max)?;
    let mut used = 0;
    for portion in portions {
        used += body.feed(portion)?;
    }
    let complete = body.is_complete();
    Ok((body.take(), used, complete))
}

/// Only good names are taken, each once, and they come back when they are encoded again.
pub(crate) fn query(input: &[u8], _: &mut Rng) {
    let text = String::from_utf8_lossy(input);
    let query = match Query::read(Some(&text)) {
        Ok(query) => query,
        Err(refused) => {
            assert_eq!(refused.status, 400);
            assert_safe(&refused.reason);
            return;
        }
    };
    let subscription = &query.subscription;
    assert!(subscription.all || !subscription.tokens.is_empty());
    let mut again = String::new();
    for token in &subscription.tokens {
        assert_token(token);
        again += &format!("&token={}", encoded(token.as_str()));
    }
    if subscription.all {
        again += "&subscribe=*";
    }
    if let Some(id) = &subscription.id {
        assert_name(id.as_str());
        again += &format!("&id={}", encoded(id.as_str()));
    }
    assert_eq!(
        &Query::read(Some(&again)).unwrap().subscription,
        subscription
    );
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
