//! JSON Web Tokens (RFC 7519) in compact form (RFC 7515 §7.1): where they are found, their signature,
//! their claims.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::ErrorKind;
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::time::rough;
use super::{Key, Pass, unauthorized};
use crate::model::{ClientId, Subscription};
use crate::wire::http::query::{decode, parameters};
use crate::wire::http::refused::quoted;
use crate::wire::http::{Refused, Request};

/// The JWT of a request: in `Authorization: Bearer` (RFC 6750 §2.1), else in the cookie `hasses`,
/// else as `auth=` in the query.
///
/// # Errors
/// 401 for two in the query, or one that is badly encoded.
pub fn find(request: &Request) -> Result<Option<String>, Refused> {
    if let Some(field) = &request.authorization
        && let Some((scheme, token)) = field.split_once(' ')
        && scheme.eq_ignore_ascii_case("Bearer")
    {
        return Ok(Some(token.trim().to_owned()));
    }
    let cookie = request.cookie.as_deref().and_then(cookie);
    if let Some(cookie) = cookie {
        return Ok(Some(cookie.to_owned()));
    }
    let mut given = parameters(request.query.as_deref().unwrap_or_default())
        .filter(|(name, value)| *name == "auth" && !value.is_empty());
    let Some((_, auth)) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(unauthorized("auth= is given twice in the query"));
    }
    match decode(auth, true) {
        Ok(token) => Ok(Some(token.into_owned())),
        Err(error) => Err(unauthorized(format!("auth= in the query {error}"))),
    }
}

/// The value of the cookie `hasses` (RFC 6265 §5.4: the first is the most specific one).
fn cookie(field: &str) -> Option<&str> {
    field
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim() == "hasses")
        .map(|(_, value)| value.trim().trim_matches('"'))
        .filter(|value| !value.is_empty())
}

/// Checks a JWT's form and signature, and gives its claims, which are still to be
/// [checked](Claims::check).
///
/// # Errors
/// 401.
pub fn verify(key: &Key, token: &str) -> Result<Claims, Refused> {
    look_at_header(key, token)?;
    match jsonwebtoken::decode(token, &key.jwt, &key.rules) {
        Ok(jwt) => Ok(jwt.claims),
        Err(error) => Err(unauthorized(match error.kind() {
            ErrorKind::InvalidToken | ErrorKind::Base64(_) => FORM.to_owned(),
            ErrorKind::InvalidSignature => {
                "the JWT's signature is wrong: made with another key, or changed since".to_owned()
            }
            ErrorKind::Json(error) => wrong_json("header or claims", error),
            _ => format!("the JWT: {}", quoted(error.to_string().as_bytes())),
        })),
    }
}

/// Looks at what `jsonwebtoken` does not: `crit`, and names of algorithms that it does not know either.
fn look_at_header(key: &Key, token: &str) -> Result<(), Refused> {
    let (header, _) = token.split_once('.').ok_or_else(|| unauthorized(FORM))?;
    let json = URL_SAFE_NO_PAD.decode(header);
    let json = json.map_err(|_| unauthorized(FORM))?;
    let header: Header = serde_json::from_slice(&json)
        .map_err(|error| unauthorized(wrong_json("header", &error)))?;
    if header.crit.is_some() {
        return Err(unauthorized(
            "the JWT's header has crit, and none of its extensions is known here",
        ));
    }
    match header.alg.parse::<Algorithm>() {
        Ok(algorithm) if key.rules.algorithms.contains(&algorithm) => Ok(()),
        _ => Err(unauthorized(format!(
            "the JWT's algorithm {} is not allowed with this server's key; allowed: {}",
            quoted(header.alg.as_bytes()),
            key.algorithms()
        ))),
    }
}

const FORM: &str = "this is no JWT, which has the form header.claims.signature, each of them base64url without padding";

fn wrong_json(part: &str, error: &serde_json::Error) -> String {
    let error = quoted(error.to_string().as_bytes());
    format!("the JWT's {part}: {error}")
}

/// What matters of a header (RFC 7515 §4.1).
#[derive(Deserialize)]
#[serde(expecting = "a JSON object")]
struct Header {
    alg: String,
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
    /// With it serde takes no list for this.
    #[serde(flatten)]
    _rest: IgnoredAny,
}

