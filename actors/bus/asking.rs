//! What nodes say to one another beside the log: how many streams would a message to a target reach, who is
//! there, what does your history keep.
//!
//! Nothing keeps it: each node listens to a channel of its own. Nobody waits for an answer but who asks, and
//! that for [`ANSWERED`] at most; when the link breaks, questions are answered with what has come by then. What
//! is to be said goes one after the other; questions that come meanwhile go together, as one message to
//! each node.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::core::Action;
use super::entry::Node;
use super::log::{Asked, Call, Trouble};
use super::peer_messages::{self, PeerMessage};
use crate::messages::registry::{Elsewhere, FromBus, Subject, ToNodes};
use crate::model::Target;
use crate::runtime::Reply;
use crate::wire::command::Command;

/// What asks for all who are there.
const HELLO: &str = "hello";
/// How long the other nodes have for their answers.
const ANSWERED: Duration = Duration::from_secs(2);
/// Questions that go together at most: 70 kB.
const TOGETHER: usize = 256;
/// Messages of others that wait here at most. Whoever sent one that is dropped does without this node.
pub(super) const HEARD: usize = 1024;

/// A command that is carried out with what the other nodes answer.
#[derive(Debug)]
pub(super) struct Question {
    /// What is to be counted.
    pub(super) target: Target,
    /// What the registry is to do then.
    pub(super) command: Box<Command>,
    /// Where its answer goes.
    pub(super) reply: Reply<String>,
}

/// A question under way.
struct UnderWay {
    question: Question,
    due: Instant,
    /// How many nodes were asked; none before that is known.
    asked: Option<u64>,
    elsewhere: Elsewhere,
}

impl UnderWay {
    fn is_complete(&self) -> bool {
        self.asked
            .is_some_and(|asked| self.elsewhere.answered >= asked)
    }
}

/// What is being said.
#[derive(Debug)]
enum Saying {
    Questions(RangeInclusive<u64>),
    Other,
}

/// What this node says to others, and what others ask of it.
pub(super) struct Asking {
    node: Node,
    under_way: BTreeMap<u64, UnderWay>,
    /// The number of the last question, and of the last that was sent.
    number: u64,
    sent: u64,
    /// Others' questions, by who asks; and whether the registry counts for one.
    to_answer: VecDeque<(Node, Vec<(u64, Target)>)>,
    counting: bool,
    /// What is to be said next, and what is.
    to_say: VecDeque<Call>,
    saying: Option<Saying>,
    /// Whether something could not be said, so that all that is told is to be told anew.
    failed: bool,
}

impl Asking {
    /// Nothing asked yet.
    pub(super) fn new(node: Node) -> Self {
        Self {
            node,
            under_way: BTreeMap::new(),
            number: 0,
            sent: 0,
            to_answer: VecDeque::new(),
            counting: false,
            to_say: VecDeque::new(),
            saying: None,
            failed: false,
        }
    }

    /// The log is there: this node says so, and has the registry tell who is here.
    pub(super) fn begin(&mut self, actions: &mut Vec<Action>) {
        let (about, text) = (Subject::Presence, HELLO.to_owned());
        actions.push(Action::Tell(FromBus::Peer {
            about,
            node: None,
            text: text.clone(),
        }));
        self.tell(ToNodes {
            to: None,
            about,
            text,
        });
    }

