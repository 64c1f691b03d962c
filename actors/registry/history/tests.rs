#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::gap::Lost;
use super::*;
use crate::model::retention::Rule;
use crate::model::{ClientId, Subscription, Token};

const HOUR: Duration = Duration::from_secs(3600);

fn policy(count: usize, bytes: usize, rules: &[&str]) -> Policy {
    let default = Retention {
        count,
        age: Some(HOUR),
    };
    let rules = rules.iter().map(|rule| Rule::parse(rule).unwrap());
    Policy::new(default, bytes).with_rules(rules.collect())
}

fn large() -> Policy {
    policy(1000, 1 << 20, &[])
}

fn token(name: &str) -> Token {
    Token::new(name).unwrap()
}

fn target(text: &str) -> Target {
    match text.strip_suffix('*') {
        Some("") => Target::All,
        Some(prefix) => Target::Prefix(Token::new(prefix).unwrap()),
        None => Target::Token(Token::new(text).unwrap()),
    }
}

/// A message to targets with commas between them; behind `-r` who is spared.
fn message(to: &str, data: &str) -> Publication {
    let (to, except) = match to.split_once("-r") {
        Some((to, id)) => (to, Some(ClientId::new(id).unwrap())),
        None => (to, None),
    };
    let mut targets: Vec<Target> = to.split(',').map(target).collect();
    let to = match targets.len() {
        1 => To::One(targets.remove(0)),
        _ => To::Many(targets.into()),
    };
    Publication {
        to,
        except,
        ..Publication::new(Target::All, data)
    }
}

/// A history of the ids 10, 20, 30 …, one for each message.
fn history(policy: Policy, messages: &[&str]) -> History {
    let mut history = History::new(policy, EventId(5));
    let now = Instant::now();
    for (n, to) in messages.iter().enumerate() {
        history.keep(EventId(10 * (n as u64 + 1)), now, &message(to, "x"), 0);
        history.check();
    }
    history
}

/// A subscription to tokens with commas between them, or `*`; behind `-r` who it is.
fn subscription(tokens: &str) -> Subscription {
    let (tokens, id) = match tokens.split_once("-r") {
        Some((tokens, id)) => (tokens, Some(ClientId::new(id).unwrap())),
        None => (tokens, None),
    };
    Subscription {
        all: tokens == "*",
        tokens: match tokens {
            "*" => Vec::new(),
            _ => tokens
                .split(',')
                .map(|name| Token::new(name).unwrap())
                .collect(),
        },
        id,
        ..Subscription::default()
    }
}

fn all_drawn(history: &History, subscription: &Subscription, mut cursor: Cursor) -> Vec<u64> {
    let mut ids = Vec::new();
    loop {
        // A few at a time, so that portions meet.
        let mut room = 3;
        let take = |kept: Kept<'_>| {
            ids.push(kept.id.0);
            room -= 1;
            room > 0
        };
        if history.draw(subscription, &mut cursor, EventId(u64::MAX), take) == Drawn::All {
            return ids;
        }
    }
}

fn after(history: &History, tokens: &str, id: u64) -> Vec<u64> {
    all_drawn(history, &subscription(tokens), Cursor::after(EventId(id)))
}

fn recent(history: &History, tokens: &str, count: usize) -> Vec<u64> {
    let subscription = subscription(tokens);
    let cursor = history.recent(&subscription, count, &[], None, EventId(1000));
    all_drawn(history, &subscription, cursor)
}

fn recent_of(history: &History, tokens: &str, of: &[(&str, usize)], seen: Option<u64>) -> Vec<u64> {
    let subscription = subscription(tokens);
    let of: Vec<_> = of
        .iter()
        .map(|(name, count)| (token(name), *count))
        .collect();
    let cursor = history.recent(&subscription, 0, &of, seen.map(EventId), EventId(1000));
    all_drawn(history, &subscription, cursor)
}

