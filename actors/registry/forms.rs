//! The forms in which streams get events and positions. What few streams ask for is made where one of
//! them is there, once for all that get the same bytes, and costs the others nothing.

use std::rc::Rc;

use super::Registry;
use super::frame_cache::FrameCache;
use super::history::{Lost, Name};
use crate::clients::Heartbeat;
use crate::model::publication::Targets;
use crate::model::{EventId, Form, Positions, Subscription};
use crate::wire::sse::Frame;

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
    /// Replayed events, by their ids, whether they have no `id:` line, whether they are JSON, and which
    /// of their targets the stream met then.
    replayed: FrameCache<(EventId, bool, bool, Vec<u32>)>,
    recipients: Vec<u32>,
}

/// An event that a stream gets after its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replayed<'a> {
    pub(super) id: EventId,
    pub(super) event: Option<&'a str>,
    pub(super) data: &'a str,
    /// Whether it was published as private.
    pub(super) private: bool,
    /// Whether the stream's own position is no older, so that the event must not set it back: it has
    /// no `id:` line.
    pub(super) known: bool,
}

impl Forms {
    /// An event for a subscription that gets it by replay; `to` are its targets.
    pub(super) fn replayed<'a>(
        &mut self,
        event: Replayed<'_>,
        to: impl Iterator<Item = Name<'a>>,
        subscription: &Subscription,
    ) -> Rc<Frame> {
        let json = subscription.form.is_json();
        let to: Vec<Name<'_>> = if json { to.collect() } else { Vec::new() };
        let met = met_by(&to, subscription);
        let key = (event.id, event.known, json, met);
        self.replayed.get(key, |(.., met)| {
            let mut frame = Frame::event(event.id, event.event, event.data);
            if json {
                frame = as_json(&frame, &to, met, event.private);
            }
            if event.known {
                frame = frame.without_id();
            }
            frame
        })
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
        private: bool,
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
        let names: Vec<Name<'_>> = to.as_slice().iter().map(Name::of).collect();
        match to.as_slice() {
            [_] => {
                let frame = Rc::new(as_json(frame, &names, &[0], private));
                vec![(std::mem::take(json), frame)]
            }
            several => {
                let groups = self.routes.met(several, json);
                let frame = |met: &[u32]| Rc::new(as_json(frame, &names, met, private));
                let groups = groups.into_iter();
                groups
                    .map(|(met, clients)| (clients, frame(&met)))
                    .collect()
            }
        }
    }

    /// A gap, for a stream of this form, that has lost something.
    pub(super) fn gap_frame(
        &self,
        after: Option<EventId>,
        subscription: &Subscription,
        lost: &Lost,
    ) -> Frame {
        let oldest = self.history.oldest(subscription);
        if !subscription.form.is_json() {
            return Frame::gap(after, oldest, None);
        }
        let all = || subscription.tokens.iter().map(|token| token.as_str());
        let tokens: Vec<&str> = match lost {
            _ if subscription.all => vec!["*"],
            Lost::Nothing => Vec::new(),
            Lost::OfAny => all().collect(),
            Lost::Of(lost) => {
                let tokens = lost
                    .iter()
                    .filter_map(|index| subscription.tokens.get(*index));
                tokens.map(|token| token.as_str()).collect()
            }
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
fn as_json(frame: &Frame, targets: &[Name<'_>], met: &[u32], private: bool) -> Frame {
    let names = met.iter().map(|met| targets[*met as usize].text());
    let names: Vec<_> = names.collect();
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    frame.to_json(&names, private)
}

/// Which of an event's targets reach a subscription; all, for one to every token.
fn met_by(targets: &[Name<'_>], subscription: &Subscription) -> Vec<u32> {
    if targets.len() <= 1 || subscription.all {
        return (0..targets.len() as u32).collect();
    }
    let mut tokens: Vec<&str> = subscription
        .tokens
        .iter()
        .map(|token| token.as_str())
        .collect();
    // So that each target costs a search, and not a look at every token.
    tokens.sort_unstable();
    let reaches = |target: &Name<'_>| match target {
        Name::All => true,
        Name::Token(token) => tokens.binary_search(token).is_ok(),
        Name::Prefix(prefix) => {
            let first = tokens.partition_point(|token| token < prefix);
            let first = tokens.get(first);
            first.is_some_and(|token| token.starts_with(prefix))
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
    use crate::model::{Target, Token};

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
        let targets: Vec<Name<'_>> = targets.iter().map(Name::of).collect();
        assert_eq!(met_by(&targets, &subscription), [0, 1, 4, 5]);
        subscription.all = true;
        assert_eq!(met_by(&targets, &subscription).len(), 6);
    }
}
