#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use super::*;

const LARGE: Limits = Limits {
    count: 1000,
    bytes: 1 << 20,
    age: Duration::from_secs(60),
};

fn target(text: &str) -> Target {
    match text.strip_suffix('*') {
        Some("") => Target::All,
        Some(prefix) => Target::Prefix(Token::new(prefix).unwrap()),
        None => Target::Token(Token::new(text).unwrap()),
    }
}

fn entry(id: u64, to: &str, at: Instant) -> Entry {
    Entry {
        id: EventId(id),
        at,
        to: Targets::One(target(to)),
        except: None,
        frame: Rc::new(Frame::event(EventId(id), None, "x")),
        passing: false,
    }
}

/// A history of the ids 10, 20, 30 …, one for each target.
fn history(limits: Limits, targets: &[&str]) -> History {
    let mut history = History::new(limits, EventId(5));
    let now = Instant::now();
    for (n, to) in targets.iter().enumerate() {
        history.keep(entry(10 * (n as u64 + 1), to, now));
    }
    history
}

fn subscription(tokens: &[&str], id: Option<&str>) -> Subscription {
    Subscription {
        tokens: tokens
            .iter()
            .map(|name| Token::new(name).unwrap())
            .collect(),
        all: tokens.is_empty(),
        id: id.map(|id| ClientId::new(id).unwrap()),
        ..Subscription::default()
    }
}

fn recent(history: &History, tokens: &[&str], count: usize) -> Vec<u64> {
    let places = history.recent(&subscription(tokens, None), count);
    places
        .iter()
        .map(|place| history.get(*place).unwrap().id.0)
        .collect()
}

#[test]
fn who_comes_back_goes_on_where_it_was() {
    let history = history(LARGE, &["a", "b", "c"]);
    let last = EventId(30);
    for (id, place, gap) in [
        (4, 0, true),
        (5, 0, false),
        (9, 0, false),
        (10, 1, false),
        (15, 1, false),
        (30, 3, false),
        (31, 3, true),
    ] {
        assert_eq!(
            history.after(EventId(id), last),
            Start { place, gap },
            "{id}"
        );
    }
    assert_eq!(history.oldest(), Some(EventId(10)));
}

#[test]
fn the_id_just_before_the_oldest_kept_is_no_gap() {
    let limits = Limits { count: 2, ..LARGE };
    let history = history(limits, &["a", "b", "c", "d"]);
    assert_eq!(history.oldest(), Some(EventId(30)));
    assert_eq!(
        history.after(EventId(20), EventId(40)),
        Start {
            place: 2,
            gap: false
        }
    );
    assert_eq!(
        history.after(EventId(19), EventId(40)),
        Start {
            place: 2,
            gap: true
        }
    );
    assert!(history.get(1).is_none() && history.get(4).is_none());
    assert_eq!(history.by_target.tokens.len(), 2);
}

#[test]
fn count_bytes_and_age_bound_it() {
    let one = cost(&entry(10, "a", Instant::now()));
    for (limits, left) in [
        (Limits { count: 3, ..LARGE }, 3),
        (
            Limits {
                bytes: one * 2,
                ..LARGE
            },
            2,
        ),
        (
            Limits {
                bytes: one - 1,
                ..LARGE
            },
            0,
        ),
        (Limits { count: 0, ..LARGE }, 0),
    ] {
        let history = history(limits, &["a"; 5]);
        assert_eq!(history.len(), left, "{limits:?}");
        assert_eq!(history.bytes(), left * one);
    }
    let mut history = history(LARGE, &["a", "*", "a*"]);
    history.trim(Instant::now() + Duration::from_secs(59));
    assert_eq!(history.len(), 3);
    history.trim(Instant::now() + Duration::from_secs(61));
    let Index {
        tokens,
        prefixes,
        all,
    } = &history.by_target;
    assert!(history.is_empty() && tokens.is_empty() && prefixes.is_empty() && all.is_empty());
    assert_eq!(
        history.after(EventId(30), EventId(30)),
        Start {
            place: 3,
            gap: false
        }
    );
    assert!(history.after(EventId(20), EventId(30)).gap);
}

