//! Who may read what, where `--subscribe-key` is given: pure decisions about a request.
//!
//! | file | subject |
//! | --- | --- |
//! | [`key`] | what a key's file holds, and which signatures it can check |
//! | [`keys`] | several keys that hold together; JWK Sets |
//! | [`signed`] | signed URLs |
//! | [`jwt`] | JSON Web Tokens: where they are found, their signature, their claims |
//! | [`mercure`] | the tokens of the Mercure hub, and the rights that they give |
//! | [`verifier`] | the cryptography of JWTs |
//! | [`time`] | how long ago, for people |
//!
//! A request whose query has a `sign` is judged as a signed URL and as nothing else, since whoever made
//! the URL meant it so, and a cookie may be there by chance; any other is judged by its JWTs, of which
//! the first counts that holds and covers what is asked for.

use std::time::Duration;

use crate::model::{ClientId, Subscription};
use crate::wire::http::{Refused, Request};

pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod mercure;
pub mod signed;
#[cfg(test)]
mod tests;
mod time;
mod verifier;

pub use key::{Key, KeyError};
pub use keys::Keys;

/// Times from here on are none in seconds since 1970, the year 5138: whoever gives one has counted
/// milliseconds.
const MILLISECONDS: f64 = 1e11;

/// What a subscriber who may read gets besides its events.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    /// What it proved its right with.
    pub by: Proof,
    /// Who a JWT says it is, whatever its URL says.
    pub id: Option<ClientId>,
    /// What a JWT says of it, as JSON.
    pub info: Option<String>,
    /// When its stream ends, since 1970.
    pub ends: Option<Duration>,
}

/// How a right is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// By a signed URL.
    Url,
    /// By a JWT.
    Jwt,
}

impl Proof {
    /// Its word: the value of `Hasses-Auth`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Jwt => "jwt",
        }
    }
}

/// Decides whether a request may read what it asks for, and learn who else does where it asks for
/// that; `now` is the time since 1970.
///
/// # Errors
/// 401 without a good signature or one that holds now; 403, naming the tokens, for what is not covered.
pub fn check(
    keys: &Keys,
    request: &Request,
    subscription: &Subscription,
    now: Duration,
) -> Result<Pass, Refused> {
    let query = request.query.as_deref().unwrap_or_default();
    if signed::is_signed(query) {
        return signed::check(keys, query, now);
    }
    let mut attempts = jwt::ATTEMPTS;
    let mut why = None;
    for token in jwt::all(request) {
        let decided = token
            .and_then(|token| jwt::verify(keys, &token, &mut attempts))
            .and_then(|claims| claims.check(subscription, now));
        match (decided, &why) {
            (Ok(pass), _) => return Ok(pass),
            // What holds but does not cover tells more than what does not hold.
            (Err(refused), None) => why = Some(refused),
            (Err(refused), Some(before)) if before.status == 401 && refused.status == 403 => {
                why = Some(refused);
            }
            (Err(_), Some(_)) => {}
        }
    }
    Err(why.unwrap_or_else(|| {
        unauthorized(if keys.has_secret() {
            "reading here needs a signed URL (…&expires=…&sign=…) or a JWT \
             (Authorization: Bearer, the cookie hasses, or auth= in the query)"
        } else {
            "reading here needs a JWT \
             (Authorization: Bearer, the cookie hasses, or auth= in the query)"
        })
    }))
}

/// 401 for this reason.
fn unauthorized(why: impl Into<String>) -> Refused {
    Refused::new(401, why)
}