fn is_gap(history: &History, tokens: &str, id: u64) -> bool {
    history.lost(&subscription(tokens), &[], EventId(id)) != Lost::Nothing
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    let history = history(large(), &["a", "b", "a*", "*", "a,b", "c"]);
    assert_eq!(after(&history, "a", 4), [10, 30, 40, 50]);
    assert_eq!(after(&history, "a", 10), [30, 40, 50]);
    assert_eq!(after(&history, "a,b", 15), [20, 30, 40, 50]);
    assert_eq!(after(&history, "d", 0), [40]);
    assert_eq!(after(&history, "*", 25), [30, 40, 50, 60]);
    assert_eq!(after(&history, "*", 60), [0; 0]);
    for (id, gap) in [(4, true), (5, false), (60, false)] {
        assert_eq!(is_gap(&history, "a", id), gap, "{id}");
    }
    assert_eq!(history.oldest(&subscription("b")), Some(EventId(20)));
    assert_eq!(history.oldest(&subscription("z")), Some(EventId(40)));
}

#[test]
fn the_id_just_before_the_oldest_kept_is_no_gap() {
    let history = history(policy(2, 1 << 20, &[]), &["a", "b", "a", "a", "a"]);
    assert_eq!(history.oldest(&subscription("a")), Some(EventId(40)));
    assert!(!is_gap(&history, "a", 30) && is_gap(&history, "a", 29));
    assert!(!is_gap(&history, "b", 5), "nothing of b was let go");
    assert!(!is_gap(&history, "b,c", 5));
    assert!(is_gap(&history, "b,a", 5) && is_gap(&history, "*", 29));
}

#[test]
fn a_gap_names_the_tokens_that_lost_something() {
    let history = history(policy(1, 1 << 20, &["w* 0"]), &["a", "b", "a", "wa*", "c"]);
    let lost = |tokens: &str, new: &[&str], id| {
        let new: Vec<_> = new.iter().map(|name| (token(name), 1)).collect();
        history.lost(&subscription(tokens), &new, EventId(id))
    };
    assert_eq!(lost("a,b,c", &[], 5), Lost::Of(vec![0]));
    assert_eq!(lost("b,wax,a", &[], 8), Lost::Of(vec![1, 2]));
    assert_eq!(lost("b,wax,a", &[], 10), Lost::Of(vec![1]));
    assert_eq!(lost("a", &[], 5), Lost::OfAny);
    assert_eq!(lost("a,b", &[], 4), Lost::OfAny, "before the beginning");
    assert_eq!(lost("a,b", &["a"], 5), Lost::Nothing);
    assert_eq!(lost("a,b", &["a"], 4), Lost::Of(vec![1]));
    assert_eq!(lost("a", &["a"], 4), Lost::Nothing);
    assert_eq!(lost("*", &[], 39), Lost::OfAny);
    assert_eq!(lost("*", &[], 40), Lost::Nothing);
}

#[test]
fn a_portion_is_bounded_by_the_rings_that_are_looked_at_too() {
    const TARGETS: usize = 1000;
    const EVENTS: usize = 50;
    let names: Vec<String> = (0..TARGETS).map(|n| format!("t{n}")).collect();
    let to_all = names.join(",");
    let history = history(policy(1000, 1 << 30, &[]), &[to_all.as_str(); EVENTS]);
    let all = subscription("*");
    let last = EventId(10 * EVENTS as u64);
    let mut cursor = history.recent(&all, 1, &[], None, last);
    let (mut portions, mut drawn) = (0, Vec::new());
    loop {
        portions += 1;
        let take = |kept: Kept<'_>| {
            drawn.push(kept.id);
            true
        };
        if history.draw(&all, &mut cursor, EventId(u64::MAX), take) == Drawn::All {
            break;
        }
    }
    // Each event but the last is looked for in every ring that holds it.
    assert_eq!(drawn, [last]);
    assert!(portions >= EVENTS * TARGETS / 5096, "{portions}");
}

