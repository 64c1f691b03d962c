//! What a token says (RFC 7519, RFC 9068, RFC 9396), in either form.

use std::rc::Rc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::ErrorKind;
use serde_json::{Map, Value};

use super::{Rights, Rules};
use crate::model::mercure::selector::{MatchType, Selector};
use crate::model::mercure::{Draft, Identity, MAX_SELECTORS};
use crate::model::mercure::{Grant, Readable};
use crate::wire::http::refused::quoted;
use crate::wire::mercure::answer::{DETAIL_TYPE, Denied};

/// How much the clock of who made a token of form 7 may be ahead of ours.
const LEEWAY: f64 = 30.0;
/// Times from here on are milliseconds, which somebody took for seconds.
const MILLISECONDS: f64 = 1e11;
/// The older name of the claim of form 7, and its name in full.
const CLAIM: &str = "mercure";
const CLAIM_IN_FULL: &str = "https://mercure.rocks/";

type Claims = Map<String, Value>;

/// Checks a token's signature and its claims, and reads the rights in it. `asked` is the form that the
/// request has, if it says so.
///
/// # Errors
/// 401, or 400 for what is no token at all where form 8 is asked for.
pub(super) fn read(
    rules: &Rules<'_>,
    token: &str,
    asked: Option<Draft>,
    now: Duration,
) -> Result<Rights, Denied> {
    let Some(header) = header(token) else {
        let why = "this is no JWT, which has the form header.claims.signature, each of them base64url \
                   without padding";
        return Err(match asked {
            Some(Draft::Eight) => Denied::request(why),
            _ => Denied::token(why),
        });
    };
    let draft = draft(&header);
    let claims = verified(rules, token, &header)?;
    let ends = check_times(&claims, draft, now)?;
    let (publish, subscribe) = match draft {
        Draft::Seven => old(&claims)?,
        Draft::Eight => {
            check_audience(rules, &claims)?;
            details(&claims, rules.hub)?
        }
    };
    Ok(Rights {
        draft,
        publish,
        subscribe: Rc::new(subscribe),
        ends,
    })
}

/// The header (RFC 7515 §4), if the text has a token's form.
fn header(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let base64url = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let whole = base64url(claims).is_some() && base64url(signature).is_some();
    let header = serde_json::from_slice(&base64url(header)?).ok()?;
    (whole && parts.next().is_none()).then_some(header)
}

/// `typ` (RFC 9068 §2.1), with or without `application/`, in any case (RFC 7515 §4.1.9).
fn draft(header: &Claims) -> Draft {
    let typ = header
        .get("typ")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let typ = typ.to_ascii_lowercase();
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "at+jwt" => Draft::Eight,
        _ => Draft::Seven,
    }
}

/// The claims of a token that one of the keys has signed.
fn verified(rules: &Rules<'_>, token: &str, header: &Claims) -> Result<Claims, Denied> {
    if header.contains_key("crit") {
        return Err(Denied::token(
            "the token's header has crit, and none of its extensions is known here",
        ));
    }
    let name = header
        .get("alg")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let algorithm: Option<Algorithm> = name.parse().ok();
    let kid = header.get("kid").and_then(Value::as_str);
    let keys = algorithm.map(|algorithm| rules.keys.for_jwt(algorithm, kid));
    let keys = keys.unwrap_or_default();
    if keys.is_empty() {
        return Err(Denied::token(format!(
            "the token's algorithm {} is not allowed with this hub's keys",
            quoted(name.as_bytes())
        )));
    }
    let mut why = String::new();
    for key in keys {
        match jsonwebtoken::decode::<Claims>(token, &key.jwt, &key.rules) {
            Ok(token) => return Ok(token.claims),
            Err(error) => why = reason(error.kind(), &error),
        }
    }
    Err(Denied::token(why))
}

fn reason(kind: &ErrorKind, error: &jsonwebtoken::errors::Error) -> String {
    match kind {
        ErrorKind::InvalidSignature => {
            "the token's signature is wrong: made with another key, or changed since".into()
        }
        _ => format!("the token: {}", quoted(error.to_string().as_bytes())),
    }
}

/// Checks `exp` and `nbf` (RFC 7519 §4.1); when the token expires. Form 8 must have an `exp`.
fn check_times(claims: &Claims, draft: Draft, now: Duration) -> Result<Option<Duration>, Denied> {
    let now = now.as_secs_f64();
    let moment = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if seconds.abs() < MILLISECONDS => Ok(Some(seconds)),
            Some(_) => Err(Denied::token(format!(
                "the token's {name} is in milliseconds; it must be seconds since 1970"
            ))),
            None => Err(Denied::token(format!(
                "the token's {name} must be a number: seconds since 1970"
            ))),
        },
    };
    let leeway = if draft == Draft::Seven { LEEWAY } else { 0.0 };
    if moment("nbf")?.is_some_and(|nbf| now + leeway < nbf) {
        return Err(Denied::token("the token is not valid yet (nbf)"));
    }
    match moment("exp")? {
        Some(exp) if now >= exp => Err(Denied::token("the token expired (exp)")),
        Some(exp) => Ok(Duration::try_from_secs_f64(exp).ok()),
        None if draft == Draft::Eight => {
            Err(Denied::token("the token has no exp, which it must have"))
        }
        None => Ok(None),
    }
}

