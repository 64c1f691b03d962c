//! Whom a message is for, as publishers write it.

use std::borrow::Cow;

use memchr::memchr2;

use crate::model::names::check_address;
use crate::model::{ClientId, NameError, Target, Token};

use super::refusal::{Kind, Refusal, shown};

/// Reads a whole token, a prefix `pre*` or `*`, where `-` is an ordinary character: `to` in JSON, the
/// path in HTTP, the argument of a command.
pub fn target(text: &str) -> Result<Target, Refusal> {
    if text == "*" {
        return Ok(Target::All);
    }
    let (name, make): (_, fn(Token) -> Target) = match text.strip_suffix('*') {
        Some(prefix) => (prefix, Target::Prefix),
        None => (text, Target::Token),
    };
    Token::addressed(name).map(make).map_err(|error| {
        let problem = match error {
            NameError::Star => {
                "may have a '*' only at its end (a prefix) or alone (everybody)".into()
            }
            error => error.to_string(),
        };
        refused(text, &problem)
    })
}

/// A target as [`target`] reads it.
pub fn text(target: &Target) -> Cow<'_, str> {
    match target {
        Target::Token(token) => Cow::Borrowed(token.as_str()),
        Target::Prefix(prefix) => Cow::Owned(format!("{prefix}*")),
        Target::All => Cow::Borrowed("*"),
    }
}

/// Reads the address of a text message, `token`, `pre*` or `*`, and after it perhaps `-` and the id
/// of the clients to spare. The first `-` ends the token, so the id may have more of them.
pub(super) fn address(text: &str) -> Result<(Target, Option<ClientId>), Refusal> {
    let Some(at) = memchr2(b'*', b'-', text.as_bytes()) else {
        return Ok((target(text)?, None));
    };
    let star = text.as_bytes()[at] == b'*';
    let (to, after) = text.split_at(at + usize::from(star));
    if !star && after.contains('*') {
        return Err(refused(
            text,
            "has a '-' before the '*'; an id to spare comes after it: pre*-ID",
        ));
    }
    if after.is_empty() {
        return Ok((target(to)?, None));
    }
    let Some(id) = after.strip_prefix('-') else {
        return Err(refused(
            text,
            "has a '*' that is not its end; only -ID may follow it",
        ));
    };
    if !star && to.is_empty() {
        return Err(refused(
            text,
            "begins with '-'; a token comes first: TOKEN-ID",
        ));
    }
    Ok((target(to)?, Some(client_id(id)?)))
}

/// Reads the id of a client.
pub fn client_id(text: &str) -> Result<ClientId, Refusal> {
    ClientId::new(text)
        .map_err(|error| Refusal::new(Kind::BadId, format!("the id {} {error}", shown(text))))
}

/// Refuses a target that is longer than it may be where there is a `hub` or none.
pub(super) fn check_length(target: &Target, hub: bool) -> Result<(), Refusal> {
    match target {
        Target::Token(name) | Target::Prefix(name) => {
            check_address(name, hub).map_err(|error| refused(&text(target), &error.to_string()))
        }
        Target::All => Ok(()),
    }
}

fn refused(address: &str, problem: &str) -> Refusal {
    Refusal::new(
        Kind::BadAddress,
        format!("the address {} {problem}", shown(address)),
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(name: &str) -> Target {
        Target::Token(Token::new(name).unwrap())
    }

    fn prefix(name: &str) -> Target {
        Target::Prefix(Token::new(name).unwrap())
    }

    #[test]
    fn a_whole_target_has_no_id() {
        assert_eq!(target("room1"), Ok(token("room1")));
        assert_eq!(
            target("550e8400-e29b-41d4"),
            Ok(token("550e8400-e29b-41d4"))
        );
        assert_eq!(target("-"), Ok(token("-")));
        assert_eq!(target("pre*"), Ok(prefix("pre")));
        assert_eq!(target("a-b*"), Ok(prefix("a-b")));
        assert_eq!(target("*"), Ok(Target::All));
        for bad in ["", "**", "a*b", "*a", "a\n", "a**", &"x".repeat(4097)] {
            assert_eq!(target(bad).unwrap_err().reason(), "bad_address", "{bad:?}");
        }
        for (length, hub, fits) in [(255, false, true), (256, false, false), (4096, true, true)] {
            for text in ["x".repeat(length), "x".repeat(length) + "*"] {
                let target = target(&text).unwrap();
                assert_eq!(check_length(&target, hub).is_ok(), fits, "{length} {hub}");
            }
        }
        assert_eq!(
            target("a*b").unwrap_err().to_string(),
            r#"the address "a*b" may have a '*' only at its end (a prefix) or alone (everybody)"#
        );
    }

    #[test]
    fn the_first_minus_ends_the_token() {
        for (text, to, id) in [
            ("room1", token("room1"), None),
            ("room1-7", token("room1"), Some("7")),
            ("room1-r7", token("room1"), Some("r7")),
            ("room1-a-b", token("room1"), Some("a-b")),
            ("room1--", token("room1"), Some("-")),
            ("pre*", prefix("pre"), None),
            ("pre*-7", prefix("pre"), Some("7")),
            ("*", Target::All, None),
            ("*-7", Target::All, Some("7")),
            ("*-a-b", Target::All, Some("a-b")),
        ] {
            let id = id.map(|id| ClientId::new(id).unwrap());
            assert_eq!(address(text), Ok((to, id)), "{text}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for (text, reason) in [
            ("", "bad_address"),
            ("-7", "bad_address"),
            ("-", "bad_address"),
            ("a-b*", "bad_address"),
            ("a-b*-7", "bad_address"),
            ("-*", "bad_address"),
            ("a*b", "bad_address"),
            ("a*b-7", "bad_address"),
            ("**", "bad_address"),
            ("**-7", "bad_address"),
            ("a\t", "bad_address"),
            ("a-", "bad_id"),
            ("*-", "bad_id"),
            ("a-\u{7f}", "bad_id"),
        ] {
            assert_eq!(address(text).unwrap_err().reason(), reason, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_target_is_written_as_it_is_read(name in "[^*\\p{Cc}]{1,60}", kind in 0..3) {
            let target_ = match kind {
                0 => Target::Token(Token::new(&name).unwrap()),
                1 => Target::Prefix(Token::new(&name).unwrap()),
                _ => Target::All,
            };
            prop_assert_eq!(target(&text(&target_)), Ok(target_.clone()));
        }

        #[test]
        fn an_address_is_read_as_it_is_written(
            name in "[^*\\p{Cc}-]{1,60}",
            id in proptest::option::of("[^*\\p{Cc}]{1,60}"),
            star in any::<bool>(),
        ) {
            let mut written = name.clone();
            if star {
                written.push('*');
            }
            if let Some(id) = &id {
                written.push('-');
                written.push_str(id);
            }
            let to = if star { prefix(&name) } else { token(&name) };
            let id = id.map(|id| ClientId::new(&id).unwrap());
            prop_assert_eq!(address(&written), Ok((to, id)));
        }

        #[test]
        fn no_address_breaks_a_line(text in any::<String>()) {
            if let Err(refusal) = address(&text) {
                prop_assert!(!refusal.to_string().contains(char::is_control));
            }
        }
    }
}
