//! Replay: kept events for a client that comes back, in portions as its socket takes them, until it
//! has caught up and gets events as they are published.
//!
//! A client that is catching up is not in the routes: what is published meanwhile reaches it by the
//! history, in its order, so nothing is missing and nothing comes twice. It asks for each portion
//! when the one before is written ([`client::Message::More`]). Such clients have routes of their own
//! ([`Replays`]), so that a publication finds those that it concerns as it finds all others, however many
//! there are that read nothing. What is published meanwhile and is not kept, or is let go before a client
//! has drawn it, waits for that client apart, within the bytes that may wait for a client, and all of it within
//! those that may wait for all.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use foldhash::HashMap;

use super::Registry;
use super::forms::{Forms, Replayed};
use super::history::{Cursor, Drawn, Kept, Lost, Name};
use super::mercure::{Hub, Shown};
use super::publishing::shown_name;
use super::routes::Routes;
use super::session::Phase;
use crate::config::{Config, SubscribeAll};
use crate::messages::client::{self, Ending};
use crate::model::{ClientId, EventId, Publication, Resume, Subscription, Target, Token};
use crate::wire::sse::Frame;

/// Bytes of one portion.
const PORTION: usize = 64 * 1024;
/// What one event that waits apart takes besides its text.
const BESIDES: usize = 256;

/// A client's way through the history.
#[derive(Debug)]
pub(super) struct Replay {
    subscription: Subscription,
    cursor: Cursor,
    /// Events up to this id have no `id:` line: the client's own position is newer.
    known: EventId,
    /// What is let go from now on and is newer than this is kept apart.
    line: EventId,
    /// Events that rings do not hold.
    apart: BTreeMap<EventId, Rc<Apart>>,
    apart_bytes: usize,
}

/// An event that waits apart, for however many clients.
#[derive(Debug)]
struct Apart {
    publication: Rc<Publication>,
    /// Of all such events.
    total: Rc<Cell<usize>>,
}

impl Apart {
    fn new(publication: &Rc<Publication>, total: &Rc<Cell<usize>>) -> Self {
        total.set(total.get() + cost(publication));
        Self {
            publication: Rc::clone(publication),
            total: Rc::clone(total),
        }
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.total.set(self.total.get() - cost(&self.publication));
    }
}

impl Deref for Apart {
    type Target = Publication;

    fn deref(&self) -> &Publication {
        &self.publication
    }
}

/// All clients that are still getting kept events.
#[derive(Debug, Default)]
pub(super) struct Replays {
    clients: HashMap<u32, Replay>,
    routes: Routes,
    recipients: Vec<u32>,
    /// Bytes of all events that wait apart, each once.
    apart: Rc<Cell<usize>>,
}

impl Replays {
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// The clients.
    pub(super) fn clients(&self) -> impl Iterator<Item = u32> {
        self.clients.keys().copied()
    }

    pub(super) fn get(&self, client: u32) -> Option<&Subscription> {
        let replay = self.clients.get(&client)?;
        Some(&replay.subscription)
    }

    fn insert(&mut self, client: u32, replay: Replay) {
        self.routes.join(client, &replay.subscription);
        self.clients.insert(client, replay);
    }

    fn remove(&mut self, client: u32) -> Option<Replay> {
        let replay = self.clients.remove(&client)?;
        self.routes.leave(client);
        Some(replay)
    }

    /// How many of them an event concerns.
    pub(super) fn count(&mut self, publication: &Publication) -> usize {
        let Publication { to, except, .. } = publication;
        if self.clients.is_empty() {
            return 0;
        }
        self.routes
            .recipients(to.as_slice(), except.as_ref(), &mut self.recipients);
        self.recipients.len()
    }

    /// Those that listen to some of these targets.
    pub(super) fn listening(&mut self, targets: &[Target]) -> &[u32] {
        self.routes.recipients(targets, None, &mut self.recipients);
        &self.recipients
    }

    /// Has an event wait for those it concerns, and says for which of them too much waits then.
    fn put_apart(&mut self, id: EventId, publication: &Rc<Publication>, room: usize) -> Vec<u32> {
        self.count(publication);
        let mut outrun = Vec::new();
        let mut apart: Option<Rc<Apart>> = None;
        for client in &self.recipients {
            let Some(replay) = self.clients.get_mut(client) else {
                continue;
            };
            if id <= replay.line.max(replay.cursor.position()) {
                continue;
            }
            let bytes = cost(publication);
            let apart = apart.get_or_insert_with(|| Rc::new(Apart::new(publication, &self.apart)));
            if replay.apart.insert(id, Rc::clone(apart)).is_none() {
                replay.apart_bytes += bytes;
            }
            // One always has room.
            if replay.apart_bytes > room.max(bytes) {
                outrun.push(*client);
            }
        }
        outrun
    }
}

