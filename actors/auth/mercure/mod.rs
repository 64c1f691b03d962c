//! The tokens of the Mercure hub, and the rights that they give: pure decisions about a request.
//!
//! | file | subject |
//! | --- | --- |
//! | this | rights, and the order of steps from a request to them |
//! | [`mod@find`] | where a token is: `Authorization`, query, cookie; which pages may use a cookie |
//! | [`claims`] | what a token says, in either form |
//!
//! A token with `typ: at+jwt` has form 8, and what form 7 would read in it counts for nothing; any
//! other has form 7.

use std::rc::Rc;
use std::time::Duration;

use super::Keys;
use crate::model::mercure::selector::any_selects;
use crate::model::mercure::{Draft, Identity, Readable, Selector, Topic};
use crate::wire::http::{Method, Request};
use crate::wire::mercure::answer::Denied;

mod claims;
mod find;
#[cfg(test)]
mod tests;

#[cfg(test)]
use find::COOKIE_7;
pub use find::{COOKIE_8, Place, find};

/// What a token gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// The token's form.
    pub draft: Draft,
    /// What may be published; none = nothing.
    pub publish: Vec<Selector>,
    /// Of which topics private updates may be read, and what is told of the subscriber.
    pub subscribe: Rc<Readable>,
    /// When the token expires, since 1970.
    pub ends: Option<Duration>,
}

impl Rights {
    /// Checks that all of an update's topics may be published.
    ///
    /// # Errors
    /// 403, naming the topic.
    pub fn check_publish(&self, topics: &[&str], hub: &Identity) -> Result<(), Denied> {
        for topic in topics {
            let selected = [Topic::new(topic, hub)];
            if !any_selects(&self.publish, &selected) {
                let topic = crate::wire::http::refused::quoted(topic.as_bytes());
                return Err(Denied::scope(format!(
                    "the token gives no right to publish to {topic}"
                )));
            }
        }
        Ok(())
    }
}

/// What decides about tokens.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// The keys of which one must have signed.
    pub keys: &'a Keys,
    /// The hub.
    pub hub: &'a Identity,
    /// Whose tokens hold in form 8.
    pub issuers: &'a [String],
    /// The pages that may publish by cookie.
    pub origins: &'a [String],
    /// The cookie's name, if it is not the form's own.
    pub cookie: Option<&'a str>,
    /// The only form that is spoken.
    pub only: Option<Draft>,
}

impl Rules<'_> {
    /// The rights of a request: none where it has no token. `form` is the request's own, as far as it
    /// says it (a query does, a body does not); `in_query` is the token in its query.
    ///
    /// # Errors
    /// 401 for a token that does not hold, or is of another form; 400 for one that is none (form 8),
    /// and for a cookie that a page of another origin makes the browser send.
    pub fn rights(
        &self,
        request: &Request,
        draft: Option<Draft>,
        in_query: Option<&str>,
        now: Duration,
    ) -> Result<Option<Rights>, Denied> {
        let draft = draft.or(self.only);
        let Some((token, place)) = find(request, draft, in_query, self.cookie) else {
            return Ok(None);
        };
        let rights = claims::read(self, &token, draft, now)?;
        if let Some(draft) = draft.filter(|draft| *draft != rights.draft) {
            return Err(Denied::token(match draft {
                Draft::Seven => "the token is one of version 1.0 (typ: at+jwt), the request is not",
                Draft::Eight => {
                    "the token must be one of version 1.0, with typ: at+jwt in its header"
                }
            }));
        }
        if place == Place::Query && rights.draft == Draft::Eight {
            return Err(Denied::request(
                "a token of version 1.0 has no place in a query",
            ));
        }
        if place == Place::Cookie && request.method == Method::Post {
            find::check_origin(request, self.origins, rights.draft)?;
        }
        Ok(Some(rights))
    }
}
