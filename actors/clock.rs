//! The clock actor: tells the registry again and again that time has passed. It is the only timer for
//! heartbeats and clients' time limits, however many clients there are.

use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;

use crate::config::Settings;
use crate::messages::registry;
use crate::runtime::{Address, CancellationToken, Failure};

/// How often it is looked at who came and went, where that is to be known.
const PRESENCE: Duration = Duration::from_millis(50);

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
            Timer::after(settings.now().tick()).await;
            // Refused only when the registry is gone, and with it the process.
            let _gone = registry.try_send(registry::Message::Tick);
        }
    };
    let presence = async {
        loop {
            if settings.now().presence.is_empty() {
                // A reload may ask for it.
                Timer::after(settings.now().tick()).await;
                continue;
            }
            Timer::after(PRESENCE).await;
            let _gone = registry.try_send(registry::Message::PresenceTick);
        }
    };
    ticks.or(presence).or(stop.cancelled()).await;
    Ok(())
}
