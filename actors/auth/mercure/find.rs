//! Where a request's token is, and which pages may have a browser send it as a cookie.

use url::Url;

use crate::model::mercure::Draft;
use crate::wire::auth::bearer;
use crate::wire::http::refused::quoted;
use crate::wire::http::{Refused, Request};
use crate::wire::mercure::answer::Denied;

/// The cookie of form 7.
pub const COOKIE_7: &str = "mercureAuthorization";
/// The cookie of form 8.
pub const COOKIE_8: &str = "__Secure-mercure_access_token";

/// Where a token was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `Authorization: Bearer`.
    Field,
    /// `authorization=` in the query.
    Query,
    /// A cookie.
    Cookie,
}

/// The token of a request: in `Authorization: Bearer` (RFC 6750 §2.1), else in the query (form 7),
/// else in the cookie of the form, or of either where the request does not say its form.
pub fn find(
    request: &Request,
    draft: Option<Draft>,
    in_query: Option<&str>,
    cookie_name: Option<&str>,
) -> Option<(String, Place)> {
    if let Some(token) = bearer(request.authorization.as_deref()) {
        return Some((token.to_owned(), Place::Field));
    }
    if let Some(token) = in_query.filter(|_| draft != Some(Draft::Eight)) {
        return Some((token.to_owned(), Place::Query));
    }
    let names = match (cookie_name, draft) {
        (Some(name), _) => vec![name],
        (None, Some(Draft::Seven)) => vec![COOKIE_7],
        (None, Some(Draft::Eight)) => vec![COOKIE_8],
        (None, None) => vec![COOKIE_8, COOKIE_7],
    };
    let field = request.cookie.as_deref()?;
    let mut found = names.iter().filter_map(|name| cookie(field, name));
    found.next().map(|token| (token.to_owned(), Place::Cookie))
}

/// The value of a cookie (RFC 6265 §5.4: the first is the most specific one).
fn cookie<'a>(field: &'a str, wanted: &str) -> Option<&'a str> {
    field
        .split(';')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, _)| name.trim() == wanted)
        .map(|(_, value)| value.trim().trim_matches('"'))
        .filter(|value| !value.is_empty())
}

/// Checks that the page which made a browser send a cookie is of an allowed origin: `Origin` says it,
/// else `Referer`.
///
/// # Errors
/// 400 in form 8, 403 in form 7.
pub(super) fn check_origin(
    request: &Request,
    origins: &[String],
    draft: Draft,
) -> Result<(), Denied> {
    let referer = || {
        let referer = Url::parse(request.referer.as_deref()?).ok()?;
        Some(referer.origin().ascii_serialization())
    };
    let origin = request.origin.clone().or_else(referer);
    let why = match &origin {
        Some(origin) if origins.contains(origin) => return Ok(()),
        Some(origin) => format!(
            "a page of {} may not publish with a cookie; --mercure-origin names those that may",
            quoted(origin.as_bytes())
        ),
        None => {
            "a request with a cookie must say its Origin, so that no other page can forge it".into()
        }
    };
    Err(match draft {
        Draft::Eight => Denied::request(why),
        Draft::Seven => Refused::new(403, why).into(),
    })
}
