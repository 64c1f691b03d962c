//! What the service manager is told, if there is one (`sd_notify(3)`): that the daemon answers, that
//! it is stopping, and, again and again, that its loop turns. Without `NOTIFY_SOCKET` nothing happens.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;

use crate::runtime::{CancellationToken, Failure};

/// Says `READY=1` at its start and `STOPPING=1` at its stop. To be started once everything answers,
/// in [`Stage::Intake`](crate::runtime::supervisor::Stage::Intake), which is the first to be stopped.
///
/// # Errors
/// None: a service manager that cannot be reached is warned about.
pub async fn announce(stop: CancellationToken) -> Result<(), Failure> {
    tell_or_warn("READY=1").await;
    stop.cancelled().await;
    tell_or_warn("STOPPING=1").await;
    Ok(())
}

async fn tell_or_warn(state: &'static str) {
    if let Err(error) = tell(state).await {
        log::warn!("NOTIFY_SOCKET cannot be told {state}: {error}");
    }
}

/// Says `WATCHDOG=1` twice in every period that `WATCHDOG_USEC` asks for, by a timer of the loop
/// itself, so that a loop that hangs is noticed. To be started in
/// [`Stage::Watch`](crate::runtime::supervisor::Stage::Watch), after which only the log is stopped.
///
/// # Errors
/// The service manager cannot be reached, and so is about to end the daemon.
pub async fn watchdog(stop: CancellationToken) -> Result<(), Failure> {
    let pings = async {
        let Some(period) = watchdog_period() else {
            return std::future::pending().await;
        };
        loop {
            tell("WATCHDOG=1").await.map_err(|error| {
                Failure(format!("NOTIFY_SOCKET cannot be told WATCHDOG=1: {error}"))
            })?;
            Timer::after(period / 2).await;
        }
    };
    let stopped = stop.cancelled_then(Ok(()));
    pings.or(stopped).await
}

/// How long the service manager waits for a sign of life of this process, if it does
/// (`sd_watchdog_enabled(3)`).
fn watchdog_period() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let another = number("WATCHDOG_PID").is_some_and(|pid| pid != u64::from(process::id()));
    let microseconds = number("WATCHDOG_USEC").filter(|number| *number > 0 && !another)?;
    Some(Duration::from_micros(microseconds))
}

/// Tells the service manager, off the loop, as its socket may be full.
async fn tell(state: &'static str) -> io::Result<()> {
    smol::unblock(move || send(state)).await
}

/// Sends to the socket in `NOTIFY_SOCKET`: a path, or after an `@` an abstract name (unix(7)).
fn send(state: &str) -> io::Result<()> {
    let Some(place) = env::var_os("NOTIFY_SOCKET") else {
        return Ok(());
    };
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(&place)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::runtime;
    use futures_lite::future::zip;
    use std::fs;
    use std::io::Read;
    use std::process::{Command, Stdio};

    const CHILD: &str = "HASSES_TEST_NOTIFY";
    const PING: &str = "WATCHDOG=1";

    /// The environment concerns a whole process, so the actors run in a process of their own.
    #[test]
    fn a_service_manager_hears_of_everything() {
        if env::var_os(CHILD).is_some() {
            return in_child();
        }
        let name = format!("hasses-notify-{}", process::id());
        let path = env::temp_dir().join(&name);
        hears_everything(&UnixDatagram::bind(&path).unwrap(), path.to_str().unwrap());
        fs::remove_file(&path).unwrap();
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        hears_everything(&manager, &format!("@{name}"));
    }

    fn hears_everything(manager: &UnixDatagram, place: &str) {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "notify::tests::a_service_manager_hears_of_everything",
            ])
            .env(CHILD, "1")
            .env("NOTIFY_SOCKET", place)
            .env("WATCHDOG_USEC", "20000")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        manager
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut buffer = [0; 64];
        let mut heard = Vec::new();
        let mut hear_until = |enough: fn(&[String]) -> bool| {
            while !enough(&heard) {
                let length = manager.recv(&mut buffer).unwrap();
                heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            heard.clone()
        };
        let pinged = |heard: &[String]| heard.iter().filter(|text| *text == PING).count() >= 3;
        hear_until(pinged);
        drop(child.stdin.take());
        let mut heard = hear_until(|heard| heard.last().is_some_and(|text| text == "STOPPING=1"));
        assert!(child.wait().unwrap().success());
        heard.retain(|text| text != PING);
        assert_eq!(heard, ["READY=1", "STOPPING=1"]);
    }

    /// Runs both actors until standard input ends.
    fn in_child() {
        let (guard, stop) = runtime::cancellation();
        let until = async {
            smol::unblock(|| io::stdin().read_to_end(&mut Vec::new()))
                .await
                .unwrap();
            drop(guard);
        };
        let actors = zip(announce(stop.clone()), watchdog(stop));
        let ((announced, watched), ()) = async_io::block_on(zip(actors, until));
        assert_eq!((announced, watched), (Ok(()), Ok(())));
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        let (guard, stop) = runtime::cancellation();
        drop(guard);
        let (announced, watched) = async_io::block_on(zip(announce(stop.clone()), watchdog(stop)));
        assert_eq!((announced, watched), (Ok(()), Ok(())));
    }
}
