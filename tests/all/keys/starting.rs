//! The key's file at the start.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::maker;
use super::{SECRET, with_key, write_key};
use support::{Daemon, Program, needs, publish, temp_dir};

/// What it says when it does not start, or is only to check.
fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new("timeout");
    let command = command
        .args(["20", env!("CARGO_BIN_EXE_hasses")])
        .args(arguments);
    let output = command.stdin(Stdio::null()).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn what_is_no_key_is_refused() {
    needs!("node");
    let dir = temp_dir();
    let keys = maker::keys();
    let private = fs::read_to_string(keys.path().join("rsa.pem")).unwrap();
    let path = dir.path().join("key");
    let name = path.to_str().unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];
    for (content, why) in [
        (None, "No such file"),
        (Some(""), "it is empty"),
        (Some("\n"), "it is empty"),
        (Some(private.as_str()), "the public key is needed"),
        (Some("-----BEGIN PUBLIC KEY-----\nx\n"), "PEM"),
    ] {
        if let Some(content) = content {
            write_key(&path, content);
        }
        let line = [&ports[..], &["--subscribe-key", name]].concat();
        let check = [&["--check"], &line[..]].concat();
        for line in [&line, &check] {
            let (code, text) = told(line);
            assert_eq!(code, Some(1), "{text}");
            assert!(
                text.contains(&format!("--subscribe-key {name}: ")),
                "{text}"
            );
            assert!(text.contains(why) && text.lines().count() == 1, "{text}");
        }
    }
    let (code, text) = told(&["sign", "--key", name, "--for", "1h", "subscribe=a"]);
    assert!(code == Some(1) && text.contains("PEM"), "{text}");
    let public = keys.path().join("rsa.pub.pem");
    let (code, text) = told(&[
        "sign",
        "--key",
        public.to_str().unwrap(),
        "--for=1h",
        "subscribe=a",
    ]);
    assert!(code == Some(1) && text.contains("public key"), "{text}");
    let (code, text) = told(&["sign", "--key", name, "--for", "1h", "subscribe="]);
    assert!(code == Some(2) && text.contains("empty token"), "{text}");
}

#[test]
fn the_greeting_shows_what_works() {
    let daemon = with_key(SECRET, "");
    let line = daemon.wait_for_log("curl -N");
    let folder = Path::new(env!("CARGO_BIN_EXE_hasses")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap());
    let curl = Program::start(Command::new("sh").args(["-c", &line]).env("PATH", path));
    daemon.wait_for_clients(1);
    publish::http(daemon.control, "room1", "seen");
    curl.wait_for("data: seen");
}

#[test]
fn a_file_that_others_read_is_warned_about() {
    needs!("node");
    let arguments = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} \
                     --subscribe-key {dir}/key";
    let daemon = Daemon::prepared(arguments, |place| {
        let path = place.dir.join("key");
        write_key(&path, SECRET);
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    });
    let line = daemon.wait_for_log("its mode 0644");
    assert!(
        line.contains(&daemon.file("key").display().to_string()),
        "{line}"
    );

    let daemon = with_key("short\n", "");
    daemon.wait_for_log("shorter than 32 bytes");

    let keys = maker::keys();
    let public = fs::read_to_string(keys.path().join("rsa.pub.pem")).unwrap();
    let daemon = Daemon::prepared(arguments, |place| {
        place.write("key", &public);
    });
    assert!(!daemon.log().contains("mode"), "{}", daemon.log());
}

#[test]
fn what_the_user_may_not_read_again_is_warned_about() {
    needs!("root");
    let dir = temp_dir();
    let path = dir.path().join("key");
    write_key(&path, SECRET);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
    let ports = [
        "--listen=127.0.0.1:0",
        "--control=127.0.0.1:0",
        "--user=nobody",
    ];
    let daemon = Program::start(command.args(ports).arg("--subscribe-key").arg(&path));
    let line = daemon.wait_for("may not read it");
    assert!(
        line.contains("--subscribe-key") && line.contains("nobody"),
        "{line}"
    );
}
