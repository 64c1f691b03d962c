//! The tokens of the Mercure hub, and the rights that they give: pure decisions about a request.
//!
//! | file | subject |
//! | --- | --- |
//! | this | rights, and the order of steps from a request to them |
//! | [`find`] | where a token is: `Authorization`, query, cookie; which pages may use a cookie |
//! | [`claims`] | what a token says, in either form |
//!
//! A token with `typ: at+jwt` has form 8, and what form 7 would read in it counts for nothing; any
//! other has form 7.

use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::Key;
use crate::wire::http::{Method, Request};
use crate::wire::mercure::answer::Denied;
use crate::wire::mercure::selector::{Selector, Topic, any_selects};
use crate::wire::mercure::{Form, Identity};

mod claims;
mod find;
#[cfg(test)]
mod tests;

pub use find::{COOKIE_7, COOKIE_8, Place, find};

/// What a token gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Rights {
    /// The token's form.
    pub form: Form,
    /// What may be published; none = nothing.
    pub publish: Vec<Selector>,
    /// Of which topics private updates may be read, and what is told of the subscriber.
    pub subscribe: Rc<Readable>,
    /// When the token expires, since 1970.
    pub ends: Option<Duration>,
}

/// What may be read by a token's rights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Readable {
    /// Grants, each with the payload of its entry.
    pub grants: Vec<Grant>,
    /// What is told of the subscriber whatever it subscribes to (form 7).
    pub payload: Option<Value>,
}

/// Topics whose private updates may be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// The topics.
    pub selectors: Vec<Selector>,
    /// What is told of a subscriber that has this right.
    pub payload: Option<Value>,
}

impl Readable {
    /// Whether private updates of one of the topics may be read.
    pub fn covers(&self, topics: &[Topic<'_>]) -> bool {
        self.grants
            .iter()
            .any(|grant| any_selects(&grant.selectors, topics))
    }

    /// What is told of a subscription: the payload of the first grant that covers what is written
    /// as its selector.
    pub fn payload(&self, selector: &Selector, hub: &Identity) -> Option<&Value> {
        let topic = [Topic::new(selector.as_str(), hub)];
        let covers = |grant: &&Grant| {
            grant.selectors.contains(selector) || any_selects(&grant.selectors, &topic)
        };
        let grant = self.grants.iter().find(covers);
        grant.map_or(self.payload.as_ref(), |grant| {
            grant.payload.as_ref().or(self.payload.as_ref())
        })
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty() && self.payload.is_none()
    }
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
    pub keys: &'a [Key],
    /// The hub.
    pub hub: &'a Identity,
    /// Whose tokens hold in form 8.
    pub issuers: &'a [String],
    /// The pages that may publish by cookie.
    pub origins: &'a [String],
    /// The cookie's name, if it is not the form's own.
    pub cookie: Option<&'a str>,
    /// The only form that is spoken.
    pub only: Option<Form>,
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
        form: Option<Form>,
        in_query: Option<&str>,
        now: Duration,
    ) -> Result<Option<Rights>, Denied> {
        let form = form.or(self.only);
        let Some((token, place)) = find(request, form, in_query, self.cookie) else {
            return Ok(None);
        };
        let rights = claims::read(self, &token, form, now)?;
        if let Some(form) = form.filter(|form| *form != rights.form) {
            return Err(Denied::token(match form {
                Form::Seven => "the token is one of version 1.0 (typ: at+jwt), the request is not",
                Form::Eight => {
                    "the token must be one of version 1.0, with typ: at+jwt in its header"
                }
            }));
        }
        if place == Place::Query && rights.form == Form::Eight {
            return Err(Denied::request(
                "a token of version 1.0 has no place in a query",
            ));
        }
        if place == Place::Cookie && request.method == Method::Post {
            find::check_origin(request, self.origins, rights.form)?;
        }
        Ok(Some(rights))
    }
}
