//! Which of the hub's clients, and whether others, get a message.
//!
//! A private update reaches a client that has a right to one of its topics, whichever of them it
//! listens to. A message to a prefix or to all counts as one to each topic that a client names, and is
//! for no selector below the hub's own path; so is a message from the FIFO or the control addresses.

use std::rc::Rc;

use super::super::Registry;
use super::super::routes::Routes;
use super::{Hub, Member};
use crate::config::{Config, Mercure};
use crate::model::mercure::{Draft, Identity, Listener, Readable, Selector, Topic, Update};
use crate::model::{Publication, Target};

/// Who may get a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::registry) struct Audience {
    /// Whether subscribers that are not the hub's may.
    pub(in crate::registry) others: bool,
    /// Whether the hub's clients need a right to it.
    private: bool,
    /// It is an event about a subscription, for clients of this draft.
    about: Option<Draft>,
    /// It came by the FIFO or the control addresses.
    foreign: bool,
}

impl Audience {
    /// That of a message. What is published privately reaches others only where a key decides what
    /// they may read; what is published to the hub only where that holds, or nobody needs a token.
    pub(in crate::registry) fn of(
        private: Option<bool>,
        update: Option<&Update>,
        hub: &Mercure,
        config: &Config,
    ) -> Self {
        let key = config.subscribe_keys.is_some();
        match update {
            None => Self {
                others: key || private != Some(true),
                private: private.unwrap_or(key),
                about: None,
                foreign: true,
            },
            Some(update) => {
                let private = private == Some(true);
                Self {
                    others: !update.about_subscription && (key || (hub.anonymous && !private)),
                    private,
                    about: update.about_subscription.then_some(update.draft),
                    foreign: false,
                }
            }
        }
    }
}

/// A message's targets, as the hub's clients see them.
pub(super) struct Addressed<'a> {
    /// The topics that it names and that may reach the hub's clients.
    topics: Vec<Topic<'a>>,
    /// Prefixes, and `""` for all.
    prefixes: Vec<&'a str>,
    /// Whether some of its targets reach none of the hub's clients, so that who was found is looked
    /// at again.
    looks_again: bool,
    audience: Audience,
}

impl<'a> Addressed<'a> {
    pub(super) fn new(to: &'a [Target], audience: Audience, hub: &'a Identity) -> Self {
        let mut addressed = Self {
            topics: Vec::new(),
            prefixes: Vec::new(),
            looks_again: false,
            audience,
        };
        for target in to {
            match target {
                Target::Token(token) if audience.foreign && hub.reserves(token.as_str()) => {
                    addressed.looks_again = true;
                }
                Target::Token(token) => addressed.topics.push(Topic::new(token.as_str(), hub)),
                Target::Prefix(prefix) => addressed.prefixes.push(prefix.as_str()),
                Target::All => addressed.prefixes.push(""),
            }
        }
        addressed.looks_again |= !addressed.prefixes.is_empty();
        addressed
    }

    /// Whether it reaches a client with these selectors and rights.
    fn reaches(
        &self,
        selectors: &[&Selector],
        readable: Option<&Readable>,
        hub: &Identity,
    ) -> bool {
        let named = || {
            let selects = |topic| selectors.iter().any(|selector| selector.selects(topic));
            self.topics.iter().any(selects) && self.may_read(readable)
        };
        let wide = || {
            selectors
                .iter()
                .any(|selector| self.is_wide_for(selector, readable, hub))
        };
        named() || (!self.prefixes.is_empty() && wide())
    }

    /// Whether one of its prefixes reaches a selector.
    fn is_wide_for(
        &self,
        selector: &Selector,
        readable: Option<&Readable>,
        hub: &Identity,
    ) -> bool {
        let begins = match selector {
            Selector::Pattern(pattern) => pattern.begins(hub).unwrap_or_default(),
            Selector::Template(text, _) => text.split('{').next().unwrap_or_default().to_owned(),
            Selector::Exact(text) => text.to_string(),
            Selector::All => String::new(),
        };
        let meets = |prefix: &&str| *selector == Selector::All || begins.starts_with(prefix);
        self.prefixes.iter().any(meets)
            && !selector.may_be_reserved(hub)
            && (!self.audience.private || may_read_all_of(readable, selector, hub))
    }

    /// Whether these rights suffice for the topics that it names.
    fn may_read(&self, readable: Option<&Readable>) -> bool {
        !self.audience.private || readable.is_some_and(|readable| readable.covers(&self.topics))
    }
}

