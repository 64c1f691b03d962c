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
use crate::net::peer::counted;
use crate::net::stream::Stream;
use crate::runtime::{CancellationToken, Failure};

/// How long accepting pauses when there are as many connections as there may be.
const FULL: Duration = Duration::from_millis(50);
/// And how long it does when one of them is about to go.
const SOON: Duration = Duration::from_millis(1);

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
    // A client that reads nothing costs the kernel about as much as it may cost this process.
    acceptor.bound_send_buffers(context.settings.now().client_buffer);
    let accept = async {
        loop {
            while pool.totals().sockets >= context.settings.now().max_connections {
                // The descriptors that are left are for publishers and files. Who comes now waits in
                // the system's queue, for a connection that does nothing if there is one.
                let pause = if pool.make_room() { SOON } else { FULL };
                Timer::after(pause).await;
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
            let proxy = config.trust_proxy.believes(&peer);
            let address = peer.ip().filter(|_| !proxy);
            let address = address.map(|address| counted(address, config.ip6_prefix));
            let life = |handle| life::live(handle, Rc::clone(&context));
            match pool.join(stream, address, life) {
                Ok(key) => {
                    if proxy {
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
    context.stopping.set(true);
    Ok(())
}
