//! Messages while the log is away: delivered here alone, or refused.

use super::{Action, Core};
use crate::bus::entry::Item;
use crate::bus::queue::Own;
use crate::messages::publisher::Outcome;
use crate::messages::registry::Incoming;
use crate::model::{BusDown, Channel, Publication};
use crate::runtime::Reply;

impl Core {
    pub(super) fn publish_detached(
        &mut self,
        publications: &[Publication],
        channel: Channel,
        reply: Reply<Outcome>,
    ) {
        match self.down {
            BusDown::Refuse => reply.send(Err(self.why_away(publications.len()))),
            BusDown::Local => {
                let messages = self.own(publications, channel);
                self.queue.push(messages, reply);
                self.deliver_waiting();
            }
        }
    }

    /// Refuses all messages that have not come back from the log.
    pub(super) fn refuse_waiting(&mut self) {
        for (messages, reply) in self.queue.give_up() {
            reply.send(Err(self.why_away(messages)));
        }
    }

    /// Delivers all messages that have not come back from the log under ids of this node's own, and keeps
    /// them to be added.
    pub(super) fn deliver_waiting(&mut self) {
        self.tell_gap();
        let mut events = Vec::new();
        let limits = self.settings.now().history.together();
        for own in self.queue.take_waiting() {
            // Others are not told to end streams while they cannot be told.
            let Some(Item::Event(publication)) = Item::read(&own.item) else {
                self.queue.drop_waiting(own.number);
                continue;
            };
            let id = self.reading.give(self.now);
            let Own {
                number,
                item,
                channel,
            } = own;
            self.queue.keep_unreplicated(number, id, item, limits);
            self.queue.expect(Some(number));
            events.push(Incoming {
                id,
                publication,
                channel,
            });
        }
        if events.is_empty() {
            return;
        }
        self.reading.part();
        self.figures.waiting.set(self.queue.unreplicated() as u64);
        self.actions.push(Action::Deliver(events));
    }
}
