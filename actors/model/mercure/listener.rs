//! What a subscriber of the hub asks for, besides topics by their names.

use std::rc::Rc;

use super::{Draft, Readable, Selector};

/// A subscriber's request to the hub. What it names exactly, and whether it wants all, stands in its
/// subscription too, as with any other subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// The form of the protocol that it speaks.
    pub draft: Draft,
    /// All its selectors, as it wrote them.
    pub selectors: Vec<Selector>,
    /// Of which topics it may read private updates; none = of no topic.
    pub readable: Option<Rc<Readable>>,
    /// The id of the last event that it has, as it said it.
    pub last_event_id: Option<Box<str>>,
}

impl Listener {
    /// The selectors that stand neither for one topic nor for all.
    pub fn wide(&self) -> impl Iterator<Item = &Selector> {
        let is_wide =
            |selector: &&Selector| !matches!(selector, Selector::Exact(_) | Selector::All);
        self.selectors.iter().filter(is_wide)
    }
}
