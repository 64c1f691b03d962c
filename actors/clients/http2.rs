//! The client of a connection that carries several streams: HTTP/2.
//!
//! Such a connection is a client like any other as long as its first bytes are awaited. Then it becomes a
//! carrier ([`crate::http2`]), and each request has a client of its own, with all that a client has: a
//! mailbox, a place in the routes, a policy for who reads slowly, which ends that stream and no other.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;

use super::life::{Context, live};
use super::{ClientHandle, ClientPool};
use crate::http2::{Begun, Carrier, Corked, Host, Turn};
use crate::messages::client::{End, Ending, Message};
use crate::messages::registry::FromClient;
use crate::model::ClientKey;
use crate::wire::http2::request::{MOST, MOST_OF_HUB};

/// Where the streams of a subscribers' connection are answered.
struct Streams {
    pool: Rc<ClientPool>,
    carrier: ClientKey,
    context: Rc<Context>,
    /// The address for which they count.
    address: Option<IpAddr>,
}

impl Host for Streams {
    fn begin(&self, begun: Begun) {
        let life = |handle| live(handle, Rc::clone(&self.context));
        let channel = |key: ClientKey| begun.open(key.to_number());
        let key = self.pool.join_channel(channel, self.address, life);
        self.pool.follow(key, self.carrier);
        let carrier = self.carrier;
        self.context.cast(FromClient::Opened { key, carrier });
    }

    fn wake(&self, owner: usize, readable: bool, writable: bool) {
        let key = ClientKey::from_number(owner);
        self.pool.wake(key, readable, writable);
    }

    fn gone(&self, _owner: usize) {
        self.pool.wake(self.carrier, false, false);
    }

    fn is_full(&self) {
        // The reactor tells when it is not.
    }

    fn cork(&self, connection: &dyn Fn() -> Corked) -> bool {
        self.pool.corked.borrow_mut().push(connection());
        true
    }
}

/// A carrier's life, from the first bytes of its connection on.
pub(super) fn carry(
    handle: ClientHandle,
    context: Rc<Context>,
    input: Vec<u8>,
) -> Pin<Box<dyn Future<Output = End>>> {
    Box::pin(async move {
        let address = handle.address();
        let Some(socket) = handle.carry() else {
            return End::Left;
        };
        let most = match context.settings.hub_path() {
            Some(_) => MOST_OF_HUB,
            None => MOST,
        };
        let host = Rc::new(Streams {
            pool: Rc::clone(&handle.pool),
            carrier: handle.key(),
            context,
            address,
        });
        let mut carrier = Carrier::new(socket, host, input, most);
        // As long as nothing else ends it.
        let mut ending = Ending::Expired;
        loop {
            match turn(&handle, &mut carrier, &mut ending) {
                Ok(true) => handle.step_back().await,
                Ok(false) => handle.next_turn().await,
                Err(end) => return end,
            }
        }
    })
}

/// Does what there is to do; whether there is more already.
fn turn(handle: &ClientHandle, carrier: &mut Carrier, ending: &mut Ending) -> Result<bool, End> {
    while let Some(message) = handle.message() {
        match message {
            Message::Finish {
                end: Ending::Stopped,
            } => {
                carrier.stop();
                *ending = Ending::Stopped;
            }
            Message::Finish { end } => {
                carrier.part()?;
                return Err(End::Finished(end));
            }
            _ => {}
        }
    }
    if handle.is_overflowing() {
        return Err(End::Slow);
    }
    let turned = carrier.turn(|input| {
        handle.read(|bytes| {
            input.extend_from_slice(bytes);
            bytes.len()
        })
    })?;
    handle.set_flow(carrier.is_clear());
    match turned {
        Turn::More => Ok(true),
        Turn::Waits => Ok(handle.is_readable() && carrier.reads()),
        Turn::Left => Err(End::Left),
        Turn::Finished => Err(End::Finished(*ending)),
    }
}
