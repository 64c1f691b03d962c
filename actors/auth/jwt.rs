//! JSON Web Tokens (RFC 7519) in compact form (RFC 7515 §7.1): where they are found, their signature,
//! their claims.

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::ErrorKind;
use serde::de::{Error, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::time::rough;
use super::{Keys, MILLISECONDS, Pass, Proof, unauthorized};
use crate::model::{ClientId, Subscription};
use crate::wire::auth::bearer;
use crate::wire::http::query::{decode, parameters};
use crate::wire::http::refused::quoted;
use crate::wire::http::{Refused, Request};
use crate::wire::info::LONGEST;

/// Signatures that are checked at most for one request, so that none holds the others up.
pub(super) const ATTEMPTS: usize = 16;
/// Seconds by which another machine's clock may be ahead, for `nbf` (RFC 7519 §4.1.5).
const LEEWAY: f64 = 30.0;

/// The JWTs of a request, in the order in which they count: in `Authorization: Bearer` (RFC 6750
/// §2.1), in cookies `hasses` (RFC 6265 §5.4: the first is the most specific one), as `auth=` in the
/// query.
pub(super) fn all(request: &Request) -> impl Iterator<Item = Result<Cow<'_, str>, Refused>> {
    let bearer = bearer(request.authorization.as_deref()).map(Cow::Borrowed);
    let cookies = cookies(request.cookie.as_deref().unwrap_or_default()).map(Cow::Borrowed);
    let query = parameters(request.query.as_deref().unwrap_or_default());
    let query = query.filter(|(name, value)| *name == "auth" && !value.is_empty());
    let query = query.map(|(_, value)| {
        let unreadable = |error| unauthorized(format!("auth= in the query {error}"));
        decode(value, true).map_err(unreadable)
    });
    bearer.into_iter().chain(cookies).map(Ok).chain(query)
}

/// The values of the cookies `hasses`.
fn cookies(field: &str) -> impl Iterator<Item = &str> {
    field
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| name.trim() == "hasses")
        .map(|(_, value)| value.trim().trim_matches('"'))
        .filter(|value| !value.is_empty())
}

/// Checks a JWT's form and signature, and gives its claims, which are still to be
/// [checked](Claims::check). Each signature that is checked is taken off `attempts`.
///
/// # Errors
/// 401.
pub(super) fn verify(keys: &Keys, token: &str, attempts: &mut usize) -> Result<Claims, Refused> {
    let Header { alg, kid, .. } = header(token)?;
    let not_allowed = || {
        unauthorized(format!(
            "the JWT's algorithm {} is not allowed with this server's key; allowed: {}",
            quoted(alg.as_bytes()),
            keys.algorithms()
        ))
    };
    let algorithm = alg.parse::<Algorithm>().map_err(|_| not_allowed())?;
    let fitting = keys.for_jwt(algorithm, kid.as_deref());
    if fitting.is_empty() {
        return Err(if keys.for_jwt(algorithm, None).is_empty() {
            not_allowed()
        } else {
            unauthorized("the JWT's kid names none of this server's keys")
        });
    }
    let mut refused = unauthorized("there are too many JWTs in this request, or keys for them");
    for key in fitting {
        let Some(left) = attempts.checked_sub(1) else {
            break;
        };
        *attempts = left;
        match jsonwebtoken::decode(token, &key.jwt, &key.rules) {
            Ok(jwt) => return Ok(jwt.claims),
            Err(error) => refused = wrong_jwt(&error),
        }
    }
    Err(refused)
}

fn wrong_jwt(error: &jsonwebtoken::errors::Error) -> Refused {
    unauthorized(match error.kind() {
        ErrorKind::InvalidToken | ErrorKind::Base64(_) => FORM.to_owned(),
        ErrorKind::InvalidSignature => {
            "the JWT's signature is wrong: made with another key, or changed since".to_owned()
        }
        ErrorKind::Json(error) => wrong_json("header or claims", error),
        _ => format!("the JWT: {}", quoted(error.to_string().as_bytes())),
    })
}

