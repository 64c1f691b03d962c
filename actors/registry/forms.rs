//! The forms in which streams get events and positions. What few streams ask for is made where one of
//! them is there, once for all that get the same bytes, and costs the others nothing.

use std::rc::Rc;

use foldhash::HashMap;

use super::Registry;
use crate::clients::Heartbeat;
use crate::model::publication::Targets;
use crate::model::{EventId, Form, Positions, Subscription, Target};
use crate::registry::history::Entry;
use crate::wire::address;
use crate::wire::sse::Frame;

/// Bytes of replayed events as JSON that are held, so that many streams which come back at once share
/// them.
const HELD: usize = 4 << 20;

/// What was made for streams of a form.
#[derive(Debug, Default)]
pub(super) struct Forms {
    /// Streams in the routes whose events are JSON.
    live_json: usize,
    /// The newest position, in both its forms.
    position: Option<(EventId, Rc<Frame>)>,
    ping: Option<(EventId, u64, Rc<Frame>)>,
    hub_position: Option<(EventId, Rc<Frame>)>,
    comment: Option<Rc<Frame>>,
    /// Replayed events as JSON, by their ids and which of their targets the stream met.
    replayed: HashMap<(EventId, Vec<u32>), Rc<Frame>>,
    bytes: usize,
    recipients: Vec<u32>,
}

impl Forms {
    /// An event as JSON for a subscription that gets it by replay.
    pub(super) fn replayed(&mut self, entry: &Entry, subscription: &Subscription) -> Rc<Frame> {
        let met = met_by(entry.to.as_slice(), subscription);
        if let Some(frame) = self.replayed.get(&(entry.id, met.clone())) {
            return Rc::clone(frame);
        }
        let frame = Rc::new(as_json(&entry.frame, entry.to.as_slice(), &met));
        self.bytes += frame.bytes(true).len();
        if self.bytes > HELD {
            self.replayed.clear();
            self.bytes = frame.bytes(true).len();
        }
        self.replayed.insert((entry.id, met), Rc::clone(&frame));
        frame
    }
}

impl Registry {
    /// A stream has come into the routes.
    pub(super) fn count_form(&mut self, form: Form) {
        self.forms.live_json += usize::from(form.is_json());
    }

    /// A stream has left the routes.
    pub(super) fn uncount_form(&mut self, client: u32) {
        if self.forms.live_json > 0 && self.pool.form(client).is_json() {
            self.forms.live_json -= 1;
        }
    }

    /// Takes those off the recipients that were found for an event whose events are JSON; how they get
    /// it: clients, each with the frame that is theirs.
    pub(super) fn json_frames(
        &mut self,
        frame: &Frame,
        to: &Targets,
    ) -> Vec<(Vec<u32>, Rc<Frame>)> {
        if self.forms.live_json == 0 {
            return Vec::new();
        }
        let json = &mut self.forms.recipients;
        json.clear();
        self.pool.take_json(&mut self.recipients, json);
        if json.is_empty() {
            return Vec::new();
        }
        match to.as_slice() {
            one @ [_] => {
                let frame = Rc::new(as_json(frame, one, &[0]));
                vec![(std::mem::take(json), frame)]
            }
            several => {
                let groups = self.routes.met(several, json);
                let frame = |met: &[u32]| Rc::new(as_json(frame, several, met));
                let groups = groups.into_iter();
                groups
                    .map(|(met, clients)| (clients, frame(&met)))
                    .collect()
            }
        }
    }

    /// A gap, for a stream of this form.
    pub(super) fn gap_frame(&self, after: Option<EventId>, subscription: &Subscription) -> Frame {
        let oldest = self.history.oldest();
        if !subscription.form.is_json() {
            return Frame::gap(after, oldest, None);
        }
        let tokens = subscription.tokens.iter().map(|token| token.as_str());
        let tokens: Vec<&str> = match subscription.all {
            true => vec!["*"],
            false => tokens.collect(),
        };
        Frame::gap(after, oldest, Some(&tokens))
    }

