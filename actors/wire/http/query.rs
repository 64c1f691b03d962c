//! Percent-decoding, and a subscriber's query.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use memchr::memchr2;
use percent_encoding::percent_decode_str;

use super::Refused;
use super::refused::quoted;
use crate::model::{ClientId, Form, Positions, Subscription, Token};

/// Why a text cannot be percent-decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// A `%` is not followed by two hexadecimal digits.
    Percent,
    /// The decoded bytes are not UTF-8.
    Utf8,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Percent => {
                "has a '%' that two hexadecimal digits do not follow; '%' itself is written %25"
            }
            Self::Utf8 => "is not UTF-8 when it is percent-decoded",
        })
    }
}

impl std::error::Error for DecodeError {}

/// Percent-decodes `text` (RFC 3986 §2.1), strictly. In a query `+` is a space
/// (`application/x-www-form-urlencoded`, WHATWG URL §5.1), in a path it is a plus.
pub fn decode(text: &str, plus_is_space: bool) -> Result<Cow<'_, str>, DecodeError> {
    // Nearly all are as they were.
    if memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(text));
    }
    // The crate leaves a '%' that encodes nothing as it is; here it is a mistake.
    let encoded = text.split('%').skip(1).all(|after| {
        matches!(after.as_bytes(), [high, low, ..]
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    });
    if !encoded {
        return Err(DecodeError::Percent);
    }
    let text = if plus_is_space {
        text.replace('+', " ").into()
    } else {
        Cow::Borrowed(text)
    };
    percent_decode_str(&text)
        .decode_utf8()
        .map(|text| Cow::Owned(text.into_owned()))
        .map_err(|_| DecodeError::Utf8)
}

/// The parameters of a raw query in their order: name and value, both raw; without `=` the value
/// is empty.
pub fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|parameter| !parameter.is_empty())
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

/// What a subscriber asks for in its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// Which tokens, and as whom: at least one token, or all.
    pub subscription: Subscription,
    /// `info=`, raw: what presence is to show of the client.
    pub info: Option<&'a str>,
    /// `lastEventId=`, raw: the last event that the client has.
    pub last_event_id: Option<&'a str>,
    /// `recent=N`: how many kept events of each token are wanted.
    pub recent: Option<usize>,
    /// `recent=N:NAME`: how many kept events of single tokens are wanted, each of which is one of the
    /// subscription's, once. Of one name the last one counts.
    pub recent_of: Vec<(Token, usize)>,
}

impl<'a> Query<'a> {
    /// Reads the raw query of a subscriber's request. Parameters with other names are ignored.
    ///
    /// `subscribe` is split at `-` before it is decoded, so a token that has a `-` in it is given
    /// encoded or as `token=`; either may be repeated. `*` in `subscribe` means every token; `token=`
    /// names one, and no token is `*`. Of any other parameter the last one counts, as a script that
    /// reconnects may append its own, and an empty one is as if it were not there.
    ///
    /// Errors: 400, naming the parameter, for one that is badly encoded or whose value is none of its
    /// kind, and where neither `subscribe` nor `token` is there.
    pub fn read(query: Option<&'a str>) -> Result<Self, Refused> {
        let mut names = Names::default();
        let (mut id, mut last_event_id, mut recent) = (None, None, None);
        let mut recent_of = Vec::new();
        let (mut json, mut positions, mut pings) = (false, true, false);
        let (mut presence, mut info) = (false, None);
        for (name, value) in parameters(query.unwrap_or_default()) {
            match name {
                "subscribe" => value
                    .split('-')
                    .try_for_each(|token| names.add("subscribe", token, value))?,
                "token" => names.add("token", value, value)?,
                "id" if value.is_empty() => id = None,
                "id" => {
                    let text = decoded("id", value)?;
                    id = Some(ClientId::new(&text).map_err(|error| wrong("id", value, error))?);
                }
                "lastEventId" => last_event_id = Some(value),
                "recent" if value.is_empty() => recent = None,
                "recent" => match decoded("recent", value)?.split_once(':') {
                    None => recent = Some(count("recent", value, value)?),
                    Some((number, name)) => recent_of.push(recent_of_one(value, number, name)?),
                },
                "ping" => pings = switch("ping", value)?,
                "positions" => positions = switch("positions", value)? || value.is_empty(),
                "format" => json = is_json(value)?,
                "presence" => presence = switch("presence", value)?,
                "info" => info = Some(value).filter(|value| !value.is_empty()),
                // Heard of where a URL is signed.
                "until" => {
                    switch("until", value)?;
                }
                _ => {}
            }
        }
        if names.tokens.is_empty() && !names.all {
            return Err(no_token(query.unwrap_or_default()));
        }
        let positions = match (pings, positions) {
            (true, _) => Positions::Pings,
            (false, true) => Positions::Blocks,
            (false, false) => Positions::None,
        };
        let tokens = distinct(names.tokens);
        Ok(Self {
            recent_of: of_these(recent_of, &tokens, names.all)?,
            subscription: Subscription {
                tokens,
                all: names.all,
                id,
                form: Form::new(json, positions),
                hub: None,
                presence,
                inside: false,
            },
            info,
            last_event_id,
            recent,
        })
    }
}

