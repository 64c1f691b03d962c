//! Refusals with their `WWW-Authenticate` (RFC 6750), CORS lines, and the metadata document (RFC 9728).

use std::fmt::Write;

use serde_json::json;

use crate::model::mercure::{Draft, Identity};
use crate::wire::http::{Answer, Refused};

/// The type of the entries of `authorization_details` that concern a hub.
pub const DETAIL_TYPE: &str = "https://mercure.rocks/authorization-detail";

/// After how many seconds who could not be served may try again.
const LATER: u32 = 5;

/// What RFC 6750 §3.1 calls the kinds of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The request is malformed.
    InvalidRequest,
    /// The token does not hold.
    InvalidToken,
    /// The token gives no right to it.
    InsufficientScope,
}

/// A refusal, and what `WWW-Authenticate` says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The status and the reason.
    pub refused: Refused,
    /// The kind of error; none where no token was there, or where it is none of tokens.
    pub error: Option<Error>,
}

impl From<Refused> for Denied {
    fn from(refused: Refused) -> Self {
        Self {
            refused,
            error: None,
        }
    }
}

impl Denied {
    /// 401: there is no token.
    pub fn missing(why: impl Into<String>) -> Self {
        Refused::new(401, why).into()
    }

    /// 401: the token does not hold.
    pub fn token(why: impl Into<String>) -> Self {
        Self {
            refused: Refused::new(401, why),
            error: Some(Error::InvalidToken),
        }
    }

    /// 403: the token gives no right to it.
    pub fn scope(why: impl Into<String>) -> Self {
        Self {
            refused: Refused::new(403, why),
            error: Some(Error::InsufficientScope),
        }
    }

    /// 400: the request cannot be meant so.
    pub fn request(why: impl Into<String>) -> Self {
        Self {
            refused: Refused::new(400, why),
            error: Some(Error::InvalidRequest),
        }
    }

    /// The answer, without CORS lines; the connection ends.
    pub fn answer(&self, hub: &Identity) -> Answer {
        let Self { refused, error } = self;
        let mut answer = Answer::text(refused.status, &refused.reason);
        if let Some(allow) = refused.allow {
            answer = answer.with("Allow", allow);
        }
        if refused.status == 503 {
            answer = answer.with("Retry-After", LATER);
        }
        if refused.status == 401 || error.is_some() {
            let mut field = "Bearer".to_owned();
            let mut add = |name: &str, value: &str| {
                let begins = if field == "Bearer" { " " } else { ", " };
                // Writing to a String cannot fail.
                let _ = write!(field, "{begins}{name}=\"{value}\"");
            };
            if let Some(error) = error {
                add("error", error.word());
                add("error_description", &description(&refused.reason));
            }
            add(
                "resource_metadata",
                &format!("{}{}", hub.origin(), hub.metadata_path()),
            );
            answer = answer.with("WWW-Authenticate", field);
        }
        answer
    }
}

