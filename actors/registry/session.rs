//! One record for each client, from its connection to its end.
//!
//! # The order of steps
//!
//! A client's way is a row of phases, and its steps have an order on which others rely:
//!
//! 1. **Arrived.** [`Sessions::arrive`]. The slot's index is the session's index.
//! 2. **Subscribed.** Limits are looked at first ([`Sessions::admit`]): who is turned away is counted
//!    nowhere. Then the client is told `Accepted`, before the first event or position is sent: the client
//!    takes what comes after `Accepted` into its first write. Then it leaves the phase it was in, if this
//!    is a further request on an open stream, and enters [`Phase::Waiting`], [`Phase::Replaying`] or
//!    [`Phase::Live`]. Last its deadline is set, as leaving a phase takes a deadline away.
//! 3. **Live.** The position is sent first, then the pool is told that the stream is live, then the
//!    routes have it. What is published after that comes by the routes, what was before by the replay.
//! 4. **Ended.** Leaving comes first, so that nothing more is sent, and then [`Sessions::end`]. The pool's
//!    slot is freed last ([`crate::clients::ClientPool::free`]): until then no other client can have the
//!    index.
//!
//! Only `Registry::enter` (in phases.rs) changes a phase. It does what leaving the former phase needs, and
//! so no session is in two phases, or in the routes without being live.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use foldhash::{HashMap, HashSet};

use crate::messages::client::LimitReached;
use crate::model::deadlines::Deadlines;
use crate::net::peer::{Peer, counted};

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has no stream: no request yet, or its stream has ended.
    Connected,
    /// It has seen on another node what has not come here yet ([`super::bus`]).
    Waiting,
    /// It gets kept events ([`super::replay`]).
    Replaying,
    /// It gets events as they are published: it is in the routes.
    Live,
}

/// What is known of one client: little, as there are very many.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) peer: Peer,
    // Thin, and shared by all that have the same.
    pub(super) agent: Option<Rc<String>>,
    pub(super) descriptor: i32,
    pub(super) tls: bool,
    phase: Phase,
    /// Counted in `Sessions::by_address`.
    counted: bool,
    /// When it arrived and when its first stream began, in seconds of the pool's clock.
    pub(super) arrived: u32,
    pub(super) joined: Option<u32>,
    /// Further requests on the open stream.
    pub(super) reinits: u32,
}

/// How many streams there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) streams: usize,
    /// Connections of one address; none = any number.
    pub(super) of_address: Option<usize>,
}

/// All sessions, by the indexes of their slots in the pool, and what is counted over them.
#[derive(Debug)]
pub(super) struct Sessions {
    sessions: Vec<Option<Session>>,
    /// How many are in each phase.
    phases: [usize; 4],
    /// Connections by address, where there is a limit to them, and how many bits of an IPv6 address count.
    by_address: HashMap<IpAddr, usize>,
    ip6_prefix: u8,
    /// Each `User-Agent` once: most clients have one of few.
    agents: HashSet<Rc<String>>,
    /// When streams end that were allowed for a time only.
    deadlines: Deadlines,
}

impl Sessions {
    /// No sessions; of an IPv6 address `ip6_prefix` bits count.
    pub(super) fn new(ip6_prefix: u8) -> Self {
        Self {
            sessions: Vec::new(),
            phases: [0; 4],
            by_address: HashMap::default(),
            ip6_prefix,
            agents: HashSet::default(),
            deadlines: Deadlines::default(),
        }
    }

    /// A connection was accepted at `now`, in seconds of the pool's clock.
    pub(super) fn arrive(&mut self, index: u32, peer: Peer, descriptor: i32, tls: bool, now: u32) {
        let place = index as usize;
        if self.sessions.len() <= place {
            self.sessions.resize_with(place + 1, || None);
        }
        debug_assert!(self.sessions[place].is_none(), "a slot is freed last");
        self.phases[Phase::Connected as usize] += 1;
        self.sessions[place] = Some(Session {
            peer,
            agent: None,
            descriptor,
            tls,
            phase: Phase::Connected,
            counted: false,
            arrived: now,
            joined: None,
            reinits: 0,
        });
    }

    /// A proxy has said whom a client speaks for; its former address. The client is counted for the new
    /// one, if that has fewer than `most`, or if its stream is open already.
    pub(super) fn introduce(
        &mut self,
        index: u32,
        peer: Peer,
        most: Option<usize>,
    ) -> Option<Peer> {
        let session = self.sessions.get_mut(index as usize)?.as_mut()?;
        let open = session.joined.is_some();
        let former = std::mem::replace(&mut session.peer, peer);
        if std::mem::take(&mut session.counted) {
            self.uncount(&former);
        }
        if let Some(most) = most {
            self.count(index, if open { usize::MAX } else { most });
        }
        Some(former)
    }

    /// Finds room for a stream, unless the client has one already. A client that was not counted for its
    /// address when it arrived is counted now.
    pub(super) fn admit(&mut self, index: u32, room: Room) -> Result<(), LimitReached> {
        let Some(session) = self.get(index) else {
            return Ok(());
        };
        if session.joined.is_some() {
            return Ok(());
        }
        if self.streams() >= room.streams {
            return Err(LimitReached::Clients);
        }
        match room.of_address {
            Some(most) if !session.counted && !self.count(index, most) => {
                Err(LimitReached::FromAddress)
            }
            _ => Ok(()),
        }
    }

