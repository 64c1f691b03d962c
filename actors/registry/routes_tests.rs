#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

fn token(name: &str) -> Token {
    Token::new(name).unwrap()
}

fn subscription(tokens: &[&str], id: Option<&str>) -> Subscription {
    Subscription {
        tokens: tokens
            .iter()
            .filter(|name| **name != "*")
            .map(|name| token(name))
            .collect(),
        all: tokens.contains(&"*"),
        id: id.map(|id| ClientId::new(id).unwrap()),
        ..Subscription::default()
    }
}

fn target(text: &str) -> Target {
    match text.strip_suffix('*') {
        Some("") => Target::All,
        Some(prefix) => Target::Prefix(token(prefix)),
        None => Target::Token(token(text)),
    }
}

fn reached(routes: &mut Routes, targets: &[&str], except: Option<&str>) -> Vec<u32> {
    let targets: Vec<_> = targets.iter().map(|text| target(text)).collect();
    let except = except.map(|id| ClientId::new(id).unwrap());
    let mut recipients = Vec::new();
    routes.recipients(&targets, except.as_ref(), &mut recipients);
    recipients.sort_unstable();
    recipients
}

#[test]
fn tokens_prefixes_and_all() {
    let mut routes = Routes::default();
    routes.join(0, &subscription(&["room1"], None));
    routes.join(1, &subscription(&["room1", "room2", "x"], Some("me")));
    routes.join(5, &subscription(&["*", "room2"], Some("me")));
    assert_eq!(reached(&mut routes, &["room1"], None), [0, 1, 5]);
    assert_eq!(reached(&mut routes, &["room1"], Some("me")), [0]);
    assert_eq!(reached(&mut routes, &["room*"], None), [0, 1, 5]);
    assert_eq!(reached(&mut routes, &["roomy*"], None), [5]);
    assert_eq!(reached(&mut routes, &["x", "room2"], None), [1, 5]);
    assert_eq!(reached(&mut routes, &["*"], None), [0, 1, 5]);
    assert_eq!(reached(&mut routes, &["*"], Some("me")), [0]);
    assert_eq!(reached(&mut routes, &["nobody"], None), [5]);
    assert_eq!(routes.named(&ClientId::new("me").unwrap()).len(), 2);
    assert_eq!(routes.subscribes(5), ["*", "room2"]);
    assert_eq!(routes.subscribes(7), [""; 0]);
    assert!(routes.leave(5) && !routes.leave(5) && !routes.leave(99));
    assert_eq!(reached(&mut routes, &["nobody"], None), [0_u32; 0]);
}

#[test]
fn what_nobody_listens_to_any_more_is_forgotten() {
    let mut routes = Routes::default();
    // From the first prefix on, tokens are kept in order too.
    assert_eq!(reached(&mut routes, &["a*"], None), [0_u32; 0]);
    for client in 0..100 {
        routes.join(client, &subscription(&["a", "b"], None));
    }
    for client in 0..100 {
        routes.leave(client);
    }
    assert!(
        routes.is_empty()
            && routes.by_hash.is_empty()
            && routes.in_order.as_ref().unwrap().is_empty()
    );
    routes.join(3, &subscription(&["c"], None));
    assert_eq!(routes.topics.len(), 2);
}

proptest! {
    /// Whatever the clients do, routing agrees with asking each of them.
    #[test]
    fn routing_agrees_with_a_scan(
        steps in proptest::collection::vec((0..12_u32, 0..64_u32), 0..60),
        targets in proptest::collection::vec(
            prop_oneof!["a", "ab", "abc", "b", "a\\*", "ab\\*", "\\*"], 1..3),
        except in proptest::option::of("[12]"),
        ordered_early in any::<bool>(),
    ) {
        const NAMES: [&str; 5] = ["a", "ab", "abc", "b", "*"];
        let mut routes = Routes::default();
        if ordered_early {
            reached(&mut routes, &["a*"], None);
        }
        let mut model: Vec<Option<Subscription>> = vec![None; 12];
        for (client, what) in steps {
            let names: Vec<_> = (0..5).filter(|bit| what >> bit & 1 == 1).map(|bit| NAMES[bit]).collect();
            if names.is_empty() {
                routes.leave(client);
                model[client as usize] = None;
            } else {
                let id = ["1", "2"][(what >> 5) as usize];
                let subscription = subscription(&names, Some(id));
                routes.join(client, &subscription);
                model[client as usize] = Some(subscription);
            }
        }
        let texts: Vec<&str> = targets.iter().map(String::as_str).collect();
        let expected: Vec<u32> = (0..12).filter(|&client| {
            let Some(subscription) = &model[client as usize] else { return false };
            if except.as_deref() == subscription.id.as_ref().map(ClientId::as_str) {
                return false;
            }
            subscription.all || texts.iter().any(|text| match target(text) {
                Target::All => true,
                Target::Token(name) => subscription.tokens.contains(&name),
                Target::Prefix(prefix) => {
                    subscription.tokens.iter().any(|name| name.as_str().starts_with(prefix.as_str()))
                }
            })
        }).collect();
        prop_assert_eq!(reached(&mut routes, &texts, except.as_deref()), expected);
        prop_assert_eq!(routes.len(), model.iter().flatten().count());
    }
}

#[test]
fn the_targets_that_a_client_meets_are_told() {
    let mut routes = Routes::default();
    routes.join(0, &subscription(&["a", "b1"], None));
    routes.join(1, &subscription(&["b1", "b2"], None));
    routes.join(2, &subscription(&["a", "*"], None));
    routes.join(3, &subscription(&["b1", "a"], None));
    routes.join(4, &subscription(&["c"], None));
    let targets = [
        Target::Token(token("a")),
        Target::Prefix(token("b")),
        Target::Token(token("d")),
    ];
    let mut groups = routes.met(&targets, &[0, 1, 2, 3]);
    for (_, clients) in &mut groups {
        clients.sort_unstable();
    }
    groups.sort();
    let expected = [
        (vec![0, 1], vec![0, 3]),
        (vec![0, 1, 2], vec![2]),
        (vec![1], vec![1]),
    ];
    assert_eq!(groups, expected);
    let groups = routes.met(&[Target::Token(token("a")), Target::All], &[4]);
    assert_eq!(groups, [(vec![1], vec![4])]);
}
