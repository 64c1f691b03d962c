#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::model::Token;

struct Node1 {
    asking: Asking,
    registry: Mailbox<Message>,
}

impl Node1 {
    fn new() -> Self {
        let (address, registry) = runtime::unbounded();
        let (asking, _) = Asking::new(Node(1), address, runtime::unbounded().1);
        Self { asking, registry }
    }

    fn ask(&mut self, name: &str) {
        let target = Target::Token(Token::new(name).unwrap());
        self.asking.ask(Question {
            command: Command::TcpSubscribedClients(target.clone()).into(),
            target,
            reply: runtime::reply().0,
        });
    }

    fn hears(&mut self, counts: &[(u64, u64)]) {
        let said = peer_messages::answers(counts);
        self.asking.hear(said.as_bytes()).unwrap();
    }

    /// What others have answered to a question that is at its end.
    fn ended(&mut self) -> Option<(Command, Elsewhere)> {
        match self.registry.try_recv()? {
            Message::Bus(FromBus::Execute {
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
    node.asking.was_sent(numbers, TWO_OTHERS).unwrap();
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
    node.asking.was_sent(numbers, asked).unwrap();
    assert_eq!(node.ended().unwrap().1, elsewhere(1, 0, 0));
    assert_eq!(node.asking.under_way.len(), 1);
}

#[test]
fn who_does_not_answer_in_time_is_left_out() {
    let mut node = Node1::new();
    node.ask("a");
    node.ask("b");
    let (numbers, _) = node.asking.next().unwrap();
    node.asking.was_sent(numbers, TWO_OTHERS).unwrap();
    node.hears(&[(1, 5)]);
    let due = node.asking.under_way[&1].due;
    let before = due - Duration::from_millis(1);
    node.asking.end_late(before).unwrap();
    assert_eq!(node.ended(), None);
    node.asking.end_late(due).unwrap();
    assert_eq!(node.ended().unwrap().1, elsewhere(3, 1, 5));
    node.hears(&[(1, 5)]);
    // With the link all end, sent or not.
    node.ask("c");
    node.asking.end_all().unwrap();
    assert_eq!(node.ended().unwrap().1, elsewhere(3, 0, 0));
    assert_eq!(node.ended().unwrap().1, Elsewhere::default());
    assert_eq!(node.asking.next(), None);
    node.ask("d");
    assert_eq!(node.asking.next().unwrap().0, 4..=4);
}

#[test]
fn neither_questions_nor_messages_pile_up() {
    let mut node = Node1::new();
    for _ in 0..UNDER_WAY {
        assert!(node.asking.has_room());
        node.ask("a");
    }
    assert!(!node.asking.has_room());
    assert_eq!(node.asking.next().unwrap().0, 1..=TOGETHER as u64);
    for _ in 0..=HEARD {
        node.asking.hear(b"ask 2\n1 a").unwrap();
    }
    assert_eq!(node.asking.to_answer.len(), HEARD);
}
