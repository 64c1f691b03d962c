//! The subscriptions API, and the events about subscriptions.
//!
//! An event says that a subscription began, and another, some time after its stream's end, that it is no
//! more: a client that comes back within that time is there twice for a while, and never absent. Who is
//! there is known by these events alone, those of other nodes too, and of those that were kept before a
//! restart. What a process before this one told of is told of as ended in the same way. So is what a node
//! told of that is there no more, by each of the others; the key of such an event lets one of them pass.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};

use super::super::Registry;
use super::super::routes::Routes;
use super::Hub;
use super::names::{name, new_name, read_name, tag, tag_of};
use crate::messages::publisher::Request;
use crate::model::mercure::{Draft, Identity, Listener, MatchType, Selector, Update};
use crate::model::publication::Targets;
use crate::model::{Channel, EventId, Publication, Target, Token};
use crate::runtime;
use crate::wire::mercure::api::{self, Asked, Shown, Told};
use crate::wire::sse::hub_id;

/// What a subscription is to: its draft, the type of its selector, the selector.
type To = (Draft, MatchType, Box<str>);

/// Who is there.
#[derive(Debug, Default)]
pub(super) struct Presence {
    lists: HashMap<To, Vec<Present>>,
    /// Those whose streams are here.
    living: HashSet<u128>,
    /// Subscriptions whose streams have ended, and when that is to be told: the next first.
    ended: VecDeque<(Instant, To, u128)>,
    /// Nodes that are not there, and when their subscriptions are to be told of as ended.
    lost: Vec<(u64, Instant)>,
    /// When it is looked next whose subscriptions there are.
    next_look: Option<Instant>,
}

/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(3);

/// When those are told of again that have not been taken in.
const AGAIN: Duration = Duration::from_secs(60);

/// A subscriber of one list.
#[derive(Debug)]
struct Present {
    subscriber: u128,
    payload: Option<Rc<str>>,
}

impl Presence {
    /// Takes account of an event about a subscription; gives the one that it says has ended.
    fn take(&mut self, draft: Draft, data: &str) -> Option<(To, Present)> {
        let told = Told::read(data)?;
        let (kind, selector) = told.selector()?;
        let subscriber = read_name(&told.subscriber)?;
        let to: To = (draft, kind, selector.into());
        let known = self.lists.get_mut(&to);
        let place = known.as_ref().and_then(|list| {
            let mut entries = list.iter();
            entries.position(|present| present.subscriber == subscriber)
        });
        match (told.active, known, place) {
            (true, _, Some(_)) | (false, None, _) | (false, _, None) => None,
            (true, list, None) => {
                let payload = told.payload.map(|payload| payload.to_string().into());
                let present = Present {
                    subscriber,
                    payload,
                };
                match list {
                    Some(list) => list.push(present),
                    None => drop(self.lists.insert(to, vec![present])),
                }
                None
            }
            (false, Some(list), Some(place)) => {
                let ended = list.swap_remove(place);
                if list.is_empty() {
                    self.lists.remove(&to);
                }
                Some((to, ended))
            }
        }
    }

    /// The document that is asked for; none if there is no such subscription.
    fn document(&self, asked: &Asked, hub: &Identity, last: &str) -> Option<String> {
        let wanted = |to: &To| {
            let (draft, kind, selector) = to;
            *draft == asked.draft
                && asked.match_type.is_none_or(|wanted| wanted == *kind)
                && asked
                    .selector
                    .as_deref()
                    .is_none_or(|wanted| *wanted == **selector)
        };
        let listed = |to: &To, list: &[Present]| {
            let each = list.iter().map(|present| member(to, present, hub));
            each.collect::<Vec<_>>()
        };
        let kind = asked.match_type.unwrap_or(MatchType::Exact);
        let members = match (&asked.selector, &asked.subscriber) {
            (Some(selector), subscriber) => {
                let to: To = (asked.draft, kind, selector.as_str().into());
                let list = self.lists.get(&to).map_or(&[][..], Vec::as_slice);
                if let Some(subscriber) = subscriber {
                    let subscriber = read_name(subscriber)?;
                    let mut entries = list.iter();
                    let present = entries.find(|present| present.subscriber == subscriber)?;
                    return Some(shown(&to, present, true, |shown| shown.document(hub, last)));
                }
                listed(&to, list)
            }
            (None, _) => {
                let lists = self.lists.iter().filter(|(to, _)| wanted(to));
                lists.flat_map(|(to, list)| listed(to, list)).collect()
            }
        };
        Some(api::list(asked, &members, last))
    }