/// What matters of a JWT's claims (RFC 7519 §4.1). One that is given twice is an error.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a JSON object")]
pub struct Claims {
    /// Tokens that may be read: whole, `pre*`, or `*` for all.
    #[serde(default, deserialize_with = "present")]
    subscribe: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    #[serde(default, deserialize_with = "moment")]
    exp: Option<f64>,
    #[serde(default, deserialize_with = "moment")]
    nbf: Option<f64>,
    /// With it serde takes no list for this.
    #[serde(flatten)]
    _rest: IgnoredAny,
}

/// What is there, even `null`: that is not the same as nothing.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Claims {
    /// Decides whether the claims hold now and cover what is asked for.
    ///
    /// # Errors
    /// 401 for claims that do not hold, or are none; 403, naming the token, for what they do not cover.
    pub fn check(&self, asked: &Subscription, now: Duration) -> Result<Pass, Refused> {
        let now = now.as_secs_f64();
        let apart = |seconds: f64| rough(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        if let Some(exp) = self.exp.filter(|exp| now >= *exp) {
            let why = format!("the JWT expired {} ago", apart(now - exp));
            return Err(unauthorized(why));
        }
        if let Some(nbf) = self.nbf.filter(|nbf| now < *nbf) {
            let why = format!("the JWT is not valid yet, for {} more", apart(nbf - now));
            return Err(unauthorized(why));
        }
        let id = match &self.id {
            None => None,
            Some(Value::String(id)) => Some(ClientId::new(id).map_err(|error| {
                unauthorized(format!(
                    "the JWT's claim id {} {error}",
                    quoted(id.as_bytes())
                ))
            })?),
            Some(_) => return Err(unauthorized("the JWT's claim id must be a string")),
        };
        self.covers(asked)?;
        Ok(Pass {
            id,
            // A moment that does not fit is too far off to come.
            ends: self
                .exp
                .and_then(|exp| Duration::try_from_secs_f64(exp).ok()),
        })
    }

    fn covers(&self, asked: &Subscription) -> Result<(), Refused> {
        let readable = match &self.subscribe {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().map(readable).collect::<Result<_, _>>()?,
            Some(_) => return Err(unauthorized(WHAT_SUBSCRIBE_IS)),
        };
        let covered = |name: &&str| readable.iter().any(|readable| readable.covers(name));
        let tokens = asked.tokens.iter().map(|token| token.as_str());
        // No token is `*`, so only the prefix of all tokens covers it.
        let uncovered = asked.all.then_some("*").into_iter().chain(tokens);
        let uncovered = uncovered.into_iter().find(|name| !covered(name));
        match uncovered {
            None => Ok(()),
            Some(name) => Err(Refused::new(
                403,
                format!(
                    "the token {} is not covered by the JWT's claim subscribe",
                    quoted(name.as_bytes())
                ),
            )),
        }
    }
}

const WHAT_SUBSCRIBE_IS: &str = "the JWT's claim subscribe must be a list of strings: tokens, pre* for those that begin so, \
     or * for all";

/// One entry of the claim `subscribe`.
#[derive(Debug, PartialEq, Eq)]
enum Readable<'a> {
    Token(&'a str),
    /// All tokens that begin so.
    Prefix(&'a str),
}

impl Readable<'_> {
    fn covers(&self, token: &str) -> bool {
        match self {
            Self::Token(readable) => *readable == token,
            Self::Prefix(prefix) => token.starts_with(prefix),
        }
    }
}

fn readable(entry: &Value) -> Result<Readable<'_>, Refused> {
    let Value::String(entry) = entry else {
        return Err(unauthorized(WHAT_SUBSCRIBE_IS));
    };
    let (readable, plain) = match entry.strip_suffix('*') {
        Some(prefix) => (Readable::Prefix(prefix), prefix),
        None => (Readable::Token(entry), entry.as_str()),
    };
    if plain.contains('*') {
        return Err(unauthorized(format!(
            "{} in the JWT's claim subscribe has a '*' that is not at its end",
            quoted(entry.as_bytes())
        )));
    }
    Ok(readable)
}

/// A NumericDate (RFC 7519 §2): seconds since 1970, perhaps with a fraction.
fn moment<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    match Value::deserialize(from)?.as_f64() {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(D::Error::custom(
            "exp and nbf must be numbers: seconds since 1970",
        )),
    }
}