#[test]
fn recent_events_are_those_of_each_token_and_of_what_meets_one() {
    let history = history(large(), &["a", "b", "a", "ab*", "*", "b", "b", "c", "a,b"]);
    assert_eq!(recent(&history, "a", 2), [30, 50, 90]);
    assert_eq!(recent(&history, "a,b", 2), [30, 50, 70, 90]);
    assert_eq!(recent(&history, "abc", 9), [40, 50]);
    assert_eq!(recent(&history, "a", 0), [0; 0]);
    assert_eq!(recent(&history, "new", 1), [50]);
    assert_eq!(recent(&history, "*", 1), [40, 50, 80, 90]);
    assert_eq!(recent(&history, "*", 2), [30, 40, 50, 70, 80, 90]);
    assert_eq!(recent(&history, "*", 0), [0; 0]);
    assert_eq!(recent(&history, "a", usize::MAX), [10, 30, 50, 90]);
}

#[test]
fn one_broadcast_hides_no_last_value() {
    let history = history(large(), &["a", "b", "*", "*"]);
    assert_eq!(recent(&history, "a,b", 1), [10, 20, 40]);
}

#[test]
fn a_token_that_is_added_gets_its_last_events_and_the_others_go_on() {
    let history = history(large(), &["a", "b", "a", "b", "a*", "*", "b", "a"]);
    // Without a position: only the named ones, with what meets them.
    assert_eq!(recent_of(&history, "a,b", &[("a", 1)], None), [50, 60, 80]);
    // What others of the stream have had is not repeated.
    assert_eq!(
        recent_of(&history, "a,b", &[("a", 1)], Some(65)),
        [50, 70, 80]
    );
    assert_eq!(
        recent_of(&history, "a,b", &[("a", 3)], Some(65)),
        [10, 30, 50, 70, 80]
    );
    assert_eq!(
        recent_of(&history, "a,b", &[("b", 1), ("a", 2)], Some(75)),
        [30, 50, 60, 70, 80]
    );
    // Newer ones come whole.
    assert_eq!(
        recent_of(&history, "a,b", &[("a", 0)], Some(15)),
        [20, 30, 40, 50, 60, 70, 80]
    );
    assert_eq!(recent_of(&history, "*", &[], Some(65)), [70, 80]);
}

#[test]
fn who_was_spared_is_spared_again_and_gets_as_many() {
    let history = history(large(), &["a", "a", "a-rme", "a-rme", "a-rother"]);
    assert_eq!(recent(&history, "a-rme", 2), [20, 50]);
    assert_eq!(recent(&history, "a", 2), [40, 50]);
    assert_eq!(after(&history, "a-rme", 0), [10, 20, 50]);
    assert_eq!(after(&history, "*-rme", 0), [10, 20, 50]);
    assert_eq!(recent(&history, "*-rme", 2), [20, 50]);
}

#[test]
fn a_target_with_one_event_costs_less_than_160_bytes_besides() {
    let mut history = History::new(large(), EventId(0));
    let text = "x".repeat(100);
    history.keep(
        EventId(1),
        Instant::now(),
        &message("token-123456", &text),
        0,
    );
    assert!(history.bytes() < 260, "{} bytes", history.bytes());
}

#[test]
fn a_flood_takes_no_other_targets_last_value() {
    let mut history = History::new(policy(1_000_000, 100_000, &[]), EventId(0));
    let now = Instant::now();
    let mut id = 0;
    let mut keep = |to: &str, history: &mut History| {
        id += 1;
        history.keep(EventId(id), now, &message(to, "x"), 0);
    };
    for n in 0..100 {
        keep(&format!("quiet{n}"), &mut history);
    }
    for _ in 0..10_000 {
        keep("flood", &mut history);
    }
    history.check();
    assert!(history.bytes() <= 100_000);
    for n in 0..100 {
        let name = format!("quiet{n}");
        assert_eq!(recent(&history, &name, 1), [n + 1]);
        assert!(!is_gap(&history, &name, 0), "{name}");
    }
    assert!(is_gap(&history, "flood", 5000) && history.marks() == 1);
    assert!(history.let_go().bytes > 8000);
}