/// How the events of one replay become frames.
struct Framing<'a> {
    forms: &'a mut Forms,
    hub: Option<&'a mut Hub>,
    config: &'a Config,
    known: EventId,
}

impl Framing<'_> {
    /// An event that the history keeps; none if the client may not have it.
    fn kept(&mut self, kept: &Kept<'_>, subscription: &Subscription) -> Option<Rc<Frame>> {
        let hub = self.hub.as_deref_mut();
        let shown = hub.map(|hub| hub.shows(kept, subscription, self.config));
        let by_hub = match shown.unwrap_or(Shown::AsEver) {
            Shown::Not => return None,
            Shown::As(frame) => return Some(frame),
            Shown::AsEver => kept.is_update(),
        };
        let event = Replayed {
            id: kept.id,
            event: shown_name(kept.event, by_hub),
            data: kept.data,
            private: kept.private() == Some(true),
            known: kept.id <= self.known,
        };
        Some(self.forms.replayed(event, kept.to(), subscription))
    }

    /// An event that waited apart; none if the client may not have it.
    fn apart(
        &mut self,
        id: EventId,
        publication: &Publication,
        subscription: &Subscription,
    ) -> Option<Rc<Frame>> {
        let hub = self.hub.as_deref_mut();
        let shown = hub.map(|hub| hub.shows_apart(id, publication, subscription, self.config));
        match shown.unwrap_or(Shown::AsEver) {
            Shown::Not => return None,
            Shown::As(frame) => return Some(frame),
            Shown::AsEver => {}
        }
        let event = Replayed {
            id,
            event: shown_name(publication.event.as_deref(), publication.update.is_some()),
            data: &publication.data,
            private: publication.private == Some(true),
            known: false,
        };
        let to = publication.to.as_slice().iter().map(Name::of);
        Some(self.forms.replayed(event, to, subscription))
    }
}

impl Registry {
    /// Begins a stream: with what it has missed, or live.
    pub(super) fn begin(
        &mut self,
        client: u32,
        subscription: Subscription,
        resume: Resume,
        recent_of: Vec<(Token, usize)>,
    ) {
        self.leave(client);
        self.pool.set_form(client, subscription.form);
        if let Some((subscription, recent_of)) = self.hold(client, subscription, resume, recent_of)
        {
            self.start(client, subscription, resume, &recent_of);
        }
    }

    /// As [`Registry::begin`], for a client that is neither in the routes nor in the replays.
    pub(super) fn start(
        &mut self,
        client: u32,
        subscription: Subscription,
        resume: Resume,
        recent_of: &[(Token, usize)],
    ) {
        let last = self.sequence.last();
        // Old switches let anyone listen to everything, but not to what was before.
        let live_only = subscription.all
            && subscription.hub.is_none()
            && self.settings.now().subscribe_all == SubscribeAll::LiveOnly;
        let recent = |count, seen| {
            let history = &self.history;
            history.recent(&subscription, count, recent_of, seen, last)
        };
        let mut known = EventId(0);
        let cursor = match resume {
            Resume::After(id) => {
                let seen = id.filter(|_| !live_only);
                let cursor = match seen {
                    Some(id) if recent_of.is_empty() => Cursor::after(id.min(last)),
                    Some(id) => {
                        known = id;
                        recent(0, Some(id.min(last)))
                    }
                    None => Cursor::after(last),
                };
                let lost = match seen.filter(|id| *id <= last && !self.is_foreign(*id)) {
                    Some(id) => self.history.lost(&subscription, recent_of, id),
                    None => Lost::OfAny,
                };
                if lost != Lost::Nothing {
                    self.send_gap(client, id, &subscription, &lost);
                }
                cursor
            }
            Resume::Earliest { gap } => {
                if gap {
                    self.send_gap(client, None, &subscription, &Lost::OfAny);
                }
                Cursor::after(EventId(0))
            }
            Resume::Recent(count) if !live_only => recent(count, None),
            Resume::Live if !live_only && !recent_of.is_empty() => recent(0, None),
            Resume::Recent(_) | Resume::Live => Cursor::after(last),
        };
        if cursor.position() >= last {
            return self.go_live(client, &subscription);
        }
        let replay = Replay {
            line: cursor.line(),
            subscription,
            cursor,
            known,
            apart: BTreeMap::new(),
            apart_bytes: 0,
        };
        self.counters.replays += 1;
        self.history.rescue(Some(replay.line));
        self.enter(client, Phase::Replaying);
        self.replays.insert(client, replay);
        self.replay(client);
    }