    /// Begins anew where something could not be said.
    pub(super) fn retry(&mut self, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.failed) {
            self.begin(actions);
        }
    }

    /// When the oldest question has waited long enough.
    pub(super) fn due(&self) -> Option<Instant> {
        self.under_way.values().next().map(|first| first.due)
    }

    pub(super) fn ask(&mut self, question: Question, now: Instant) {
        self.number += 1;
        let under_way = UnderWay {
            question,
            due: now + ANSWERED,
            asked: None,
            elsewhere: Elsewhere::default(),
        };
        self.under_way.insert(self.number, under_way);
    }

    /// Has other nodes know what the registry says.
    pub(super) fn tell(&mut self, told: ToNodes) {
        let ToNodes { to, about, text } = told;
        let text = peer_messages::told(about, self.node, &text);
        self.to_say.push_back(match to {
            Some(node) => Call::Tell(Node(node), text),
            None => Call::Ask(text),
        });
    }

    /// Says what is next, and has the registry count for who has asked first.
    pub(super) fn say(&mut self, actions: &mut Vec<Action>) {
        if !self.counting
            && let Some((asker, targets)) = self.to_answer.pop_front()
        {
            self.counting = true;
            actions.push(Action::Count(asker, targets));
        }
        if self.saying.is_some() {
            return;
        }
        let next = match self.to_say.pop_front() {
            Some(call) => Some((Saying::Other, call)),
            None => self
                .next()
                .map(|(numbers, text)| (Saying::Questions(numbers), Call::Ask(text))),
        };
        if let Some((saying, call)) = next {
            self.saying = Some(saying);
            actions.push(Action::Call(call));
        }
    }

    /// Which questions are to be sent next, if there are some.
    fn next(&mut self) -> Option<(RangeInclusive<u64>, String)> {
        let unsent = || self.under_way.range(self.sent + 1..).take(TOGETHER);
        let (first, _) = unsent().next()?;
        let (last, _) = unsent().last()?;
        let numbers = *first..=*last;
        let targets = unsent().map(|(number, asked)| (*number, &asked.question.target));
        let text = peer_messages::questions(self.node, targets);
        self.sent = *numbers.end();
        Some((numbers, text))
    }

    /// What was being said is said, or cannot be. That the link is broken the writer finds out, which alone
    /// knows what was acknowledged.
    pub(super) fn said(&mut self, said: Result<Option<Asked>, Trouble>, actions: &mut Vec<Action>) {
        let saying = self.saying.take();
        match (said, saying) {
            (Ok(Some(asked)), Some(Saying::Questions(numbers))) => {
                self.were_sent(numbers, asked, actions);
            }
            (Ok(_), _) => {}
            (Err(trouble), _) => {
                log::warn!("the other nodes cannot be asked, or answered: {trouble}");
                self.end_all(actions);
                self.failed = true;
            }
        }
    }

    fn were_sent(&mut self, numbers: RangeInclusive<u64>, asked: Asked, actions: &mut Vec<Action>) {
        let mut complete = Vec::new();
        for (number, under_way) in self.under_way.range_mut(numbers) {
            under_way.asked = Some(asked.asked);
            under_way.elsewhere.nodes = asked.nodes;
            if under_way.is_complete() {
                complete.push(*number);
            }
        }
        complete
            .into_iter()
            .for_each(|number| self.end(number, actions));
    }

    /// Takes in what another node says.
    pub(super) fn hear(&mut self, said: &[u8], actions: &mut Vec<Action>) {
        match PeerMessage::read(said) {
            Some(PeerMessage::Questions { asker, targets }) => {
                if self.to_answer.len() < HEARD {
                    self.to_answer.push_back((asker, targets));
                }
            }
            Some(PeerMessage::Answers(counts)) => {
                for (number, count) in counts {
                    // Some come too late.
                    let Some(under_way) = self.under_way.get_mut(&number) else {
                        continue;
                    };
                    let clients = under_way.elsewhere.clients.saturating_add(count);
                    under_way.elsewhere.clients = clients;
                    under_way.elsewhere.answered += 1;
                    if under_way.is_complete() {
                        self.end(number, actions);
                    }
                }
            }
            Some(PeerMessage::Told { about, node, text }) => {
                let node = Some(node.0);
                actions.push(Action::Tell(FromBus::Peer { about, node, text }));
            }
            None => log::warn!("another node says what this one does not understand"),
        }
    }

    /// The registry has counted for another node.
    pub(super) fn counted(&mut self, asker: Node, counts: &[(u64, u64)]) {
        self.counting = false;
        let answers = peer_messages::answers(counts);
        self.to_say.push_back(Call::Tell(asker, answers));
    }

    /// Ends the questions that are due, with the answers that have come.
    pub(super) fn end_late(&mut self, now: Instant, actions: &mut Vec<Action>) {
        while let Some(first) = self.under_way.first_entry()
            && first.get().due <= now
        {
            let number = *first.key();
            self.end(number, actions);
        }
    }

    /// Ends all questions, as the link is broken; those of others are forgotten.
    pub(super) fn end_all(&mut self, actions: &mut Vec<Action>) {
        self.sent = self.number;
        self.to_answer.clear();
        self.to_say.clear();
        (self.saying, self.counting) = (None, false);
        while let Some(first) = self.under_way.first_entry() {
            let number = *first.key();
            self.end(number, actions);
        }
    }

    /// Has the registry carry out a question's command, which adds what it counts itself.
    fn end(&mut self, number: u64, actions: &mut Vec<Action>) {
        if let Some(UnderWay {
            question,
            elsewhere,
            ..
        }) = self.under_way.remove(&number)
        {
            actions.push(Action::Tell(FromBus::Execute {
                command: question.command,
                elsewhere,
                reply: question.reply,
            }));
        }
    }
}

#[cfg(test)]
#[path = "asking_tests.rs"]
mod tests;
