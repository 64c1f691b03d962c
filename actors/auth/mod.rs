//! Who may read what, where `--subscribe-key` is given: pure decisions about a request.
//!
//! | file | subject |
//! | --- | --- |
//! | [`key`] | what the key's file holds, and which signatures it can check |
//! | [`signed`] | signed URLs |
//! | [`jwt`] | JSON Web Tokens: where they are found, their signature, their claims |
//! | [`mercure`] | the tokens of the Mercure hub, and the rights that they give |
//! | [`verifier`] | the cryptography of JWTs |
//! | [`time`] | how long ago, for people |
//!
//! A request whose query has a `sign` is judged as a signed URL and as nothing else, since whoever made
//! the URL meant it so, and a cookie may be there by chance; any other is judged by its JWT.

use std::time::Duration;

use crate::model::{ClientId, Subscription};
use crate::wire::http::{Refused, Request};

pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod mercure;
pub mod signed;
#[cfg(test)]
mod tests;
mod time;
mod verifier;

pub use key::{Key, KeyError};

/// What a subscriber who may read gets besides its events.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Pass {
    /// Who it is, whatever its URL says.
    pub id: Option<ClientId>,
    /// When its stream ends, since 1970.
    pub ends: Option<Duration>,
}

/// Decides whether a request may read what it asks for, `now` being the time since 1970.
///
/// # Errors
/// 401 without a good signature or one that holds now; 403, naming the token, for one that it does not
/// cover.
pub fn check(
    key: &Key,
    request: &Request,
    subscription: &Subscription,
    now: Duration,
) -> Result<Pass, Refused> {
    let query = request.query.as_deref().unwrap_or_default();
    if signed::is_signed(query) {
        signed::check(key, query, now)?;
        return Ok(Pass::default());
    }
    let Some(token) = jwt::find(request)? else {
        return Err(unauthorized(match key.is_secret() {
            true => {
                "reading here needs a signed URL (…&expires=…&sign=…) or a JWT \
                 (Authorization: Bearer, the cookie hasses, or auth= in the query)"
            }
            false => {
                "reading here needs a JWT \
                 (Authorization: Bearer, the cookie hasses, or auth= in the query)"
            }
        }));
    };
    let claims = jwt::verify(key, &token)?;
    claims.check(subscription, now)
}

/// 401 for this reason.
fn unauthorized(why: impl Into<String>) -> Refused {
    Refused::new(401, why)
}