    /// These nodes are there. The subscriptions of another are to be told of as ended when it has been
    /// away for `grace`.
    fn hear_of(&mut self, present: &[u64], now: Instant, grace: Duration) {
        if self.next_look.is_some_and(|next| now < next) {
            return;
        }
        self.next_look = Some(now + LOOK);
        let is_there = |node: u64| present.iter().any(|present| tag(*present) == node);
        let mut away = Vec::new();
        for present in self.lists.values().flatten() {
            let node = tag_of(present.subscriber);
            if !is_there(node) && !away.contains(&node) {
                away.push(node);
            }
        }
        self.lost.retain(|(node, _)| away.contains(node));
        away.retain(|node| self.lost.iter().all(|(lost, _)| lost != node));
        self.lost
            .extend(away.iter().map(|node| (*node, now + grace)));
        for (node, due) in self.lost.iter_mut().filter(|(_, due)| *due <= now) {
            *due = now + AGAIN;
            for (to, list) in &self.lists {
                for present in list.iter().filter(|one| tag_of(one.subscriber) == *node) {
                    let ended = (now, to.clone(), present.subscriber);
                    self.ended.push_front(ended);
                }
            }
        }
    }

    /// The event that a subscription is no more.
    fn end(&self, to: &To, subscriber: u128, hub: &Identity) -> Option<Publication> {
        let list = self.lists.get(to).map_or(&[][..], Vec::as_slice);
        let mut entries = list.iter();
        let present = entries.find(|present| present.subscriber == subscriber);
        let unknown = Present {
            subscriber,
            payload: None,
        };
        event(to, present.unwrap_or(&unknown), false, hub)
    }
}

fn member(to: &To, present: &Present, hub: &Identity) -> String {
    shown(to, present, true, |shown| shown.member(hub))
}

