//! `POST /publish` and `POST /publish/TOKEN`.

use smol::unblock;

use super::super::Publisher;
use super::super::connection::Broken;
use super::Unanswered;
use crate::messages::publisher::{self, CLASH, NotTaken, Outcome, Receipt, Taken};
use crate::model::{Channel, Publication, publication};
use crate::wire::command::Refusal;
use crate::wire::http::{Answer, Refused};
use crate::wire::json::{self, JsonMessage, Shape};

/// JSON that is longer is read on another thread, as it takes longer than a turn may.
const LONG_JSON: usize = 64 * 1024;

/// Publishes one message, whose data is the body.
pub(super) async fn one(
    publisher: &Publisher,
    body: Vec<u8>,
    mut publication: Publication,
) -> Result<Answer, Unanswered> {
    publication.data = text(publisher, body).await?.into();
    let hub = publisher.settings.now().mercure.is_some();
    json::check_for_hub(&publication, hub).map_err(|refusal| refused(&refusal))?;
    let outcome = publish(publisher, vec![publication]).await?;
    receipts(outcome, Shape::One)
}

/// Publishes the messages of a body.
pub(super) async fn json(
    publisher: &Publisher,
    body: Vec<u8>,
    ndjson: bool,
    key: Option<Box<str>>,
) -> Result<Answer, Unanswered> {
    let max_message = publisher.settings.now().max_message;
    let hub = publisher.settings.now().mercure.is_some();
    let long = body.len() > LONG_JSON;
    let read = move || {
        let mut lossy_utf8 = 0;
        let read = json::body(&body, ndjson, max_message, &mut lossy_utf8).and_then(
            |(messages, shape)| {
                let mut each = messages.iter();
                each.try_for_each(|message| json::check_for_hub(&message.publication, hub))?;
                Ok((json::keyed(messages, key.as_deref())?, shape))
            },
        );
        (read, lossy_utf8)
    };
    let (read, lossy_utf8): (Result<(Vec<JsonMessage>, Shape), Refusal>, u64) =
        if long { unblock(read).await } else { read() };
    if lossy_utf8 > 0 {
        publisher.count(Vec::new(), lossy_utf8).await?;
    }
    let (messages, shape) = read.map_err(|refusal| refused(&refusal))?;
    let publications: Vec<Publication> = messages
        .into_iter()
        .map(|message| message.publication)
        .collect();
    if let Some(key) = publication::key_clash(&publications) {
        let why = format!(
            "two messages of the body have the key {key:?} and say different things; nothing was taken in"
        );
        return Err(Refused::new(409, why).into());
    }
    receipts(publish(publisher, publications).await?, shape)
}

fn refused(refusal: &Refusal) -> Refused {
    let status = if refusal.is_too_long() { 413 } else { 400 };
    Refused::new(status, refusal.to_string())
}

/// The body as text; what of it is no UTF-8 is replaced and counted.
async fn text(publisher: &Publisher, body: Vec<u8>) -> Result<String, Broken> {
    match String::from_utf8(body) {
        Ok(text) => Ok(text),
        Err(invalid) => {
            publisher.count(Vec::new(), 1).await?;
            Ok(String::from_utf8_lossy(invalid.as_bytes()).into_owned())
        }
    }
}

/// The answer to messages that were taken in, or were not.
fn receipts(outcome: Outcome, shape: Shape) -> Result<Answer, Unanswered> {
    match outcome {
        // On a bus somebody else may have been faster.
        Ok(receipts) if receipts.iter().any(|receipt| receipt.how == Taken::Clash) => {
            Err(Refused::new(409, format!("a message's key {CLASH}")).into())
        }
        Ok(receipts) => Ok(Answer::json(200, receipt_lines(&receipts, shape))),
        Err(why @ NotTaken::Away(_)) => Err(Refused::new(503, why.to_string()).into()),
        Err(why @ NotTaken::Clash(_)) => Err(Refused::new(409, why.to_string()).into()),
    }
}

fn receipt_lines(receipts: &[Receipt], shape: Shape) -> String {
    let mut each = receipts.iter().map(|receipt| {
        let repeated = receipt.how == Taken::Before;
        json::receipt(receipt.id, receipt.recipients, repeated)
    });
    match shape {
        Shape::One => each.next().unwrap_or_default(),
        Shape::List => format!("[{}]", each.collect::<Vec<_>>().join(",")),
    }
}

async fn publish(publisher: &Publisher, publications: Vec<Publication>) -> Result<Outcome, Broken> {
    let channel = Channel::Http;
    let publish = |reply| publisher::Request::Publish {
        publications,
        channel,
        reply,
    };
    Ok(publisher.sequencer.call(publish).await?)
}
