//! The custom executor: one thread, two homes.
//!
//! Service actors (few, of many kinds) are tasks on smol's `LocalExecutor`, with async-io for their
//! sources. Clients (very many, of one kind) live in the [`Crowd`]. One loop serves both:
//!
//! 1. service actors that are ready, as the work of all begins with them;
//! 2. a slice of the clients that have something to do;
//! 3. a look at epoll, which wakes actors of both homes; it waits there when nobody is busy.
//!
//! The slice bounds how long a new message or a ready socket goes unseen while a broadcast is being
//! written: [`CLIENT_TURNS`] writes, about half a millisecond.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use smol::LocalExecutor;

use crate::crowd::Crowd;

/// How long service actors may have their turns between looks at epoll.
const SERVICE_TIME: Duration = Duration::from_micros(500);
/// Turns of clients between looks at epoll.
const CLIENT_TURNS: usize = 64;

/// Lets service actors have their turns; whether more may be waiting for one.
fn serve(services: &LocalExecutor<'_>) -> bool {
    let began = Instant::now();
    while services.try_tick() {
        if began.elapsed() >= SERVICE_TIME {
            return true;
        }
    }
    false
}

/// Runs both homes on this thread until `main` is done, and gives its result.
pub fn run<T>(services: &LocalExecutor<'_>, crowd: &Crowd, main: impl Future<Output = T>) -> T {
    let turns = async {
        loop {
            let more = serve(services);
            if crowd.turn(CLIENT_TURNS) || more {
                // async-io looks at epoll, without waiting, whenever its future yields.
                yield_now().await;
            } else {
                // Clients get work from service actors alone (the registry; the task that hears of
                // ready sockets), so waiting for those is waiting for everything.
                services.tick().await;
            }
        }
    };
    async_io::block_on(main.or(turns))
}