/// Checks who made the token and for whom (RFC 9068 §4).
fn check_audience(rules: &Rules<'_>, claims: &Claims) -> Result<(), Denied> {
    let issuer = claims.get("iss").and_then(Value::as_str);
    if !issuer.is_some_and(|issuer| rules.issuers.iter().any(|known| known == issuer)) {
        return Err(Denied::token(format!(
            "the token's issuer {} is not trusted here (--mercure-issuer)",
            quoted(issuer.unwrap_or_default().as_bytes())
        )));
    }
    let hub = rules.hub.as_str();
    let is_hub = |audience: &Value| audience.as_str() == Some(hub);
    let good = match claims.get("aud") {
        Some(Value::Array(several)) => {
            several.iter().all(Value::is_string) && several.iter().any(is_hub)
        }
        Some(one) => is_hub(one),
        None => false,
    };
    if good {
        Ok(())
    } else {
        Err(Denied::token(format!(
            "the token's audience (aud) is not this hub, {hub}"
        )))
    }
}

/// The claim of form 7.
fn old(claims: &Claims) -> Result<(Vec<Selector>, Readable), Denied> {
    let empty = Claims::new();
    let claim = match claims.get(CLAIM_IN_FULL).or(claims.get(CLAIM)) {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(claim)) => claim,
        Some(_) => return Err(Denied::token("the token's claim mercure must be an object")),
    };
    let list = |name: &str| match claim.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list.iter().map(|entry| old_selector(name, entry)).collect(),
        Some(_) => Err(not_a_list(name)),
    };
    let subscribe = list("subscribe")?;
    let grants = if subscribe.is_empty() {
        Vec::new()
    } else {
        vec![Grant {
            selectors: subscribe,
            payload: None,
        }]
    };
    let payload = claim
        .get("payload")
        .filter(|payload| !payload.is_null())
        .cloned();
    Ok((list("publish")?, Readable { grants, payload }))
}

fn not_a_list(name: &str) -> Denied {
    Denied::token(format!(
        "mercure.{name} in the token must be a list of strings"
    ))
}

fn old_selector(name: &str, entry: &Value) -> Result<Selector, Denied> {
    let text = entry.as_str().ok_or_else(|| not_a_list(name))?;
    Selector::seven(text).map_err(|error| {
        let text = quoted(text.as_bytes());
        Denied::token(format!("mercure.{name} in the token: {text} {error}"))
    })
}

/// The entries of `authorization_details` that concern a hub (RFC 9396 §2). One that is wrong makes
/// the whole token wrong.
fn details(claims: &Claims, hub: &Identity) -> Result<(Vec<Selector>, Readable), Denied> {
    let bad = |why: &str| Denied::token(format!("authorization_details in the token: {why}"));
    let entries = match claims.get("authorization_details") {
        None => return Ok((Vec::new(), Readable::default())),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(bad("must be a list")),
    };
    let (mut publish, mut grants, mut count) = (Vec::new(), Vec::new(), 0);
    for entry in entries {
        let kind = entry.get("type").and_then(Value::as_str);
        match kind.ok_or_else(|| bad("each entry must be an object with a type"))? {
            DETAIL_TYPE => {}
            _ => continue,
        }
        let (may_publish, may_subscribe) = actions(entry)
            .ok_or_else(|| bad("actions must be a list of publish, subscribe or both"))?;
        let topics = entry.get("topics").and_then(Value::as_array);
        let topics = topics.filter(|topics| !topics.is_empty());
        let topics = topics.ok_or_else(|| bad("topics must be a list of at least one"))?;
        count += topics.len();
        if count > MAX_SELECTORS {
            return Err(bad(&format!("more than {MAX_SELECTORS} topics are in it")));
        }
        let selectors: Vec<Selector> = topics
            .iter()
            .map(|topic| new_selector(topic, hub))
            .collect::<Result<_, _>>()?;
        if may_publish {
            publish.extend(selectors.iter().cloned());
        }
        if may_subscribe {
            let payload = entry.get("payload").filter(|payload| !payload.is_null());
            grants.push(Grant {
                selectors,
                payload: payload.cloned(),
            });
        }
    }
    let payload = None;
    Ok((publish, Readable { grants, payload }))
}

/// Whether an entry is about publishing, and about subscribing.
fn actions(entry: &Value) -> Option<(bool, bool)> {
    let actions = entry
        .get("actions")?
        .as_array()
        .filter(|actions| !actions.is_empty())?;
    let (mut publish, mut subscribe) = (false, false);
    for action in actions {
        match action.as_str()? {
            "publish" => publish = true,
            "subscribe" => subscribe = true,
            _ => return None,
        }
    }
    Some((publish, subscribe))
}

fn new_selector(topic: &Value, hub: &Identity) -> Result<Selector, Denied> {
    let bad = |why: String| Denied::token(format!("authorization_details in the token: {why}"));
    let text = topic.get("match").and_then(Value::as_str);
    let text = text.ok_or_else(|| bad("each topic must be an object with a match".into()))?;
    let kind = match topic.get("match_type") {
        None => Some(MatchType::Exact),
        Some(kind) => kind.as_str().and_then(MatchType::read),
    };
    let kind = kind.ok_or_else(|| bad("match_type must be exact or urlpattern".into()))?;
    Selector::eight(kind, text, hub)
        .map_err(|error| bad(format!("{} {error}", quoted(text.as_bytes()))))
}
