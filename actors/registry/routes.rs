//! Who listens to what: from a publication's targets to the clients that get it.
//!
//! The cost of routing grows with the recipients, not with the clients: tokens are found by hash,
//! prefixes by an ordered index (made for the first of them), and those who listen to everything stand apart. Every client knows
//! its own places in these lists, so its end costs as much as it had tokens.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;

use foldhash::HashMap;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::model::{ClientId, Subscription, Target, Token};

/// A client in a token's list, and which of the client's places that is.
#[derive(Debug, Clone, Copy)]
struct Member {
    client: u32,
    place: u32,
}

/// Where a client stands: a topic's index, and the position in its list.
#[derive(Debug, Clone, Copy)]
struct Place {
    topic: u32,
    position: u32,
}

/// A token that somebody listens to.
#[derive(Debug)]
struct Topic {
    name: Token,
    members: SmallVec<[Member; 2]>,
}

/// The position of a client in a list that it is not in.
const NOWHERE: u32 = u32::MAX;

/// What is known of a client: little, as there are very many.
#[derive(Debug)]
struct Client {
    // Boxed: most have none.
    id: Option<Box<ClientId>>,
    places: SmallVec<[Place; 2]>,
    /// Position in `Routes::everyone`.
    everyone: u32,
    /// Position in `Routes::listens_to_all`, or [`NOWHERE`].
    all: u32,
    /// The last routing that reached this client, so that none reaches it twice.
    mark: u32,
}

/// The subscriptions of all clients. Clients are named by small numbers, which are used again.
#[derive(Debug, Default)]
pub struct Routes {
    hasher: RandomState,
    by_hash: HashTable<u32>,
    /// All tokens, for prefixes; made when the first prefix is asked for.
    in_order: Option<BTreeMap<Token, u32>>,
    topics: Vec<Option<Topic>>,
    vacant: Vec<u32>,
    everyone: Vec<u32>,
    listens_to_all: Vec<u32>,
    clients: Vec<Option<Client>>,
    mark: u32,
}

impl Routes {
    /// Enters a client. One that is entered already is left first.
    pub fn join(&mut self, client: u32, subscription: &Subscription) {
        self.leave(client);
        if self.clients.len() <= client as usize {
            self.clients.resize_with(client as usize + 1, || None);
        }
        let mut entry = Client {
            id: subscription.id.clone().map(Box::new),
            places: SmallVec::new(),
            everyone: self.everyone.len() as u32,
            all: NOWHERE,
            mark: self.mark,
        };
        self.everyone.push(client);
        if subscription.all {
            entry.all = self.listens_to_all.len() as u32;
            self.listens_to_all.push(client);
        }
        for token in &subscription.tokens {
            let topic = self.topic(token);
            let place = entry.places.len() as u32;
            let members = self.topics[topic as usize]
                .as_mut()
                .map(|topic| &mut topic.members);
            let Some(members) = members else { continue };
            entry.places.push(Place {
                topic,
                position: members.len() as u32,
            });
            members.push(Member { client, place });
        }
        self.clients[client as usize] = Some(entry);
    }

    /// Takes a client out; whether it was in.
    pub fn leave(&mut self, client: u32) -> bool {
        let Some(entry) = self.clients.get_mut(client as usize).and_then(Option::take) else {
            return false;
        };
        debug_assert_eq!(self.everyone[entry.everyone as usize], client);
        if let Some(moved) = swap_out(&mut self.everyone, entry.everyone)
            && let Some(Some(moved)) = self.clients.get_mut(moved as usize)
        {
            moved.everyone = entry.everyone;
        }
        if entry.all != NOWHERE
            && let Some(moved) = swap_out(&mut self.listens_to_all, entry.all)
            && let Some(Some(moved)) = self.clients.get_mut(moved as usize)
        {
            moved.all = entry.all;
        }
        for place in &entry.places {
            self.leave_topic(client, *place);
        }
        true
    }

    /// The clients that a message to `targets` reaches, each once, put into `recipients`.
    pub fn recipients(
        &mut self,
        targets: &[Target],
        except: Option<&ClientId>,
        recipients: &mut Vec<u32>,
    ) {
        recipients.clear();
        if targets.contains(&Target::All) {
            recipients.extend_from_slice(&self.everyone);
        } else if let ([Target::Token(token)], []) = (targets, &self.listens_to_all[..]) {
            // The usual case: one list, in which nobody stands twice.
            let topic = self.find(token.as_str());
            if let Some(topic) = topic.and_then(|topic| self.topics[topic as usize].as_ref()) {
                recipients.extend(topic.members.iter().map(|member| member.client));
            }
        } else {
            self.mark = self.mark.wrapping_add(1);
            let Self {
                clients,
                mark,
                listens_to_all,
                ..
            } = &mut *self;
            for &client in &*listens_to_all {
                reach(clients, *mark, client, recipients);
            }
            for target in targets {
                self.reach_target(target, recipients);
            }
        }
        if except.is_some() {
            recipients.retain(|&client| self.id(client) != except);
        }
    }

