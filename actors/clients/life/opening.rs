//! The beginning of a stream: the subscription is entered, and the head and the first blocks are written; or
//! the stream is refused.

use std::borrow::Cow;
use std::rc::Rc;

use super::admission::{COME_BACK, StreamRequest, jitter, refuse, send_away, turn_away};
use super::answer::{answer, answer_at_once, now, write_all};
use super::{Client, STOPPED, mercure};
use crate::clients::{ClientHandle, Flushed};
use crate::messages::client::{End, LimitReached, Message};
use crate::messages::registry::FromClient;
use crate::wire::http::response::stream_head;
use crate::wire::http::{Refused, Version};
use crate::wire::sse::{LAST_CHUNK, retry_line};

/// Bytes that the head of a stream and the first blocks usually have room in.
const OPENING: usize = 512;

impl Client {
    /// Enters the subscription and opens the stream.
    pub(super) async fn open(
        &mut self,
        asked: Box<StreamRequest>,
        cors: &str,
        ends_stream: bool,
    ) -> Result<(), End> {
        let Self {
            handle, context, ..
        } = self;
        let chunked = asked.version == Version::Http11;
        let form = asked.subscription.form;
        let draft = asked.subscription.hub.as_ref().map(|hub| hub.draft);
        if context.stopping.get() {
            return Err(stopped(handle, &asked, cors, ends_stream).await);
        }
        handle.frame(chunked);
        // What is in a body is no request, and a stream of HTTP/1.0 ends with its connection.
        handle.set_replaceable(chunked && !asked.has_body);
        context.cast(FromClient::Subscribe {
            key: handle.key(),
            subscription: asked.subscription,
            member: asked.member,
            resume: asked.resume,
            recent_of: asked.recent_of,
            ends: asked.ends,
            agent: asked.agent,
        });
        let (full, after) = match entered(handle).await? {
            Entered::Full(of) => (Some(of), None),
            Entered::After(id) => (None, Some(id)),
            Entered::Accepted => (None, None),
        };
        let mut bytes = Vec::with_capacity(OPENING);
        if ends_stream {
            bytes.extend_from_slice(LAST_CHUNK);
        }
        if let Some(of) = full {
            let refused = Refused::new(of.status(), of.reason());
            match (of, asked.event_source) {
                (LimitReached::Disconnected, _) => refuse(&refused, cors, &mut bytes),
                (_, true) => send_away(jitter(COME_BACK), asked.version, form, cors, &mut bytes),
                (_, false) => turn_away(&refused, COME_BACK, cors, &mut bytes),
            }
            let end = End::Refused(refused.status, refused.reason);
            return Err(if asked.has_body {
                answer(handle, &bytes, end).await
            } else {
                // Who comes next needs the descriptor.
                answer_at_once(handle, &bytes, end).await
            });
        }
        let field = after.and_then(|id| Some(mercure::starting(draft?, &id)));
        let lines = field.map_or(Cow::Borrowed(cors), |field| {
            Cow::Owned(cors.to_owned() + &field)
        });
        stream_head(asked.version, false, &lines, now(), &mut bytes);
        let retry = context.settings.now().retry;
        let retry = retry.map(|retry| retry_line(jitter(retry)));
        handle.open();
        handle.gather(retry.unwrap_or_default().as_bytes(), &mut bytes);
        write_all(handle, &bytes).await
    }
}

/// Refuses a stream, as the daemon is about to end.
async fn stopped(
    handle: &ClientHandle,
    asked: &StreamRequest,
    cors: &str,
    ends_stream: bool,
) -> End {
    let mut bytes = Vec::new();
    if ends_stream {
        bytes.extend_from_slice(LAST_CHUNK);
    }
    let refused = Refused::new(503, "hasses is stopping; come back in some seconds");
    let later = fastrand::u32(STOPPED);
    if asked.event_source {
        send_away(
            later,
            asked.version,
            asked.subscription.form,
            cors,
            &mut bytes,
        )
    } else {
        turn_away(&refused, later, cors, &mut bytes)
    }
    answer(handle, &bytes, End::Refused(refused.status, refused.reason)).await
}

/// What became of a subscription that was to be entered.
enum Entered {
    Accepted,
    /// The stream begins behind this event; the answer's head is to say so.
    After(Rc<String>),
    Full(LimitReached),
}

/// Waits until the registry has entered the subscription, or says what there is too much of; on an
/// open stream, writing what that still had to get.
async fn entered(handle: &ClientHandle) -> Result<Entered, End> {
    loop {
        match handle.flush()? {
            Flushed::Message => match handle.message() {
                Some(Message::Accepted) => return Ok(Entered::Accepted),
                Some(Message::AcceptedAfter(id)) => return Ok(Entered::After(id)),
                Some(Message::Full { of }) => return Ok(Entered::Full(of)),
                Some(Message::Finish { end }) => return Err(End::Finished(end)),
                _ => {}
            },
            Flushed::Overflowing => return Err(End::Slow),
            Flushed::Blocked => {
                handle.work().await;
            }
            Flushed::Empty => handle.mail().await,
        }
    }
}