/// Reads a header. It looks at what `jsonwebtoken` does not: `crit`, and names of algorithms that it
/// does not know either.
fn header(token: &str) -> Result<Header, Refused> {
    let (header, _) = token.split_once('.').ok_or_else(|| unauthorized(FORM))?;
    let json = URL_SAFE_NO_PAD.decode(header);
    let json = json.map_err(|_| unauthorized(FORM))?;
    let header: Header = serde_json::from_slice(&json)
        .map_err(|error| unauthorized(wrong_json("header", &error)))?;
    match header.crit {
        None => Ok(header),
        Some(_) => Err(unauthorized(
            "the JWT's header has crit, and none of its extensions is known here",
        )),
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
    kid: Option<String>,
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
    /// What presence shows of the client.
    #[serde(default)]
    info: Option<Value>,
    /// Whether the client may learn who else is there.
    #[serde(default, deserialize_with = "present")]
    presence: Option<Value>,
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
        self.hold(now.as_secs_f64())?;
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
        let presence = match &self.presence {
            None => false,
            Some(Value::Bool(presence)) => *presence,
            Some(_) => {
                return Err(unauthorized(
                    "the JWT's claim presence must be true or false",
                ));
            }
        };
        if asked.presence && !presence {
            let why = "presence=1 needs a JWT with the claim presence: true";
            return Err(Refused::new(403, why));
        }
        let info = self.info.as_ref().map(Value::to_string);
        if info.as_ref().is_some_and(|info| info.len() > LONGEST) {
            let why = "the JWT's claim info is longer than 1024 bytes";
            return Err(Refused::new(400, why));
        }
        Ok(Pass {
            by: Proof::Jwt,
            id,
            info,
            // A moment that does not fit is too far off to come.
            ends: self
                .exp
                .and_then(|exp| Duration::try_from_secs_f64(exp).ok()),
        })
    }

    /// Whether the claims hold at this moment, in seconds since 1970.
    fn hold(&self, now: f64) -> Result<(), Refused> {
        let apart = |seconds: f64| rough(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        for (claim, moment) in [("exp", self.exp), ("nbf", self.nbf)] {
            if moment.is_some_and(|moment| moment >= MILLISECONDS) {
                return Err(unauthorized(format!(
                    "the JWT's {claim} is too far off; are these milliseconds? It needs seconds since 1970"
                )));
            }
        }
        if let Some(exp) = self.exp.filter(|exp| now >= *exp) {
            let why = format!("the JWT expired {} ago", apart(now - exp));
            return Err(unauthorized(why));
        }
        if let Some(nbf) = self.nbf.filter(|nbf| now + LEEWAY < *nbf) {
            let why = format!("the JWT is not valid yet, for {} more", apart(nbf - now));
            return Err(unauthorized(why));
        }
        Ok(())
    }

    fn covers(&self, asked: &Subscription) -> Result<(), Refused> {
        let readable = match &self.subscribe {
            None => Readable::default(),
            Some(Value::Array(list)) => Readable::of(list)?,
            Some(_) => return Err(unauthorized(WHAT_SUBSCRIBE_IS)),
        };
        let tokens = asked.tokens.iter().map(|token| token.as_str());
        // No token is `*`, so only the prefix of all tokens covers it.
        let all = asked.all.then_some("*").into_iter().chain(tokens);
        let uncovered: Vec<&str> = all.filter(|name| !readable.covers(name)).collect();
        match uncovered.as_slice() {
            [] => Ok(()),
            uncovered => Err(Refused::denied(
                uncovered,
                "not covered by the JWT's claim subscribe",
            )),
        }
    }
}

const WHAT_SUBSCRIBE_IS: &str = "the JWT's claim subscribe must be a list of strings: tokens, pre* for those that begin so, \
     or * for all";

/// What the claim `subscribe` lists.
#[derive(Debug, Default)]
struct Readable<'a> {
    tokens: HashSet<&'a str>,
    /// All tokens that begin so. No more than a token can begin with are found in it by their ends.
    prefixes: HashSet<&'a str>,
}

impl<'a> Readable<'a> {
    fn of(list: &'a [Value]) -> Result<Self, Refused> {
        let mut readable = Self::default();
        for entry in list {
            let Value::String(entry) = entry else {
                return Err(unauthorized(WHAT_SUBSCRIBE_IS));
            };
            let (entries, plain) = match entry.strip_suffix('*') {
                Some(prefix) => (&mut readable.prefixes, prefix),
                None => (&mut readable.tokens, entry.as_str()),
            };
            if plain.contains('*') {
                return Err(unauthorized(format!(
                    "{} in the JWT's claim subscribe has a '*' that is not at its end",
                    quoted(entry.as_bytes())
                )));
            }
            entries.insert(plain);
        }
        Ok(readable)
    }

    fn covers(&self, token: &str) -> bool {
        let starts = |end: usize| {
            token
                .get(..end)
                .is_some_and(|start| self.prefixes.contains(start))
        };
        self.tokens.contains(token) || !self.prefixes.is_empty() && (0..=token.len()).any(starts)
    }
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
