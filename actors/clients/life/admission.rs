//! What becomes of a request: decided without input or output.

use std::time::Duration;

use super::answer::now;
use super::script;
use crate::auth;
use crate::config::{Config, SubscribeAll};
use crate::messages::client::LimitReached;
use crate::model::{EventId, Form, Positions, Resume, Subscription, Token};
use crate::wire::http::query::Query;
use crate::wire::http::response::stream_head;
use crate::wire::http::{Answer, BodyLength, Method, Refused, Request, Version, cors};
use crate::wire::sse::{self, LAST_CHUNK, retry_line};

/// The longest `User-Agent` that is kept, in bytes.
const LONGEST_AGENT: usize = 512;
/// What an EventSource says it accepts.
const EVENT_STREAM: &[u8] = b"text/event-stream";
/// When a client for whom there is no room may come back.
const COME_BACK: Duration = Duration::from_secs(30);

/// What a request that is not refused asks for.
pub(super) enum Admitted {
    Stream(Box<StreamRequest>),
    Head(Version),
    Preflight,
    /// The page's script.
    Script(Answer),
}

/// A stream that is asked for.
pub(super) struct StreamRequest {
    pub(super) subscription: Subscription,
    pub(super) resume: Resume,
    /// Tokens of whose kept events the last so many are wanted besides.
    pub(super) recent_of: Vec<(Token, usize)>,
    /// When the stream ends, since 1970.
    pub(super) ends: Option<Duration>,
    pub(super) version: Version,
    pub(super) agent: Option<String>,
    /// Whether a body follows the request.
    pub(super) has_body: bool,
    /// Whether it was asked for by an EventSource, which never comes back after an error status.
    pub(super) event_source: bool,
}

/// Decides on a request, `now` being the time since 1970.
pub(super) fn admit(request: Request, config: &Config, now: Duration) -> Result<Admitted, Refused> {
    if request.method == Method::Unknown {
        return Err(Refused::unknown_method());
    }
    let is_script = script::is_at(&request.path, &config.path);
    if request.path != config.path && !is_script {
        let why = format!("subscribers are answered on {} only", config.path);
        return Err(Refused::new(404, why));
    }
    match request.method {
        Method::Get | Method::Head => {}
        Method::Options => return Ok(Admitted::Preflight),
        _ => return Err(Refused::method(cors::ALLOW)),
    }
    if is_script {
        return Ok(Admitted::Script(script::answer(&request)));
    }
    let query = Query::read(request.query.as_deref())?;
    let tokens = query.subscription.tokens.len();
    if tokens > config.max_tokens {
        let most = config.max_tokens;
        let why = format!("{tokens} tokens are too many for one subscription: {most} at most");
        return Err(Refused::new(400, why));
    }
    let resume = resume(&request, &query);
    // A browser that reconnects has had them.
    let reconnects = request
        .last_event_id
        .as_ref()
        .is_some_and(|id| !id.is_empty());
    let recent_of = match reconnects {
        true => Vec::new(),
        false => query.recent_of,
    };
    let mut subscription = query.subscription;
    let mut ends = None;
    if let Some(key) = &config.subscribe_key {
        let pass = auth::check(key, &request, &subscription, now)?;
        subscription.id = pass.id.or(subscription.id);
        ends = pass.ends;
    }
    if subscription.all && config.subscribe_all == SubscribeAll::Nobody {
        let why = "'*', every token, may be subscribed to only if the server was started with --allow-all";
        return Err(Refused::new(403, why));
    }
    if request.method == Method::Head {
        return Ok(Admitted::Head(request.version));
    }
    let event_source = is_event_source(&request);
    Ok(Admitted::Stream(Box::new(StreamRequest {
        subscription,
        resume,
        recent_of,
        ends,
        version: request.version,
        has_body: request.body != BodyLength::None,
        agent: request.user_agent.map(agent),
        event_source,
    })))
}

/// Whether an EventSource asks.
pub(super) fn is_event_source(request: &Request) -> bool {
    let stream = |part: &[u8]| part.eq_ignore_ascii_case(EVENT_STREAM);
    let accepts = |accept: &str| accept.as_bytes().windows(EVENT_STREAM.len()).any(stream);
    request.accept.as_deref().is_some_and(accepts)
}

/// Where the stream is to begin: the header that a reconnecting EventSource sends (WHATWG HTML
/// §9.2.4) wins over the query.
fn resume(request: &Request, query: &Query) -> Resume {
    let last = [request.last_event_id.as_deref(), query.last_event_id];
    let mut last = last.into_iter().flatten().filter(|id| !id.is_empty());
    match (last.next(), query.recent) {
        (Some(last), _) => Resume::After(event_id(last)),
        (None, Some(count)) => Resume::Recent(count),
        (None, None) => Resume::Live,
    }
}

/// The last number of a list of numbers: a header that is given twice, by a script and by its
/// library, comes as one list. None where something else is in it.
fn event_id(list: &str) -> Option<EventId> {
    let numbers = list
        .split(',')
        .map(|number| number.trim_matches([' ', '\t']));
    let ids = numbers.map(|number| {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let id = number.parse().ok().filter(|_| digits);
        id.filter(|id| *id < EventId::END).map(EventId)
    });
    ids.reduce(|before, id| before.and(id)).flatten()
}

impl LimitReached {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Clients => 503,
            Self::FromAddress | Self::Patterns => 429,
        }
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Clients => "there are as many clients as there may be; come back later",
            Self::FromAddress => "there are as many clients of your address as there may be",
            Self::Patterns => {
                "there are as many URL patterns of this kind as there may be; those of literals and :names \
                 alone have no bound"
            }
        }
    }
}

/// Refuses a client for which there is no room, with `Retry-After`.
pub(super) fn turn_away(of: LimitReached, cors: &str, bytes: &mut Vec<u8>) {
    let mut answer = Answer::text(of.status(), of.reason());
    answer.lines.push_str(cors);
    answer
        .with("Retry-After", COME_BACK.as_secs())
        .write(now(), bytes);
}

/// Refuses an EventSource for which there is no room: by a stream that says when to come back, and
/// ends, since after an error status it would never come back.
pub(super) fn send_away(version: Version, form: Form, cors: &str, bytes: &mut Vec<u8>) {
    let chunked = version == Version::Http11;
    stream_head(version, true, cors, now(), bytes);
    append_retry(jitter(COME_BACK.as_millis() as u32), form, chunked, bytes);
    bytes.extend_from_slice(if chunked { LAST_CHUNK } else { b"" });
}

/// Appends a last block that says when to come back; without positions it has no empty line, which
/// some clients take for an empty message.
pub(super) fn append_retry(milliseconds: u32, form: Form, chunked: bool, bytes: &mut Vec<u8>) {
    let line = retry_line(milliseconds);
    let end: &[u8] = match form.positions() {
        Positions::None => b"",
        Positions::Blocks | Positions::Pings | Positions::Hub => b"\n",
    };
    sse::append(&[line.as_bytes(), end], chunked, bytes);
}

/// The part of a `User-Agent` that is kept.
pub(super) fn agent(mut agent: String) -> String {
    agent.truncate(agent.floor_char_boundary(LONGEST_AGENT));
    agent.shrink_to_fit();
    agent
}

/// `retry:` with ±30 % jitter, so that the clients of a restarted daemon do not come all at once.
pub(super) fn jitter(retry: u32) -> u32 {
    let spread = retry / 10 * 3;
    fastrand::u32(retry - spread..=retry.saturating_add(spread))
}
