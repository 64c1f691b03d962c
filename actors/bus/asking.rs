//! Questions among the nodes: how many streams of each would a message to a target reach?
//!
//! They go beside the stream, by Redis's PUBLISH, which keeps nothing: each node listens to a channel of
//! its own. Nobody waits for them but who asks, and that for [`ANSWERED`] at most; when the link breaks they
//! are answered with what has come by then. Questions that come while others are being sent go together,
//! as one message to each node.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, pending, poll_fn};
use std::ops::RangeInclusive;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;

use super::entry::Node;
use super::link::{Asked, Link};
use super::peer_messages::{self, PeerMessage};
use super::serving::Step;
use super::{Trouble, gone};
use crate::messages::registry::{Elsewhere, FromBus, Message, Subject, ToNodes};
use crate::model::Target;
use crate::runtime::{self, Address, Failure, Mailbox, Reply};
use crate::wire::command::Command;

/// What asks for all who are there.
const HELLO: &str = "hello";
/// How long the other nodes have for their answers.
const ANSWERED: Duration = Duration::from_secs(2);
/// Questions that are under way at most; more wait for them.
const UNDER_WAY: usize = 4096;
/// Questions that go together at most: 70 kB.
const TOGETHER: usize = 256;
/// Messages of others that wait here at most. Whoever sent one that is dropped does without this node.
const HEARD: usize = 1024;

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

/// What was sent together, and what Redis says of it.
type Sent = (RangeInclusive<u64>, Asked);

/// Questions of this node, and those of others.
pub(super) struct Asking {
    node: Node,
    registry: Address<Message>,
    inbox: Mailbox<Question>,
    under_way: BTreeMap<u64, UnderWay>,
    /// The number of the last question, and of the last that was sent.
    number: u64,
    sent: u64,
    heard: Mailbox<Vec<u8>>,
    speak: Address<Vec<u8>>,
    /// Others' questions, by who asks.
    to_answer: VecDeque<(Node, Vec<(u64, Target)>)>,
    /// What the registry has to say to those of other nodes.
    members: Mailbox<ToNodes>,
}

/// What came next.
enum Turn {
    Asked(Question),
    Sent(Result<Sent, Trouble>),
    Heard(Vec<u8>),
    Answered(Result<(), Trouble>),
    Members(ToNodes),
    Told(Result<(), Trouble>),
    Late,
}

impl Asking {
    /// Nothing asked yet; and where questions go.
    pub(super) fn new(
        node: Node,
        registry: Address<Message>,
        members: Mailbox<ToNodes>,
    ) -> (Self, Address<Question>) {
        let (questions, inbox) = runtime::unbounded();
        let (speak, heard) = runtime::mailbox(HEARD);
        let asking = Self {
            node,
            registry,
            inbox,
            under_way: BTreeMap::new(),
            number: 0,
            sent: 0,
            heard,
            speak,
            to_answer: VecDeque::new(),
            members,
        };
        (asking, questions)
    }

    /// Where goes what others say to this node.
    pub(super) fn peers(&self) -> Address<Vec<u8>> {
        self.speak.clone()
    }

    /// Runs until it is dropped, or until the registry is gone. Errors of the link are reported by the part
    /// that writes messages, which alone knows what was acknowledged.
    pub(super) async fn run(&mut self, link: Link) -> Failure {
        loop {
            if let Err(failure) = self.serve(&link).await {
                return failure;
            }
        }
    }

    /// Asks and answers until something fails.
    async fn serve(&mut self, link: &Link) -> Result<(), Failure> {
        let mut sending: Option<Step<Sent>> = None;
        let mut answering: Option<Step<()>> = None;
        // What was to be told while there was no link is a part of all that is told now.
        while self.members.try_recv().is_some() {}
        let (about, text) = (Subject::Presence, HELLO.to_owned());
        let hello = ToNodes {
            to: None,
            about,
            text: text.clone(),
        };
        let mut telling = Some(self.tell(link, &hello));
        let own = Message::Bus(FromBus::Peer {
            about,
            node: None,
            text,
        });
        self.registry.try_send(own).map_err(|_| gone())?;
        loop {
            if sending.is_none() {
                sending = self.send(link);
            }
            if answering.is_none() {
                answering = self.answer(link);
            }
            match self.turn(&mut sending, &mut answering, &mut telling).await {
                Turn::Members(what) => telling = Some(self.tell(link, &what)),
                Turn::Told(Ok(())) => telling = None,
                Turn::Asked(question) => {
                    self.ask(question);
                    // All that wait go with it.
                    while self.has_room()
                        && let Some(question) = self.inbox.try_recv()
                    {
                        self.ask(question);
                    }
                }
                Turn::Sent(Ok((numbers, asked))) => {
                    sending = None;
                    self.was_sent(numbers, asked)?;
                }
                Turn::Heard(said) => self.hear(&said)?,
                Turn::Answered(Ok(())) => answering = None,
                Turn::Late => self.end_late(Instant::now())?,
                Turn::Sent(Err(trouble))
                | Turn::Answered(Err(trouble))
                | Turn::Told(Err(trouble)) => {
                    log::warn!("the other nodes cannot be asked, or answered: {trouble}");
                    return self.end_all();
                }
            }
        }
    }

