//! Who is there: which ids listen to the tokens of `--presence`.
//!
//! [`Presence`] decides alone: it has no clock, no socket and no client. It is told of streams that come
//! and go, and of the time in milliseconds, and says what is to be sent to whom. What nobody asked for
//! costs nothing: without `--presence` none of this is called, and a token that no rule names has no room.
//!
//! | file | subject |
//! | --- | --- |
//! | this | members, their coming and going |
//! | [`telling`] | what is told of that, and when |
//! | [`room`] | one token: its members, and those who are told |
//! | [`news`] | joins and leaves as the backend's event stream |
//! | [`hooks`] | the registry's side: where streams go live and end |
//! | [`nodes`] | what nodes tell one another |
//! | [`store`] | what a restart remembers |
//!
//! # When what is told
//!
//! A member is there from the first stream of its id until its last one has been gone for the grace time.
//! Changes of a room are gathered for [`GATHERED`] and told together: to each listener the difference
//! between what it knows and what is so then. What came and went in between is told to nobody.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use foldhash::{HashMap, HashSet};

use crate::messages::publisher::PresencePage;
use crate::model::{ClientId, Member, Target, Token};
use crate::wire::report::Presence as Figures;

mod hooks;
pub(crate) mod news;
mod nodes;
mod room;
pub(crate) mod store;
mod telling;
#[cfg(test)]
mod tests;

pub(super) use hooks::Watchers;
use news::News;
use room::{Here, Room};

/// Milliseconds for which changes of one room are gathered.
pub(super) const GATHERED: u64 = 250;
/// Milliseconds within which the bus says that a node is there which has told of its members: nodes ask who is
/// there every three seconds.
const FRESH: u64 = 6000;

/// A moment: milliseconds of a clock that never goes back, and since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) steady: u64,
    pub(super) unix: u64,
}

/// What a member is known by, and what is shown of it.
pub(super) type Info = Option<Rc<str>>;

/// Something of a token changed on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeChange {
    pub(crate) token: Token,
    pub(crate) what: What,
}

/// What changed there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A member came, or shows something else.
    Here {
        id: ClientId,
        streams: u32,
        /// In milliseconds since 1970.
        since: u64,
        info: Info,
    },
    /// A member left.
    Gone(ClientId),
    /// A member has more streams than before, or fewer; with none: those without an id.
    Streams(Option<ClientId>, u32),
}

impl What {
    /// Whose; none: of those without an id.
    fn id(&self) -> Option<&ClientId> {
        match self {
            Self::Here { id, .. } | Self::Gone(id) => Some(id),
            Self::Streams(id, _) => id.as_ref(),
        }
    }
}

/// A stream that is in rooms.
#[derive(Debug)]
struct Stream {
    id: Option<ClientId>,
    rooms: Vec<u32>,
    /// Rooms whose members it has still to be told of, the last first.
    greetings: Vec<u32>,
}

/// All rooms, and what is to be told when.
#[derive(Debug)]
pub(super) struct Presence {
    rules: Vec<Target>,
    /// Milliseconds between a member's last stream and its leaving.
    grace: u64,
    by_token: HashMap<Token, u32>,
    rooms: Vec<Option<Room>>,
    vacant: Vec<u32>,
    streams: HashMap<u32, Stream>,
    /// Members without a stream, by the moment when they leave.
    leaving: BTreeSet<(u64, u32, ClientId)>,
    /// Rooms with changes, by the moment when these are told.
    gathered: VecDeque<(u64, u32)>,
    /// Large rooms whose total is to be told again, by when.
    totals: BTreeSet<(u64, u32)>,
    /// Other nodes that are not heard of any more, and when their members leave.
    lost: HashMap<u64, u64>,
    /// Other nodes that have told of their members, and when they did last.
    peers: HashMap<u64, u64>,
    /// Counts what happens in all rooms, so that a listener's first view has a place among it.
    step: u64,
    news: News,
    counts: Figures,
    /// Whether other nodes are to know how many streams there are.
    shares: bool,
}

impl Presence {
    /// Nobody; members leave when their last stream has been gone for `grace`.
    pub(super) fn new(rules: Vec<Target>, grace: Duration, news: News) -> Self {
        Self {
            rules,
            grace: grace.as_millis() as u64,
            by_token: HashMap::default(),
            rooms: Vec::new(),
            vacant: Vec::new(),
            streams: HashMap::default(),
            leaving: BTreeSet::new(),
            gathered: VecDeque::new(),
            totals: BTreeSet::new(),
            lost: HashMap::default(),
            peers: HashMap::default(),
            step: 0,
            news,
            counts: Figures::default(),
            shares: false,
        }
    }

