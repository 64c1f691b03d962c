//! Requests to the Mercure hub, on the paths that its URL gives.

use std::rc::Rc;
use std::time::Duration;

use super::Client;
use super::admission::{StreamRequest, agent, is_event_source};
use super::answer::{answer, now, write_all, write_answer};
use super::unserved::Unserved;
use crate::auth::Keys;
use crate::auth::mercure::{COOKIE_8, Rights, Rules};
use crate::clients::ClientHandle;
use crate::config::{Config, Mercure};
use crate::messages::client::{Document, End, Ending, Message, Posted};
use crate::messages::registry::FromClient;
use crate::model::deadlines::since_1970;
use crate::model::mercure::{Draft, Listener, Selector, Topic};
use crate::model::{Form, Member, Publication, Resume, Subscription, Target, Token};
use crate::wire::http::response::{CONTINUE, stream_head};
use crate::wire::http::{Answer, Body, BodyLength, Method, Refused, Request, Version};
use crate::wire::mercure::answer::{Denied, cors, metadata, preflight};
use crate::wire::mercure::api::{self, Asked};
use crate::wire::mercure::form;
use crate::wire::mercure::query::Query;
use crate::wire::sse::hub_id;

/// The methods of the hub's own path, and of those below it.
const METHODS: &str = "GET, HEAD, POST, QUERY, OPTIONS";
const READING: &str = "GET, HEAD, OPTIONS";

/// The most bytes of a query that is a request's body: as many as a request's line may have.
const LONGEST_QUERY: usize = 32 * 1024;

/// What a request asks for that is not refused.
enum Decided {
    Stream(Box<StreamRequest>),
    Head(Version),
    Publish(Box<Rights>),
    List(Box<Asked>),
    Answer(Answer),
}

/// Decides on a request, `now` being the time since 1970.
fn decide(request: &Request, mercure: &Mercure, now: Duration) -> Result<Decided, Denied> {
    let hub = &mercure.hub;
    let is_hub = request.path == hub.path();
    let methods = if is_hub { METHODS } else { READING };
    match request.method {
        Method::Unknown => return Err(Refused::unknown_method().into()),
        Method::Options => {
            let mut answer = Answer::no_content();
            answer.lines = preflight(methods, request.wanted_headers.as_deref());
            return Ok(Decided::Answer(answer));
        }
        Method::Get | Method::Head => {}
        Method::Post if is_hub => return may_publish(request, mercure, now),
        _ => return Err(Refused::method(methods).into()),
    }
    if is_hub {
        return subscribe(request, mercure, now);
    }
    if request.path == hub.metadata_path() {
        let cookie = mercure.cookie.as_deref().unwrap_or(COOKIE_8);
        let document = metadata(hub, &mercure.issuers, cookie, mercure.subscriptions);
        return Ok(Decided::Answer(Answer::json(200, document)));
    }
    list(request, mercure, now)
}

fn rules<'a>(mercure: &'a Mercure, keys: &'a Keys) -> Rules<'a> {
    Rules {
        keys,
        hub: &mercure.hub,
        issuers: &mercure.issuers,
        origins: &mercure.origins,
        cookie: mercure.cookie.as_deref(),
        only: mercure.only,
    }
}

const NO_TOKEN: &str = "this hub needs a token (Authorization: Bearer, or its cookie)";

/// The token in a query, for requests whose query is read for nothing else.
fn token_in_query(request: &Request) -> Option<String> {
    let query = request.query.as_deref()?;
    let mut parameters = crate::wire::http::query::parameters(query);
    let (_, token) = parameters.find(|(name, _)| *name == "authorization")?;
    let token = crate::wire::http::query::decode(token, true).ok()?;
    Some(token.into_owned()).filter(|token| !token.is_empty())
}

fn may_publish(request: &Request, mercure: &Mercure, now: Duration) -> Result<Decided, Denied> {
    let Some(keys) = &mercure.publish_keys else {
        let why =
            "nobody may publish to this hub: it has no publishers' key (--mercure-publish-key)";
        return Err(Refused::new(403, why).into());
    };
    let in_query = token_in_query(request);
    let rights = rules(mercure, keys).rights(request, None, in_query.as_deref(), now)?;
    let rights = rights.ok_or_else(|| Denied::missing(NO_TOKEN))?;
    form::check_type(request.content_type.as_deref())?;
    Ok(Decided::Publish(Box::new(rights)))
}

