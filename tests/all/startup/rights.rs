//! What hasses may do, what it leaves to others, and the secrets' files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::User;

use super::program::*;
use support::needs;

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn nobody() -> u32 {
    User::from_name("nobody").unwrap().unwrap().uid.as_raw()
}

fn uid(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

#[test]
fn no_right_comes_back() {
    let mut lines = vec![vec![]];
    if is_root() {
        lines.push(vec!["--user", "nobody"]);
    }
    for more in lines {
        let running = Running::start(&[&BOTH[..], &more].concat());
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        assert_eq!(field("NoNewPrivs:\t"), Some("1"));
        if !more.is_empty() {
            for set in ["CapPrm:\t", "CapEff:\t", "CapAmb:\t"] {
                assert_eq!(field(set), Some("0000000000000000"), "{set}");
            }
        }
        running.stop();
    }
}

#[test]
fn who_can_become_root_again_does_not_start() {
    needs!("root", "setpriv");
    // The right to change users is kept by what only looks like another user.
    let setpriv = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let caps = ["--inh-caps", "+setuid", "--ambient-caps", "+setuid"];
    let folder = Folder::new();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();
    // Where that user can run it.
    let program = folder.text("hasses");
    fs::copy(env!("CARGO_BIN_EXE_hasses"), &program).unwrap();
    let output = std::process::Command::new("timeout")
        .args(["20", "setpriv"])
        .args(setpriv)
        .args(caps)
        .arg(&program)
        .args(BOTH)
        .args(["--user", "65534:65534"])
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("--user 65534:65534: the rights of root did not go away"),
        "{told}"
    );
}

#[test]
fn what_was_there_before_stays_whose_it_is() {
    needs!("root");
    let folder = Folder::new();
    let roots = Folder::new();
    chown(&folder.0, Some(nobody()), None).unwrap();
    for option in ["--history-file", "--log"] {
        let path = folder.file("file");
        write(&path, "", 0o640);
        let line = [
            &BOTH[..],
            &["--user", "nobody", option, path.to_str().unwrap()],
        ]
        .concat();
        fails(
            &line,
            1,
            &[
                option,
                path.to_str().unwrap(),
                "Permission denied",
                "nobody",
            ],
        );
        assert_eq!(
            (uid(&path), fs::read_to_string(&path).unwrap()),
            (0, String::new())
        );
        // It was nobody's before, so it can be taken on.
        chown(&path, Some(nobody()), None).unwrap();
        Running::start(&line).stop();
        // What is made is the user's, but not behind a link which that user put there.
        fs::remove_file(&path).unwrap();
        Running::start(&line).stop();
        assert_eq!(uid(&path), nobody());
        fs::remove_file(&path).unwrap();
        symlink(roots.file("made"), &path).unwrap();
        fails(&line, 1, &[option, path.to_str().unwrap()]);
        assert!(roots.names().is_empty());
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn an_old_command_line_goes_on_with_roots_log() {
    needs!("root");
    let folder = Folder::new();
    chown(&folder.0, Some(nobody()), None).unwrap();
    let (log, link) = (folder.file("log"), folder.file("link"));
    let started = |path: &Path| {
        let log = format!("-l={}", path.display());
        hasses(&[
            "-p=0",
            "-cp=0",
            "-nodaemon",
            "-user=nobody",
            &log,
            "--listen",
            "127.0.0.1:0",
        ])
    };
    write(&log, "", 0o640);
    Running::spawn(started(&log)).stop();
    assert_eq!(uid(&log), nobody());
    // Not with what somebody else has put into its place.
    let precious = folder.file("precious");
    write(&precious, "", 0o600);
    symlink(&precious, &link).unwrap();
    let output = started(&link).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert_eq!(uid(&precious), 0);
}

#[test]
fn what_cannot_be_read_again_is_named() {
    needs!("root");
    let folder = Folder::new();
    fs::set_permissions(&folder.0, Permissions::from_mode(0o755)).unwrap();
    let (config, secret) = (folder.file("config"), folder.file("secret"));
    write(&config, "--heartbeat 7\n", 0o644);
    write(&secret, "hidden\n", 0o600);
    let line = [
        "--config",
        config.to_str().unwrap(),
        "--control-secret",
        secret.to_str().unwrap(),
        "--user",
        "nobody",
    ];
    let line = [&BOTH[..], &line].concat();
    let told = logged(Running::start(&line));
    let warned = format!(
        "--control-secret {}: the user nobody cannot read it",
        secret.display()
    );
    assert!(
        told.contains(&warned) && !told.contains("--config"),
        "{told}"
    );
    chown(&secret, Some(nobody()), None).unwrap();
    let told = logged(Running::start(&line));
    assert!(!told.contains("cannot read it"), "{told}");
    fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    let told = logged(Running::start(&line));
    assert!(
        told.contains(&format!("--config {}", config.display())),
        "{told}"
    );
}

#[test]
fn a_secret_that_others_may_read_is_warned_about() {
    let folder = Folder::new();
    let secret = folder.file("secret");
    let line = [&BOTH[..], &["--control-secret", secret.to_str().unwrap()]].concat();
    for (mode, warns) in [(0o640, false), (0o600, false), (0o644, true), (0o660, true)] {
        write(&secret, "hidden\n", mode);
        let told = logged(Running::start(&line));
        let warned = format!("--control-secret {}: its mode {mode:04o}", secret.display());
        assert_eq!(told.contains(&warned), warns, "{mode:o}: {told}");
        assert!(!told.contains("hidden"), "{told}");
    }
}

#[test]
fn what_is_no_secret_is_refused() {
    let folder = Folder::new();
    let (secret, fifo) = (folder.file("secret"), folder.text("fifo"));
    let path = secret.to_str().unwrap();
    let line = [&BOTH[..], &["--fifo", &fifo, "--control-secret", path]].concat();
    let check = [&line[..], &["--check"]].concat();
    for (content, why) in [
        ("", "empty"),
        ("\n", "empty"),
        ("\r\n", "empty"),
        ("hidden word\n", "one word"),
        ("hidden\n\n", "one word"),
        (&"hidden".repeat(200), "longer than 1024 bytes"),
    ] {
        write(&secret, content, 0o600);
        for line in [&line, &check] {
            fails(line, 1, &["--control-secret", path, why]);
            assert!(!text(&output(line).stderr).contains("hidden"));
        }
    }
    write(&secret, "hidden", 0o600);
    assert_eq!(output(&check).status.code(), Some(0));
    fs::remove_file(&secret).unwrap();
    fails(&line, 1, &["--control-secret", path, "No such file"]);
    assert!(folder.names().is_empty(), "nothing is left behind");
}

#[test]
fn a_daemon_finds_its_secret_again() {
    let folder = Folder::new();
    write(&folder.file("secret"), "hidden\n", 0o600);
    let line = [&BOTH[..], &["--control-secret", "secret", "--log", "log"]].concat();
    let line = [&line[..], &["--pidfile", "pid", "--daemon"]].concat();
    let output = hasses(&line).current_dir(&folder.0).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let daemon = Daemon::of(&folder.file("pid"));
    kill(daemon.0, Signal::SIGHUP).unwrap();
    eventually("it has read the secret again", || {
        fs::read_to_string(folder.file("log"))
            .unwrap()
            .contains("settings read again")
            .then_some(())
    });
    daemon.stop();
}
