//! Connections without an open stream, by address: those that have not sent a whole request yet, and
//! those that were answered and are still to leave.
//!
//! Whoever connects decides how many of these there are, so they are treated fairly by address and not
//! by age: their turns go round from address to address, and where there are too many of them the
//! address with the most gives one up.

use std::collections::VecDeque;
use std::net::IpAddr;

use foldhash::HashMap;

use crate::model::ClientKey;

/// All of them. None as an address stands for peers that have none: of a Unix socket, or of a trusted
/// proxy that has not said yet for whom it speaks.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// By the client's index.
    members: HashMap<u32, Member>,
    by_address: HashMap<Option<IpAddr>, u32>,
    groups: Vec<Group>,
    vacant: Vec<u32>,
    /// How many members each group has; apart, as it is searched for the most.
    counts: Vec<u32>,
    /// Groups with members that have something to do, in the order of their turns.
    round: VecDeque<u32>,
    /// How many members have something to do.
    ready: usize,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
struct Member {
    group: u32,
    /// Whether nothing is lost with it: not so while its whole request is waiting for the answer.
    idle: bool,
}

/// Those of one address.
#[derive(Debug, Default)]
struct Group {
    address: Option<IpAddr>,
    /// In the order in which they came; some may have gone.
    order: VecDeque<ClientKey>,
    /// Those that have something to do.
    ready: VecDeque<u32>,
}

impl Pending {
    /// Enters a connection that has just come.
    pub(super) fn enter(&mut self, key: ClientKey, address: Option<IpAddr>) {
        let index = match self.by_address.get(&address) {
            Some(&index) => index,
            None => self.new_group(address),
        };
        let member = Member {
            group: index,
            idle: true,
        };
        self.members.insert(key.index, member);
        self.counts[index as usize] += 1;
        let group = &mut self.groups[index as usize];
        group.order.push_back(key);
        if group.order.len() > 2 * self.counts[index as usize] as usize + 8 {
            let members = &self.members;
            group.order.retain(|key| {
                members
                    .get(&key.index)
                    .is_some_and(|member| member.group == index)
            });
        }
    }

    fn new_group(&mut self, address: Option<IpAddr>) -> u32 {
        let index = self.vacant.pop().unwrap_or(self.groups.len() as u32);
        if index as usize == self.groups.len() {
            self.groups.push(Group::default());
            self.counts.push(0);
        }
        self.groups[index as usize].address = address;
        self.by_address.insert(address, index);
        index
    }

    /// The address that a connection counts for.
    pub(super) fn address(&self, client: u32) -> Option<IpAddr> {
        let group = self.members.get(&client)?.group;
        self.groups[group as usize].address
    }

    /// Moves a connection to the address that a trusted proxy has told.
    pub(super) fn moved(&mut self, key: ClientKey, address: Option<IpAddr>) {
        if self.leave(key.index) {
            self.enter(key, address);
        }
    }

    /// A connection has a stream now, or has gone; whether it was here.
    pub(super) fn leave(&mut self, client: u32) -> bool {
        let Some(Member { group: index, .. }) = self.members.remove(&client) else {
            return false;
        };
        self.counts[index as usize] -= 1;
        if self.counts[index as usize] == 0 {
            let group = &mut self.groups[index as usize];
            self.by_address.remove(&group.address);
            // Clients that were in it have a turn of their own yet, and do nothing then.
            group.order = VecDeque::new();
            if group.ready.is_empty() {
                self.vacant.push(index);
            }
        }
        true
    }

    /// Puts a connection among those that have something to do.
    pub(super) fn push(&mut self, client: u32) {
        let Some(&Member { group: index, .. }) = self.members.get(&client) else {
            return;
        };
        let ready = &mut self.groups[index as usize].ready;
        ready.push_back(client);
        self.ready += 1;
        if ready.len() == 1 {
            self.round.push_back(index);
        }
    }

    /// The next one that has something to do.
    pub(super) fn next(&mut self) -> Option<u32> {
        let index = self.round.pop_front()?;
        let ready = &mut self.groups[index as usize].ready;
        let client = ready.pop_front()?;
        self.ready -= 1;
        if !ready.is_empty() {
            self.round.push_back(index);
        } else if self.counts[index as usize] == 0 {
            self.vacant.push(index);
        }
        Some(client)
    }

    /// How many have something to do.
    pub(super) fn waiting(&self) -> usize {
        self.ready
    }

    /// Says whether nothing is lost when a connection is given up.
    pub(super) fn set_idle(&mut self, client: u32, idle: bool) {
        if let Some(member) = self.members.get_mut(&client) {
            member.idle = idle;
        }
    }

    /// The oldest connection that may be given up, of the address that has the most.
    pub(super) fn oldest_of_most(&mut self) -> Option<ClientKey> {
        let most = *self.counts.iter().max()?;
        let index = self.counts.iter().position(|&count| count == most)?;
        let order = &mut self.groups[index].order;
        for _ in 0..order.len() {
            let key = order.pop_front()?;
            match self.members.get(&key.index) {
                Some(member) if member.group == index as u32 => {
                    order.push_back(key);
                    if member.idle {
                        return Some(key);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> ClientKey {
        ClientKey::from_number(index as usize)
    }

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn turns_go_round_from_address_to_address() {
        let mut pending = Pending::default();
        for index in 0..6 {
            pending.enter(key(index), address(u8::from(index == 5)));
            pending.push(index);
        }
        let turns: Vec<u32> = std::iter::from_fn(|| pending.next()).collect();
        assert_eq!(turns, [0, 5, 1, 2, 3, 4]);
        assert_eq!(pending.waiting(), 0);
    }

    #[test]
    fn the_address_with_the_most_gives_its_oldest_up() {
        let mut pending = Pending::default();
        for index in 0..5 {
            pending.enter(key(index), address(u8::from(index == 0)));
        }
        for oldest in [1, 2] {
            assert_eq!(pending.oldest_of_most(), Some(key(oldest)));
            assert!(pending.leave(oldest) && !pending.leave(oldest));
        }
        pending.moved(key(3), address(1));
        assert_eq!(pending.oldest_of_most(), Some(key(0)));
    }

    #[test]
    fn nothing_stays_of_those_that_went() {
        let mut pending = Pending::default();
        for round in 1..1000 {
            pending.enter(key(0), address(round as u8));
            pending.enter(key(round), address(200));
            pending.push(0);
            assert!(pending.leave(0));
            assert!(pending.leave(round));
            // One that went has its turn yet.
            assert_eq!(pending.next(), Some(0));
        }
        assert!(pending.members.is_empty() && pending.by_address.is_empty());
        assert!(pending.groups.len() < 4, "{}", pending.groups.len());
        assert_eq!(pending.oldest_of_most(), None);
    }
}