fn shown<R>(to: &To, present: &Present, active: bool, show: impl FnOnce(Shown<'_>) -> R) -> R {
    let (draft, match_type, selector) = to;
    show(Shown {
        draft: *draft,
        match_type: *match_type,
        selector,
        subscriber: &name(present.subscriber),
        active,
        payload: present.payload.as_deref(),
    })
}

/// An event about a subscription; none if its path is too long for a topic.
fn event(to: &To, present: &Present, active: bool, hub: &Identity) -> Option<Publication> {
    let (topic, data) = shown(to, present, active, |shown| {
        (shown.path(hub), shown.event(hub))
    });
    let draft = to.0;
    let mut update = Update::new(draft);
    update.about_subscription = true;
    Some(Publication {
        to: Targets::One(Target::Token(Token::of_topic(&topic).ok()?)),
        except: None,
        event: (draft == Draft::Eight).then(|| "mercure".into()),
        data: data.into(),
        retain: true,
        private: Some(true),
        update: Some(Box::new(update)),
        key: None,
    })
}

/// What a client's selector is called.
fn to(draft: Draft, selector: &Selector) -> To {
    let kind = match draft {
        Draft::Seven => MatchType::Exact,
        Draft::Eight => selector.match_type(),
    };
    (draft, kind, selector.as_str().into())
}

impl Hub {
    /// All that are there by what was kept are those of a process before this one: they are told of as
    /// ended, after `grace`.
    pub(in crate::registry) fn end_former(&mut self, grace: Duration) {
        let due = Instant::now() + grace;
        let Presence { lists, ended, .. } = &mut self.presence;
        for (to, list) in lists {
            ended.extend(
                list.iter()
                    .map(|present| (due, to.clone(), present.subscriber)),
            );
        }
    }

    /// A client's stream has ended; that is told of after `grace`.
    fn end_later(&mut self, client: u32, routes: &Routes, grace: Duration) {
        let Some(Some(member)) = self.members.get(client as usize) else {
            return;
        };
        if member.subscriber == 0 {
            return;
        }
        self.presence.living.remove(&member.subscriber);
        let due = Instant::now() + grace;
        let exact = routes.subscribes(client);
        let exact = exact.iter().map(|name| super::routing::named(name));
        let wide = member
            .wide
            .iter()
            .filter_map(|number| self.index.selector(*number));
        let selectors = exact.chain(wide.cloned());
        let (draft, subscriber) = (member.draft, member.subscriber);
        let ended = selectors.map(|selector| (due, to(draft, &selector), subscriber));
        self.presence.ended.extend(ended.collect::<Vec<_>>());
    }

    /// The events of subscriptions that are to be told of as ended by now, a portion of them. `own`: this
    /// node's number, where there are several.
    fn due(&mut self, now: Instant, own: Option<u64>) -> Vec<Publication> {
        /// Events that are published in one turn.
        const PORTION: usize = 256;
        let mut events = Vec::new();
        while events.len() < PORTION
            && let Some((due, ..)) = self.presence.ended.front()
            && *due <= now
            && let Some((_, to, subscriber)) = self.presence.ended.pop_front()
        {
            let mut event = self.presence.end(&to, subscriber, &self.identity);
            if let (Some(event), Some(own)) = (&mut event, own)
                && tag_of(subscriber) != tag(own)
            {
                // Other nodes tell of it as well.
                let topic = crc32fast::hash(to.2.as_bytes());
                event.key = Some(format!("ended {} {topic:x}", name(subscriber)).into());
            }
            events.extend(event);
        }
        events
    }
}

impl Registry {
    /// Enters a client of the hub, which is in the routes already, and tells of its subscriptions.
    pub(in crate::registry) fn join_hub(&mut self, client: u32, listener: &Listener) {
        let config = self.settings.now();
        let (Some(hub), Some(mercure)) = (&mut self.hub, &config.mercure) else {
            return;
        };
        let own = self.bus.as_ref().map(|bus| bus.figures.own.get());
        let subscriber = if mercure.subscriptions {
            new_name(own)
        } else {
            0
        };
        hub.join(client, listener, subscriber);
        if subscriber == 0 {
            return;
        }
        hub.presence.living.insert(subscriber);
        let mut events = Vec::new();
        for selector in &listener.selectors {
            let readable = listener.readable.as_deref();
            let payload = readable.and_then(|readable| readable.payload(selector, &mercure.hub));
            let present = Present {
                subscriber,
                payload: payload.map(|payload| payload.to_string().into()),
            };
            events.extend(event(
                &to(listener.draft, selector),
                &present,
                true,
                &mercure.hub,
            ));
        }
        self.publish_own(events);
    }

    /// Takes account of what a history file has kept.
    pub(in crate::registry) fn recover_hub(&mut self) {
        let (Some(hub), Some(mercure)) = (&mut self.hub, self.settings.now().mercure.clone())
        else {
            return;
        };
        let history = &self.history;
        history.draw_every(EventId(0), |kept| {
            if let Some(update) = kept.update() {
                if let Some(given) = &update.id {
                    hub.given.enter(given, kept.id, |_| true);
                }
                if update.about_subscription {
                    hub.presence.take(update.draft, kept.data);
                }
            }
            true
        });
        // Another node may have told of them.
        if self.bus.is_none() {
            hub.end_former(mercure.grace);
        }
    }

    /// Takes account of an event: of the id that its publisher gave it, and of what it says of a
    /// subscription.
    pub(in crate::registry) fn take_in_hub(&mut self, id: EventId, publication: &Publication) {
        let mut events = Vec::new();
        if let (Some(hub), Some(update)) = (&mut self.hub, publication.update.as_deref()) {
            if let Some(given) = update.id.as_deref().filter(|_| self.history.has(id)) {
                hub.given
                    .enter(given, id, |number| self.history.has(number));
            }
            if update.about_subscription
                && let Some((to, ended)) = hub.presence.take(update.draft, &publication.data)
                && hub.presence.living.contains(&ended.subscriber)
            {
                // This node was away for so long that another took it for dead.
                events.extend(event(&to, &ended, true, &hub.identity));
            }
        }
        self.publish_own(events);
    }

    /// Takes a client out that may be one of the hub's, before it is taken out of the routes.
    pub(in crate::registry) fn leave_hub(&mut self, client: u32) {
        if let Some(hub) = &mut self.hub {
            let grace = self
                .settings
                .now()
                .mercure
                .as_ref()
                .map(|mercure| mercure.grace);
            hub.end_later(client, &self.routes, grace.unwrap_or_default());
            hub.leave(client);
        }
    }

    /// Tells of subscriptions that have ended long enough ago.
    pub(in crate::registry) fn tick_hub(&mut self) {
        let now = Instant::now();
        let Some(hub) = &mut self.hub else { return };
        let figures = self.bus.as_ref().map(|bus| &bus.figures);
        // While the bus is away nobody knows who is there, and all stays as it was.
        if let Some(figures) = figures.filter(|figures| figures.up.get()) {
            let config = self.settings.now();
            let grace = config.mercure.as_ref().map(|mercure| mercure.grace);
            let present = figures.present.borrow();
            hub.presence
                .hear_of(&present, now, grace.unwrap_or_default());
        }
        let own = figures.map(|figures| figures.own.get());
        let events = hub.due(now, own);
        self.publish_own(events);
    }

    /// Publishes what the hub itself has to say, as the publishers' messages are published.
    fn publish_own(&mut self, events: Vec<Publication>) {
        let channel = Channel::Mercure;
        match &self.sequencer {
            _ if events.is_empty() => {}
            Some(sequencer) => {
                // Nobody waits for the answer: an event that is not taken in is told of again by nobody.
                let (reply, _answer) = runtime::reply();
                let _gone = sequencer.try_send(Request::Publish {
                    publications: events,
                    channel,
                    reply,
                });
            }
            None => {
                for event in events {
                    self.publish(event, channel);
                }
            }
        }
    }

    /// The document of the subscriptions API that is asked for, and where the hub stands; no document
    /// if there is no such subscription.
    pub(in crate::registry) fn subscriptions(&self, asked: &Asked) -> (Option<String>, String) {
        let last = hub_id(self.sequence.last());
        let hub = self.hub.as_ref();
        let document = hub.and_then(|hub| hub.presence.document(asked, &hub.identity, &last));
        (document, last)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn events_keep_account() {
        let hub = Identity::new("https://e/hub").unwrap();
        let mut presence = Presence::default();
        let to: To = (Draft::Eight, MatchType::Exact, "a".into());
        let tell = |presence: &mut Presence, subscriber, active| {
            let payload = Some(Rc::from(r#"{"n":1}"#));
            let event = event(
                &to,
                &Present {
                    subscriber,
                    payload,
                },
                active,
                &hub,
            )
            .unwrap();
            assert_eq!(
                (event.private, event.event.as_deref()),
                (Some(true), Some("mercure"))
            );
            presence.take(Draft::Eight, &event.data)
        };
        let (one, other) = (new_name(None), new_name(None));
        for subscriber in [one, one, other] {
            assert!(tell(&mut presence, subscriber, true).is_none());
        }
        let asked = |path: &str| {
            let path = format!("/hub/subscriptions{path}");
            Asked::read(Draft::Eight, &path, &hub).unwrap()
        };
        let count = |presence: &Presence, path: &str| {
            let document = presence.document(&asked(path), &hub, "#1").unwrap();
            let document: serde_json::Value = serde_json::from_str(&document).unwrap();
            document["subscriptions"].as_array().map(Vec::len)
        };
        assert_eq!(count(&presence, ""), Some(2));
        assert_eq!(count(&presence, "/exact/a"), Some(2));
        assert_eq!(count(&presence, "/urlpattern/a"), Some(0));
        let single = format!("/exact/a/{}", super::super::names::encoded_name(one));
        let document = presence.document(&asked(&single), &hub, "#1").unwrap();
        assert!(document.contains(r#""payload":{"n":1}"#), "{document}");
        let (_, ended) = tell(&mut presence, one, false).unwrap();
        assert_eq!(ended.subscriber, one);
        assert!(tell(&mut presence, one, false).is_none(), "once");
        assert_eq!(presence.document(&asked(&single), &hub, "#1"), None);
        assert_eq!(count(&presence, "/exact/a"), Some(1));
        assert!(tell(&mut presence, other, false).is_some());
        assert!(presence.lists.is_empty());
        assert!(presence.take(Draft::Eight, "{}").is_none());
        assert!(presence.take(Draft::Eight, "no JSON").is_none());
    }

    #[test]
    fn subscriptions_of_a_node_that_is_away_end_after_the_grace() {
        let mut presence = Presence::default();
        let hub = Identity::new("https://e/hub").unwrap();
        let to: To = (Draft::Eight, MatchType::Exact, "a".into());
        for node in [1, 2, 2] {
            let present = Present {
                subscriber: new_name(Some(node)),
                payload: None,
            };
            let event = event(&to, &present, true, &hub).unwrap();
            assert!(presence.take(Draft::Eight, &event.data).is_none());
        }
        let (now, grace) = (Instant::now(), Duration::from_secs(10));
        let at = |seconds| now + Duration::from_secs(seconds);
        presence.hear_of(&[1], at(0), grace);
        presence.hear_of(&[1, 2], at(5), grace);
        presence.hear_of(&[1], at(10), grace);
        presence.hear_of(&[1], at(19), grace);
        assert!(presence.ended.is_empty(), "it was there meanwhile");
        presence.hear_of(&[1], at(22), grace);
        presence.hear_of(&[1], at(25), grace);
        assert_eq!(presence.ended.len(), 2, "once");
        assert!(presence.ended.iter().all(|ended| tag_of(ended.2) == 2));
    }
}