    async fn turn(
        &mut self,
        sending: &mut Option<Step<Sent>>,
        answering: &mut Option<Step<()>>,
        telling: &mut Option<Step<()>>,
    ) -> Turn {
        let has_room = self.has_room();
        let tells = telling.is_some();
        let due = self.under_way.values().next().map(|first| first.due);
        let (inbox, heard, members) = (&mut self.inbox, &mut self.heard, &mut self.members);
        let members = async {
            if tells {
                return None;
            }
            members.next().await.map(Turn::Members)
        };
        let asked = async {
            if has_room {
                inbox.next().await.map(Turn::Asked)
            } else {
                None
            }
        };
        let told = async { heard.next().await.map(Turn::Heard) };
        let late = async {
            runtime::timer(due).await;
            Turn::Late
        };
        let link = poll_fn(|cx| {
            if let Some(step) = sending
                && let Poll::Ready(sent) = step.as_mut().poll(cx)
            {
                return Poll::Ready(Turn::Sent(sent));
            }
            if let Some(step) = answering
                && let Poll::Ready(answered) = step.as_mut().poll(cx)
            {
                return Poll::Ready(Turn::Answered(answered));
            }
            if let Some(step) = telling
                && let Poll::Ready(told) = step.as_mut().poll(cx)
            {
                return Poll::Ready(Turn::Told(told));
            }
            Poll::Pending
        });
        let asked = or_never(asked).or(or_never(members));
        or_never(told).or(link).or(asked).or(late).await
    }

    /// Tells what the registry has to say to one other node, or to all.
    fn tell(&self, link: &Link, what: &ToNodes) -> Step<()> {
        let said = peer_messages::peer(self.node, what.about, &what.text);
        let link = link.clone();
        match what.to {
            Some(node) => Box::pin(link.tell(Node(node), said)),
            None => Box::pin(async move { link.ask(said).await.map(|_| ()) }),
        }
    }

    fn has_room(&self) -> bool {
        self.under_way.len() < UNDER_WAY
    }

    fn ask(&mut self, question: Question) {
        self.number += 1;
        let under_way = UnderWay {
            question,
            due: Instant::now() + ANSWERED,
            asked: None,
            elsewhere: Elsewhere::default(),
        };
        self.under_way.insert(self.number, under_way);
    }

    /// What is to be sent next, if there is something.
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

    fn send(&mut self, link: &Link) -> Option<Step<Sent>> {
        let (numbers, text) = self.next()?;
        let asking = link.clone().ask(text);
        Some(Box::pin(async move { Ok((numbers, asking.await?)) }))
    }

    fn was_sent(&mut self, numbers: RangeInclusive<u64>, asked: Asked) -> Result<(), Failure> {
        let mut complete = Vec::new();
        for (number, under_way) in self.under_way.range_mut(numbers) {
            under_way.asked = Some(asked.asked);
            under_way.elsewhere.nodes = asked.nodes;
            if under_way.is_complete() {
                complete.push(*number);
            }
        }
        complete.into_iter().try_for_each(|number| self.end(number))
    }

    fn hear(&mut self, said: &[u8]) -> Result<(), Failure> {
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
                        self.end(number)?;
                    }
                }
            }
            Some(PeerMessage::Peer { node, about, text }) => {
                let node = Some(node.0);
                let told = Message::Bus(FromBus::Peer { about, node, text });
                self.registry.try_send(told).map_err(|_| gone())?;
            }
            None => log::warn!("another node says what this one does not understand"),
        }
        Ok(())
    }

    /// Answers those who have asked first.
    fn answer(&mut self, link: &Link) -> Option<Step<()>> {
        let (asker, targets) = self.to_answer.pop_front()?;
        let (link, registry) = (link.clone(), self.registry.clone());
        Some(Box::pin(async move {
            let mut counts = Vec::with_capacity(targets.len());
            for (number, target) in targets {
                // One by one, so that all who ask the registry have their turns.
                let (reply, answer) = runtime::reply();
                let count = Message::Bus(FromBus::Count { target, reply });
                registry.try_send(count).map_err(|_| gone())?;
                counts.push((number, answer.wait().await.ok_or_else(gone)?));
            }
            link.tell(asker, peer_messages::answers(&counts)).await
        }))
    }

    /// Ends the questions that are due, with the answers that have come.
    fn end_late(&mut self, now: Instant) -> Result<(), Failure> {
        while let Some(first) = self.under_way.first_entry()
            && first.get().due <= now
        {
            let number = *first.key();
            self.end(number)?;
        }
        Ok(())
    }

    /// Ends all questions, as the link is broken; those of others are forgotten.
    pub(super) fn end_all(&mut self) -> Result<(), Failure> {
        while let Some(question) = self.inbox.try_recv() {
            self.ask(question);
        }
        self.sent = self.number;
        self.to_answer.clear();
        while let Some(first) = self.under_way.first_entry() {
            let number = *first.key();
            self.end(number)?;
        }
        Ok(())
    }

    /// Has the registry carry out a question's command, which adds what it counts itself.
    fn end(&mut self, number: u64) -> Result<(), Failure> {
        let Some(UnderWay {
            question,
            elsewhere,
            ..
        }) = self.under_way.remove(&number)
        else {
            return Ok(());
        };
        let execute = Message::Bus(FromBus::Execute {
            command: question.command,
            elsewhere,
            reply: question.reply,
        });
        self.registry.try_send(execute).map_err(|_| gone())
    }
}

impl UnderWay {
    fn is_complete(&self) -> bool {
        self.asked
            .is_some_and(|asked| self.elsewhere.answered >= asked)
    }
}

/// What comes, if something does.
async fn or_never<T>(next: impl Future<Output = Option<T>>) -> T {
    match next.await {
        Some(came) => came,
        None => pending().await,
    }
}

#[cfg(test)]
#[path = "asking_tests.rs"]
mod tests;
