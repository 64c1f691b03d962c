#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::rc::Rc;

use futures_lite::future::block_on;

use super::super::Setup;
use super::*;
use crate::bus::entry;
use crate::bus::queue::Own;
use crate::config::Settings;
use crate::messages::publisher::Outcome;
use crate::model::{BusDown, BusFigures, ClientId, Target, Token};
use crate::registry::tests::config;
use crate::runtime;

/// What is held at most.
const FEW: Limits = Limits {
    count: 3,
    bytes: 1 << 20,
    age: Duration::from_secs(60),
};

const OTHER: Node = Node(7);

/// A core that reads what a test gives it.
struct Rig {
    core: Core,
}

impl Rig {
    /// One that has seen the id 10.
    fn new() -> Self {
        let setup = Setup {
            place: "redis://127.0.0.1".into(),
            down: BusDown::Local,
            settings: Settings::new(config()),
            figures: Rc::new(BusFigures::default()),
            position: EventId(10),
            recovered: (Vec::new(), EventId(0)),
            seed: 1,
        };
        let now = Now {
            at: Instant::now(),
            micros: 1_000_000,
        };
        let (mut core, _) = Core::new(setup, now);
        core.reading.begin(EventId(10));
        core.phase = Phase::Rejoining(super::super::joining::Step::Opening);
        Self { core }
    }

    /// What the registry is told when these are read.
    fn digest(&mut self, entries: Vec<Entry>) -> Vec<String> {
        self.core.digest(entries);
        self.core.tell_gap();
        let mut told = Vec::new();
        for action in std::mem::take(&mut self.core.actions) {
            match action {
                Action::Deliver(events) => {
                    let event =
                        |event: &Incoming| format!("{} {}", event.id, event.publication.data);
                    told.extend(events.iter().map(event));
                    let receipt = |event: Incoming| Receipt {
                        id: event.id,
                        recipients: 1,
                        how: Taken::Now,
                    };
                    let receipts = events.into_iter().map(receipt).collect();
                    self.core.queue.delivered(receipts);
                }
                Action::Tell(FromBus::Missed { up_to, live }) => {
                    told.push(format!("missed {up_to} {live}"));
                }
                Action::Tell(FromBus::Lacks { id, targets }) => {
                    told.push(format!("{:?} lack {id}", targets.as_slice()));
                }
                Action::Tell(FromBus::Disconnect { id, until: _ }) => {
                    told.push(format!("ends {id}"))
                }
                Action::Tell(FromBus::Diverged(diverged)) => {
                    told.push(format!("diverged {diverged}"))
                }
                other => panic!("{other:?}"),
            }
        }
        told
    }

    /// Messages of this node on their way, and where their receipts come.
    fn publish(&mut self, texts: &[&str]) -> runtime::Answer<Outcome> {
        let messages: Vec<_> = texts.iter().map(|text| message(text)).collect();
        let own: Vec<Own> = self.core.own(&messages, Channel::Tcp);
        let (reply, answer) = runtime::reply();
        self.core.queue.push(own, reply);
        answer
    }
}

fn message(text: &str) -> Publication {
    Publication::new(Target::Token(Token::new("a").unwrap()), text)
}

/// An entry of a node whose last item has this id; `-NAME` is a disconnect.
fn entry(id: u64, previous: u64, node: Node, number: u64, texts: &[&str]) -> Entry {
    let item = |text: &&str| match text.strip_prefix('-') {
        Some(id) => entry::disconnect(&ClientId::new(id).unwrap(), None),
        None => entry::event(&message(text)),
    };
    let items: Vec<_> = texts.iter().map(item).collect();
    Entry {
        id: EventId(id),
        previous: EventId(previous),
        body: entry::pack(
            entry::VERSION,
            node,
            number,
            items.iter().map(Vec::as_slice),
        ),
    }
}

#[test]
fn items_have_ids_up_to_that_of_their_entry() {
    let mut rig = Rig::new();
    let told = rig.digest(vec![
        entry(16, 10, OTHER, 1, &["a", "-me", "b"]),
        entry(30, 16, Node(8), 1, &["c", "d"]),
    ]);
    assert_eq!(told, ["12 a", "ends me", "16 b", "28 c", "30 d"]);
    assert_eq!(rig.core.reading.seen(), EventId(30));
}

#[test]
fn of_a_repeated_write_only_what_is_new_is_delivered() {
    let mut rig = Rig::new();
    let first = entry(14, 10, OTHER, 1, &["a", "b"]);
    assert_eq!(rig.digest(vec![first.clone()]), ["12 a", "14 b"]);
    let more = entry(22, 14, OTHER, 1, &["a", "b", "c", "d"]);
    let later = entry(28, 22, OTHER, 2, &["b", "c", "d"]);
    let next = entry(32, 28, OTHER, 4, &["d", "e"]);
    let told = rig.digest(vec![more.clone(), later, next.clone()]);
    assert_eq!(told, ["20 c", "22 d", "32 e"], "and no gap");
    // What is a copy from end to end need not be added again.
    let tail = rig.core.reading.tail().after(EventId(0));
    assert_eq!(tail, [first, more, next]);
}

