//! The actor that passes on what the publishers of the Mercure hub send. They are clients, which wait
//! for nothing but their own sockets and mailboxes: this actor waits for the sequencer in their place,
//! and for many at a time.

use std::rc::Rc;

use futures_lite::FutureExt;

use crate::clients::ClientPool;
use crate::messages::client::{Message as ToClient, Posted};
use crate::messages::publisher::Request;
use crate::model::Channel;
use crate::runtime::{Address, CancellationToken, Failure, Mailbox};

/// Messages, and bytes of their texts, that go to the sequencer together at most.
const TOGETHER: (usize, usize) = (256, 64 * 1024);

/// Passes messages on until it is asked to stop, and then what waits.
///
/// # Errors
/// The sequencer is gone, and with it the process.
pub async fn run(
    mut inbox: Mailbox<Posted>,
    sequencer: Address<Request>,
    pool: Rc<ClientPool>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    loop {
        let stopped = stop.cancelled_then(None);
        let first = match inbox.try_recv() {
            Some(first) => Some(first),
            None => inbox.next().or(stopped).await,
        };
        let Some(first) = first else {
            return Ok(());
        };
        let mut bytes = first.publication.data.len();
        let mut batch = vec![first];
        while batch.len() < TOGETHER.0
            && bytes < TOGETHER.1
            && let Some(next) = inbox.try_recv()
        {
            bytes += next.publication.data.len();
            batch.push(next);
        }
        pass_on(batch, &sequencer, &pool).await?;
    }
}

async fn pass_on(
    batch: Vec<Posted>,
    sequencer: &Address<Request>,
    pool: &ClientPool,
) -> Result<(), Failure> {
    let mut keys = Vec::with_capacity(batch.len());
    let mut publications = Vec::with_capacity(batch.len());
    for Posted { key, publication } in batch {
        keys.push(key);
        publications.push(publication);
    }
    let channel = Channel::Mercure;
    let publish = |reply| Request::Publish {
        publications,
        channel,
        reply,
    };
    let outcome = sequencer.call(publish).await;
    let outcome = outcome.map_err(|_| Failure("the sequencer is gone".into()))?;
    match outcome {
        Ok(receipts) => {
            for (key, receipt) in keys.into_iter().zip(receipts) {
                pool.send_to(key, ToClient::Published(receipt.id));
            }
        }
        Err(away) => {
            let why = Rc::new(away.to_string());
            for key in keys {
                pool.send_to(key, ToClient::Away(Rc::clone(&why)));
            }
        }
    }
    Ok(())
}