    /// What says how far a stream has come; made once for all that come before the next event.
    pub(super) fn position(&mut self, form: Form) -> Option<Rc<Frame>> {
        match form.positions() {
            Positions::Blocks => Some(self.position_block()),
            Positions::Pings => Some(self.ping()),
            Positions::None => None,
            Positions::Hub => Some(self.hub_position()),
        }
    }

    fn position_block(&mut self) -> Rc<Frame> {
        let last = self.sequence.last();
        match &self.forms.position {
            Some((id, frame)) if *id == last => Rc::clone(frame),
            _ => {
                let frame = Rc::new(Frame::position(last));
                self.forms.position = Some((last, Rc::clone(&frame)));
                frame
            }
        }
    }

    fn hub_position(&mut self) -> Rc<Frame> {
        let last = self.sequence.last();
        match &self.forms.hub_position {
            Some((id, frame)) if *id == last => Rc::clone(frame),
            _ => {
                let frame = Rc::new(Frame::hub_position(last));
                self.forms.hub_position = Some((last, Rc::clone(&frame)));
                frame
            }
        }
    }

    fn ping(&mut self) -> Rc<Frame> {
        let last = self.sequence.last();
        let heartbeat = self.settings.now().heartbeat.unwrap_or_default().as_secs();
        match &self.forms.ping {
            Some((id, seconds, frame)) if (*id, *seconds) == (last, heartbeat) => Rc::clone(frame),
            _ => {
                let frame = Rc::new(Frame::ping(last, heartbeat));
                self.forms.ping = Some((last, heartbeat, Rc::clone(&frame)));
                frame
            }
        }
    }

    /// What streams get as a heartbeat.
    pub(super) fn heartbeat(&mut self) -> Heartbeat {
        let comment = self
            .forms
            .comment
            .get_or_insert_with(|| Rc::new(Frame::comment()));
        Heartbeat {
            comment: Rc::clone(comment),
            position: self.position_block(),
            ping: self.ping(),
            hub: self.hub_position(),
        }
    }
}

/// An event as JSON for whom these of its targets reach.
fn as_json(frame: &Frame, targets: &[Target], met: &[u32]) -> Frame {
    let names = met.iter().map(|met| address::text(&targets[*met as usize]));
    let names: Vec<_> = names.collect();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    frame.to_json(&names)
}

/// Which of an event's targets reach a subscription; all, for one to every token.
fn met_by(targets: &[Target], subscription: &Subscription) -> Vec<u32> {
    if targets.len() == 1 || subscription.all {
        return (0..targets.len() as u32).collect();
    }
    let mut tokens: Vec<&str> = subscription
        .tokens
        .iter()
        .map(|token| token.as_str())
        .collect();
    // So that each target costs a search, and not a look at every token.
    tokens.sort_unstable();
    let reaches = |target: &Target| match target {
        Target::All => true,
        Target::Token(token) => tokens.binary_search(&token.as_str()).is_ok(),
        Target::Prefix(prefix) => {
            let first = tokens.partition_point(|token| *token < prefix.as_str());
            let first = tokens.get(first);
            first.is_some_and(|token| token.starts_with(prefix.as_str()))
        }
    };
    let numbered = targets.iter().zip(0..);
    numbered
        .filter_map(|(target, number)| reaches(target).then_some(number))
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::Token;

    #[test]
    fn a_subscription_meets_what_reaches_it() {
        let token = |name: &str| Token::new(name).unwrap();
        let mut subscription = Subscription {
            tokens: vec![token("b"), token("a-1"), token("c")],
            ..Subscription::default()
        };
        let targets = [
            Target::Token(token("a-1")),
            Target::Prefix(token("a-")),
            Target::Token(token("a")),
            Target::Prefix(token("a-11")),
            Target::All,
            Target::Token(token("c")),
        ];
        assert_eq!(met_by(&targets, &subscription), [0, 1, 4, 5]);
        subscription.all = true;
        assert_eq!(met_by(&targets, &subscription).len(), 6);
    }
}
