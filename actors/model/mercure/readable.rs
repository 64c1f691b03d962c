//! Of which topics somebody may read private updates.

use serde_json::Value;

use super::Identity;
use super::selector::{Selector, Topic, any_selects};

/// What may be read by a token's rights.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readable {
    /// Grants, each with the payload of its entry.
    pub grants: Vec<Grant>,
    /// What is told of the subscriber whatever it subscribes to (form 7).
    pub payload: Option<Value>,
}

/// Topics whose private updates may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The topics.
    pub selectors: Vec<Selector>,
    /// What is told of a subscriber that has this right.
    pub payload: Option<Value>,
}

impl Readable {
    /// Whether private updates of one of the topics may be read.
    pub fn covers(&self, topics: &[Topic<'_>]) -> bool {
        self.grants
            .iter()
            .any(|grant| any_selects(&grant.selectors, topics))
    }

    /// What is told of a subscription: the payload of the first grant that covers what is written
    /// as its selector.
    pub fn payload(&self, selector: &Selector, hub: &Identity) -> Option<&Value> {
        let topic = [Topic::new(selector.as_str(), hub)];
        let covers = |grant: &&Grant| {
            grant.selectors.contains(selector) || any_selects(&grant.selectors, &topic)
        };
        let grant = self.grants.iter().find(covers);
        grant.map_or(self.payload.as_ref(), |grant| {
            grant.payload.as_ref().or(self.payload.as_ref())
        })
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.grants.is_empty() && self.payload.is_none()
    }
}