fn subscribe(request: &Request, mercure: &Mercure, now: Duration) -> Result<Decided, Denied> {
    let query = Query::read(request.query.as_deref(), &mercure.hub)?;
    if let Some(only) = mercure.only.filter(|only| *only != query.draft) {
        let why = match only {
            Draft::Seven => "this hub speaks version 0.x alone: topic=, not match=",
            Draft::Eight => "this hub speaks version 1.0 alone: match=, not topic=",
        };
        return Err(Refused::new(400, why).into());
    }
    // A token means nothing where there is no key for it.
    let rights = match &mercure.subscribe_keys {
        None => None,
        Some(keys) => rules(mercure, keys).rights(
            request,
            Some(query.draft),
            query.authorization.as_deref(),
            now,
        )?,
    };
    if rights.is_none() && !mercure.anonymous {
        return Err(Denied::missing(NO_TOKEN));
    }
    if request.method == Method::Head {
        return Ok(Decided::Head(request.version));
    }
    let header = request.last_event_id.as_deref().filter(|id| !id.is_empty());
    let last = header.map(Box::from).or(query.last_event_id.map(Box::from));
    let tokens = query
        .selectors
        .iter()
        .filter_map(|selector| match selector {
            Selector::Exact(text) => Token::of_topic(text).ok(),
            _ => None,
        });
    let ends = rights.as_ref().and_then(|rights| rights.ends);
    let readable = rights.map(|rights| rights.subscribe);
    Ok(Decided::Stream(Box::new(StreamRequest {
        subscription: Subscription {
            tokens: tokens.collect(),
            all: query.selectors.contains(&Selector::All),
            id: None,
            form: Form::hub(),
            presence: false,
            inside: false,
            hub: Some(Box::new(Listener {
                draft: query.draft,
                selectors: query.selectors,
                readable: readable.filter(|readable| !readable.is_empty()),
                last_event_id: last,
            })),
        },
        member: Member::default(),
        proof: None,
        resume: Resume::Live,
        recent_of: Vec::new(),
        ends,
        version: request.version,
        agent: request.user_agent.clone().map(agent),
        has_body: request.body != BodyLength::None,
        event_source: is_event_source(request),
    })))
}

fn list(request: &Request, mercure: &Mercure, now: Duration) -> Result<Decided, Denied> {
    if !mercure.subscriptions {
        let why = "there is no subscriptions API here (--mercure-subscriptions)";
        return Err(Refused::new(404, why).into());
    }
    let in_query = token_in_query(request);
    let rights = match &mercure.subscribe_keys {
        None => None,
        Some(keys) => rules(mercure, keys).rights(request, None, in_query.as_deref(), now)?,
    };
    let rights = rights.ok_or_else(|| Denied::missing(NO_TOKEN))?;
    let asked = Asked::read(rights.draft, &request.path, &mercure.hub)?;
    let topic = [Topic::new(&request.path, &mercure.hub)];
    if !rights.subscribe.covers(&topic) {
        return Err(Denied::scope(
            "the token gives no right to read these subscriptions",
        ));
    }
    Ok(Decided::List(Box::new(asked)))
}

/// Checks what was posted, and who posted it.
fn update(
    body: &[u8],
    rights: &Rights,
    mercure: &Mercure,
    config: &Config,
) -> Result<Publication, Denied> {
    let publication = form::read(rights.draft, body, &mercure.hub, config.max_message)?;
    let topics = publication
        .to
        .as_slice()
        .iter()
        .filter_map(|target| match target {
            Target::Token(token) => Some(token.as_str()),
            _ => None,
        });
    rights.check_publish(&topics.collect::<Vec<_>>(), &mercure.hub)?;
    Ok(publication)
}

impl Client {
    /// Answers a request to the hub. `ends_stream`: it came on an open stream, whose place it takes.
    pub(super) async fn hub(
        &mut self,
        mut request: Box<Request>,
        config: Rc<Config>,
        ends_stream: bool,
    ) -> Result<(), End> {
        let Some(mercure) = config.mercure.clone() else {
            return Ok(());
        };
        let cors = cors(&mercure.origins, request.origin.as_deref());
        let head_only = request.method == Method::Head;
        let decided = match self.decided(&mut request, &mercure).await {
            Ok(Decided::Stream(asked)) => return self.open(asked, &cors, ends_stream).await,
            Err(Unserved::Ended(end)) => return Err(end),
            decided => decided,
        };
        if ends_stream {
            self.end_stream().await?;
        }
        let answered = match decided {
            Ok(Decided::Head(version)) => {
                let mut head = Vec::new();
                stream_head(version, true, &cors, now(), &mut head);
                return Err(answer(&self.handle, &head, End::Answered).await);
            }
            Ok(Decided::Publish(rights)) => {
                self.publish(&request, &rights, &config, &mercure).await
            }
            Ok(Decided::List(asked)) => self.list(&request, asked, &mercure).await,
            Ok(Decided::Stream(_)) => return Ok(()),
            Ok(Decided::Answer(answer)) => Ok(answer),
            Err(unserved) => Err(unserved),
        };
        let (mut answer, end) = match answered {
            Ok(answer) => (answer, End::Answered),
            Err(Unserved::Ended(end)) => return Err(end),
            Err(Unserved::Refused(denied)) => {
                let answer = denied.answer(&mercure.hub);
                (
                    answer,
                    End::Refused(denied.refused.status, denied.refused.reason),
                )
            }
        };
        answer.lines.push_str(&cors);
        answer.head_only = head_only;
        answer.close = true;
        Err(write_answer(&self.handle, answer, end).await)
    }

