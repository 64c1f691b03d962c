//! The Mercure hub in the registry: its clients, beside what all clients have, and what they get.
//!
//! A client of the hub stands in the routes as any other, with the topics that it names; besides that
//! it is a [`Member`] here. Selectors that stand for several topics are found by an [`index`].
//!
//! | file | subject |
//! | --- | --- |
//! | this | members |
//! | [`index`] | selectors that stand for several topics |
//! | [`routing`] | which of the hub's clients, and whether others, get a message |
//! | [`past`] | kept events for the hub's clients |
//! | [`resuming`] | where a client goes on that says an id |
//! | [`given`] | ids that publishers gave |
//! | [`names`] | the names of subscribers |
//! | [`presence`] | the subscriptions API, and the events about subscriptions |

use std::hash::BuildHasher;
use std::rc::Rc;

use foldhash::HashMap;
use foldhash::fast::RandomState;

use super::frame_cache::FrameCache;
use crate::model::EventId;
use crate::model::mercure::{Draft, Identity, Listener, Readable, Selector};

mod given;
mod index;
mod names;
mod past;
mod presence;
mod resuming;
mod routing;

use given::Given;
use index::Index;
pub(super) use past::{Shown, as_drawn, as_routed};
use presence::Presence;

/// What the registry knows with a hub.
#[derive(Debug)]
pub(super) struct Hub {
    identity: Rc<Identity>,
    /// By the clients' numbers.
    members: Vec<Option<Box<Member>>>,
    count: usize,
    index: Index,
    /// The last routing that reached a member, so that none reaches it twice.
    mark: u32,
    found: Vec<u32>,
    given: Given,
    /// Kept events as the hub's clients get them.
    replayed: FrameCache<EventId>,
    presence: Presence,
    shared: Shared,
}

/// A client of the hub.
#[derive(Debug)]
struct Member {
    draft: Draft,
    mark: u32,
    /// The numbers of its selectors in the index.
    wide: Box<[u32]>,
    readable: Option<Rc<Readable>>,
    /// Its name in the subscriptions API; 0 where there is none.
    subscriber: u128,
}

/// Rights that several members have.
#[derive(Debug, Default)]
struct Shared {
    hasher: RandomState,
    rights: HashMap<u64, Vec<Rc<Readable>>>,
}

impl Shared {
    /// The one copy of some rights.
    fn share(&mut self, readable: &Rc<Readable>) -> Rc<Readable> {
        let same = self.rights.entry(self.key(readable)).or_default();
        if let Some(known) = same.iter().find(|known| *known == readable) {
            return Rc::clone(known);
        }
        same.push(Rc::clone(readable));
        Rc::clone(readable)
    }

    /// Gives a copy back, and forgets the rights with the last.
    fn forget(&mut self, readable: Rc<Readable>) {
        // Two are left: this one and the one here.
        if Rc::strong_count(&readable) > 2 {
            return;
        }
        let key = self.key(&readable);
        if let Some(same) = self.rights.get_mut(&key) {
            same.retain(|known| !Rc::ptr_eq(known, &readable));
            if same.is_empty() {
                self.rights.remove(&key);
            }
        }
    }

    fn key(&self, readable: &Readable) -> u64 {
        self.hasher.hash_one(format!("{readable:?}"))
    }
}

impl Hub {
    /// A hub without clients.
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            identity: Rc::new(identity),
            members: Vec::new(),
            count: 0,
            index: Index::default(),
            mark: 0,
            found: Vec::new(),
            given: Given::default(),
            replayed: FrameCache::default(),
            presence: Presence::default(),
            shared: Shared::default(),
        }
    }

    /// Whether there is room for one more client's selectors.
    pub(super) fn has_room(&self, listener: &Listener) -> bool {
        let wide: Vec<Selector> = listener.wide().cloned().collect();
        self.index.has_room(&wide)
    }

    /// Enters a client, beside the routes.
    pub(super) fn join(&mut self, client: u32, listener: &Listener, subscriber: u128) {
        self.leave(client);
        let Self {
            members,
            index,
            identity,
            shared,
            ..
        } = self;
        if members.len() <= client as usize {
            members.resize_with(client as usize + 1, || None);
        }
        let wide = listener.wide();
        members[client as usize] = Some(Box::new(Member {
            draft: listener.draft,
            mark: self.mark,
            wide: wide
                .map(|selector| index.join(selector, client, identity))
                .collect(),
            readable: listener
                .readable
                .as_ref()
                .map(|readable| shared.share(readable)),
            subscriber,
        }));
        self.count += 1;
    }

    /// Takes a client out, if it is the hub's.
    pub(super) fn leave(&mut self, client: u32) {
        let Some(member) = self.members.get_mut(client as usize).and_then(Option::take) else {
            return;
        };
        self.count -= 1;
        for number in &member.wide {
            self.index.leave(*number, client, &self.identity);
        }
        if let Some(readable) = member.readable {
            self.shared.forget(readable);
        }
    }

    /// What a client listens to besides topics that it names, as it wrote it.
    pub(super) fn wide(&self, client: u32) -> impl Iterator<Item = &str> {
        let member = self.members.get(client as usize).and_then(Option::as_deref);
        let numbers = member.map_or(&[][..], |member| &member.wide[..]);
        let selectors = numbers
            .iter()
            .filter_map(|number| self.index.selector(*number));
        selectors.map(Selector::as_str)
    }
}
