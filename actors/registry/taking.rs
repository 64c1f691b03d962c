//! Requests to publish that take more than one turn, or whose publishers have to wait until their recipients
//! have had theirs. Whoever publishes much waits for itself: others are served in between.

use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::vec::IntoIter;

use super::Registry;
use crate::messages::publisher::{NotTaken, Outcome, Receipt};
use crate::model::{Channel, Publication};
use crate::runtime::{Reply, turn};

/// Messages between two looks at the turn's time.
const IN_A_ROW: usize = 8;

/// A request to publish, of which a part is done.
pub(super) struct Taking {
    rest: IntoIter<Publication>,
    receipts: Vec<Receipt>,
    channel: Channel,
    reply: Reply<Outcome>,
    keyed: bool,
}

/// Those that are under way.
#[derive(Default)]
pub(super) struct UnderWay {
    queue: VecDeque<Taking>,
    /// How many of them have messages with keys.
    keyed: usize,
}

impl UnderWay {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn push(&mut self, taking: Taking) {
        self.keyed += usize::from(taking.keyed);
        self.queue.push_back(taking);
    }

    fn pop(&mut self) -> Option<Taking> {
        let taking = self.queue.pop_front()?;
        self.keyed -= usize::from(taking.keyed);
        Some(taking)
    }
}

impl Registry {
    /// Takes messages in, and answers when all are taken and clients have had turns enough.
    pub(super) fn take(
        &mut self,
        publications: Vec<Publication>,
        channel: Channel,
        reply: Reply<Outcome>,
    ) {
        let keyed = publications
            .iter()
            .any(|publication| publication.key.is_some());
        let taking = Taking {
            receipts: Vec::with_capacity(publications.len()),
            rest: publications.into_iter(),
            channel,
            reply,
            keyed,
        };
        // What has keys may repeat what is under way, and waits for the end of that.
        if keyed && self.under_way.keyed > 0 {
            self.under_way.push(taking);
        } else {
            self.go_on_with(taking);
        }
    }

    /// Goes on with the request that waits longest.
    pub(super) fn go_on(&mut self) {
        if let Some(taking) = self.under_way.pop() {
            self.go_on_with(taking);
        }
    }

    /// As [`Registry::go_on`], unless clients have to have turns before.
    pub(super) fn go_on_if_ready(&mut self) {
        if !self.under_way.is_empty() && self.pool.is_ready() {
            self.go_on();
        }
    }

    /// Whether there is one, and clients have had turns enough for it to go on.
    pub(super) fn poll_under_way(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.under_way.is_empty() {
            return Poll::Pending;
        }
        self.pool.poll_ready(context)
    }

    /// Goes on until a turn is over, or clients have to have theirs.
    fn go_on_with(&mut self, mut taking: Taking) {
        // A request of HTTP is taken in whole or not at all.
        if taking.keyed
            && taking.receipts.is_empty()
            && taking.channel == Channel::Http
            && let Some(key) = self.keys.clash(taking.rest.as_slice())
        {
            return taking.reply.send(Err(NotTaken::Clash(key.into())));
        }
        // What was sent before was not this publisher's.
        self.pool.holds_sender();
        while let Some(publication) = taking.rest.next() {
            let receipt = self.publish(publication, taking.channel);
            taking.receipts.push(receipt);
            let long = taking.receipts.len().is_multiple_of(IN_A_ROW) && turn::is_over();
            if long || self.pool.holds_sender() {
                return self.under_way.push(taking);
            }
        }
        taking.reply.send(Ok(taking.receipts));
    }
}