    /// Other nodes are to know how many streams there are.
    pub(super) fn share(&mut self) {
        self.shares = true;
    }

    /// Sets other rules, which hold for streams that come from now on.
    pub(super) fn configure(&mut self, rules: Vec<Target>, grace: Duration) {
        self.rules = rules;
        self.grace = grace.as_millis() as u64;
    }

    /// Whether there are rules at all, or streams that an older rule counted.
    pub(super) fn is_on(&self) -> bool {
        !self.rules.is_empty() || !self.by_token.is_empty()
    }

    /// Whether it is known who listens to a token.
    pub(super) fn covers(&self, token: &Token) -> bool {
        self.rules.iter().any(|rule| match rule {
            Target::All => true,
            Target::Token(name) => name == token,
            Target::Prefix(prefix) => token.as_str().starts_with(prefix.as_str()),
        })
    }

    /// A stream comes to these tokens; one that `listens` is to be [greeted](Self::greet). Whether it is
    /// in a room.
    pub(super) fn join(
        &mut self,
        client: u32,
        tokens: &[Token],
        member: Member,
        listens: bool,
        now: Now,
    ) -> bool {
        let mut rooms = Vec::new();
        let info: Info = member.info.map(Rc::from);
        for token in tokens
            .iter()
            .filter(|token| self.covers(token))
            .cloned()
            .collect::<Vec<_>>()
        {
            let number = self.room(&token);
            rooms.push(number);
            match &member.id {
                None => {
                    if let Some(room) = &mut self.rooms[number as usize] {
                        room.anonymous += 1;
                    }
                    self.recount(number, None, now);
                }
                Some(id) => self.come(number, id, &info, now),
            }
        }
        if rooms.is_empty() {
            return false;
        }
        let greetings = if listens {
            rooms.iter().rev().copied().collect()
        } else {
            Vec::new()
        };
        let stream = Stream {
            id: member.id,
            rooms,
            greetings,
        };
        self.streams.insert(client, stream);
        true
    }

    /// A stream of a member begins.
    fn come(&mut self, number: u32, id: &ClientId, info: &Info, now: Now) {
        self.step += 1;
        let (step, Some(room)) = (self.step, &mut self.rooms[number as usize]) else {
            return;
        };
        let mut changed = false;
        match room.get_mut(id) {
            Some(here) => {
                here.own += 1;
                if let Some(due) = here.leaves_at.take() {
                    self.leaving.remove(&(due, number, id.clone()));
                }
                if here.own_info != *info || here.own_since.is_none() {
                    here.own_info.clone_from(info);
                    here.own_since.get_or_insert(now.unix);
                    changed = true;
                }
                changed |= room.show(id, info, step);
            }
            None => {
                let here = Here::own(info.clone(), now.unix);
                room.enter(id.clone(), here, step);
                changed = true;
            }
        }
        if changed {
            room.own_changes.insert(id.clone(), true);
            self.gather(number, now);
        } else {
            self.recount(number, Some(id), now);
        }
    }

    /// There are more streams of an id than before, or fewer; or of those without one.
    fn recount(&mut self, number: u32, id: Option<&ClientId>, now: Now) {
        if self.shares
            && let Some(room) = &mut self.rooms[number as usize]
        {
            match id {
                Some(id) => drop(room.own_changes.entry(id.clone()).or_insert(false)),
                None => room.recounted = true,
            }
            self.gather(number, now);
        }
    }

    /// A stream has ended.
    pub(super) fn leave(&mut self, client: u32, now: Now) {
        let Some(stream) = self.streams.remove(&client) else {
            return;
        };
        for number in stream.rooms {
            let Some(room) = &mut self.rooms[number as usize] else {
                continue;
            };
            room.listeners.remove(&client);
            match &stream.id {
                None => room.anonymous -= 1,
                Some(id) => {
                    if let Some(here) = room.get_mut(id) {
                        here.own -= 1;
                        if here.own == 0 {
                            let due = now.steady + self.grace;
                            here.leaves_at = Some(due);
                            self.leaving.insert((due, number, id.clone()));
                        }
                    }
                }
            }
            self.recount(number, stream.id.as_ref(), now);
            self.tidy(number);
        }
    }

    /// Members that were there before a restart: they leave unless a stream of theirs comes.
    pub(super) fn remember(
        &mut self,
        token: &Token,
        id: ClientId,
        info: Info,
        since: u64,
        now: Now,
    ) {
        let number = self.room(token);
        let due = now.steady + self.grace;
        if let Some(room) = &mut self.rooms[number as usize] {
            room.remember(id.clone(), Here::remembered(info, since, due));
            self.leaving.insert((due, number, id));
        }
    }

