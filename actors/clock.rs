//! The clock actor: tells the registry once a second that time has passed. It is the only timer for
//! heartbeats and clients' time limits, however many clients there are.

use std::time::Duration;

use async_io::Timer;
use futures_lite::{FutureExt, StreamExt};

use crate::registry;
use crate::system::{Address, Failure, Stop};

/// Ticks until it is asked to stop.
///
/// # Errors
/// None.
pub async fn run(registry: Address<registry::Message>, stop: Stop) -> Result<(), Failure> {
    let ticks = async {
        let mut seconds = Timer::interval(Duration::from_secs(1));
        while seconds.next().await.is_some() {
            // A full mailbox means that the registry is busy; the next tick does as well.
            let _later = registry.offer(registry::Message::Tick);
        }
    };
    ticks.or(stop.requested()).await;
    Ok(())
}
