//! The listener actor: one for each address where subscribers connect.

use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;

use crate::clients::ClientPool;
use crate::clients::life::{self, Context};
use crate::messages::registry::FromClient;
use crate::net::Bound;
use crate::net::accept::Acceptor;
use crate::net::stream::Stream;
use crate::runtime::{CancellationToken, Failure};

/// How long accepting pauses when there are as many connections as there may be.
const FULL: Duration = Duration::from_millis(50);

/// Accepts subscribers and gives each a client actor, until it is asked to stop.
///
/// # Errors
/// The socket cannot be watched.
pub async fn run(
    bound: Rc<Bound>,
    pool: Rc<ClientPool>,
    context: Rc<Context>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let mut acceptor = Acceptor::new(&bound).map_err(|error| Failure(error.to_string()))?;
    let accept = async {
        loop {
            while pool.totals().connected >= context.settings.now().max_connections {
                // The descriptors that are left are for publishers and files. Who comes now
                // waits in the system's queue.
                Timer::after(FULL).await;
            }
            let (socket, peer) = acceptor.next().await;
            let config = context.settings.now();
            let identity = config.tls.as_ref().filter(|_| bound.tls);
            let stream = match Stream::new(socket, identity) {
                Ok(stream) => stream,
                Err(error) => {
                    log::error!("a connection of {peer} could not be begun: {error}");
                    continue;
                }
            };
            let tls = stream.is_tls();
            let descriptor = stream.descriptor();
            match pool.join(stream, |handle| life::live(handle, Rc::clone(&context))) {
                Ok(key) => {
                    if context.settings.now().trust_proxy.believes(&peer) {
                        pool.set_proxy(key);
                    }
                    context.cast(FromClient::Arrived {
                        key,
                        peer,
                        descriptor,
                        tls,
                    });
                }
                Err(error) => {
                    log::error!("a connection of {peer} could not be watched: {error}")
                }
            }
        }
    };
    accept.or(stop.cancelled()).await;
    Ok(())
}