#[test]
fn age_lets_go_of_each_by_its_rule() {
    let mut history = history(
        policy(9, 1 << 20, &["day 9/1d", "ever 9/forever"]),
        &["a", "day", "ever"],
    );
    let now = Instant::now();
    let in_time = |seconds| now + Duration::from_secs(seconds);
    history.work(in_time(3598));
    assert_eq!(history.len(), 3);
    history.work(in_time(3602));
    assert_eq!(history.len(), 2);
    assert!(is_gap(&history, "a", 9) && !is_gap(&history, "day,ever", 5));
    history.work(in_time(86_402));
    assert_eq!((history.len(), history.let_go().age), (1, 2));
    history.work(in_time(86_400 * 400));
    assert_eq!(recent(&history, "ever", 1), [30]);
    history.check();
}

#[test]
fn other_rules_hold_after_a_reload() {
    let mut history = history(policy(9, 1 << 20, &[]), &["a", "a", "a", "b", "b"]);
    history.set_policy(policy(9, 1 << 20, &["a 1", "b 2/1s"]));
    let now = Instant::now();
    history.work(now);
    history.check();
    assert_eq!(after(&history, "a,b", 0), [30, 40, 50]);
    history.work(now + Duration::from_secs(2));
    assert_eq!(after(&history, "a,b", 0), [30]);
    history.set_policy(policy(0, 1 << 20, &[]));
    history.work(now);
    assert!(history.is_empty() && !history.keeps());
    history.check();
    assert_eq!(history.bytes(), 0);
}

#[test]
fn without_a_history_what_was_missed_is_a_gap_for_its_token_alone() {
    let history = history(policy(0, 1 << 20, &[]), &["a", "b"]);
    assert!(is_gap(&history, "a", 9) && !is_gap(&history, "a", 10));
    assert!(!is_gap(&history, "c", 5));
    assert_eq!((history.len(), history.bytes()), (0, 0));
}

#[test]
fn what_was_missing_before_stays_missing() {
    // After a crash: three survivors, and an id up to which all may be missing.
    let mut history = History::new(large(), EventId(100));
    for id in [10, 20, 30] {
        history.keep(EventId(id), Instant::now(), &message("a", "x"), 0);
    }
    assert!(is_gap(&history, "a", 30) && !is_gap(&history, "a", 100));
    assert_eq!(after(&history, "a", 15), [20, 30]);
}

#[test]
fn a_kept_event_is_given_as_it_was_published() {
    let mut history = History::new(large(), EventId(0));
    let mut all = vec![
        message("a", "one"),
        message("a,b*,*-rme", "two\r\nlines"),
        message("pre*", ""),
    ];
    all[1].event = Some("news".into());
    all[1].private = Some(false);
    all[2].key = Some("k\x001".into());
    all[2].private = Some(true);
    for (publication, id) in all.iter().zip(1..) {
        history.keep(EventId(id), Instant::now(), publication, 7);
    }
    let mut given = Vec::new();
    let mut names = Vec::new();
    let more = history.draw_every(EventId(0), |kept| {
        given.push(kept.publication().unwrap());
        names.push(kept.to().count());
        true
    });
    assert_eq!((given, names, more), (all, vec![1, 3, 1], None));
}