/// The token and the number of `recent=NUMBER:NAME`.
fn recent_of_one(value: &str, number: &str, name: &str) -> Result<(Token, usize), Refused> {
    let token = Token::new(name).map_err(|error| wrong("recent", value, error))?;
    Ok((token, count("recent", value, number)?))
}

/// 400 for a query without a token.
fn no_token(query: &str) -> Refused {
    const NONE: &str = "which tokens? Say subscribe=TOKEN or token=TOKEN in the query";
    let list = parameters(query).find_map(|(name, _)| {
        let name = decode(name, true).ok()?;
        ["subscribe", "token"]
            .into_iter()
            .find(|known| name.strip_prefix(known) == Some("[]"))
    });
    Refused::new(
        400,
        match list {
            None => NONE.to_owned(),
            // As PHP and some HTTP libraries write lists.
            Some(name) => {
                format!("{name}[]= is not known here; repeat {name}= without the [] instead")
            }
        },
    )
}

/// Reads a parameter that is 0 or 1; empty is as if it were not there.
fn switch(parameter: &str, value: &str) -> Result<bool, Refused> {
    match value {
        "1" => Ok(true),
        "0" | "" => Ok(false),
        _ => Err(wrong(parameter, value, "must be 0 or 1")),
    }
}

/// Reads `format=`.
fn is_json(value: &str) -> Result<bool, Refused> {
    match value {
        "json" => Ok(true),
        "" => Ok(false),
        _ => Err(wrong("format", value, "is no format; json is one")),
    }
}

/// Reads a number of events, a part of `value` or all of it. One too large to be counted means all.
fn count(parameter: &str, value: &str, number: &str) -> Result<usize, Refused> {
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(number.parse().unwrap_or(usize::MAX))
    } else {
        Err(wrong(
            parameter,
            value,
            "needs a whole number of events, with :TOKEN behind it if they are to be of one token",
        ))
    }
}

/// Checks that those of whom recent events are wanted are among a subscription's tokens; each once,
/// as it was given last.
fn of_these(
    wanted: Vec<(Token, usize)>,
    tokens: &[Token],
    all: bool,
) -> Result<Vec<(Token, usize)>, Refused> {
    if wanted.is_empty() {
        return Ok(wanted);
    }
    let tokens: HashSet<&Token> = tokens.iter().collect();
    let mut last: Vec<(Token, usize)> = Vec::new();
    let mut seen = HashSet::new();
    for (token, count) in wanted.into_iter().rev() {
        if !all && !tokens.contains(&token) {
            let why = "names a token that subscribe= and token= do not name";
            return Err(wrong("recent", &format!("{count}:{token}"), why));
        }
        if seen.insert(token.clone()) {
            last.push((token, count));
        }
    }
    last.reverse();
    Ok(last)
}

/// The tokens so far.
#[derive(Default)]
struct Names {
    tokens: Vec<Token>,
    all: bool,
}

impl Names {
    /// Adds one raw name out of `value`, the whole of what `parameter` says.
    fn add(&mut self, parameter: &str, name: &str, value: &str) -> Result<(), Refused> {
        let name = decoded(parameter, name)?;
        if name == "*" && parameter == "subscribe" {
            self.all = true;
            return Ok(());
        }
        let token = Token::new(&name).map_err(|error| match &*name {
            "" => wrong(parameter, value, "has an empty token in it"),
            name => wrong(parameter, name, error),
        })?;
        self.tokens.push(token);
        Ok(())
    }
}

/// Each token once, where it was first.
fn distinct(mut tokens: Vec<Token>) -> Vec<Token> {
    if tokens.len() > 1 {
        let mut seen = HashSet::with_capacity(tokens.len());
        tokens.retain(|token| seen.insert(token.clone()));
    }
    tokens
}

