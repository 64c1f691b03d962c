//! Detaching, the pid file, the user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::stat::Mode;
use nix::unistd::{Group, User, mkfifo};

use super::program::*;
use support::needs;

#[test]
fn a_daemon_is_ready_when_its_parent_ends() {
    let folder = Folder::new();
    let (pid, control, log) = (
        folder.text("pid"),
        folder.text("control"),
        folder.text("log"),
    );
    let address = format!("unix:{control}");
    let line = [
        "--control",
        &address,
        "--pidfile",
        &pid,
        "--log",
        &log,
        "--daemon",
    ];
    let output = output(&[&LISTEN[..], &line].concat());
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let daemon = Daemon::of(Path::new(&pid));
    UnixStream::connect(&control).unwrap();
    let proc = PathBuf::from(format!("/proc/{}", daemon.0));
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), Path::new("/"));
    for number in 0..3 {
        let stream = fs::read_link(proc.join(format!("fd/{number}"))).unwrap();
        assert_eq!(stream, Path::new("/dev/null"));
    }
    let session = nix::unistd::getsid(Some(daemon.0)).unwrap();
    assert_ne!(session, nix::unistd::getsid(None).unwrap());
    assert_ne!(session, daemon.0);

    let again = [&BOTH[..], &["--pidfile", &pid]].concat();
    fails(
        &again,
        1,
        &["--pidfile", "another hasses runs", &daemon.0.to_string()],
    );
    fails(
        &[&again[..], &["--daemon", "--log", &log]].concat(),
        1,
        &["another hasses runs"],
    );
    daemon.stop();
    assert_eq!(folder.names(), ["log"]);
}

#[test]
fn a_daemon_finds_relative_paths() {
    let folder = Folder::new();
    let line = [
        "--listen",
        "unix:listen",
        "--fifo",
        "fifo",
        "--pidfile",
        "pid",
        "--log",
        "log",
    ];
    let mut command = hasses(&[&line[..], &["--daemon"]].concat());
    let output = command.current_dir(&folder.0).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let daemon = Daemon::of(&folder.file("pid"));
    assert_eq!(folder.names(), ["fifo", "listen", "log", "pid"]);
    daemon.stop();
    assert_eq!(folder.names(), ["fifo", "log"]);
}

#[test]
fn a_stale_pid_file_is_replaced() {
    let folder = Folder::new();
    let pid = folder.text("pid");
    // This process lives, but holds no lock: its number was given again.
    fs::write(&pid, format!("{}\n", std::process::id())).unwrap();
    let running = Running::start(&[&BOTH[..], &["--pidfile", &pid]].concat());
    assert_eq!(
        fs::read_to_string(&pid).unwrap(),
        format!("{}\n", running.pid())
    );
    running.stop();
    assert!(folder.names().is_empty());
}

#[test]
fn what_is_no_regular_file_is_no_pid_file() {
    let folder = Folder::new();
    let (fifo, link) = (folder.text("fifo"), folder.text("link"));
    mkfifo(fifo.as_str(), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    symlink("nowhere", &link).unwrap();
    for path in [&fifo, &link, "/dev/null", folder.0.to_str().unwrap()] {
        for check in [&[][..], &["--check"]] {
            let line = [&BOTH[..], &["--pidfile", path], check].concat();
            fails(&line, 1, &["--pidfile", path, "no regular file"]);
        }
    }
    assert_eq!(folder.names(), ["fifo", "link"]);
}

#[test]
fn the_user_owns_what_was_made_and_is_not_root_any_more() {
    needs!("root");
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let group = Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
    let folder = Folder::new();
    chown(&folder.0, Some(uid), None).unwrap();
    let (fifo, log, pid) = (folder.text("fifo"), folder.text("log"), folder.text("pid"));
    let control = format!("unix:{}", folder.text("control"));
    let line = [
        "--control",
        &control,
        "--fifo",
        &fifo,
        "--log",
        &log,
        "--pidfile",
        &pid,
    ];
    let more = ["--user", "nobody", "--group", "daemon"];
    let running = Running::start(&[&LISTEN[..], &line, &more].concat());
    for (name, gid) in [
        ("fifo", group),
        ("control", group),
        ("log", gid),
        ("pid", gid),
    ] {
        let metadata = fs::metadata(folder.file(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{name}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let has = |field: &str, ids: &[u32]| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let found: Vec<u32> = line
            .unwrap()
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect();
        assert_eq!(found, ids, "{field}");
    };
    has("Uid:", &[uid; 4]);
    has("Gid:", &[gid; 4]);
    has("Groups:", &[]);
    running.stop();
    assert_eq!(folder.names(), ["fifo", "log"]);
}

#[test]
fn a_start_that_fails_as_the_user_leaves_nothing_behind() {
    needs!("root");
    // Root's folder, in which nobody may remove files.
    let folder = Folder::new();
    let (closed, pid) = (folder.file("closed"), folder.text("pid"));
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let log = folder.text("closed/log");
    let control = format!("unix:{}", folder.text("control"));
    let line = [
        "--control",
        &control,
        "--log",
        &log,
        "--pidfile",
        &pid,
        "--user",
        "nobody",
    ];
    for more in [&[][..], &["--daemon"]] {
        let line = [&LISTEN[..], &line, more].concat();
        fails(&line, 1, &["--log", &log, "Permission denied"]);
        assert_eq!(folder.names(), ["closed"]);
        assert!(!Path::new(&log).exists());
    }
}
