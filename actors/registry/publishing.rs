//! A message on its way: its id, its recipients, its place among those that are kept.

use std::rc::Rc;
use std::time::{Instant, SystemTime};

use super::Registry;
use crate::archive;
use crate::messages::publisher::{Receipt, Taken};
use crate::model::names::RESERVED_EVENTS;
use crate::model::{Channel, EventId, Publication, Record};
use crate::wire::sse::Frame;

impl Registry {
    /// Gives a message its id, sends it to its recipients and keeps it.
    pub(super) fn publish(&mut self, publication: Publication, channel: Channel) -> Receipt {
        if publication.key.is_some() {
            self.keys.forget(self.sequence.now());
            if let Some(receipt) = self.keys.known(&publication) {
                return receipt;
            }
        }
        let id = self.next_id();
        self.deliver(id, publication, channel)
    }

    /// Sends an event to its recipients and keeps it.
    pub(super) fn deliver(
        &mut self,
        id: EventId,
        publication: Publication,
        channel: Channel,
    ) -> Receipt {
        *self.counters.messages.entry(channel).or_default() += 1;
        if let Some(watched) = &mut self.watched {
            watched.count(&publication.to);
        }
        let now = Instant::now();
        let live = self.send_live(now, id, &publication);
        let catching_up = self.replays.count(&publication);
        let recipients = live + catching_up;
        let kept = publication.retain && self.history.keep(id, now, &publication, recipients);
        if catching_up > 0 && !kept {
            self.put_apart(id, &Rc::new(publication.clone()));
        }
        self.rescue();
        let keeps = publication.retain && self.history.keeps();
        if publication.key.is_some() {
            let how = Taken::Now;
            let receipt = Receipt {
                id,
                recipients,
                how,
            };
            self.keys.remember(&publication, receipt, false);
        }
        self.take_in_hub(id, &publication);
        self.write_down(id, publication, recipients, keeps);
        self.tell_let_go();
        if self.copies.is_some() {
            self.hand_over();
        }
        if self.bus.is_some() {
            self.stand_at(id);
            self.release();
        }
        log::debug!(
            "event {id} by {} for {recipients} subscribers",
            channel.name()
        );
        Receipt {
            id,
            recipients,
            how: Taken::Now,
        }
    }

    /// Sends an event to those in the routes, in all its forms; how many they are.
    #[inline]
    fn send_live(&mut self, now: Instant, id: EventId, publication: &Publication) -> usize {
        let Publication {
            to,
            except,
            event,
            data,
            private,
            update,
            ..
        } = publication;
        self.routes
            .recipients(to.as_slice(), except.as_ref(), &mut self.recipients);
        let on_hub = self.route_to_hub(publication);
        let count = self.recipients.len() + on_hub.len();
        if !self.recipients.is_empty() {
            let name = shown_name(event.as_deref(), update.is_some());
            let frame = Rc::new(Frame::event(id, name, data));
            let json = self.json_frames(&frame, to, *private == Some(true));
            self.send(now, &self.recipients, &frame);
            for (clients, frame) in json {
                self.send(now, &clients, &frame);
            }
        }
        if !on_hub.is_empty() {
            let frame = Frame::update(id, update.as_deref(), event.as_deref(), data);
            self.send(now, &on_hub, &Rc::new(frame));
        }
        count
    }

    /// Sends an event in one of its forms.
    fn send(&self, now: Instant, to: &[u32], frame: &Rc<Frame>) {
        let stopwatch = (!to.is_empty()).then(|| self.pool.stopwatch(now));
        match stopwatch.flatten() {
            None => self.pool.send_all(to, frame),
            Some(stopwatch) => self.pool.send_all(to, &Rc::new(frame.timed(stopwatch))),
        }
    }

    fn next_id(&mut self) -> EventId {
        let reserved = self.archive.as_ref().map(archive::Handle::reserved);
        self.sequence
            .next_id(reserved.unwrap_or(EventId(EventId::END)))
    }

    /// Has an event written to the history file, if there is one.
    fn write_down(
        &mut self,
        id: EventId,
        publication: Publication,
        recipients: usize,
        keeps: bool,
    ) {
        let Some(archive) = &self.archive else { return };
        archive.given_out(id);
        if keeps && self.bus.as_ref().is_none_or(|bus| bus.is_news(id)) {
            let at = SystemTime::now();
            archive.keep(&Rc::new(Record {
                id,
                at,
                publication,
                recipients: u32::try_from(recipients).unwrap_or(u32::MAX),
            }));
        }
    }
}

/// The name that an event has for subscribers which are not the hub's: names that are kept for this
/// daemon's own blocks are none when they come by the hub.
pub(super) fn shown_name(name: Option<&str>, by_hub: bool) -> Option<&str> {
    name.filter(|name| !by_hub || !RESERVED_EVENTS.contains(name))
}