#[test]
fn a_list_is_held_until_its_last_ring_lets_it_go() {
    let mut history = history(policy(2, 1 << 20, &["b 1"]), &["a,b,c", "a", "b", "a,a"]);
    history.check();
    assert_eq!(recent(&history, "c", 1), [10]);
    assert_eq!(recent(&history, "a", 9), [20, 40]);
    assert_eq!(recent(&history, "b", 9), [30]);
    assert!(is_gap(&history, "b", 9) && !is_gap(&history, "b", 10) && !is_gap(&history, "c", 5));
    // Another target of the list lets go of it, and who listens to both still gets it by `c`.
    assert_eq!(after(&history, "b,c", 5), [10, 30]);
    history.set_policy(policy(2, 1 << 20, &["b 1", "c 0"]));
    history.work(Instant::now());
    history.check();
    assert_eq!(history.len(), 3);
}

/// A slow history: lists, and searches along all of them.
struct Model {
    policy: Policy,
    bytes: usize,
    /// What a target takes that something is kept of.
    overhead: usize,
    /// Ids, and what they cost; those that some ring holds.
    costs: BTreeMap<u64, usize>,
    rings: BTreeMap<String, Vec<u64>>,
    marks: BTreeMap<String, u64>,
}

impl Model {
    fn name(target: &Target) -> String {
        match target {
            Target::Token(token) => token.to_string(),
            Target::Prefix(prefix) => format!("{prefix}*"),
            Target::All => "*".into(),
        }
    }

    fn pop(&mut self, name: &str) {
        let ring = self.rings.get_mut(name).unwrap();
        let id = ring.remove(0);
        let mark = self.marks.entry(name.to_owned()).or_default();
        *mark = id.max(*mark);
        if ring.is_empty() {
            self.rings.remove(name);
        }
        if !self.rings.values().flatten().any(|held| *held == id) {
            self.costs.remove(&id);
        }
    }

    fn of(&self, name: &str) -> usize {
        let ring = &self.rings[name];
        let ids = ring.iter().map(|id| self.costs[id] + Ring::NEXT);
        ids.sum::<usize>() + self.overhead
    }

    fn total(&self) -> usize {
        let links = self
            .rings
            .values()
            .map(|ring| ring.len() * Ring::NEXT + self.overhead);
        self.costs.values().sum::<usize>() + links.sum::<usize>()
    }

    fn keep(&mut self, id: u64, publication: &Publication) {
        let cost = Events::OVERHEAD + Packed::new(publication, 0).len();
        let mut held = false;
        for target in publication.to.as_slice() {
            let (name, count) = (Self::name(target), self.policy.of(target).count);
            if count == 0 {
                self.marks.insert(name, id);
                continue;
            }
            self.costs.insert(id, cost);
            held = true;
            let ring = self.rings.entry(name.clone()).or_default();
            if ring.last() != Some(&id) {
                ring.push(id);
            }
            while self.rings[&name].len() > count {
                self.pop(&name);
            }
        }
        debug_assert!(held || !self.costs.contains_key(&id));
        while self.total() > self.policy.bytes {
            let names = self.rings.keys();
            let rank = |name: &&String| {
                // As names are ordered: tokens, prefixes, `*`.
                let kind = (name.ends_with('*'), *name == "*");
                let order = (self.rings[*name][0], kind, (*name).clone());
                (self.of(name), std::cmp::Reverse(order))
            };
            let most = names.max_by_key(rank).unwrap().clone();
            self.pop(&most);
        }
    }

    fn meets(name: &str, token: &str) -> bool {
        match name.strip_suffix('*') {
            Some(prefix) => token.starts_with(prefix),
            None => name == token,
        }
    }

    fn of_subscription(&self, subscription: &Subscription) -> Vec<&Vec<u64>> {
        let meets = |name: &str| {
            let mut tokens = subscription.tokens.iter();
            subscription.all || tokens.any(|token| Self::meets(name, token.as_str()))
        };
        let rings = self.rings.iter().filter(|(name, _)| meets(name));
        rings.map(|(_, ring)| ring).collect()
    }

    fn after(&self, subscription: &Subscription, id: u64) -> Vec<u64> {
        let rings = self.of_subscription(subscription);
        let all: BTreeSet<u64> = rings.into_iter().flatten().copied().collect();
        all.into_iter().filter(|kept| *kept > id).collect()
    }