    /// Decides on a request, after reading the query of one whose query is its body.
    async fn decided(
        &mut self,
        request: &mut Request,
        mercure: &Mercure,
    ) -> Result<Decided, Unserved<Denied>> {
        if request.method == Method::Query && request.path == mercure.hub.path() {
            self.query(request).await?;
        }
        Ok(decide(request, mercure, since_1970())?)
    }

    /// Makes a GET of a request whose query is its body.
    async fn query(&mut self, request: &mut Request) -> Result<(), Unserved<Denied>> {
        form::check_type(request.content_type.as_deref())?;
        let input = &mut **self.input.get_or_insert_default();
        let body = body(&self.handle, input, request, LONGEST_QUERY).await?;
        let Ok(query) = String::from_utf8(body) else {
            return Err(Refused::new(400, "the query in the body is no text").into());
        };
        request.method = Method::Get;
        request.query = Some(query);
        Ok(())
    }

    /// Reads what is posted and has it published.
    async fn publish(
        &mut self,
        request: &Request,
        rights: &Rights,
        config: &Config,
        mercure: &Mercure,
    ) -> Result<Answer, Unserved<Denied>> {
        let most = form::most_bytes(config.max_message);
        let input = &mut **self.input.get_or_insert_default();
        let body = body(&self.handle, input, request, most).await?;
        let publication = update(&body, rights, mercure, config)?;
        drop(body);
        let given = publication
            .update
            .as_ref()
            .and_then(|update| update.id.clone());
        let key = self.handle.key();
        // Refused only when the hub's actor is gone, and with it the process.
        let _gone = self.context.updates.try_send(Posted { key, publication });
        loop {
            self.handle.mail().await;
            match self.handle.message() {
                Some(Message::Published(id)) => {
                    let id = given.map_or_else(|| hub_id(id), String::from);
                    return Ok(Answer::word(&id));
                }
                Some(Message::Away(why)) => return Err(not_now(&why)),
                Some(Message::Finish {
                    end: Ending::Stopped,
                }) => return Err(not_now("the hub stops")),
                Some(Message::Finish { end }) => return Err(End::Finished(end).into()),
                // The time is the publisher's no more.
                _ => {}
            }
        }
    }

    /// Asks the registry for a document of the subscriptions API.
    async fn list(
        &mut self,
        request: &Request,
        asked: Box<Asked>,
        mercure: &Mercure,
    ) -> Result<Answer, Unserved<Denied>> {
        let (draft, key) = (asked.draft, self.handle.key());
        self.context.cast(FromClient::Subscriptions { key, asked });
        loop {
            self.handle.mail().await;
            let (document, last) = match self.handle.message() {
                Some(Message::Document(document)) => {
                    let Document {
                        text,
                        last_event_id,
                    } = *document;
                    (text, last_event_id)
                }
                Some(Message::Finish { .. }) => {
                    return Err(not_now("the hub stops"));
                }
                _ => continue,
            };
            let Some(document) = document else {
                return Err(Refused::new(404, "there is no such subscription").into());
            };
            let mut answer = if api::is_known(request.if_none_match.as_deref(), &last) {
                Answer::not_modified()
            } else {
                Answer::page(api::media_type(draft), document)
            };
            answer.lines = api::lines(draft, &mercure.hub, &last);
            return Ok(answer);
        }
    }
}

fn not_now(why: &str) -> Unserved<Denied> {
    Refused::new(503, why).into()
}

/// Reads a request's body of at most `most` bytes. A peer has its time for each part of it.
async fn body(
    handle: &ClientHandle,
    input: &mut Vec<u8>,
    request: &Request,
    most: usize,
) -> Result<Vec<u8>, Unserved<Denied>> {
    let mut body = Body::new(request.body, most)?;
    if request.expect_continue && input.is_empty() && !body.is_complete() {
        write_all(handle, CONTINUE).await?;
    }
    let mut came = true;
    handle.more_time();
    loop {
        let count = body.feed(input)?;
        input.drain(..count);
        if body.is_complete() {
            return Ok(body.take());
        }
        handle.input().await;
        match handle.message() {
            Some(Message::Expired) if std::mem::take(&mut came) => handle.more_time(),
            Some(Message::Expired) => {
                let why = "no more of the body came within 10 seconds";
                return Err(Refused::new(408, why).into());
            }
            Some(Message::Finish { end }) => return Err(End::Finished(end).into()),
            _ => {}
        }
        let count = handle.read(|bytes| {
            input.extend_from_slice(bytes);
            bytes.len()
        })?;
        match count {
            Some(0) => {
                let why = "the connection ended before the request's body did";
                return Err(Refused::new(400, why).into());
            }
            Some(_) => came = true,
            None => {}
        }
    }
}

/// What says where a stream's replay begins, for the answer's head.
pub(super) fn starting(draft: Draft, id: &str) -> String {
    crate::wire::mercure::answer::last_event_id_field(draft, id)
}
