//! The clock actor: tells the registry again and again that time has passed. It is the only timer for
//! heartbeats and clients' time limits, however many clients there are.

use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;

use crate::config::Settings;
use crate::registry;
use crate::runtime::{Address, CancellationToken, Failure};

/// How often, where heartbeats are not so frequent that it matters.
const USUAL: Duration = Duration::from_secs(1);
/// How often where they are: a heartbeat is late by no more than this.
const OFTEN: Duration = Duration::from_millis(200);
/// The longest heartbeat that counts as frequent.
const FREQUENT: Duration = Duration::from_secs(10);

/// Ticks until it is asked to stop.
///
/// # Errors
/// None.
pub async fn run(
    settings: Rc<Settings>,
    registry: Address<registry::Message>,
    stop: CancellationToken,
) -> Result<(), Failure> {
    let ticks = async {
        loop {
            Timer::after(period(settings.now().heartbeat)).await;
            // A full mailbox means that the registry is busy; the next tick does as well.
            let _later = registry.try_send(registry::Message::Tick);
        }
    };
    ticks.or(stop.cancelled()).await;
    Ok(())
}

/// The time from one tick to the next, with this heartbeat.
pub fn period(heartbeat: Option<Duration>) -> Duration {
    match heartbeat.is_some_and(|heartbeat| heartbeat <= FREQUENT) {
        true => OFTEN,
        false => USUAL,
    }
}
