//! What is told of who is there: changes as they were gathered, totals, first views; and when.

use std::rc::Rc;

use super::{GATHERED, NodeChange, Now, Presence};
use crate::model::ClientId;
use crate::wire::sse::Frame;

/// Milliseconds between two totals of a large room.
const TOTALS: u64 = 5000;

/// What is to be sent.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Clients, each with the frame that they get.
    pub(super) frames: Vec<(Vec<u32>, Rc<Frame>)>,
    /// What other nodes are to know of this one's members; none: it has left.
    pub(super) nodes: Vec<NodeChange>,
    /// Whether there is news that readers wait for.
    pub(super) news: bool,
}

impl Presence {
    /// What a listener's next rooms say of themselves, at most `bytes` bytes of it or one; none when it has
    /// been told of all.
    pub(super) fn greet(&mut self, client: u32, bytes: usize) -> Option<Rc<Frame>> {
        let stream = self.streams.get_mut(&client)?;
        let mut blocks = Vec::new();
        let mut length = 0;
        while let Some(number) = stream.greetings.pop() {
            let Some(room) = &mut self.rooms[number as usize] else {
                continue;
            };
            let data = room.members_json();
            room.listeners.insert(client, self.step);
            length += data.len();
            blocks.push(("members", data));
            if length >= bytes {
                break;
            }
        }
        (!blocks.is_empty()).then(|| Rc::new(Frame::of_blocks(&blocks)))
    }

    /// Whether a listener has still to be told of a room.
    pub(super) fn has_greetings(&self, client: u32) -> bool {
        let stream = self.streams.get(&client);
        stream.is_some_and(|stream| !stream.greetings.is_empty())
    }

    /// Has the changes of a room told when they are gathered.
    pub(super) fn gather(&mut self, number: u32, now: Now) {
        if let Some(room) = &mut self.rooms[number as usize]
            && !std::mem::replace(&mut room.gathers, true)
        {
            self.gathered.push_back((now.steady + GATHERED, number));
        }
    }

    /// Says what is to be told by now.
    pub(super) fn tick(&mut self, now: Now) -> Telling {
        let mut telling = Telling::default();
        let lost = self.lost.iter().filter(|(_, due)| **due <= now.steady);
        for node in lost.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.hear_all(node, Vec::new(), now);
            self.peers.remove(&node);
        }
        while let Some((due, number, id)) = self.leaving.first().cloned()
            && due <= now.steady
        {
            self.leaving.pop_first();
            self.gone(number, &id, now);
        }
        while let Some(&(due, number)) = self.gathered.front()
            && due <= now.steady
        {
            self.gathered.pop_front();
            self.tell(number, now, &mut telling);
            self.tidy(number);
        }
        while let Some(&(due, number)) = self.totals.first()
            && due <= now.steady
        {
            self.totals.pop_first();
            if let Some(room) = &mut self.rooms[number as usize] {
                room.total_waits = false;
                if room.is_large() {
                    telling.frames.extend(room.tell_total(now.steady));
                }
            }
        }
        telling
    }

    /// When there is something to tell, at the earliest.
    pub(super) fn next(&self) -> Option<u64> {
        let leaving = self.leaving.first().map(|(due, ..)| *due);
        let gathered = self.gathered.front().map(|(due, _)| *due);
        let totals = self.totals.first().map(|(due, _)| *due);
        let lost = self.lost.values().copied().min();
        [leaving, gathered, totals, lost]
            .into_iter()
            .flatten()
            .min()
    }

    /// The grace of a member of this node is over.
    fn gone(&mut self, number: u32, id: &ClientId, now: Now) {
        self.step += 1;
        let (step, Some(room)) = (self.step, &mut self.rooms[number as usize]) else {
            return;
        };
        if room.leave_own(id, step) {
            room.own_changes.insert(id.clone(), true);
            self.gather(number, now);
        }
    }

    fn tell(&mut self, number: u32, now: Now, telling: &mut Telling) {
        let Some(room) = &mut self.rooms[number as usize] else {
            return;
        };
        room.gathers = false;
        telling.nodes.extend(room.node_changes());
        let was_large = room.large;
        let changes = room.changes();
        for change in &changes {
            let joins = change.here.is_some();
            self.counts.joins += u64::from(joins);
            self.counts.leaves += u64::from(!joins);
            self.news
                .push(change.name(), &change.data(room.token.as_str()));
            telling.news = true;
        }
        room.large = room.is_over();
        match (was_large, room.large) {
            (false, false) if changes.is_empty() => {}
            (false, false) => telling.frames.extend(room.tell_changes(&changes)),
            // The listeners get the whole list again.
            (true, false) => telling.frames.extend(room.tell_members()),
            (_, true) if changes.is_empty() && was_large => {}
            (_, true) => {
                let due = room.total_at.map_or(now.steady, |at| at + TOTALS);
                if due <= now.steady {
                    telling.frames.extend(room.tell_total(now.steady));
                } else if !std::mem::replace(&mut room.total_waits, true) {
                    self.totals.insert((due, number));
                }
            }
        }
        room.forget_log();
    }
}
