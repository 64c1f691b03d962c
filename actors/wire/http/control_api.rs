//! Which request on the control port means what. Nothing is done here.

use super::page::{Page, page};
use super::query::{Query, decode, decoded, parameters, wrong};
use super::refused::quoted;
use super::{Method, Refused, Request};
use crate::model::LogLevel;
use crate::model::publication::{Publication, Targets};
use crate::model::{ClientId, Target, Token};
use crate::wire::command;
use crate::wire::json::{event_name, message_key};

/// What a request on the control port asks for. HEAD is routed like GET.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `POST /publish/TOKEN`: one message, whose data is the body.
    PublishTo(Publication),
    /// `POST /publish`: the body is messages as JSON.
    PublishJson {
        /// One object a line, where otherwise the body is one object or a list of them.
        ndjson: bool,
        /// The key by which the whole body is known when it is sent again (`Idempotency-Key`).
        key: Option<Box<str>>,
    },
    /// `GET /status`.
    Status,
    /// `GET /subscribers/TOKEN`.
    Subscribers(Target),
    /// `GET /clients`.
    Clients(Page),
    /// `POST /disconnect/ID`: ends the streams with that id.
    Disconnect {
        /// The id.
        id: ClientId,
        /// For how many seconds nobody named so is let in (`for=`, 0 to 86,400; 0 lets it in again).
        seconds: Option<u64>,
    },
    /// `GET /events`: the stream of what is published, as subscribers have it.
    Events,
    /// `POST /loglevel/LEVEL`.
    SetLogLevel(LogLevel),
    /// `GET /metrics`.
    Metrics,
    /// `GET /live`: the figures as an event stream.
    Live,
    /// `GET /presence/TOKEN`: who is there, the members behind an id, so many at most.
    Presence {
        /// For whom.
        token: Token,
        /// The id (`after=`); none at the beginning.
        after: Option<ClientId>,
        /// How many (`limit=`).
        limit: usize,
    },
    /// `GET /presence`: joins and leaves as an event stream.
    PresenceEvents {
        /// What the query says that was seen last (`lastEventId=`).
        last: Option<String>,
    },
    /// `GET /`: the dashboard.
    Dashboard,
    /// `GET /healthz`.
    Healthz,
}

impl Route {
    /// Finds out what `request` asks for; whether it may is not looked at.
    ///
    /// Errors: 404 for an unknown path, 405 with the right methods and 501 for another method,
    /// 415 for messages in another format, 400 for a wrong target or parameter.
    pub fn find(request: &Request) -> Result<Self, Refused> {
        if request.method == Method::Unknown {
            return Err(Refused::unknown_method());
        }
        match request.path.as_str() {
            "/" => get(request).map(|()| Self::Dashboard),
            "/publish" => post(request).and_then(|()| publish_json(request)),
            "/status" => get(request).map(|()| Self::Status),
            "/healthz" => get(request).map(|()| Self::Healthz),
            "/metrics" => get(request).map(|()| Self::Metrics),
            "/live" => get(request).map(|()| Self::Live),
            "/presence" => get(request).and_then(|()| presence_events(request)),
            "/events" => {
                get(request)?;
                Query::read(request.query.as_deref()).map(|_| Self::Events)
            }
            "/clients" => {
                get(request)?;
                page(request.query.as_deref().unwrap_or_default()).map(Self::Clients)
            }
            path => {
                if let Some(name) = path.strip_prefix("/publish/") {
                    post(request)?;
                    check_content(request)?;
                    publish_to(target(name)?, request)
                } else if let Some(name) = path.strip_prefix("/subscribers/") {
                    get(request)?;
                    Ok(Self::Subscribers(target(name)?))
                } else if let Some(name) = path.strip_prefix("/presence/") {
                    get(request)?;
                    presence(name, request)
                } else if let Some(id) = path.strip_prefix("/disconnect/") {
                    post(request)?;
                    disconnect(id, request)
                } else if let Some(level) = path.strip_prefix("/loglevel/") {
                    post(request)?;
                    log_level(level).map(Self::SetLogLevel)
                } else {
                    Err(Refused::new(
                        404,
                        format!(
                            "there is nothing at {}; subscribers use the address of --listen",
                            quoted(path.as_bytes())
                        ),
                    ))
                }
            }
        }
    }
}

fn post(request: &Request) -> Result<(), Refused> {
    match request.method {
        Method::Post => Ok(()),
        _ => Err(Refused::method("POST")),
    }
}

