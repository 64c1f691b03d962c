//! Messages and commands, as text and as JSON.

use fastrand::Rng;
use hasses_actors::model::publication::Targets;
use hasses_actors::model::{Publication, Target};
use hasses_actors::wire::command::{Command, parse};
use hasses_actors::wire::json::{self, JsonMessage, Shape};
use hasses_actors::wire::text::{Piece, Splitter};
use hasses_actors::wire::{address, refusal::Refusal};

use crate::engine::{assert_name, assert_safe, assert_token, portions};

/// The most bytes of data; small, so that longer ones are usual.
const MAX: usize = 100;

#[derive(Debug, PartialEq, Eq)]
enum Owned {
    Text(Vec<u8>),
    Json(Vec<u8>),
    TooLong(Vec<u8>, bool),
}

/// Pieces are the same however their bytes were split, and what is taken of them is within bounds.
pub(crate) fn stream(input: &[u8], rng: &mut Rng) {
    let pieces = split(&[input]);
    assert_eq!(pieces, split(&portions(input, rng)));
    for piece in &pieces {
        match piece {
            Owned::Text(text) => {
                assert!(!text.is_empty() && !text.iter().any(|byte| b";\n".contains(byte)));
                command(text);
            }
            Owned::Json(line) => {
                // A list is taken whole too, so that one refusal answers all of it.
                assert!(line.starts_with(b"{") || line.starts_with(b"[{"));
                assert!(!line.contains(&b'\n'));
                json(line, rng);
            }
            Owned::TooLong(head, _) => {
                assert!(!head.is_empty() && head.len() <= 64);
                assert_safe(&Refusal::too_long(head, MAX).to_string());
            }
        }
    }
}

fn split(portions: &[&[u8]]) -> Vec<Owned> {
    let (mut splitter, mut found) = (Splitter::new(b';', MAX), Vec::new());
    let mut each = |piece: Piece<'_>| {
        found.push(match piece {
            Piece::Text(text) => Owned::Text(text.to_vec()),
            Piece::Json(line) => Owned::Json(line.to_vec()),
            Piece::TooLong { head, json } => Owned::TooLong(head.to_vec(), json),
        });
    };
    for portion in portions {
        splitter.feed(portion, &mut each);
    }
    splitter.finish(&mut each);
    found
}

/// A text message is taken within bounds, and is the same when it is written again.
fn command(piece: &[u8]) {
    let mut invalid = 0;
    let publication = match parse(piece, MAX, &mut invalid) {
        Ok(Command::Publish(publication)) => publication,
        Ok(_) => {
            assert!(!piece.contains(&b'='));
            return;
        }
        Err(refusal) => return assert_safe(&refusal.to_string()),
    };
    assert_eq!(invalid, u64::from(std::str::from_utf8(piece).is_err()));
    assert_good(&publication);
    // Each byte that is no UTF-8 has become a character of three.
    assert!(publication.data.len() <= 3 * MAX && publication.retain);
    let [target] = publication.to.as_slice() else {
        panic!("several targets");
    };
    let id = publication.except.as_ref();
    let written = format!(
        "{}{}={}",
        address::text(target),
        id.map(|id| format!("-{id}")).unwrap_or_default(),
        publication.data
    );
    let again = parse(written.as_bytes(), 3 * MAX, &mut 0);
    assert_eq!(again, Ok(Command::Publish(publication)));
}

/// A line of JSON is taken within bounds, and is the same when it is written again.
pub(crate) fn json(line: &[u8], _: &mut Rng) {
    match json::message(line, MAX, &mut 0) {
        Ok(message) => {
            assert_json(&message);
            let again = json::message(written(&message).as_bytes(), MAX, &mut 0);
            assert_eq!(again, Ok(message));
        }
        Err(refusal) => assert_safe(&refusal.to_string()),
    }
}

/// So is a body, as a list and as lines.
pub(crate) fn json_body(input: &[u8], _: &mut Rng) {
    for ndjson in [false, true] {
        let (messages, shape) = match json::body(input, ndjson, MAX, &mut 0) {
            Ok(read) => read,
            Err(refusal) => {
                assert_safe(&refusal.to_string());
                continue;
            }
        };
        messages.iter().for_each(assert_json);
        assert!(shape == Shape::List || (messages.len() == 1 && !ndjson));
        let written: Vec<_> = messages.iter().map(written).collect();
        let (list, lines) = (format!("[{}]", written.join(",")), written.join("\n"));
        for (text, ndjson) in [(list, false), (lines, true)] {
            let again = json::body(text.as_bytes(), ndjson, MAX, &mut 0).unwrap();
            assert_eq!(again, (messages.clone(), Shape::List));
        }
    }
}

fn assert_json(message: &JsonMessage) {
    assert_good(&message.publication);
    assert!(message.publication.data.len() <= MAX);
}

fn assert_good(publication: &Publication) {
    let targets = publication.to.as_slice();
    assert!(matches!(publication.to, Targets::One(_)) || targets.len() > 1);
    for (index, target) in targets.iter().enumerate() {
        assert!(!targets[..index].contains(target), "a target twice");
        if let Target::Token(token) | Target::Prefix(token) = target {
            assert_token(token);
        }
    }
    if let Some(id) = &publication.except {
        assert_name(id.as_str());
    }
    if let Some(event) = &publication.event {
        assert!((1..=255).contains(&event.len()), "{} bytes", event.len());
        assert!(!event.contains(['\r', '\n', '\0']), "more than one line");
    }
}

fn written(message: &JsonMessage) -> String {
    let publication = &message.publication;
    let targets = publication.to.as_slice().iter();
    let mut json = serde_json::json!({
        "to": targets.map(address::text).collect::<Vec<_>>(),
        "data": publication.data,
        "retain": publication.retain,
        "ack": message.ack,
    });
    if let Some(event) = &publication.event {
        json["event"] = event.as_ref().into();
    }
    if let Some(id) = &publication.except {
        json["except"] = id.as_str().into();
    }
    json.to_string()
}
