//! The custom executor: one thread, two homes.
//!
//! Service actors (few, of many kinds) are tasks on smol's `LocalExecutor`, with async-io for their
//! sources. Clients (very many, of one kind) live in an [`ActorPool`]. One loop serves both:
//!
//! 1. service actors that are ready, as the work of all begins with them;
//! 2. a slice of the clients that have something to do;
//! 3. a look at epoll, which wakes actors of both homes; it waits there when nobody is busy.
//!
//! Each round, from one look at epoll to the next, is measured ([`ActorPool::round`]). Both parts of a round
//! are bounded by time, and the clients' slice also by [`CLIENT_TURNS`]: so a new message or a ready
//! socket is seen soon while a broadcast is being written. What a single turn may take is the
//! subject of [`turn`].

use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use rustix::thread::set_current_timer_slack;
use smol::LocalExecutor;

use super::turn;

/// A home of very many actors of one kind.
pub trait ActorPool {
    /// Gives actors their turns, for about `time` and at most `turns` in all that do what they are there
    /// for; whether some still wait for one. `idle`: no service actor has anything to do.
    fn turn(&self, turns: usize, time: Duration, idle: bool) -> bool;

    /// Counts a round of the loop: what became ready in it waited no longer than `time`.
    fn round(&self, time: Duration);
}

/// How long service actors may have their turns between looks at epoll.
const SERVICE_TIME: Duration = Duration::from_micros(500);
/// Turns of clients between looks at epoll, and how long they may take together.
const CLIENT_TURNS: usize = 64;
const CLIENT_TIME: Duration = Duration::from_millis(1);
/// How late async-io's thread may wake, in nanoseconds: far more than a round.
const COARSE: Option<NonZeroU64> = NonZeroU64::new(20_000_000);

/// Lets service actors have their turns; whether more may be waiting for one.
fn serve(services: &LocalExecutor<'_>, began: Instant) -> bool {
    let mut now = began;
    loop {
        turn::begin(now);
        if !services.try_tick() {
            return false;
        }
        now = Instant::now();
        if now - began >= SERVICE_TIME {
            return true;
        }
    }
}

/// Waits until a service actor has something to do, and gives it its turn; when that began.
async fn wait(services: &LocalExecutor<'_>) -> Instant {
    let mut tick = pin!(services.tick());
    poll_fn(|context| {
        let began = Instant::now();
        turn::begin(began);
        tick.as_mut().poll(context).map(|()| began)
    })
    .await
}

/// Starts async-io's own thread; to be called before anything else makes it start.
///
/// async-io's thread takes epoll over when it believes that nobody polls: it sleeps for 50 µs or more,
/// and looks whether somebody did. The rounds of a busy loop are longer than that, so the thread would
/// take epoll away again and again, and each event would have to come over from the other thread. A
/// thread inherits its timer slack when it is created (prctl(2), `PR_SET_TIMERSLACK`). With a slack of
/// 20 ms that sleep is much longer than a round.
pub fn prepare() {
    // Where the system refuses, all works, only slower.
    let _refused = set_current_timer_slack(COARSE);
    async_io::block_on(async {});
    let _refused = set_current_timer_slack(None);
}

/// Runs both homes on this thread until `main` is done, and gives its result.
pub fn run<T>(
    services: &LocalExecutor<'_>,
    pool: &impl ActorPool,
    main: impl Future<Output = T>,
) -> T {
    let turns = async {
        let mut began = Instant::now();
        loop {
            let more = serve(services, began);
            let busy = pool.turn(CLIENT_TURNS, CLIENT_TIME, !more) || more;
            if busy {
                // async-io looks at epoll, without waiting, whenever its future yields.
                yield_now().await;
            }
            let now = Instant::now();
            pool.round(now - began);
            // Clients get work from service actors alone (the registry; the task that hears of
            // ready sockets), so waiting for those is waiting for everything.
            began = if busy { now } else { wait(services).await };
        }
    };
    async_io::block_on(main.or(turns))
}
