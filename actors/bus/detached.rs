//! Messages while the bus is away: delivered here alone, or refused.

use std::future::{Future, pending};
use std::pin::pin;

use futures_lite::FutureExt;

use super::entry::Item;
use super::queue::Own;
use super::{Bus, BusDown, FromBus, Incoming, gone};
use crate::messages::publisher::{Outcome, Receipt, Request};
use crate::model::{Channel, Publication};
use crate::runtime::{self, CancellationToken, Failure, Reply};

impl Bus {
    /// Delivers messages under ids of this node's, and keeps them to be added.
    pub(super) async fn deliver_detached(
        &mut self,
        messages: Vec<Own>,
    ) -> Result<Vec<Receipt>, Failure> {
        self.tell_gap()?;
        self.reading.part();
        let incoming = |own: &Own| match Item::read(&own.item) {
            Some(Item::Event(publication)) => Some(Incoming {
                id: self.reading.give(),
                publication,
                channel: own.channel,
            }),
            _ => None,
        };
        let events = messages.iter().filter_map(incoming).collect();
        let (reply, answer) = runtime::reply();
        self.cast(FromBus::Deliver { events, reply })?;
        let receipts = answer.wait().await.ok_or_else(gone)?;
        let limits = self.settings.now().history.together();
        self.queue.keep_unreplicated(messages, &receipts, limits);
        self.figures.waiting.set(self.queue.unreplicated() as u64);
        Ok(receipts)
    }

    /// Waits for something while the bus is away, and sees to messages; none when it is to stop.
    pub(super) async fn meanwhile<T>(
        &mut self,
        work: impl Future<Output = T>,
        stop: &CancellationToken,
    ) -> Result<Option<T>, Failure> {
        let mut work = pin!(work);
        loop {
            let done = async { Ok(Some((&mut work).await)) };
            let stopped = stop.cancelled_then(Ok(None));
            let open = self.open;
            let inbox = &mut self.inbox;
            let asked = async {
                // At the start they wait until it is clear how the bus is.
                if open {
                    match inbox.next().await {
                        Some(message) => Err(message),
                        None => Ok(None),
                    }
                } else {
                    pending().await
                }
            };
            let message = match stopped.or(asked).or(done).await {
                Ok(outcome) => return Ok(outcome),
                Err(message) => message,
            };
            match message {
                Request::Publish {
                    publications,
                    channel,
                    reply,
                } => self.publish_alone(&publications, channel, reply).await?,
                other => self.forward(other)?,
            }
        }
    }

    async fn publish_alone(
        &mut self,
        publications: &[Publication],
        channel: Channel,
        reply: Reply<Outcome>,
    ) -> Result<(), Failure> {
        reply.send(match self.down {
            BusDown::Refuse => Err(self.away(publications.len())),
            BusDown::Local => {
                let messages = self.own(publications, channel);
                Ok(self.deliver_detached(messages).await?)
            }
        });
        Ok(())
    }
}
