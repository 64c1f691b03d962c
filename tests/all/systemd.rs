//! The units of examples/systemd: systemd understands them, they leave hasses few rights, and what
//! they start starts.

use std::fs;
use std::process::Command;

use support::{Daemon, needs, publish, run, temp_dir};

const UNITS: [&str; 3] = ["hasses.service", "hasses.socket", "hasses-control.socket"];
/// The highest exposure, in tenths, that `systemd-analyze security` may find; 10.0 is the worst.
const EXPOSURE: &str = "12";

fn unit(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/systemd");
    fs::read_to_string(format!("{folder}/{name}")).unwrap()
}

/// The value of a unit's setting that stands there once.
fn setting(unit: &str, name: &str) -> String {
    let mut values = unit.lines().filter_map(|line| {
        let (found, value) = line.split_once('=')?;
        (found == name).then(|| value.to_owned())
    });
    let value = values.next().unwrap_or_else(|| panic!("no {name}="));
    assert_eq!(values.next(), None, "{name}= is there twice");
    value
}

#[test]
fn systemd_understands_them_and_finds_little_to_attack() {
    needs!("systemd-analyze");
    let folder = temp_dir();
    let mut paths = Vec::new();
    for name in UNITS {
        let path = folder.path().join(name);
        // The program has to be there.
        let text = unit(name).replace("/usr/local/bin/hasses", env!("CARGO_BIN_EXE_hasses"));
        fs::write(&path, text).unwrap();
        paths.push(path.to_str().unwrap().to_owned());
    }
    for path in &paths {
        let output = run("systemd-analyze", &["verify", "--man=no", path]);
        let told = String::from_utf8_lossy(&output.stderr);
        let ours: Vec<&str> = told
            .lines()
            .filter(|line| line.contains("hasses"))
            .collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
    // A figure above the threshold is a failure.
    let threshold = format!("--threshold={EXPOSURE}");
    run(
        "systemd-analyze",
        &[
            "security",
            "--no-pager",
            "--offline=yes",
            &threshold,
            &paths[0],
        ],
    );
}

#[test]
fn what_the_service_starts_works_and_reloads() {
    let service = unit("hasses.service");
    assert_eq!(setting(&service, "Type"), "notify");
    assert_eq!(
        setting(&unit("hasses.socket"), "FileDescriptorName"),
        "listen"
    );
    assert_eq!(
        setting(&unit("hasses-control.socket"), "FileDescriptorName"),
        "control"
    );
    let command = setting(&service, "ExecStart");
    let options = command.strip_prefix("/usr/local/bin/hasses").unwrap();
    let options = options
        .replace("/var/lib/hasses", "{dir}")
        .replace("/run/hasses", "{dir}");
    assert!(
        !options.contains('/') || options.contains("{dir}/"),
        "{options}"
    );
    let daemon = Daemon::start(&options);
    let mut stream = daemon.subscribe("subscribe=a");
    publish::fifo(&daemon.file("in"), "a=x\n");
    assert_eq!(stream.data(), "x");
    // The reload, with systemd's shorthand for the process.
    let reload = setting(&service, "ExecReload").replace("$MAINPID", &daemon.pid().to_string());
    let status = Command::new("sh").args(["-c", &reload]).status().unwrap();
    assert!(status.success(), "{reload}");
    daemon.wait_for_log("settings read again");
}
