//! What is left behind by a daemon that ended: in order, at once, or killed.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::program::*;
use support::needs;

/// Every process that was started with `part` on its command line.
fn processes(part: &str) -> Vec<Pid> {
    let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let number = entry.unwrap().file_name().to_str()?.parse().ok()?;
        let line = fs::read(format!("/proc/{number}/cmdline")).ok()?;
        String::from_utf8_lossy(&line)
            .contains(part)
            .then_some(Pid::from_raw(number))
    });
    numbers.collect()
}

/// The one process beside `daemon` that belongs to it.
fn janitor(folder: &Folder, daemon: Pid) -> Pid {
    let mut others = processes(folder.0.to_str().unwrap());
    others.retain(|pid| *pid != daemon);
    assert_eq!(others.len(), 1, "{others:?}");
    others[0]
}

/// In this folder, as somebody who may not remove files in it.
fn line(folder: &Folder) -> Vec<String> {
    let (listen, control) = (folder.text("listen"), folder.text("control"));
    let (listen, control) = (format!("unix:{listen}"), format!("unix:{control}"));
    let pid = folder.text("pid");
    let line = [
        "--listen",
        &listen,
        "--control",
        &control,
        "--pidfile",
        &pid,
    ];
    let line = [&LISTEN[..], &line, &["--user", "nobody"]].concat();
    line.into_iter().map(str::to_owned).collect()
}

fn start(line: &[String]) -> Running {
    Running::start(&line.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_user_leaves_nothing_in_a_folder_of_root() {
    needs!("root");
    for mode in [0o755, 0o700] {
        let folder = Folder::new();
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(mode)).unwrap();
        let running = start(&line(&folder));
        let daemon = running.pid();
        let text = fs::read_to_string(folder.file("pid")).unwrap();
        assert_eq!(text, format!("{daemon}\n"));

        let janitor = janitor(&folder, daemon);
        let open = format!("/proc/{janitor}/fd");
        eventually(
            "it has its standard streams and a socket open, no more",
            || (fs::read_dir(&open).unwrap().count() == 4).then_some(()),
        );
        let session = |pid| nix::unistd::getsid(Some(pid)).unwrap();
        assert_ne!(session(janitor), session(daemon));
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            kill(janitor, signal).unwrap();
        }
        // What took the place of one of them is not ours.
        fs::remove_file(folder.file("control")).unwrap();
        let _other = UnixListener::bind(folder.file("control")).unwrap();
        running.stop();
        assert_eq!(folder.names(), ["control"]);
        eventually("the janitor ends", || {
            (!Daemon(janitor).lives()).then_some(())
        });
    }
}

#[test]
fn a_killed_daemon_leaves_nothing_in_a_folder_of_root() {
    needs!("root");
    let folder = Folder::new();
    let mut line = line(&folder);
    line.push("--daemon".to_owned());
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let output = output(&line);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let daemon = Daemon::of(&folder.file("pid"));
    janitor(&folder, daemon.0);
    kill(daemon.0, Signal::SIGKILL).unwrap();
    eventually("the files are gone", || {
        folder.names().is_empty().then_some(())
    });
    let of_folder = folder.0.to_str().unwrap();
    eventually("the janitor ends", || {
        processes(of_folder).is_empty().then_some(())
    });
}

#[test]
fn who_may_remove_files_needs_no_janitor() {
    let folder = Folder::new();
    let pid = folder.text("pid");
    let mut arguments = [&BOTH[..], &["--pidfile", &pid]].concat();
    if is_root() {
        arguments.extend(["--user", "nobody"]);
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o1777)).unwrap();
    }
    let running = Running::start(&arguments);
    assert_eq!(processes(folder.0.to_str().unwrap()), [running.pid()]);
    running.stop();
    assert!(folder.names().is_empty());
}

#[test]
fn a_second_signal_ends_it_at_once_and_leaves_nothing() {
    let folder = Folder::new();
    let (pid, log) = (folder.text("pid"), folder.text("log"));
    let address = format!("unix:{}", folder.text("control"));
    let line = ["--control", &address, "--pidfile", &pid, "--log", &log];
    let more = ["--control", "127.0.0.1:0", "--client-buffer", "100000000"];
    let mut running = Running::start(&[&LISTEN[..], &line, &more].concat());

    // A subscriber that does not read holds up the end.
    let mut subscriber =
        TcpStream::connect(("127.0.0.1", running.port("http://127.0.0.1:"))).unwrap();
    subscriber
        .write_all(b"GET /sse?subscribe=room1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    subscriber.read_exact(&mut [0]).unwrap();
    let mut publisher =
        TcpStream::connect(("127.0.0.1", running.port("nc -q1 127.0.0.1 "))).unwrap();
    let message = format!("room1={}\n", "x".repeat(1_000_000));
    for _ in 0..30 {
        publisher.write_all(message.as_bytes()).unwrap();
    }
    publisher.shutdown(Shutdown::Write).unwrap();
    publisher.read_to_end(&mut Vec::new()).unwrap();

    kill(running.pid(), Signal::SIGINT).unwrap();
    let told = || fs::read_to_string(&log).unwrap();
    eventually("it begins to stop", || {
        told().contains("stopping on SIGINT").then_some(())
    });
    kill(running.pid(), Signal::SIGTERM).unwrap();
    assert_eq!(
        running.ended(),
        (
            Some(1),
            "hasses: ended at once by a second SIGTERM\n".to_owned()
        )
    );
    assert_eq!(folder.names(), ["log"]);
}

#[test]
fn a_daemon_keeps_nothing_open_that_it_was_given() {
    let folder = Folder::new();
    let pid = folder.text("pid");
    let line = [&BOTH[..], &["--pidfile", &pid, "--daemon"]].concat();
    // Whoever reads that pipe sees its end only when nobody holds it any more.
    let script =
        r#"{ "$0" "$@" 7>&1 >/dev/null 2>&1; echo "$?"; } | { timeout 10 cat; echo "$?"; }"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_hasses")]);
    let output = command.args(line).output().unwrap();
    let daemon = Daemon::of(Path::new(&pid));
    assert_eq!(text(&output.stdout), "0\n0\n");
    daemon.stop();
}