fn get(request: &Request) -> Result<(), Refused> {
    match request.method {
        Method::Get | Method::Head => Ok(()),
        _ => Err(Refused::method("GET, HEAD")),
    }
}

/// Members of a page where nothing is said, and at most.
const PRESENCE_PAGE: usize = 1000;
const MOST_MEMBERS: usize = 10_000;

fn presence(name: &str, request: &Request) -> Result<Route, Refused> {
    let Target::Token(token) = target(name)? else {
        let why = "who is there is asked for one token: neither a prefix nor *";
        return Err(Refused::new(400, why));
    };
    let (mut after, mut limit) = (None, None);
    for (name, value) in parameters(request.query.as_deref().unwrap_or_default()) {
        match name {
            "after" => {
                let id = ClientId::new(&decoded(name, value)?)
                    .map_err(|error| wrong(name, value, error))?;
                set(&mut after, name, id)?;
            }
            "limit" => {
                let count = value.parse().ok();
                let count = count.filter(|count| (1..=MOST_MEMBERS).contains(count));
                let why = format!("is not a number from 1 to {MOST_MEMBERS}");
                let count = count.ok_or_else(|| wrong(name, value, why))?;
                set(&mut limit, name, count)?;
            }
            _ => return Err(unknown_parameter(name, "after and limit")),
        }
    }
    Ok(Route::Presence {
        token,
        after,
        limit: limit.unwrap_or(PRESENCE_PAGE),
    })
}

fn presence_events(request: &Request) -> Result<Route, Refused> {
    let mut last = None;
    for (name, value) in parameters(request.query.as_deref().unwrap_or_default()) {
        match name {
            "lastEventId" => last = Some(decoded(name, value)?.into_owned()),
            _ => return Err(unknown_parameter(name, "lastEventId")),
        }
    }
    Ok(Route::PresenceEvents { last })
}

fn unknown_parameter(name: &str, known: &str) -> Refused {
    let name = quoted(name.as_bytes());
    Refused::new(400, format!("unknown parameter {name}; known: {known}"))
}

fn publish_to(target: Target, request: &Request) -> Result<Route, Refused> {
    let (mut except, mut event, mut retain, mut private) = (None, None, None, None);
    for (name, value) in parameters(request.query.as_deref().unwrap_or_default()) {
        match name {
            "except" => {
                let id = ClientId::new(&decoded(name, value)?)
                    .map_err(|error| wrong(name, value, error))?;
                set(&mut except, name, id)?;
            }
            "event" => {
                let text = decoded(name, value)?;
                // As no name is what an empty one is to a browser (WHATWG HTML §9.2.6).
                let checked = match &*text {
                    "" => Ok("".into()),
                    text => event_name(text),
                };
                let checked = checked.map_err(|error| Refused::new(400, error.to_string()))?;
                set(&mut event, name, checked)?;
            }
            "retain" => set(&mut retain, name, flag(name, value)?)?,
            "private" => set(&mut private, name, flag(name, value)?)?,
            // A misspelt `except` must not reach the one who was to be spared.
            _ => {
                return Err(Refused::new(
                    400,
                    format!(
                        "unknown parameter {}; known are except, event, retain and private",
                        quoted(name.as_bytes())
                    ),
                ));
            }
        }
    }
    Ok(Route::PublishTo(Publication {
        to: Targets::One(target),
        except,
        event: event.filter(|name| !name.is_empty()),
        data: "".into(),
        retain: retain.unwrap_or(true),
        private,
        key: idempotency_key(request)?,
        update: None,
    }))
}

fn flag(name: &str, value: &str) -> Result<bool, Refused> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(name, value, "is neither true nor false (1, 0)")),
    }
}

/// The key in `Idempotency-Key`.
fn idempotency_key(request: &Request) -> Result<Option<Box<str>>, Refused> {
    let key = request.idempotency_key.as_deref().map(message_key);
    key.transpose()
        .map_err(|refusal| Refused::new(400, refusal.to_string()))
}

