//! Firefox, which gives up for good when a page of another origin comes back and is refused the connection once.

use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Daemon, Program, eventually, needs, publish};

use super::{PAGE, TESTS};

/// Firefox with a page, which tells what it sees.
struct Firefox(Program);

impl Firefox {
    fn open(daemon: &Daemon, page: &str, query: &str) -> Self {
        let script = format!("{TESTS}/clients/firefox/open.mjs");
        let profile = daemon.file("profile");
        let mut node = Command::new("node");
        Self(Program::start(
            node.arg(script).arg(profile).args([page, query]),
        ))
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // So that it ends Firefox, which would go on otherwise.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        self.0.end_within(support::PATIENCE);
    }
}

fn wait_for_return(daemon: &Daemon) {
    eventually("its return", || {
        (publish::http(daemon.control, "room", "after").1 == 1).then_some(())
    });
}

/// Starts the daemon again after a while in which the page would have tried by its own `retry:`.
fn is_away_for_a_while(daemon: &mut Daemon, ended: Instant) {
    let while_away = Duration::from_millis(1500);
    std::thread::sleep(while_away.saturating_sub(ended.elapsed()));
    daemon.start_again();
}

#[test]
fn a_page_of_another_origin_outlives_a_restart() {
    needs!("node", "firefox-esr");
    let mut daemon = Daemon::start("--retry 300 --history-file {dir}/history");
    let page = format!("{TESTS}/clients/firefox/eventsource.html");
    let query = format!("url=http://{}/sse%3Fsubscribe=room", daemon.listen);
    let firefox = Firefox::open(&daemon, &page, &query);
    firefox.0.wait_for("open");
    publish::http(daemon.control, "room", "before");
    firefox.0.wait_for("shown before");
    daemon.stop();
    is_away_for_a_while(&mut daemon, Instant::now());
    publish::http(daemon.control, "room", "meanwhile");
    firefox.0.wait_for("shown meanwhile");
    wait_for_return(&daemon);
    firefox.0.wait_for("shown after");
    let told = firefox.0.output();
    let lost: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("lost"))
        .collect();
    assert_eq!(lost, ["lost, state 0"], "{told}");
    assert!(!told.contains("gap"), "{told}");
}

#[test]
fn the_page_of_the_examples_outlives_a_crash() {
    needs!("node", "firefox-esr");
    let mut daemon = Daemon::start("--retry 300 --history-file {dir}/history");
    let query = format!("token=room&server=http://{}/sse", daemon.listen);
    let firefox = Firefox::open(&daemon, PAGE, &query);
    firefox.0.wait_for("state open");
    publish::http(daemon.control, "room", "before");
    firefox.0.wait_for("shown before");
    // Nobody tells the page to wait.
    daemon.crash();
    is_away_for_a_while(&mut daemon, Instant::now());
    firefox.0.wait_for("state lost");
    publish::http(daemon.control, "room", "meanwhile");
    firefox.0.wait_for("shown meanwhile");
    wait_for_return(&daemon);
    firefox.0.wait_for("shown after");
}
