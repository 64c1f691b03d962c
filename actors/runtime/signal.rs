//! Saying to one who waits that there may be something to do.

use async_channel::{Receiver, Sender};

/// Says to one who waits that there may be something to do. What is said while nobody waits is kept, once.
#[derive(Debug)]
pub struct Signal(Sender<()>, Receiver<()>);

impl Default for Signal {
    fn default() -> Self {
        let (sender, receiver) = async_channel::bounded(1);
        Self(sender, receiver)
    }
}

impl Signal {
    /// Gives it.
    pub fn give(&self) {
        // Refused only when it was given already.
        let _given = self.0.try_send(());
    }

    /// Waits until it is given; gives `value` then.
    pub async fn given_then<T>(&self, value: T) -> T {
        // It is never closed, as both sides are here.
        let _always = self.1.recv().await;
        value
    }
}
