//! Where a client of the hub goes on that says which event it has seen last.

use std::rc::Rc;

use super::super::Registry;
use crate::model::mercure::Listener;
use crate::model::{EventId, Resume, Subscription};

/// What a client says that wants everything.
const EARLIEST: &str = "earliest";

impl Registry {
    /// Where a client's stream begins, and behind which event, as the answer's head is to say: the one
    /// that the client has named, or `earliest` where something may be missing behind that.
    pub(in crate::registry) fn resume_on_hub(
        &self,
        subscription: &Subscription,
        resume: Resume,
    ) -> (Resume, Option<Rc<String>>) {
        let listener = subscription.hub.as_deref();
        let Some(seen) = listener.and_then(|listener: &Listener| listener.last_event_id.as_deref())
        else {
            return (resume, None);
        };
        let field = |id: &str| Some(Rc::new(id.to_owned()));
        match self.number_of(seen) {
            _ if seen == EARLIEST => (Resume::Earliest { gap: false }, field(EARLIEST)),
            Some(id) if self.may_have_missed(id, subscription) => {
                (Resume::After(Some(id)), field(EARLIEST))
            }
            Some(id) => (Resume::After(Some(id)), field(seen)),
            None => (Resume::Earliest { gap: true }, field(EARLIEST)),
        }
    }

    /// The number of the event with this id: one that a publisher gave, or the hub's own.
    fn number_of(&self, id: &str) -> Option<EventId> {
        let given = self.hub.as_ref().and_then(|hub| hub.given.find(id));
        if let Some(given) = given.filter(|number| self.history.has(*number)) {
            return Some(given);
        }
        let digits = id.strip_prefix('#').unwrap_or(id);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits
            .parse()
            .ok()
            .filter(|number| plain && *number < EventId::END);
        let number = number.map(EventId)?;
        // One that is not given out yet is known to nobody, but perhaps to another node.
        (number <= self.sequence.last() || self.bus.is_some()).then_some(number)
    }
}