    /// Another node tells of members that came to it or left it.
    pub(super) fn hear(&mut self, node: u64, changes: Vec<NodeChange>, now: Now) {
        self.lost.remove(&node);
        self.peers.insert(node, now.steady);
        for NodeChange { token, what } in changes {
            let number = match (self.by_token.get(&token), &what) {
                (Some(number), _) => *number,
                (None, What::Here { .. } | What::Streams(None, 1..)) if self.covers(&token) => {
                    self.room(&token)
                }
                (None, _) => continue,
            };
            self.step += 1;
            let (step, Some(room)) = (self.step, &mut self.rooms[number as usize]) else {
                continue;
            };
            let changed = room.hear(node, what, step);
            if changed {
                self.gather(number, now);
            }
            self.tidy(number);
        }
    }

    /// Another node tells of all its members: others that were thought to be on it are not.
    pub(super) fn hear_all(&mut self, node: u64, members: Vec<NodeChange>, now: Now) {
        let there: HashSet<_> = members
            .iter()
            .map(|one| (one.token.clone(), one.what.id().cloned()))
            .collect();
        let gone = self.rooms.iter().flatten().flat_map(|room| {
            let on = room.on(node).into_iter();
            on.map(|id| (room.token.clone(), id))
        });
        let gone = gone.filter(|one| !there.contains(one));
        let gone = gone.map(|(token, id)| NodeChange {
            token,
            what: id.map_or(What::Streams(None, 0), What::Gone),
        });
        let changes = gone.collect::<Vec<_>>().into_iter().chain(members);
        self.hear(node, changes.collect(), now);
    }

    /// These other nodes are there. The members of one that is not any more leave when their grace is over.
    pub(super) fn hear_of(&mut self, nodes: &[u64], now: Now) {
        self.lost.retain(|node, _| !nodes.contains(node));
        let due = now.steady + self.grace;
        let peers = self.peers.iter();
        let silent = peers.filter(|(_, heard)| **heard + FRESH <= now.steady);
        for (node, _) in silent.filter(|(node, _)| !nodes.contains(node)) {
            self.lost.entry(*node).or_insert(due);
        }
    }

    /// The room of a token, made if it is not there.
    fn room(&mut self, token: &Token) -> u32 {
        if let Some(number) = self.by_token.get(token) {
            return *number;
        }
        let number = self.vacant.pop().unwrap_or(self.rooms.len() as u32);
        if number as usize == self.rooms.len() {
            self.rooms.push(None);
        }
        self.rooms[number as usize] = Some(Room::new(token.clone()));
        self.by_token.insert(token.clone(), number);
        number
    }

    /// Takes a room away in which nobody is.
    fn tidy(&mut self, number: u32) {
        let place = &mut self.rooms[number as usize];
        if let Some(room) = place.take_if(|room| room.is_empty()) {
            self.by_token.remove(&room.token);
            self.totals.retain(|(_, waits)| *waits != number);
            self.vacant.push(number);
        }
    }

    /// A page of a room's members for the backend; none for a token whose presence nobody asked for.
    pub(super) fn page(
        &self,
        token: &Token,
        after: Option<&ClientId>,
        most: usize,
    ) -> Option<PresencePage> {
        let number = self.by_token.get(token);
        let room = number.and_then(|number| self.rooms[*number as usize].as_ref());
        if room.is_none() && !self.covers(token) {
            return None;
        }
        let (members, next) = room.map_or_else(Default::default, |room| room.page(after, most));
        let anonymous = room.map_or(0, Room::all_anonymous);
        let token = serde_json::json!(token.as_str());
        let position = self.news.last();
        Some(PresencePage {
            json: format!(
                "{{\"token\":{token},\"members\":[{members}],\"anonymous\":{anonymous},\"position\":{position}}}\n"
            ),
            next,
        })
    }

    /// What is counted.
    pub(super) fn counts(&self) -> Figures {
        let members = self.rooms.iter().flatten().map(Room::len).sum::<usize>();
        Figures {
            tokens: self.by_token.len() as u64,
            members: members as u64,
            ..self.counts
        }
    }

    /// This node's own members.
    pub(super) fn own_members(&self) -> impl Iterator<Item = NodeChange> {
        self.rooms.iter().flatten().flat_map(Room::own)
    }

    /// Joins and leaves, for the backend.
    pub(super) fn news(&self) -> &News {
        &self.news
    }
}
