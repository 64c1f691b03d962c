//! Replay: kept events for a client that comes back, in portions as its socket takes them, until it
//! has caught up and gets events as they are published.
//!
//! A client that is catching up is not in the routes: what is published meanwhile reaches it by the
//! history, in its order, so nothing is missing and nothing comes twice. It asks for each portion
//! when the one before is written ([`client::Message::More`]).

use std::collections::VecDeque;
use std::rc::Rc;

use super::Registry;
use crate::config::SubscribeAll;
use crate::messages::client::{self, Ending};
use crate::model::{ClientId, EventId, Resume, Subscription};
use crate::registry::history::{Entry, concerns};

/// Bytes of one portion, and events that are looked at for it.
const PORTION: usize = 64 * 1024;
const LOOKS: usize = 4096;

/// A client's way through the history.
#[derive(Debug)]
pub(super) struct Replay {
    subscription: Subscription,
    /// Single events, before all others.
    picked: VecDeque<u64>,
    /// The place of the next event.
    next: u64,
    /// From this place on events count that are not kept for others: the client was there.
    connected: u64,
}

impl Replay {
    /// Whether an event that is published now will be replayed.
    pub(super) fn wants(&self, entry: &Entry) -> bool {
        concerns(entry, &self.subscription)
    }
}

impl Registry {
    /// Begins a stream: with what it has missed, or live.
    pub(super) fn begin(&mut self, client: u32, subscription: Subscription, resume: Resume) {
        self.leave(client);
        self.pool.set_form(client, subscription.form);
        let Some(subscription) = self.hold(client, subscription, resume) else {
            return;
        };
        self.start(client, subscription, resume);
    }

    /// As [`Registry::begin`], for a client that is neither in the routes nor in the replays.
    pub(super) fn start(&mut self, client: u32, subscription: Subscription, resume: Resume) {
        let end = self.history.end();
        let mut replay = Replay {
            picked: VecDeque::new(),
            next: end,
            connected: end,
            subscription,
        };
        // Old switches let anyone listen to everything, but not to what was before.
        let live_only =
            replay.subscription.all && self.settings.now().subscribe_all == SubscribeAll::LiveOnly;
        match resume {
            Resume::After(id) => {
                let start = id.map(|id| self.history.after(id, self.sequence.last()));
                if live_only || start.is_none_or(|start| start.gap) || self.is_foreign(id) {
                    self.counters.gaps += 1;
                    let gap = self.gap_frame(id, &replay.subscription);
                    self.pool.send_all(&[client], &Rc::new(gap));
                }
                if let Some(start) = start.filter(|_| !live_only) {
                    replay.next = start.place;
                }
            }
            Resume::Recent(count) if !live_only => {
                replay.picked = self.history.recent(&replay.subscription, count).into();
            }
            Resume::Earliest { gap } => {
                if gap {
                    self.counters.gaps += 1;
                    let gap = self.gap_frame(None, &replay.subscription);
                    self.pool.send_all(&[client], &Rc::new(gap));
                }
                replay.next = self.history.after(EventId(0), self.sequence.last()).place;
            }
            Resume::Recent(_) | Resume::Live => {}
        }
        if replay.next < end || !replay.picked.is_empty() {
            self.counters.replays += 1;
            self.replays.insert(client, replay);
            self.replay(client);
        } else {
            self.go_live(client, &replay.subscription);
        }
    }

    /// Whether a subscriber that has seen this id may have missed something that is not kept any more.
    pub(super) fn may_have_missed(&self, id: EventId, _subscription: &Subscription) -> bool {
        self.history.after(id, self.sequence.last()).gap || self.is_foreign(Some(id))
    }

    /// Sends a client the next portion of its replay.
    pub(super) fn replay(&mut self, client: u32) {
        let Some(mut replay) = self.replays.remove(&client) else {
            return;
        };
        let room = PORTION.min(self.settings.now().client_buffer);
        let mut bytes = 0;
        for _ in 0..LOOKS {
            let place = replay.picked.pop_front().unwrap_or(replay.next);
            if place == self.history.end() {
                self.go_live(client, &replay.subscription);
                return;
            }
            let in_line = place == replay.next && replay.picked.is_empty();
            let Some(entry) = self.history.get(place) else {
                if place < replay.next {
                    // One of its last few is not among the kept any more.
                    continue;
                }
                self.finish(client, Ending::Outrun);
                return;
            };
            if in_line {
                replay.next += 1;
            }
            let kept = !entry.passing || place >= replay.connected;
            if kept && concerns(entry, &replay.subscription) {
                let frame = match replay.subscription.form.is_json() {
                    false => Rc::clone(&entry.frame),
                    true => self.forms.replayed(entry, &replay.subscription),
                };
                bytes += frame.bytes(true).len();
                self.pool.send_all(&[client], &frame);
                if bytes >= room {
                    break;
                }
            }
        }
        self.replays.insert(client, replay);
        self.pool.send(client, client::Message::More);
    }

    /// A client has all that was before now.
    fn go_live(&mut self, client: u32, subscription: &Subscription) {
        if let Some(position) = self.position(subscription.form) {
            self.pool.send_all(&[client], &position);
        }
        self.pool.set_live(client, true);
        self.routes.join(client, subscription);
        self.count_form(subscription.form);
        if let Some(listener) = subscription.hub.as_deref() {
            self.join_hub(client, listener);
        }
    }

    /// Takes a client out of all that sends it events.
    pub(super) fn leave(&mut self, client: u32) {
        self.leave_hub(client);
        if self.routes.leave(client) {
            self.uncount_form(client);
        }
        self.replays.remove(&client);
        self.let_go(client);
        self.deadlines.remove(client);
        self.pool.set_live(client, false);
    }

    /// How many streams there are.
    pub(super) fn streams(&self) -> usize {
        self.routes.len() + self.replays.len() + self.held_back()
    }

    /// The clients named `id` that are still getting kept events.
    pub(super) fn replaying(&self, id: &ClientId) -> impl Iterator<Item = u32> {
        let named = |replay: &Replay| replay.subscription.id.as_ref() == Some(id);
        let replays = self.replays.iter();
        replays.filter_map(move |(client, replay)| named(replay).then_some(*client))
    }

    /// The name that a client gave itself.
    pub(super) fn id(&self, client: u32) -> Option<&ClientId> {
        match self.replays.get(&client) {
            None => self.routes.id(client),
            Some(replay) => replay.subscription.id.as_ref(),
        }
    }

    /// What a client listens to.
    pub(super) fn subscribes(&self, client: u32) -> Vec<String> {
        let replayed = self.replays.get(&client).map(|replay| &replay.subscription);
        match replayed.or_else(|| self.waits(client)) {
            None => {
                let mut names = self.routes.subscribes(client);
                if let Some(hub) = &self.hub {
                    names.extend(hub.wide(client).map(str::to_owned));
                }
                names
            }
            Some(subscription) => {
                let Subscription { tokens, all, .. } = subscription;
                let all = all.then(|| "*".to_string());
                all.into_iter()
                    .chain(tokens.iter().map(ToString::to_string))
                    .collect()
            }
        }
    }
}