    /// Which of `targets`, by their numbers, reach each of `clients`, all of whom some target reaches:
    /// clients that the same ones reach stand together.
    pub fn met(&mut self, targets: &[Target], clients: &[u32]) -> Vec<(Vec<u32>, Vec<u32>)> {
        self.mark = self.mark.wrapping_add(1);
        for &client in clients {
            if let Some(Some(entry)) = self.clients.get_mut(client as usize) {
                entry.mark = self.mark;
            }
        }
        let (mark, mut met) = (self.mark, HashMap::<u32, Vec<u32>>::default());
        let to_all = clients
            .iter()
            .filter(|client| self.listens_to_all(**client));
        let to_all: Vec<u32> = to_all.copied().collect();
        for (target, number) in targets.iter().zip(0..) {
            let mut reach = |clients: &mut [Option<Client>], client: u32| {
                let entry = clients[client as usize].as_ref();
                if entry.is_some_and(|entry| entry.mark == mark && entry.all == NOWHERE) {
                    let met = met.entry(client).or_default();
                    if met.last() != Some(&number) {
                        met.push(number);
                    }
                }
            };
            match target {
                Target::All => clients
                    .iter()
                    .for_each(|client| reach(&mut self.clients, *client)),
                target => self.each_reached(target, reach),
            }
        }
        let mut groups = HashMap::<Vec<u32>, Vec<u32>>::default();
        for (client, met) in met {
            groups.entry(met).or_default().push(client);
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        if !to_all.is_empty() {
            groups.push(((0..targets.len() as u32).collect(), to_all));
        }
        groups
    }

    fn listens_to_all(&self, client: u32) -> bool {
        let entry = self.clients.get(client as usize).and_then(Option::as_ref);
        entry.is_some_and(|entry| entry.all != NOWHERE)
    }

    /// The clients that named themselves `id`.
    pub fn named(&self, id: &ClientId) -> Vec<u32> {
        let named = |client: &u32| self.id(*client) == Some(id);
        self.everyone.iter().copied().filter(named).collect()
    }

    /// The name that a client gave itself.
    pub fn id(&self, client: u32) -> Option<&ClientId> {
        self.clients.get(client as usize)?.as_ref()?.id.as_deref()
    }

    /// What a client listens to.
    pub fn subscription(&self, client: u32) -> Option<Subscription> {
        let entry = self.clients.get(client as usize)?.as_ref()?;
        let topics = entry.places.iter().filter_map(|place| {
            let topic = self.topics[place.topic as usize].as_ref()?;
            Some(topic.name.clone())
        });
        Some(Subscription {
            tokens: topics.collect(),
            all: entry.all != NOWHERE,
            id: entry.id.as_deref().cloned(),
            ..Subscription::default()
        })
    }

    /// What a client listens to, in the order in which it asked; `*` first.
    pub fn subscribes(&self, client: u32) -> Vec<String> {
        let Some(Some(entry)) = self.clients.get(client as usize) else {
            return Vec::new();
        };
        let all = (entry.all != NOWHERE).then(|| "*".to_string());
        let topics = entry.places.iter().filter_map(|place| {
            let topic = self.topics[place.topic as usize].as_ref()?;
            Some(topic.name.as_str().to_string())
        });
        all.into_iter().chain(topics).collect()
    }

    /// How many clients listen to everything.
    pub fn listeners_to_all(&self) -> usize {
        self.listens_to_all.len()
    }

    /// Tokens and how many clients listen to each: those at `count` places from `from` on, in no order.
    pub fn topics(&self, from: usize, count: usize) -> impl Iterator<Item = (&str, u64)> {
        let topics = self.topics.iter().skip(from).take(count).flatten();
        topics.map(|topic| (topic.name.as_str(), topic.members.len() as u64))
    }

    /// `place`, if there are tokens at it or behind it.
    pub fn topics_after(&self, place: usize) -> Option<usize> {
        (place < self.topics.len()).then_some(place)
    }

    /// How many clients listen.
    pub fn len(&self) -> usize {
        self.everyone.len()
    }

    /// Whether no client listens.
    pub fn is_empty(&self) -> bool {
        self.everyone.is_empty()
    }

    /// All clients that listen.
    pub fn everyone(&self) -> &[u32] {
        &self.everyone
    }

    fn reach_target(&mut self, target: &Target, recipients: &mut Vec<u32>) {
        let mark = self.mark;
        self.each_reached(target, |clients, client| {
            reach(clients, mark, client, recipients);
        });
    }

    /// Calls `act` for each client in the lists of a target that is not `*`; more than once for one
    /// that listens to several tokens with one prefix.
    fn each_reached(&mut self, target: &Target, mut act: impl FnMut(&mut [Option<Client>], u32)) {
        let Self {
            clients,
            topics,
            in_order,
            ..
        } = self;
        let mut reach_topic = |topic: u32| {
            for member in members(topics, topic) {
                act(clients, member.client);
            }
        };
        match target {
            Target::All => {}
            Target::Token(token) => {
                let hash = self.hasher.hash_one(token.as_str());
                if let Some(&topic) = self.by_hash.find(hash, is_named(topics, token.as_str())) {
                    reach_topic(topic);
                }
            }
            Target::Prefix(prefix) => {
                let in_order = in_order.get_or_insert_with(|| put_in_order(topics));
                let from = (Bound::Included(prefix), Bound::Unbounded);
                for (name, &topic) in in_order.range::<Token, _>(from) {
                    if !name.as_str().starts_with(prefix.as_str()) {
                        break;
                    }
                    reach_topic(topic);
                }
            }
        }
    }

    fn find(&self, name: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(name);
        self.by_hash
            .find(hash, is_named(&self.topics, name))
            .copied()
    }

    /// The topic of a token, made if it is not there.
    fn topic(&mut self, token: &Token) -> u32 {
        if let Some(topic) = self.find(token.as_str()) {
            return topic;
        }
        let index = self.vacant.pop().unwrap_or(self.topics.len() as u32);
        if index as usize == self.topics.len() {
            self.topics.push(None);
        }
        self.topics[index as usize] = Some(Topic {
            name: token.clone(),
            members: SmallVec::new(),
        });
        if let Some(in_order) = &mut self.in_order {
            in_order.insert(token.clone(), index);
        }
        let Self {
            by_hash,
            topics,
            hasher,
            ..
        } = self;
        let hash_of = |&topic: &u32| {
            let name = topics[topic as usize]
                .as_ref()
                .map(|topic| topic.name.as_str());
            hasher.hash_one(name.unwrap_or_default())
        };
        by_hash.insert_unique(hasher.hash_one(token.as_str()), index, hash_of);
        index
    }

    /// Takes a member out of a topic, and the topic away with its last.
    fn leave_topic(&mut self, client: u32, place: Place) {
        let Some(topic) = self.topics[place.topic as usize].as_mut() else {
            return;
        };
        let left = topic.members.swap_remove(place.position as usize);
        debug_assert_eq!(left.client, client, "a place points back");
        if let Some(moved) = topic.members.get(place.position as usize)
            && let Some(Some(client)) = self.clients.get_mut(moved.client as usize)
        {
            client.places[moved.place as usize].position = place.position;
        }
        if topic.members.capacity() > 8 && topic.members.len() < topic.members.capacity() / 4 {
            topic.members.shrink_to_fit();
        }
        if topic.members.is_empty()
            && let Some(topic) = self.topics[place.topic as usize].take()
        {
            if let Some(in_order) = &mut self.in_order {
                in_order.remove(&topic.name);
            }
            let hash = self.hasher.hash_one(topic.name.as_str());
            if let Ok(found) = self.by_hash.find_entry(hash, |&index| index == place.topic) {
                found.remove();
            }
            self.vacant.push(place.topic);
        }
    }
}

fn put_in_order(topics: &[Option<Topic>]) -> BTreeMap<Token, u32> {
    let names = topics.iter().zip(0..).filter_map(|(topic, index)| {
        let topic = topic.as_ref()?;
        Some((topic.name.clone(), index))
    });
    names.collect()
}

fn is_named<'a>(topics: &'a [Option<Topic>], name: &'a str) -> impl Fn(&u32) -> bool + 'a {
    move |&topic| {
        let topic = topics[topic as usize].as_ref();
        topic.is_some_and(|topic| topic.name.as_str() == name)
    }
}

fn members(topics: &[Option<Topic>], topic: u32) -> impl Iterator<Item = &Member> {
    topics[topic as usize]
        .iter()
        .flat_map(|topic| &topic.members)
}

/// Adds a client to the recipients unless this routing reached it already.
fn reach(clients: &mut [Option<Client>], mark: u32, client: u32, recipients: &mut Vec<u32>) {
    if let Some(Some(entry)) = clients.get_mut(client as usize)
        && std::mem::replace(&mut entry.mark, mark) != mark
    {
        recipients.push(client);
    }
}

/// `swap_remove`; which one stands in the place now.
fn swap_out(list: &mut Vec<u32>, position: u32) -> Option<u32> {
    list.swap_remove(position as usize);
    list.get(position as usize).copied()
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