/// Whether rights cover everything that a selector selects.
fn may_read_all_of(readable: Option<&Readable>, selector: &Selector, hub: &Identity) -> bool {
    let covers = |right: &Selector| match selector {
        Selector::Exact(text) => right.selects(&Topic::new(text, hub)),
        selector => *right == Selector::All || right == selector,
    };
    let mut grants = readable.into_iter().flat_map(|readable| &readable.grants);
    grants.any(|grant| grant.selectors.iter().any(covers))
}

impl Hub {
    /// Finds the members that a message reaches: of those that the routes have found, and by their
    /// selectors.
    fn route(&mut self, addressed: &Addressed<'_>, routes: &Routes, clients: &mut Vec<u32>) {
        self.mark = self.mark.wrapping_add(1);
        let Self {
            members,
            mark,
            index,
            found,
            identity,
            ..
        } = self;
        found.clear();
        if !index.is_empty() {
            for topic in &addressed.topics {
                index.reached(topic, found);
            }
            for (selector, of_selector) in index.all().filter(|_| !addressed.prefixes.is_empty()) {
                if addressed.is_wide_for(selector, None, identity) || addressed.audience.private {
                    found.extend_from_slice(of_selector);
                }
            }
        }
        clients.append(found);
        clients.retain(|client| {
            let Some(Some(member)) = members.get_mut(*client as usize) else {
                return false;
            };
            if std::mem::replace(&mut member.mark, *mark) == *mark {
                return false;
            }
            let readable = member.readable.as_deref();
            match addressed.audience.about {
                Some(draft) => {
                    member.draft == draft
                        && !is_own(member, &addressed.topics)
                        && addressed.may_read(readable)
                }
                None if !addressed.looks_again => addressed.may_read(readable),
                None => {
                    let exact = routes.subscribes(*client);
                    let exact = exact.iter().map(|name| named(name));
                    let exact: Vec<Selector> = exact.collect();
                    let wide = member
                        .wide
                        .iter()
                        .filter_map(|number| index.selector(*number));
                    let selectors: Vec<&Selector> = exact.iter().chain(wide).collect();
                    addressed.reaches(&selectors, readable, identity)
                }
            }
        });
    }
}

/// What a name in the routes stands for.
pub(super) fn named(name: &str) -> Selector {
    match name {
        "*" => Selector::All,
        name => Selector::Exact(name.into()),
    }
}

/// Whether an event about a subscription is about the member's own.
fn is_own(member: &Member, topics: &[Topic<'_>]) -> bool {
    let own = super::names::encoded_name(member.subscriber);
    topics.iter().any(|topic| topic.text.ends_with(&own))
}

impl Registry {
    /// Who may get a message; everybody, where there is no hub.
    pub(in crate::registry) fn audience(&self, publication: &Publication) -> Option<Audience> {
        self.hub.as_ref()?;
        let config = self.settings.now();
        let hub = config.mercure.as_deref()?;
        let (private, update) = (publication.private, publication.update.as_deref());
        Some(Audience::of(private, update, hub, &config))
    }

    /// Takes the hub's clients off the recipients that were found for a message, and all others where
    /// it is not for them; the hub's clients that get it.
    pub(in crate::registry) fn route_to_hub(&mut self, publication: &Publication) -> Vec<u32> {
        let Some(audience) = self.audience(publication) else {
            return Vec::new();
        };
        let mut clients = Vec::new();
        self.pool.take_hub(&mut self.recipients, &mut clients);
        if !audience.others {
            let pool = &self.pool;
            self.recipients
                .retain(|client| pool.form(*client).is_inside());
        }
        if let Some(hub) = &mut self.hub
            && hub.count > 0
        {
            let identity = Rc::clone(&hub.identity);
            let addressed = Addressed::new(publication.to.as_slice(), audience, &identity);
            hub.route(&addressed, &self.routes, &mut clients);
        }
        clients
    }
}

/// Whether a kept message is for a client of the hub, with the rights that it has now.
pub(in crate::registry) fn concerns(
    publication: &Publication,
    audience: Audience,
    listener: &Listener,
    hub: &Identity,
) -> bool {
    if audience.about.is_some_and(|draft| draft != listener.draft) {
        return false;
    }
    let addressed = Addressed::new(publication.to.as_slice(), audience, hub);
    let selectors: Vec<&Selector> = listener.selectors.iter().collect();
    addressed.reaches(&selectors, listener.readable.as_deref(), hub)
}
