//! What nodes tell one another of their members, as text: `hello` from one that asks for all, else `some` or
//! `all`, and a line of JSON for each: `["TOKEN","ID",STREAMS,SINCE,"INFO"]`, or `["TOKEN","ID"]` for one that
//! left, or `["TOKEN","ID",STREAMS]` for one that has another number of streams, `null` standing for those
//! without an id.

use serde_json::{Value, json};

use super::{NodeChange, What};
use crate::model::{ClientId, Token};

/// Asks all other nodes for all their members.
pub(super) const HELLO: &str = "hello";

/// What was told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Another node asks for all members of this one.
    Hello,
    /// Members came to another node or left it.
    Changes {
        /// Whether these are all that it has.
        all: bool,
        /// The members.
        changes: Vec<NodeChange>,
    },
}

/// Changes, or all members, as they are sent.
pub(super) fn text(all: bool, changes: &[NodeChange]) -> String {
    let mut text = String::from(if all { "all" } else { "some" });
    for NodeChange { token, what } in changes {
        let token = token.as_str();
        let line = match what {
            What::Here {
                id,
                streams,
                since,
                info,
            } => json!([token, id.as_str(), streams, since, info.as_deref()]),
            What::Gone(id) => json!([token, id.as_str()]),
            What::Streams(id, streams) => {
                json!([token, id.as_ref().map(ClientId::as_str), streams])
            }
        };
        text += &format!("\n{line}");
    }
    text
}

/// Understands what came; none for what no node of this version has sent.
pub(super) fn read(text: &str) -> Option<Told> {
    let mut lines = text.split('\n');
    let all = match lines.next()? {
        HELLO => return Some(Told::Hello),
        "all" => true,
        "some" => false,
        _ => return None,
    };
    let changes = lines.map(|line| {
        let parts: Vec<Value> = serde_json::from_str(line).ok()?;
        let id = |value: &Value| ClientId::new(value.as_str()?).ok();
        let number = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let (token, what) = match parts.as_slice() {
            [token, one] => (token, What::Gone(id(one)?)),
            [token, Value::Null, streams] => (token, What::Streams(None, number(streams)?)),
            [token, one, streams] => (token, What::Streams(Some(id(one)?), number(streams)?)),
            [token, one, streams, since, info] => {
                let here = What::Here {
                    id: id(one)?,
                    streams: number(streams)?,
                    since: since.as_u64()?,
                    info: info.as_str().map(Into::into),
                };
                (token, here)
            }
            _ => return None,
        };
        let token = Token::new(token.as_str()?).ok()?;
        Some(NodeChange { token, what })
    });
    let changes = changes.collect::<Option<_>>()?;
    Some(Told::Changes { all, changes })
}
