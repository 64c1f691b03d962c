//! What nodes tell one another of their members, as text: `hello` from one that asks for all, else `some` or
//! `all`, and a line of JSON for each: `["TOKEN","ID",SINCE,"INFO"]`, or `["TOKEN","ID"]` for one that left.

use serde_json::{Value, json};

use super::{Info, NodeChange};
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
    for NodeChange { token, id, here } in changes {
        let (token, id) = (token.as_str(), id.as_str());
        let line = match here {
            Some((info, since)) => json!([token, id, since, info.as_deref()]),
            None => json!([token, id]),
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
        let (token, id, here) = match parts.as_slice() {
            [token, id] => (token, id, None),
            [token, id, since, info] => {
                let info: Info = info.as_str().map(Into::into);
                (token, id, Some((info, since.as_u64()?)))
            }
            _ => return None,
        };
        Some(NodeChange {
            token: Token::new(token.as_str()?).ok()?,
            id: ClientId::new(id.as_str()?).ok()?,
            here,
        })
    });
    let changes = changes.collect::<Option<_>>()?;
    Some(Told::Changes { all, changes })
}