impl Error {
    fn word(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

/// The characters of a text that `error_description` may have (RFC 6750 §3).
fn description(text: &str) -> String {
    let allowed = |c: char| match c {
        ' '..='!' | '#'..='[' | ']'..='~' => c,
        '"' => '\'',
        _ => '?',
    };
    text.chars().map(allowed).collect()
}

/// The CORS lines, each with its CR LF, that stand on every answer of the hub. A page of an allowed
/// origin may send credentials; a page of another may read what needs none.
pub fn cors(origins: &[String], origin: Option<&str>) -> String {
    let allowed = origin.filter(|origin| origins.iter().any(|allowed| allowed == origin));
    let origin = match allowed {
        Some(origin) => {
            format!(
                "Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\n"
            )
        }
        None => "Access-Control-Allow-Origin: *\r\n".to_owned(),
    };
    format!(
        "{origin}Vary: Origin\r\n\
         Access-Control-Expose-Headers: Link, ETag, Last-Event-ID, Mercure-Last-Event-ID, WWW-Authenticate\r\n"
    )
}

/// The further lines of the 204 that answers OPTIONS; `asked` is what
/// `Access-Control-Request-Headers` names.
pub fn preflight(allow: &str, asked: Option<&str>) -> String {
    let mut fields =
        "Authorization, Last-Event-ID, Cache-Control, Content-Type, X-Requested-With".to_owned();
    let is_name = |name: &&str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    for name in asked
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(is_name)
    {
        if !fields
            .split(", ")
            .any(|known| known.eq_ignore_ascii_case(name))
        {
            fields.push_str(", ");
            fields.push_str(name);
        }
    }
    format!(
        "Allow: {allow}\r\nAccess-Control-Allow-Methods: {allow}\r\n\
         Access-Control-Allow-Headers: {fields}\r\nVary: Access-Control-Request-Headers\r\n\
         Access-Control-Max-Age: 86400\r\n"
    )
}

/// The field that says where a replay began, and its name in a form.
pub fn last_event_id_field(draft: Draft, id: &str) -> String {
    let name = match draft {
        Draft::Seven => "Last-Event-ID",
        Draft::Eight => "Mercure-Last-Event-ID",
    };
    // A field is bytes; nothing of what an id may have ends its line.
    format!("{name}: {id}\r\n")
}

/// The document about the protected resource (RFC 9728).
pub fn metadata(hub: &Identity, issuers: &[String], cookie: &str, subscriptions: bool) -> String {
    let mut document = json!({
        "resource": hub.as_str(),
        "authorization_servers": issuers,
        "authorization_details_types_supported": [DETAIL_TYPE],
        "bearer_methods_supported": ["header"],
        "mercure_cookie": cookie,
    });
    if subscriptions {
        document["mercure_subscriptions"] =
            format!("{}{}", hub.origin(), hub.subscriptions_path()).into();
    }
    format!("{document}\n")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn hub() -> Identity {
        Identity::new("https://example.org/.well-known/mercure").unwrap()
    }

    fn challenge(denied: &Denied) -> Option<String> {
        let lines = denied.answer(&hub()).lines;
        let line = lines
            .lines()
            .find(|line| line.starts_with("WWW-Authenticate: "))?;
        Some(line["WWW-Authenticate: ".len()..].to_owned())
    }

    const METADATA: &str = "resource_metadata=\"https://example.org/.well-known/oauth-protected-resource\
        /.well-known/mercure\"";

    #[test]
    fn a_refusal_says_what_a_client_should_do() {
        assert_eq!(
            challenge(&Denied::missing("x")).unwrap(),
            format!("Bearer {METADATA}")
        );
        assert_eq!(
            challenge(&Denied::token("a \"b\"\\é")).unwrap(),
            format!("Bearer error=\"invalid_token\", error_description=\"a 'b'??\", {METADATA}")
        );
        let scope = Denied::scope("x");
        assert_eq!(scope.refused.status, 403);
        assert!(
            challenge(&scope)
                .unwrap()
                .contains("error=\"insufficient_scope\"")
        );
        let request = Denied::request("x");
        assert_eq!(request.refused.status, 400);
        assert!(
            challenge(&request)
                .unwrap()
                .contains("error=\"invalid_request\"")
        );
        assert_eq!(challenge(&Refused::new(400, "x").into()), None);
        assert_eq!(challenge(&Refused::new(404, "x").into()), None);
    }

    #[test]
    fn credentials_are_for_the_allowed() {
        let origins = ["https://a.example".to_owned()];
        let a = cors(&origins, Some("https://a.example"));
        assert!(
            a.contains("Allow-Origin: https://a.example\r\n") && a.contains("Credentials: true")
        );
        for origin in [
            None,
            Some("https://b.example"),
            Some("null"),
            Some("https://a.example.b"),
        ] {
            let other = cors(&origins, origin);
            assert!(
                other.contains("Allow-Origin: *\r\n") && !other.contains("Credentials"),
                "{other}"
            );
            assert!(other.contains("Vary: Origin\r\n"));
        }
    }

    #[test]
    fn a_preflight_allows_what_is_asked_for() {
        let lines = preflight(
            "GET, POST",
            Some("authorization, x-socket-id, bad name, a\u{1}b"),
        );
        assert!(
            lines.contains("X-Requested-With, x-socket-id\r\n"),
            "{lines}"
        );
        assert!(preflight("GET", None).contains("X-Requested-With\r\n"));
    }

    #[test]
    fn the_document_says_who_the_hub_is() {
        let issuers = ["https://example.org".to_owned()];
        let document = metadata(&hub(), &issuers, "__Secure-mercure_access_token", true);
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!(
            document["resource"],
            "https://example.org/.well-known/mercure"
        );
        assert_eq!(
            document["authorization_details_types_supported"][0],
            DETAIL_TYPE
        );
        assert_eq!(document["bearer_methods_supported"][0], "header");
        assert_eq!(document["mercure_cookie"], "__Secure-mercure_access_token");
        assert!(
            document["mercure_subscriptions"]
                .as_str()
                .unwrap()
                .ends_with("/subscriptions")
        );
        assert!(!metadata(&hub(), &issuers, "x", false).contains("mercure_subscriptions"));
    }
}