    /// Notes a stream that begins at `now`, or begins anew; whether it begins anew, none without a session.
    pub(super) fn join(&mut self, index: u32, agent: Option<String>, now: u32) -> Option<bool> {
        let session = self.sessions.get_mut(index as usize)?.as_mut()?;
        let again = session.joined.replace(now).is_some();
        session.reinits += u32::from(again);
        let agent = agent.map(|agent| share(&mut self.agents, agent));
        let former = std::mem::replace(&mut session.agent, agent);
        forget(&mut self.agents, former);
        Some(again)
    }

    /// Puts a session into a phase; the one in which it was.
    pub(super) fn set_phase(&mut self, index: u32, phase: Phase) -> Phase {
        let session = self.sessions.get_mut(index as usize);
        let Some(session) = session.and_then(Option::as_mut) else {
            return Phase::Connected;
        };
        let former = std::mem::replace(&mut session.phase, phase);
        self.phases[former as usize] -= 1;
        self.phases[phase as usize] += 1;
        former
    }

    /// The phase of a client.
    pub(super) fn phase(&self, index: u32) -> Phase {
        self.get(index)
            .map_or(Phase::Connected, |session| session.phase)
    }

    /// Sets when a stream ends, since 1970; nothing where it has ended already.
    pub(super) fn set_end(&mut self, index: u32, end: Duration) {
        if self.phase(index) != Phase::Connected {
            self.deadlines.set(index, end);
        }
    }

    /// Forgets when a stream ends.
    pub(super) fn forget_end(&mut self, index: u32) {
        self.deadlines.remove(index);
    }

    /// Takes the next client whose stream's end has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<u32> {
        self.deadlines.due(now)
    }

    /// Takes a session away, for a client that is gone and has left its phase.
    pub(super) fn end(&mut self, index: u32) -> Option<Session> {
        let mut session = self.sessions.get_mut(index as usize)?.take()?;
        debug_assert_eq!(session.phase, Phase::Connected, "it leaves first");
        self.phases[session.phase as usize] -= 1;
        if session.counted {
            self.uncount(&session.peer);
        }
        forget(&mut self.agents, session.agent.take());
        Some(session)
    }

    /// The session of a client.
    pub(super) fn get(&self, index: u32) -> Option<&Session> {
        self.sessions.get(index as usize)?.as_ref()
    }

    /// The index behind the last that was ever used.
    pub(super) fn bound(&self) -> u32 {
        self.sessions.len() as u32
    }

    /// How many are in a phase.
    pub(super) fn count_in(&self, phase: Phase) -> usize {
        self.phases[phase as usize]
    }

    /// How many streams there are.
    pub(super) fn streams(&self) -> usize {
        let [_, waiting, replaying, live] = self.phases;
        waiting + replaying + live
    }

    /// Counts a connection for its address, if that has fewer than `most`; whether there was room.
    pub(super) fn count(&mut self, index: u32, most: usize) -> bool {
        let session = self.sessions.get_mut(index as usize);
        let Some(session) = session.and_then(Option::as_mut) else {
            return true;
        };
        let Some(address) = session.peer.ip() else {
            return true;
        };
        let address = counted(address, self.ip6_prefix);
        let count = self.by_address.entry(address).or_default();
        let room = *count < most;
        if room {
            *count += 1;
            session.counted = true;
        }
        room
    }

    /// Does not count a connection for its address any more.
    pub(super) fn release(&mut self, index: u32) {
        let session = self.sessions.get_mut(index as usize);
        if let Some(session) = session.and_then(Option::as_mut)
            && std::mem::take(&mut session.counted)
        {
            let peer = session.peer.clone();
            self.uncount(&peer);
        }
    }

    /// Takes a connection back that was counted for this address.
    fn uncount(&mut self, peer: &Peer) {
        if let Some(address) = peer.ip().map(|address| counted(address, self.ip6_prefix))
            && let Some(count) = self.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    /// Streams by address.
    #[cfg(test)]
    pub(super) fn by_address(&self) -> Vec<usize> {
        self.by_address.values().copied().collect()
    }

    /// How many different agents are known.
    #[cfg(test)]
    pub(super) fn agents(&self) -> usize {
        self.agents.len()
    }
}

/// The one copy of an agent's name.
fn share(agents: &mut HashSet<Rc<String>>, agent: String) -> Rc<String> {
    if let Some(known) = agents.get(&agent) {
        return Rc::clone(known);
    }
    let agent = Rc::new(agent);
    agents.insert(Rc::clone(&agent));
    agent
}

/// Gives a copy of an agent's name back, and forgets the name with the last.
fn forget(agents: &mut HashSet<Rc<String>>, agent: Option<Rc<String>>) {
    // Two are left: this one and the set's.
    if let Some(agent) = agent
        && Rc::strong_count(&agent) == 2
    {
        agents.remove(&agent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_small() {
        assert!(size_of::<Option<Session>>() <= 48);
    }
}