#[test]
fn what_was_not_read_is_told_before_what_follows() {
    let mut rig = Rig::new();
    let told = rig.digest(vec![
        entry(14, 10, OTHER, 1, &["a", "b"]),
        entry(20, 18, OTHER, 5, &["c"]),
    ]);
    assert_eq!(told, ["12 a", "14 b", "missed 18 true", "20 c"]);
    let unreadable = Entry {
        id: EventId(21),
        previous: EventId(20),
        body: vec![9; 9],
    };
    assert_eq!(rig.digest(vec![unreadable]), ["missed 21 true"]);
}

#[test]
fn what_a_later_version_says_is_a_gap_for_whom_it_is_for() {
    let mut rig = Rig::new();
    let newer = |kind: u8, targets: &str| {
        let length = (targets.len() as u32).to_le_bytes();
        [&[kind], &length[..], targets.as_bytes(), b"what it says"].concat()
    };
    let known = entry::event(&message("a"));
    let items = [
        known.clone(),
        newer(64, "a\nb*"),
        newer(255, "*"),
        newer(63, "a"),
        newer(64, "a\u{1}"),
        known,
    ];
    let entry = Entry {
        id: EventId(22),
        previous: EventId(10),
        body: entry::pack(entry::VERSION, OTHER, 1, items.iter().map(Vec::as_slice)),
    };
    let told = rig.digest(vec![entry]);
    let all = "[All] lack";
    let some = r#"[Token(Token("a")), Prefix(Token("b"))] lack 14"#;
    assert_eq!(told[..2], ["12 a", some]);
    assert_eq!(told[2..5], [16, 18, 20].map(|id| format!("{all} {id}")));
    assert_eq!(told[5..], ["22 a"]);
    assert_eq!(rig.core.figures.passed_over.get(), 4);
}

#[test]
fn what_lies_before_ids_of_this_node_is_one_gap() {
    let mut rig = Rig::new();
    rig.core.reading.set_residue(0);
    rig.core.reading.gave(EventId(18));
    // Streams go on from an id of this node's own, which nobody else knows.
    let across = entry(22, 10, OTHER, 1, &["a", "b", "c", "d", "e", "f"]);
    let behind = entry(132, 22, OTHER, 7, &["g", "h"]);
    let told = rig.digest(vec![across, behind]);
    assert_eq!(told, ["missed 129 true", "130 g", "132 h"]);
    // What is published after a gap was told is not in it.
    let first = entry(134, 132, OTHER, 9, &["i"]);
    rig.core.reading.gave(EventId(140));
    assert_eq!(rig.digest(vec![first]), ["missed 257 true"]);
    let second = entry(136, 134, OTHER, 10, &["j"]);
    assert_eq!(rig.digest(vec![second]), ["missed 385 true"]);
    // Nobody goes on before it is told, by a gap marker neither.
    let third = entry(138, 136, OTHER, 11, &["k"]);
    let gap_marker = Entry {
        id: EventId(600),
        previous: EventId(138),
        body: entry::gap_marker(rig.core.node, false),
    };
    assert_eq!(rig.digest(vec![third, gap_marker]), ["missed 600 true"]);
}

#[test]
fn receipts_come_whatever_entries_messages_are_in() {
    let mut rig = Rig::new();
    let node = rig.core.node;
    let answer = rig.publish(&["a", "b", "c"]);
    let second = rig.publish(&["d"]);
    rig.digest(vec![entry(14, 10, node, 1, &["a", "b"])]);
    // The rest came with the repeated write.
    let told = rig.digest(vec![entry(22, 14, node, 1, &["a", "b", "c", "d"])]);
    assert_eq!(told, ["20 c", "22 d"]);
    let ids = |answer: runtime::Answer<Outcome>| {
        let receipts = block_on(answer.wait()).unwrap().unwrap();
        receipts
            .iter()
            .map(|receipt| receipt.id.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids(answer), [12, 14, 20]);
    assert_eq!(ids(second), [22]);
}

#[test]
fn pages_grow_while_they_are_full_and_not_too_large() {
    let mut reading = Reading::new(LogTail::new(FEW), EventId(0), 0);
    let page = |count: usize, bytes: usize| {
        let one = Entry {
            id: EventId(1),
            previous: EventId(0),
            body: vec![0; bytes],
        };
        vec![one; count]
    };
    let mut pages = Vec::new();
    for (count, bytes) in [
        (16, 10),
        (32, 10),
        (64, 1 << 20),
        (3, 1 << 20),
        (16, 10),
        (0, 0),
    ] {
        reading.turn_page(&page(count, bytes));
        pages.push(reading.page());
    }
    assert_eq!(pages, [32, 64, 3, 3, 6, 16]);
}

#[test]
fn no_two_nodes_give_out_the_same_id_alone() {
    // Far ahead of the clock, so that all of them take what is next.
    let given = EventId(EventId::END / 2);
    let now = Now {
        at: Instant::now(),
        micros: 1_000_000,
    };
    let mut all = Vec::new();
    for residue in 0..RESIDUES {
        let mut reading = Reading::new(LogTail::new(FEW), given, residue);
        let own: Vec<EventId> = (0..100).map(|_| reading.give(now)).collect();
        assert!(own[0] > given && own.is_sorted_by(|a, b| a < b));
        assert!(own.iter().all(|id| id.0 % 2 == 1), "the bus has the others");
        assert_eq!(reading.given(), own[99]);
        all.extend(own);
    }
    all.sort_unstable();
    assert!(all.is_sorted_by(|a, b| a < b));
}