/// Whether a body is text that this server reads as it was meant.
///
/// Errors: 415 for a body that is compressed (RFC 9110 §8.4), for a declared charset other than UTF-8, of which ASCII is a part, and for parts of a
/// form, whose boundaries would be published with it.
fn check_content(request: &Request) -> Result<(), Refused> {
    let encoding = request.content_encoding.as_deref().unwrap_or("identity");
    if !encoding.eq_ignore_ascii_case("identity") {
        return Err(Refused::new(
            415,
            format!(
                "Content-Encoding {} is not undone here; send the body as it is",
                quoted(encoding.as_bytes())
            ),
        ));
    }
    let content_type = request.content_type.as_deref().unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if media_type
        .get(..10)
        .is_some_and(|start| start.eq_ignore_ascii_case("multipart/"))
    {
        return Err(Refused::new(
            415,
            format!(
                "Content-Type {}: the body is the message itself, not the parts of a form; in PHP \
                 give CURLOPT_POSTFIELDS a string, not an array",
                quoted(media_type.as_bytes())
            ),
        ));
    }
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim().eq_ignore_ascii_case("charset")).then(|| value.trim().trim_matches('"'))
    });
    match charset {
        Some(charset) if !is_utf8(charset) => Err(Refused::new(
            415,
            format!(
                "the charset {} is not read here; send UTF-8 and say charset=utf-8, or nothing",
                quoted(charset.as_bytes())
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether it is a name of UTF-8, or of ASCII, which is a part of it (WHATWG Encoding, "Names and
/// labels").
fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii"]
        .iter()
        .any(|name| charset.eq_ignore_ascii_case(name))
}

/// Reads the raw last part of a path as a client's id.
fn client_id(raw: &str) -> Result<ClientId, Refused> {
    let wrong = |error: &dyn std::fmt::Display| {
        Refused::new(400, format!("the id {} {error}", quoted(raw.as_bytes())))
    };
    let text = decode(raw, false).map_err(|error| wrong(&error))?;
    ClientId::new(&text).map_err(|error| wrong(&error))
}

/// The longest time for which an id may be kept out, in seconds: a day.
const LONGEST_BAN: u64 = 86_400;

fn disconnect(id: &str, request: &Request) -> Result<Route, Refused> {
    let mut seconds = None;
    for (name, value) in parameters(request.query.as_deref().unwrap_or_default()) {
        if name != "for" {
            let name = quoted(name.as_bytes());
            let why = format!("unknown parameter {name}; known is for");
            return Err(Refused::new(400, why));
        }
        let time = value.parse().ok().filter(|time| *time <= LONGEST_BAN);
        let why = format!("is not a number of seconds from 0 to {LONGEST_BAN}");
        set(
            &mut seconds,
            name,
            time.ok_or_else(|| wrong(name, value, why))?,
        )?;
    }
    let id = client_id(id)?;
    Ok(Route::Disconnect { id, seconds })
}

fn log_level(word: &str) -> Result<LogLevel, Refused> {
    match word {
        "quiet" => Ok(LogLevel::Quiet),
        "normal" => Ok(LogLevel::Normal),
        "debug" => Ok(LogLevel::Debug),
        _ => Err(Refused::new(
            400,
            format!(
                "the level {} is none of quiet, normal and debug",
                quoted(word.as_bytes())
            ),
        )),
    }
}

/// Takes a parameter that is given once.
pub(super) fn set<T>(parameter: &mut Option<T>, name: &str, value: T) -> Result<(), Refused> {
    match parameter.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refused::new(400, format!("{name} is given twice"))),
    }
}

fn publish_json(request: &Request) -> Result<Route, Refused> {
    check_content(request)?;
    let content_type = request.content_type.as_deref().unwrap_or_default();
    // Parameters such as charset follow the media type (RFC 9110 §8.3.1).
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let ndjson = if media_type.eq_ignore_ascii_case("application/json") {
        false
    } else if media_type.eq_ignore_ascii_case("application/x-ndjson") {
        true
    } else {
        return Err(Refused::new(
            415,
            format!(
                "Content-Type {} is neither application/json nor application/x-ndjson; \
                 plain text goes to /publish/TOKEN",
                quoted(content_type.as_bytes())
            ),
        ));
    };
    let key = idempotency_key(request)?;
    Ok(Route::PublishJson { ndjson, key })
}

/// Reads the raw last part of a path as whom it is about: a whole token, `-` and all, `pre*` or
/// `*`. No token has a `*`, so it makes no difference whether that is encoded.
fn target(raw: &str) -> Result<Target, Refused> {
    let wrong = |error: &dyn std::fmt::Display| {
        Refused::new(400, format!("the token {} {error}", quoted(raw.as_bytes())))
    };
    let text = decode(raw, false).map_err(|error| wrong(&error))?;
    command::target(&text).map_err(|refusal| wrong(&format_args!("is refused: {refusal}")))
}

#[cfg(test)]
#[path = "control_api_tests.rs"]
mod tests;