#[test]
fn what_was_missing_before_stays_missing() {
    let limits = Limits { count: 2, ..LARGE };
    // After a crash: three survivors, and an id up to which all may be missing.
    let mut history = History::new(limits, EventId(100));
    for id in [10, 20, 30] {
        history.keep(entry(id, "a", Instant::now()));
    }
    let last = EventId(100);
    assert!(history.after(EventId(30), last).gap);
    assert!(!history.after(EventId(100), last).gap);
}

#[test]
fn without_a_history_every_missed_event_is_a_gap() {
    let history = history(Limits { count: 0, ..LARGE }, &["a", "b"]);
    assert!(history.after(EventId(10), EventId(20)).gap);
    assert!(!history.after(EventId(20), EventId(20)).gap);
}

#[test]
fn recent_events_are_those_of_each_token() {
    let history = history(LARGE, &["a", "b", "a", "ab*", "*", "b", "b", "c"]);
    assert_eq!(recent(&history, &["a"], 2), [30, 50]);
    assert_eq!(recent(&history, &["a", "b"], 2), [30, 50, 60, 70]);
    assert_eq!(recent(&history, &["abc"], 9), [40, 50]);
    assert_eq!(recent(&history, &["a"], 0), [0_u64; 0]);
    assert_eq!(recent(&history, &["new"], 1), [50]);
    // Of everything: the last of each token, and the last that was for many.
    assert_eq!(recent(&history, &[], 1), [50, 70, 80]);
}

#[test]
fn an_event_for_several_is_a_recent_one_of_each() {
    let mut history = history(LARGE, &["a", "b"]);
    let several = ["a", "b", "é*"].map(target);
    history.keep(Entry {
        to: Targets::Many(several.into()),
        ..entry(30, "a", Instant::now())
    });
    history.keep(entry(40, "b", Instant::now()));
    assert_eq!(recent(&history, &["a"], 1), [30]);
    assert_eq!(recent(&history, &["b", "éa"], 1), [30, 40]);
    assert_eq!(recent(&history, &["a", "b", "é"], 9), [10, 20, 30, 40]);
    assert_eq!(recent(&history, &["e"], 9), [0_u64; 0]);
    assert_eq!(recent(&history, &[], 1), [30, 40]);
}

/// A scan of the history would take minutes for what takes a fraction of a second.
#[test]
fn nothing_is_found_by_a_scan() {
    const COUNT: u64 = 100_000;
    let limits = Limits {
        count: usize::MAX,
        bytes: usize::MAX,
        ..LARGE
    };
    let mut history = history(limits, &["a"]);
    let now = Instant::now();
    for n in 2..=COUNT {
        let others = [target("z"), target("z*")];
        history.keep(Entry {
            to: Targets::Many(others.into()),
            ..entry(10 * n, "z", now)
        });
    }
    let last = EventId(10 * COUNT);
    for n in 0..COUNT {
        assert_eq!(history.after(EventId(10 * n + 9), last).place, n);
        assert_eq!(recent(&history, &["a"], 1), [10]);
        let took = now.elapsed();
        assert!(took < Duration::from_secs(20), "{n} looks took {took:?}");
    }
}

#[test]
fn who_was_spared_is_spared_again() {
    let mut history = history(LARGE, &[]);
    let spared = ClientId::new("me").ok();
    let now = Instant::now();
    history.keep(Entry {
        except: spared,
        ..entry(10, "a", now)
    });
    history.keep(entry(20, "a", now));
    let me = subscription(&["a"], Some("me"));
    assert!(!concerns(history.get(0).unwrap(), &me));
    assert!(concerns(history.get(1).unwrap(), &me));
    assert_eq!(history.recent(&me, 2), [1]);
    assert!(concerns(
        history.get(0).unwrap(),
        &subscription(&["a"], None)
    ));
}

#[test]
fn passing_events_are_no_part_of_what_is_kept() {
    let mut history = history(Limits { count: 2, ..LARGE }, &["a"]);
    let now = Instant::now();
    history.keep(Entry {
        passing: true,
        ..entry(20, "a", now)
    });
    assert_eq!(recent(&history, &["a"], 9), [10]);
    history.keep(entry(30, "a", now));
    history.keep(entry(40, "a", now));
    assert_eq!(recent(&history, &["a"], 9), [30, 40]);
    assert_eq!(history.oldest(), Some(EventId(30)));
    assert!(!history.after(EventId(10), EventId(40)).gap);
}
