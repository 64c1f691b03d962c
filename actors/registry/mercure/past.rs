//! Kept events for the hub's clients, and for others where there is a hub: by the rights of now.

use std::borrow::Cow;
use std::rc::Rc;

use super::super::history::Kept;
use super::Hub;
use super::routing::{Audience, concerns};
use crate::config::Config;
use crate::model::mercure::{Listener, Selector};
use crate::model::{EventId, Publication, Subscription};
use crate::wire::sse::Frame;

/// How a subscriber gets a kept event.
#[derive(Debug)]
pub(in crate::registry) enum Shown {
    /// Not at all.
    Not,
    /// As any subscriber does.
    AsEver,
    /// As this.
    As(Rc<Frame>),
}

impl Hub {
    /// How a subscriber gets an event that the history keeps.
    pub(in crate::registry) fn shows(
        &mut self,
        kept: &Kept<'_>,
        subscription: &Subscription,
        config: &Config,
    ) -> Shown {
        if subscription.inside {
            return Shown::AsEver;
        }
        if subscription.hub.is_none() {
            let update = kept.update();
            let others = config.mercure.as_deref().is_none_or(|hub| {
                Audience::of(kept.private(), update.as_ref(), hub, config).others
            });
            return if others { Shown::AsEver } else { Shown::Not };
        }
        match kept.publication() {
            Some(publication) => self.shows_apart(kept.id, &publication, subscription, config),
            None => Shown::Not,
        }
    }

    /// How a subscriber gets an event that the history does not keep.
    pub(in crate::registry) fn shows_apart(
        &mut self,
        id: EventId,
        publication: &Publication,
        subscription: &Subscription,
        config: &Config,
    ) -> Shown {
        let Some(hub) = config.mercure.as_deref() else {
            return Shown::AsEver;
        };
        let update = publication.update.as_deref();
        let audience = Audience::of(publication.private, update, hub, config);
        match subscription.hub.as_deref() {
            None if audience.others || subscription.inside => Shown::AsEver,
            Some(listener) if concerns(publication, audience, listener, &self.identity) => {
                let name = publication.event.as_deref();
                let make = |id: &EventId| Frame::update(*id, update, name, &publication.data);
                Shown::As(self.replayed.get(id, make))
            }
            _ => Shown::Not,
        }
    }
}

/// A subscription as its kept events are looked for: selectors that stand for several topics may
/// select any of all.
pub(in crate::registry) fn as_drawn(mut subscription: Subscription) -> Subscription {
    let wide = |listener: &Listener| listener.wide().next().is_some();
    subscription.all |= subscription.hub.as_deref().is_some_and(wide);
    subscription
}

/// A subscription as it stands in the routes.
pub(in crate::registry) fn as_routed(subscription: &Subscription) -> Cow<'_, Subscription> {
    match subscription.hub.as_deref() {
        None => Cow::Borrowed(subscription),
        Some(listener) => Cow::Owned(Subscription {
            all: listener.selectors.contains(&Selector::All),
            tokens: subscription.tokens.clone(),
            id: None,
            form: subscription.form,
            hub: None,
            presence: false,
            inside: false,
        }),
    }
}
