//! Joins and leaves as an event stream for a backend that wants to know who went.

use std::rc::Rc;

use crate::messages::publisher::PresenceNews;
use crate::model::{Bounded, Cost, EventId, Sequence};
use crate::wire::sse::Frame;

/// Events that are kept.
const KEPT: usize = 10_000;

impl Cost for (EventId, Rc<str>) {}

/// The newest joins and leaves, each with its id.
#[derive(Debug)]
pub(crate) struct News {
    sequence: Sequence,
    events: Bounded<(EventId, Rc<str>)>,
    /// The newest id that is, or may be, not kept any more.
    forgotten: EventId,
}

impl News {
    /// Nothing yet; of the past nothing is known.
    pub(crate) fn new() -> Self {
        let sequence = Sequence::starting(EventId(0));
        Self {
            forgotten: sequence.last(),
            sequence,
            events: Bounded::new(),
        }
    }

    /// What a clean stop has left.
    pub(crate) fn restored(
        forgotten: EventId,
        last: EventId,
        events: impl IntoIterator<Item = (EventId, Rc<str>)>,
    ) -> Self {
        let mut news = Self {
            sequence: Sequence::at(last),
            events: Bounded::new(),
            forgotten,
        };
        news.events.extend(events);
        news
    }

    /// Keeps an event.
    pub(super) fn push(&mut self, name: &str, data: &str) {
        let id = self.sequence.next_id(EventId(EventId::END));
        let block = format!("id: {id}\nevent: {name}\ndata: {data}\n\n");
        self.events.push((id, block.into()));
        if let Some((id, _)) = self.events.pop_beyond(KEPT, usize::MAX) {
            self.forgotten = id;
        }
    }

    /// The newest id.
    pub(super) fn last(&self) -> EventId {
        self.sequence.last()
    }

    /// The newest id that is not kept.
    pub(crate) fn forgotten(&self) -> EventId {
        self.forgotten
    }

    /// The events kept.
    pub(crate) fn events(&self) -> impl Iterator<Item = &(EventId, Rc<str>)> {
        self.events.iter()
    }

    /// Where a stream begins that has seen `id` (none: what it said is no id): a gap if something may be
    /// missing, and the id to go on from.
    pub(super) fn begin(&self, id: Option<EventId>) -> PresenceNews {
        let last = self.last();
        // Each node gives its own ids: one that stands for nothing here is another's.
        let here = |id: &EventId| {
            let place = self.events.binary_search_by_key(id, |(known, _)| *known);
            [self.forgotten, last].contains(id) || place.is_ok()
        };
        let known = id.filter(here);
        let gap = || {
            let oldest = self.events.front().map(|(id, _)| *id);
            let gap = Frame::gap(id, oldest, None);
            String::from_utf8_lossy(gap.bytes(false)).into_owned()
        };
        match (known, id) {
            (Some(id), _) => PresenceNews {
                text: String::new(),
                last: id,
            },
            // What survives and is newer than the id comes.
            (None, Some(id)) if id < last => PresenceNews {
                text: gap(),
                last: self.forgotten.max(id),
            },
            (None, _) => PresenceNews { text: gap(), last },
        }
    }

    /// The events after an id, about 64 KiB of them; none if there are none.
    pub(super) fn after(&self, id: EventId) -> Option<PresenceNews> {
        const PORTION: usize = 64 * 1024;
        let from = self.events.partition_point(|(known, _)| *known <= id);
        let mut news = PresenceNews {
            text: String::new(),
            last: id,
        };
        for (id, block) in self.events.range(from..) {
            news.text += block;
            news.last = *id;
            if news.text.len() > PORTION {
                break;
            }
        }
        (news.last > id).then_some(news)
    }
}
