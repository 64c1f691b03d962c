//! What the registry sends to clients: messages and events to one or many, and heartbeats.

use std::rc::Rc;

use super::pool::ClientPool;
use crate::messages::client::Message;
use crate::model::{ClientKey, Form, Positions};
use crate::wire::sse::Frame;

/// An event with at most this many recipients goes through the fast queue.
const FEW: usize = 64;

/// What a stream gets as a heartbeat, in each of its forms.
#[derive(Debug)]
pub struct Heartbeat {
    /// A position block, and the comment that stands for one: for streams that were silent.
    pub position: Rc<Frame>,
    /// See above.
    pub comment: Rc<Frame>,
    /// An event that scripts see: for all that asked for it, silent or not.
    pub ping: Rc<Frame>,
    /// A position block of the Mercure hub's.
    pub hub: Rc<Frame>,
}

impl ClientPool {
    /// Sends one message to one client.
    pub fn send(&self, index: u32, message: Message) {
        let mut inner = self.inner.borrow_mut();
        inner.post(index, message, true, self.limit.get());
    }

    /// Sends one message to a client, if it is still there.
    pub fn send_to(&self, key: ClientKey, message: Message) {
        let mut inner = self.inner.borrow_mut();
        if inner.slots[key.index as usize].generation == key.generation {
            inner.post(key.index, message, true, self.limit.get());
        }
    }

    /// Sends one event, or position, to many.
    pub fn send_all(&self, recipients: &[u32], frame: &Rc<Frame>) {
        let mut inner = self.inner.borrow_mut();
        let few = recipients.len() <= FEW;
        for &index in recipients {
            inner.post(
                index,
                Message::Event(Rc::clone(frame)),
                few,
                self.limit.get(),
            );
        }
    }

    /// Says what a stream's blocks look like.
    pub fn set_form(&self, index: u32, form: Form) {
        self.inner.borrow_mut().slots[index as usize].flags.form = form;
    }

    /// What a stream's blocks look like.
    pub fn form(&self, index: u32) -> Form {
        self.inner.borrow().slots[index as usize].flags.form
    }

    /// Says whether a stream gets events as they are published; only then it gets position blocks,
    /// as one must not be newer than what is still to be replayed.
    pub fn set_live(&self, index: u32, live: bool) {
        self.inner.borrow_mut().slots[index as usize].flags.live = live;
    }

    /// Takes the Mercure hub's clients off the recipients.
    pub fn take_hub(&self, recipients: &mut Vec<u32>, hub: &mut Vec<u32>) {
        self.take_form(recipients, hub, Form::is_hub);
    }

    /// Moves those of `recipients` whose events are JSON to `json`.
    pub fn take_json(&self, recipients: &mut Vec<u32>, json: &mut Vec<u32>) {
        self.take_form(recipients, json, Form::is_json);
    }

    /// Moves those of `recipients` whose blocks are of a form to `taken`.
    fn take_form(
        &self,
        recipients: &mut Vec<u32>,
        taken: &mut Vec<u32>,
        is_of_form: impl Fn(Form) -> bool,
    ) {
        let inner = self.inner.borrow();
        recipients.retain(|&index| {
            let is_of_form = is_of_form(inner.slots[index as usize].flags.form);
            if is_of_form {
                taken.push(index);
            }
            !is_of_form
        });
    }

    /// Sends its heartbeat to every live stream that has had nothing for `silence`, and to those with
    /// pings one in each `silence`, whatever else they had; both in tenths of a second. `tick` is the
    /// time from one call to the next.
    pub fn send_heartbeats(&self, silence: u32, tick: u32, heartbeat: &Heartbeat) {
        let now = self.now.get();
        let before = self.pinged_at.replace(now);
        // A call that comes late is so by one `tick` at most, as a rule.
        let period = silence.saturating_sub(tick).max(1);
        let mut inner = self.inner.borrow_mut();
        for index in 0..inner.slots.len() as u32 {
            let slot = &mut inner.slots[index as usize];
            let flags = slot.flags;
            // One that is stalled has something to get before.
            let silent = flags.writable && now.saturating_sub(slot.wrote_at) > silence;
            let frame = match flags.form.positions() {
                _ if !flags.live => continue,
                Positions::Blocks if silent => &heartbeat.position,
                Positions::None if silent => &heartbeat.comment,
                Positions::Hub if silent => &heartbeat.hub,
                Positions::Pings => {
                    // Spread over the period, so that not all are written at once.
                    let offset = index % period;
                    if (now + offset) / period == (before + offset) / period {
                        continue;
                    }
                    &heartbeat.ping
                }
                _ => continue,
            };
            let message = Message::Event(Rc::clone(frame));
            inner.post(index, message, false, self.limit.get());
        }
    }
}