    fn recent(&self, subscription: &Subscription, count: usize) -> Vec<u64> {
        let rings = self.of_subscription(subscription).into_iter();
        let last = rings.flat_map(|ring| ring.iter().rev().take(count));
        last.copied().collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn lost(&self, subscription: &Subscription, id: u64) -> Vec<usize> {
        let lost = |token: &&Token| {
            let marks = self.marks.iter();
            let meets = |name: &str| Self::meets(name, token.as_str());
            let mut met = marks.filter(|(name, _)| meets(name));
            met.any(|(_, mark)| *mark > id)
        };
        let tokens = subscription.tokens.iter().enumerate();
        tokens
            .filter(|(_, token)| lost(token))
            .map(|(n, _)| n)
            .collect()
    }
}

const NAMES: [&str; 8] = ["a", "ab", "abc", "b", "a*", "ab*", "*", "c"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn it_does_what_a_slow_one_does(
        messages in proptest::collection::vec(
            (proptest::collection::vec(0..NAMES.len(), 1..4), 0..300usize), 1..80),
        counts in proptest::collection::vec(0..6usize, 3),
        bytes in 500..5000usize,
        asks in proptest::collection::vec(
            (proptest::collection::vec(0..4usize, 1..4), 0..900u64, 0..4usize), 8),
    ) {
        let rules = [format!("ab* {}", counts[0]), format!("b {}", counts[1])];
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let policy = policy(counts[2], bytes, &rules);
        let mut history = History::new(policy.clone(), EventId(0));
        let overhead = {
            let mut one = History::new(large(), EventId(0));
            one.find_or_add(&target("a"));
            one.targets.get(0).overhead()
        };
        let mut model = Model {
            policy,
            bytes,
            overhead,
            costs: BTreeMap::new(),
            rings: BTreeMap::new(),
            marks: BTreeMap::new(),
        };
        let now = Instant::now();
        for ((names, size), id) in messages.iter().zip(1..) {
            let to: Vec<&str> = names.iter().map(|n| NAMES[*n]).collect();
            let publication = message(&to.join(","), &"x".repeat(*size));
            let id = id * 10;
            history.keep(EventId(id), now, &publication, 0);
            model.keep(id, &publication);
            prop_assert_eq!(history.bytes(), model.total());
        }
        history.check();
        prop_assert!(history.bytes() <= model.bytes);
        prop_assert_eq!(history.len(), model.costs.len());
        for (names, id, count) in asks {
            let mut names: Vec<&str> = names.iter().map(|n| NAMES[*n]).collect();
            names.sort_unstable();
            names.dedup();
            let subscription = subscription(&names.join(","));
            let drawn = all_drawn(&history, &subscription, Cursor::after(EventId(id)));
            prop_assert_eq!(drawn, model.after(&subscription, id));
            let cursor = history.recent(&subscription, count, &[], None, EventId(10_000));
            prop_assert_eq!(all_drawn(&history, &subscription, cursor), model.recent(&subscription, count));
            let lost = match history.lost(&subscription, &[], EventId(id)) {
                Lost::Nothing => vec![],
                Lost::Of(lost) => lost,
                Lost::OfAny => (0..subscription.tokens.len()).collect(),
            };
            prop_assert_eq!(lost, model.lost(&subscription, id));
            let oldest = model.of_subscription(&subscription).into_iter().flatten().min();
            prop_assert_eq!(history.oldest(&subscription).map(|id| id.0), oldest.copied());
        }
        let all = subscription("*");
        prop_assert_eq!(all_drawn(&history, &all, Cursor::after(EventId(0))), model.after(&all, 0));
        for count in 0..4 {
            let cursor = history.recent(&all, count, &[], None, EventId(10_000));
            prop_assert_eq!(all_drawn(&history, &all, cursor), model.recent(&all, count));
        }
    }
}