/// Decodes a query parameter's value, or says what is wrong with it.
pub(super) fn decoded<'a>(parameter: &str, value: &'a str) -> Result<Cow<'a, str>, Refused> {
    decode(value, true).map_err(|error| wrong(parameter, value, error))
}

/// 400 for a query parameter's value.
pub(super) fn wrong(parameter: &str, value: &str, error: impl fmt::Display) -> Refused {
    Refused::new(
        400,
        format!("{parameter}={} {error}", quoted(value.as_bytes())),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn tokens(query: &str) -> Vec<String> {
        let subscription = Query::read(Some(query)).unwrap().subscription;
        assert!(!subscription.all);
        subscription.tokens.iter().map(Token::to_string).collect()
    }

    fn refused(query: &str) -> String {
        let refused = Query::read(Some(query)).unwrap_err();
        assert_eq!(refused.status, 400);
        refused.reason
    }

    #[test]
    fn tokens_are_split_before_they_are_decoded() {
        assert_eq!(tokens("subscribe=a"), ["a"]);
        assert_eq!(tokens("subscribe=a-b&x=y&subscribe=c"), ["a", "b", "c"]);
        assert_eq!(
            tokens("subscribe=a%2Db-c+d-%C3%A9%2b"),
            ["a-b", "c d", "é+"]
        );
        assert_eq!(
            tokens("token=550e8400-e29b&subscribe=a"),
            ["550e8400-e29b", "a"]
        );
        assert_eq!(tokens("token=a=b"), ["a=b"]);
        assert_eq!(tokens("&subscribe=a&&"), ["a"]);
        assert_eq!(
            tokens("subscribe=a-b-a&token=b&token=a-b"),
            ["a", "b", "a-b"]
        );
        assert_eq!(
            tokens("subscribe=a&Subscribe=b&%73ubscribe=c&other=%zz"),
            ["a"]
        );
    }

    #[test]
    fn a_star_means_all() {
        for query in ["subscribe=*", "subscribe=%2A", "subscribe=%2a"] {
            let subscription = Query::read(Some(query)).unwrap().subscription;
            assert!(subscription.all && subscription.tokens.is_empty());
        }
        let both = Query::read(Some("subscribe=a-*&id=7"))
            .unwrap()
            .subscription;
        assert!(both.all && both.tokens.len() == 1);
        assert_eq!(both.id.unwrap().as_str(), "7");
        for query in ["subscribe=a*", "subscribe=a-%2A%2A", "token=*", "token=*-a"] {
            assert!(refused(query).contains("'*'"));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for query in [
            "subscribe=",
            "subscribe",
            "subscribe=a--b",
            "subscribe=-a",
            "subscribe=a-",
            "subscribe=a&subscribe=",
        ] {
            let reason = refused(query);
            assert!(
                reason.contains("subscribe=") && reason.contains("empty"),
                "{reason}"
            );
        }
        assert!(refused("token=").contains("token=\"\" has an empty token"));
        assert!(refused("subscribe=a-%zz").contains("%25"));
        assert!(refused("subscribe=a%2-b").contains("%25"));
        assert!(refused("subscribe=%").contains("%25"));
        assert!(refused("token=%ff").contains("UTF-8"));
        assert!(refused("token=%0A").contains("control character"));
        assert!(refused(&format!("token={}", "a".repeat(256))).contains("255"));
        assert!(refused("subscribe=a&id=%").contains("id="));
        assert!(refused("subscribe=a&id=%0A").contains("control character"));
        for query in ["subscribe[]=a", "id=1&token%5B%5D=a&token%5B%5D=b"] {
            assert!(refused(query).contains("without the []"), "{query}");
        }
        for query in ["", "id=7", "x"] {
            assert!(refused(query).contains("subscribe=TOKEN"));
        }
        assert!(Query::read(None).is_err());
    }

    #[test]
    fn of_what_is_given_twice_the_last_counts_and_what_is_empty_is_not_there() {
        let id = |query: &str| {
            let id = Query::read(Some(query)).unwrap().subscription.id;
            id.map(|id| id.to_string())
        };
        assert_eq!(id("subscribe=a&id="), None);
        assert_eq!(id("subscribe=a&id=1&id=2").as_deref(), Some("2"));
        assert_eq!(id("subscribe=a&id=1&id="), None);
        let query = Query::read(Some("subscribe=a&presence=1&info=1&info=%7B%7D&until=1")).unwrap();
        assert!(query.subscription.presence);
        assert_eq!(query.info, Some("%7B%7D"));
        let query = Query::read(Some("subscribe=a&presence=1&presence=&info=1&info=")).unwrap();
        assert!(!query.subscription.presence);
        assert_eq!(query.info, None);
        assert!(refused("subscribe=a&presence=yes").contains("must be 0 or 1"));
        assert!(refused("subscribe=a&until=noon").contains("must be 0 or 1"));
    }

    #[test]
    fn what_replay_needs_is_carried_raw() {
        let query =
            Query::read(Some("subscribe=a&lastEventId=5&recent=3&lastEventId=%36")).unwrap();
        assert_eq!(query.last_event_id, Some("%36"));
        assert_eq!(query.recent, Some(3));
    }

    #[test]
    fn recent_events_are_counted_for_all_tokens_or_for_one() {
        let read = |query: &str| {
            let query = Query::read(Some(query)).unwrap();
            let of = query.recent_of.into_iter();
            let of: Vec<_> = of
                .map(|(token, count)| (token.to_string(), count))
                .collect();
            (query.recent, of)
        };
        let of = |token: &str, count| (token.to_owned(), count);
        assert_eq!(read("subscribe=a&recent=2&recent=3"), (Some(3), vec![]));
        assert_eq!(read("subscribe=a&recent=2&recent="), (None, vec![]));
        assert_eq!(
            read("subscribe=a-b&recent=99999999999999999999999"),
            (Some(usize::MAX), vec![])
        );
        // Decoded first, then split at the first colon.
        assert_eq!(
            read("token=a:b&token=c&recent=5:a%3Ab&recent=1%3Ac&recent=7&recent=4:a:b"),
            (Some(7), vec![of("c", 1), of("a:b", 4)])
        );
        assert_eq!(read("subscribe=*&recent=1:b"), (None, vec![of("b", 1)]));
        for (query, why) in [
            ("subscribe=a&recent=x", "whole number"),
            ("subscribe=a&recent=-1", "whole number"),
            ("subscribe=a&recent=:a", "whole number"),
            ("subscribe=a&recent=1:b", "recent=\"1:b\" names a token"),
            ("subscribe=a&recent=1:", "is empty"),
            ("subscribe=a&recent=1:*", "'*'"),
            ("subscribe=a&recent=%zz", "%25"),
        ] {
            assert!(refused(query).contains(why), "{query}: {}", refused(query));
        }
    }

    #[test]
    fn the_form_is_asked_for() {
        let form = |query: &str| {
            let query = format!("subscribe=a{query}");
            let subscription = Query::read(Some(&query)).unwrap().subscription;
            (subscription.form.is_json(), subscription.form.positions())
        };
        for (query, expected) in [
            ("", (false, Positions::Blocks)),
            ("&ping=0&positions=1&format=", (false, Positions::Blocks)),
            ("&positions=&ping=", (false, Positions::Blocks)),
            ("&positions=0", (false, Positions::None)),
            ("&ping=1", (false, Positions::Pings)),
            ("&ping=1&positions=0&format=json", (true, Positions::Pings)),
            ("&format=json&positions=0", (true, Positions::None)),
        ] {
            assert_eq!(form(query), expected, "{query}");
        }
        for (query, why) in [
            ("subscribe=a&ping=yes", "ping=\"yes\" must be 0 or 1"),
            ("subscribe=a&positions=no", "must be 0 or 1"),
            ("subscribe=a&format=xml", "format=\"xml\" is no format"),
        ] {
            assert!(refused(query).contains(why), "{query}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_out(text in any::<String>()) {
            let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            prop_assert_eq!(decode(&encoded, true), Ok(Cow::from(&text)));
            prop_assert_eq!(decode(&encoded, false), Ok(Cow::from(&text)));
        }

        #[test]
        fn no_query_panics(query in "(subscribe=|token=|id=|&|-|%|[0-9a-f]|\\*|\\PC){0,20}") {
            if let Ok(query) = Query::read(Some(&query)) {
                prop_assert!(query.subscription.all || !query.subscription.tokens.is_empty());
            }
        }
    }

    #[test]
    fn a_plus_is_a_space_in_a_query_only() {
        assert_eq!(decode("a+b%2B", true).unwrap(), "a b+");
        assert_eq!(decode("a+b%2B", false).unwrap(), "a+b+");
        assert_eq!(decode("%%", false), Err(DecodeError::Percent));
        assert_eq!(decode("%+1", true), Err(DecodeError::Percent));
        assert_eq!(decode("%é", true), Err(DecodeError::Percent));
    }
}