    /// Tells a client that it has lost events.
    fn send_gap(
        &mut self,
        client: u32,
        after: Option<EventId>,
        subscription: &Subscription,
        lost: &Lost,
    ) {
        self.counters.gaps += 1;
        let gap = self.gap_frame(after, subscription, lost);
        self.pool.send_all(&[client], &Rc::new(gap));
    }

    /// Whether a subscriber that has seen this id may have missed something that is not kept any more.
    pub(super) fn may_have_missed(&self, id: EventId, subscription: &Subscription) -> bool {
        self.is_foreign(id) || self.history.lost(subscription, &[], id) != Lost::Nothing
    }

    /// Sends a client the next portion of its replay; one that has caught up then goes live.
    pub(super) fn replay(&mut self, client: u32) {
        let Some(mut replay) = self.replays.clients.remove(&client) else {
            return;
        };
        if self.send_portion(client, &mut replay) {
            self.replays.routes.leave(client);
            self.rest_replays();
            self.go_live(client, &replay.subscription);
        } else {
            self.replays.clients.insert(client, replay);
            self.pool.send(client, client::Message::More);
        }
    }

    /// Sends the next portion of a replay; whether the client has caught up then.
    fn send_portion(&mut self, client: u32, replay: &mut Replay) -> bool {
        let config = self.settings.now();
        let room = PORTION.min(config.client_buffer);
        let mut framing = Framing {
            forms: &mut self.forms,
            hub: self.hub.as_deref_mut(),
            config: &config,
            known: replay.known,
        };
        let pool = &self.pool;
        let mut bytes = 0;
        let mut send = |frame: Option<Rc<Frame>>| {
            if let Some(frame) = frame {
                bytes += frame.bytes(true).len();
                pool.send_all(&[client], &frame);
            }
            bytes < room
        };
        while send(None) {
            let subscription = &replay.subscription;
            let first = replay.apart.first_entry();
            let up_to = first
                .as_ref()
                .map_or(EventId(u64::MAX), |first| *first.key());
            let take = |kept: Kept<'_>| send(framing.kept(&kept, subscription));
            let drawn = (self.history).draw(subscription, &mut replay.cursor, up_to, take);
            if drawn == Drawn::More {
                return false;
            }
            let Some(first) = first else {
                return true;
            };
            let (id, publication) = first.remove_entry();
            replay.apart_bytes -= cost(&publication);
            // A ring may have held it after all.
            if id > replay.cursor.position() {
                replay.cursor.advance(id);
                send(framing.apart(id, &publication, subscription));
            }
        }
        false
    }

    /// An event that the history does not hold, or not for all, waits for those who are still to get it.
    pub(super) fn put_apart(&mut self, id: EventId, publication: &Rc<Publication>) {
        let room = self.settings.now().client_buffer;
        for client in self.replays.put_apart(id, publication, room) {
            self.finish(client, Ending::Outrun);
        }
    }

    /// Has what the history has let go since wait for those who are still to get it.
    pub(super) fn rescue(&mut self) {
        if self.replays.is_empty() {
            return;
        }
        for (id, publication) in self.history.rescued() {
            self.put_apart(id, &Rc::new(publication));
        }
    }

    /// Gives up replays for which most waits apart, until all that does is within `--total-buffer`.
    pub(super) fn give_up_replays(&mut self) {
        let most = self.settings.now().total_buffer;
        if self.replays.apart.get() <= most {
            return;
        }
        let clients = self.replays.clients.iter();
        let mut held: Vec<_> = clients
            .map(|(client, replay)| (replay.apart_bytes, *client))
            .collect();
        held.sort_unstable();
        while self.replays.apart.get() > most
            && let Some((_, client)) = held.pop()
        {
            self.finish(client, Ending::Outrun);
        }
    }

    /// Takes a client out of the replays, wherever it stands.
    pub(super) fn give_up_replay(&mut self, client: u32) {
        if self.replays.remove(client).is_some() {
            self.rest_replays();
        }
    }

    /// Without replays nothing is rescued.
    fn rest_replays(&mut self) {
        if self.replays.is_empty() {
            self.history.rescue(None);
        }
    }

    /// The clients named `id` that are still getting kept events.
    pub(super) fn replaying(&self, id: &ClientId) -> impl Iterator<Item = u32> {
        self.replays.routes.named(id).into_iter()
    }
}

/// What one event that waits apart counts for.
fn cost(publication: &Publication) -> usize {
    publication.data.len() + BESIDES
}
