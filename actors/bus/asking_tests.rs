#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::model::Token;
use crate::runtime;

struct Node1 {
    asking: Asking,
    actions: Vec<Action>,
    now: Instant,
}

impl Node1 {
    fn new() -> Self {
        Self {
            asking: Asking::new(Node(1)),
            actions: Vec::new(),
            now: Instant::now(),
        }
    }

    fn ask(&mut self, name: &str) {
        let target = Target::Token(Token::new(name).unwrap());
        let question = Question {
            command: Command::TcpSubscribedClients(target.clone()).into(),
            target,
            reply: runtime::reply().0,
        };
        self.asking.ask(question, self.now);
    }

    fn hears(&mut self, counts: &[(u64, u64)]) {
        let said = peer_messages::answers(counts);
        self.asking.hear(said.as_bytes(), &mut self.actions);
    }

    fn was_sent(&mut self, numbers: RangeInclusive<u64>, asked: Asked) {
        self.asking.were_sent(numbers, asked, &mut self.actions);
    }

    /// What others have answered to a question that is at its end.
    fn ended(&mut self) -> Option<(Command, Elsewhere)> {
        if self.actions.is_empty() {
            return None;
        }
        match self.actions.remove(0) {
            Action::Tell(FromBus::Execute {
                command, elsewhere, ..
            }) => Some((*command, elsewhere)),
            other => panic!("{other:?}"),
        }
    }
}

fn elsewhere(nodes: u64, answered: u64, clients: u64) -> Elsewhere {
    Elsewhere {
        nodes,
        answered,
        clients,
    }
}

const TWO_OTHERS: Asked = Asked { nodes: 3, asked: 2 };

#[test]
fn questions_go_together_and_end_when_all_have_answered() {
    let mut node = Node1::new();
    for name in ["a", "b", "c"] {
        node.ask(name);
    }
    let (numbers, text) = node.asking.next().unwrap();
    assert_eq!((numbers.clone(), node.asking.next()), (1..=3, None));
    assert_eq!(text, "ask 0000000000000001\n1 a\n2 b\n3 c");
    // An answer may be faster than Redis's own.
    node.hears(&[(1, 5), (2, 0), (3, 1)]);
    node.was_sent(numbers, TWO_OTHERS);
    assert_eq!(node.ended(), None);
    node.hears(&[(2, 7)]);
    let (command, answers) = node.ended().unwrap();
    let b = Target::Token(Token::new("b").unwrap());
    assert_eq!(command, Command::TcpSubscribedClients(b));
    assert_eq!(answers, elsewhere(3, 2, 7));
    node.hears(&[(2, 7), (1, 1), (99, 1)]);
    assert_eq!(node.ended().unwrap().1, elsewhere(3, 2, 6));
    assert_eq!(node.ended(), None);
    // Who is alone need not wait.
    node.ask("d");
    let (numbers, _) = node.asking.next().unwrap();
    let asked = Asked { nodes: 1, asked: 0 };
    node.was_sent(numbers, asked);
    assert_eq!(node.ended().unwrap().1, elsewhere(1, 0, 0));
    assert_eq!(node.asking.under_way.len(), 1);
}

#[test]
fn who_does_not_answer_in_time_is_left_out() {
    let mut node = Node1::new();
    node.ask("a");
    node.ask("b");
    let (numbers, _) = node.asking.next().unwrap();
    node.was_sent(numbers, TWO_OTHERS);
    node.hears(&[(1, 5)]);
    let due = node.asking.under_way[&1].due;
    let before = due - Duration::from_millis(1);
    node.asking.end_late(before, &mut node.actions);
    assert_eq!(node.ended(), None);
    node.asking.end_late(due, &mut node.actions);
    assert_eq!(node.ended().unwrap().1, elsewhere(3, 1, 5));
    node.hears(&[(1, 5)]);
    // With the link all end, sent or not.
    node.ask("c");
    node.asking.end_all(&mut node.actions);
    assert_eq!(node.ended().unwrap().1, elsewhere(3, 0, 0));
    assert_eq!(node.ended().unwrap().1, Elsewhere::default());
    assert_eq!(node.asking.next(), None);
    node.ask("d");
    assert_eq!(node.asking.next().unwrap().0, 4..=4);
}

#[test]
fn neither_questions_nor_messages_pile_up() {
    let mut node = Node1::new();
    for _ in 0..=TOGETHER {
        node.ask("a");
    }
    assert_eq!(node.asking.next().unwrap().0, 1..=TOGETHER as u64);
    for _ in 0..=HEARD {
        node.asking.hear(b"ask 2\n1 a", &mut node.actions);
    }
    assert_eq!(node.asking.to_answer.len(), HEARD);
}

#[test]
fn one_thing_is_said_at_a_time() {
    let mut node = Node1::new();
    let say = |node: &mut Node1| {
        node.asking.say(&mut node.actions);
        std::mem::take(&mut node.actions)
    };
    node.asking.hear(b"ask 2\n1 a", &mut node.actions);
    node.asking.hear(b"ask 3\n1 a", &mut node.actions);
    assert!(matches!(say(&mut node)[..], [Action::Count(Node(2), _)]));
    node.ask("b");
    node.asking.counted(Node(2), &[(1, 7)]);
    let said = say(&mut node);
    let [
        Action::Count(Node(3), _),
        Action::Call(Call::Tell(Node(2), answer)),
    ] = &said[..]
    else {
        panic!("{said:?}");
    };
    assert_eq!(answer, "answer\n1 7");
    assert!(say(&mut node).is_empty());
    node.asking.said(Ok(None), &mut node.actions);
    assert!(matches!(say(&mut node)[..], [Action::Call(Call::Ask(_))]));
    // What cannot be said ends the questions; then all begins anew.
    let trouble = Trouble::new("no");
    node.asking.said(Err(trouble), &mut node.actions);
    assert_eq!(node.ended().unwrap().1, Elsewhere::default());
    node.asking.retry(&mut node.actions);
    let begun = say(&mut node);
    assert!(matches!(
        begun[..],
        [
            Action::Tell(FromBus::Peer { node: None, .. }),
            Action::Call(Call::Ask(_))
        ]
    ));
}
