#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::PathBuf;
use std::time::Duration;

use hasses_actors::config::{LogTarget, SubscribeAll};
use hasses_actors::model::{Cors, LogLevel};
use hasses_actors::net::Door;

use super::*;
use crate::plan::Addresses;

/// Reads a command line of words without blanks, with this text in every config file.
fn read_with(line: &str, file: &str) -> Result<Request, Failure> {
    let arguments = line.split_whitespace().map(str::to_owned).collect();
    read(arguments, |_| Ok(file.to_owned()))
}

fn plan_with(line: &str, file: &str) -> Plan {
    match read_with(line, file).unwrap() {
        Request::Start(plan) => *plan,
        other => panic!("{other:?}"),
    }
}

fn plan_of(line: &str) -> Plan {
    plan_with(line, "")
}

fn shown(addresses: &Addresses) -> String {
    let all: Vec<String> = addresses.doors.iter().map(Door::to_string).collect();
    all.join(" ")
}

fn refused(line: &str, file: &str) -> String {
    let failure = read_with(line, file).unwrap_err();
    assert_eq!((failure.code, failure.messages.len()), (2, 1));
    failure.messages.concat()
}

#[test]
fn nothing_asked_for_means_the_defaults() {
    let plan = plan_of("");
    assert_eq!(shown(&plan.listen), "127.0.0.1:8080");
    assert_eq!(shown(&plan.control), "127.0.0.1:8085");
    assert!(!plan.listen.asked && !plan.control.asked && !plan.detach && !plan.reuse_port);
    assert_eq!(plan.fifo_mode, 0o660);
    let config = plan.config;
    assert_eq!((config.path.as_str(), config.delimiter), ("/sse", b';'));
    assert_eq!(
        (config.max_message, config.client_buffer),
        (1 << 20, 1 << 20)
    );
    assert_eq!(config.heartbeat, Some(Duration::from_secs(15)));
    assert_eq!((config.retry, config.cors), (Some(3000), Cors::Any));
    assert_eq!(config.subscribe_all, SubscribeAll::Nobody);
    assert!(!config.reinit && !config.silence_ends_message);
    assert_eq!(
        (config.log_level, config.log),
        (LogLevel::Normal, LogTarget::Stderr)
    );
    assert!(config.fifo.is_none() && config.about.user.is_none());
}

#[test]
fn a_key_decides_who_may_read_everything() {
    for line in ["--subscribe-key /k", "-p=1 --subscribe-key=/k --allow-all"] {
        let plan = plan_of(line);
        assert_eq!(plan.subscribe_keys, [PathBuf::from("/k")]);
        assert_eq!(plan.config.subscribe_all, SubscribeAll::Anyone);
    }
}

#[test]
fn every_option_is_heard() {
    let plan = plan_of(
        "--listen=[::]:1 --listen unix:/s --path /p --control localhost:2 --fifo /f --delimiter | \
         --cors https://a.b --cors https://c.d --log /l --log-level debug --pidfile /pid --daemon \
         --user root --reinit --heartbeat 0 --retry 0 --allow-all --group root --reuse-port \
         --max-message 10 --client-buffer 20 --control-host A.b",
    );
    assert_eq!(shown(&plan.listen), "[::]:1 unix:/s");
    assert_eq!(shown(&plan.control), "localhost:2");
    assert!(plan.detach && plan.reuse_port);
    assert_eq!(plan.pidfile, Some("/pid".into()));
    assert_eq!((plan.user.unwrap().uid, plan.group), (0, Some(0)));
    let config = plan.config;
    assert_eq!((config.path.as_str(), config.delimiter), ("/p", b'|'));
    assert_eq!((config.max_message, config.client_buffer), (10, 20));
    assert_eq!((config.heartbeat, config.retry), (None, None));
    let origins = ["https://a.b", "https://c.d"].map(str::to_owned).to_vec();
    assert_eq!(config.cors, Cors::Only(origins));
    assert_eq!(config.subscribe_all, SubscribeAll::Anyone);
    assert!(config.reinit);
    assert_eq!(config.control_hosts, ["a.b"]);
    assert_eq!(config.log_level, LogLevel::Debug);
    assert_eq!(config.log, LogTarget::File("/l".into()));
    assert_eq!(config.fifo.unwrap().path, Path::new("/f"));
    assert_eq!(config.about.user.as_deref(), Some("root"));
}

#[test]
fn help_names_every_option() {
    let all = "listen path control fifo delimiter config check cors log log-level pidfile daemon user \
               reinit heartbeat retry allow-all group reuse-port max-message client-buffer \
               control-host help version";
    for option in all.split_whitespace() {
        assert!(
            crate::help::HELP.contains(&format!("--{option}")),
            "{option}"
        );
    }
}

#[test]
fn help_and_version_always_answer() {
    for line in [
        "--help",
        "-h",
        "-help",
        "--nonsense --help",
        "-ssl -h",
        "x --help",
    ] {
        assert!(matches!(read_with(line, ""), Ok(Request::Help)), "{line}");
    }
    for line in ["--version", "-v", "-V", "-version", "-p=x -v"] {
        assert!(
            matches!(read_with(line, ""), Ok(Request::Version)),
            "{line}"
        );
    }
}

#[test]
fn a_fifo_alone_means_no_control_port() {
    assert_eq!(shown(&plan_of("--fifo /f").control), "");
    assert_eq!(shown(&plan_of("--fifo /f --control a:1").control), "a:1");
    assert_eq!(shown(&plan_of("-p=1 -fifo=/f").control), "");
    assert_eq!(shown(&plan_of("-p=1 -fifo=/f -cp=2").control), "[::]:2");
    assert_eq!(shown(&plan_of("-p=1").control), "[::]:8085");
}

#[test]
fn the_old_docker_line_means_what_it_did() {
    let plan = plan_of("-p=8080 -cp=8085 -murl=/sse -nodaemon -cors-base=* -q");
    assert_eq!(shown(&plan.listen), "[::]:8080");
    assert_eq!(shown(&plan.control), "[::]:8085");
    assert!(!plan.detach);
    assert_eq!(plan.fifo_mode, 0o666);
    assert_eq!(plan.config.log, LogTarget::Stdout);
    assert_eq!(plan.config.log_level, LogLevel::Quiet);
    assert_eq!(plan.config.subscribe_all, SubscribeAll::LiveOnly);
    assert!(plan.config.silence_ends_message);
}

#[test]
fn old_switches_detach_and_log_as_they_did() {
    let log = |line| plan_of(line).config.log;
    let file = |path: &str| LogTarget::File(path.into());
    assert!(plan_of("-p=1").detach);
    assert_eq!(log("-p=1"), file("/var/log/hasses.log"));
    assert_eq!(log("-p=1 -nodaemon -l=/x"), file("/x"));
    assert_eq!(log("-p=1 -l=/x -l=/y"), file("/y"));
    assert!(plan_of("-p=1 -nodaemon --daemon").detach);
}

#[test]
fn old_values_are_taken_that_new_options_refuse() {
    let line = "-p=1 -murl=sse -sep=: -cors-base=www.example.com";
    let config = plan_of(line).config;
    assert_eq!((config.path.as_str(), config.delimiter), ("/sse", b':'));
    assert_eq!(config.cors, Cors::Only(vec!["www.example.com".to_owned()]));
    assert_eq!(plan_of("-p=1 -cors-base=*").config.cors, Cors::Any);
    let config = plan_of(&format!("{line} --delimiter | --cors https://a.b")).config;
    assert_eq!(config.delimiter, b'|');
    assert_eq!(config.cors, Cors::Only(vec!["https://a.b".to_owned()]));
    assert!(refused("--delimiter :", "").contains("commands"));
    assert!(refused("-sep=:", "").contains("--delimiter"));
}

#[test]
fn new_options_win_over_old_switches() {
    let plan = plan_of("-p=1 -murl=/old --path /new --listen 127.0.0.1:2 --allow-all");
    assert_eq!(plan.config.path, "/new");
    assert_eq!(shown(&plan.listen), "127.0.0.1:2");
    assert_eq!(plan.config.subscribe_all, SubscribeAll::Anyone);
}

#[test]
fn the_command_line_wins_over_the_file() {
    let file =
        "# ours\n--path /file\n--cors https://a.b\n--cors https://c.d\n--reinit\n--retry=7\n";
    let plan = plan_with("--config f --path /line --cors https://e.f", file);
    assert_eq!(
        (plan.config.path.as_str(), plan.config.retry),
        ("/line", Some(7))
    );
    assert_eq!(plan.config.cors, Cors::Only(vec!["https://e.f".to_owned()]));
    assert!(plan.config.reinit);
    let plan = plan_with("--config f", file);
    assert!(matches!(plan.config.cors, Cors::Only(origins) if origins.len() == 2));
}

#[test]
fn an_old_config_file_works() {
    let file = "-p=8080 -cp=8085\r\n-murl=/events\r\n# log\r\n-l=/x\r\n-debug\r\n";
    let plan = plan_with("--config f", file);
    assert_eq!(
        (shown(&plan.listen), plan.detach),
        ("[::]:8080".to_owned(), true)
    );
    assert_eq!(plan.config.path, "/events");
    assert_eq!(plan.config.log_level, LogLevel::Debug);
    let plan = plan_with("--config f -nodaemon -murl=/line", file);
    assert_eq!((plan.config.path.as_str(), plan.detach), ("/line", false));
}

#[test]
fn what_is_wrong_is_told_with_its_name_and_the_reason() {
    for (line, parts) in [
        (
            "--heartbeat 1x",
            [
                "--heartbeat",
                "'1x'",
                "whole number of seconds (0 to 86400)",
            ],
        ),
        (
            "--listen tls:[::]:1 --tls-cert F",
            ["tls:[::]:1", "TLS", "--tls-key"],
        ),
        (
            "--control tls:[::]:1 --tls-key F",
            ["tls:[::]:1", "TLS", "--tls-cert"],
        ),
        (
            "--listen [::]:1 --tls-cert F --tls-key F",
            ["--tls-cert", "no address", "--listen tls:"],
        ),
        (
            "--listen [::]:1 --listen tls:[::]:1",
            ["[::]:1", "twice", "TLS"],
        ),
        ("--listen 8080", ["--listen", "'8080'", "HOST:PORT"]),
        ("--path", ["--path needs a value", "", ""]),
        ("--path --daemon", ["--path needs a value", "", ""]),
        (
            "--path /a --path /b",
            ["--path is given twice; it takes one value", "", ""],
        ),
        ("--daemon=yes", ["--daemon", "takes no value", ""]),
        (
            "--paht /x",
            ["--paht", "not an option", "did you mean --path?"],
        ),
        (
            "--bus http://x",
            ["--bus", "'http' is no scheme", "redis://"],
        ),
        ("--bus-down local", ["--bus-down", "--bus names", ""]),
        (
            "--bus redis://x --bus-down off",
            ["--bus-down", "'off'", "local or refuse"],
        ),
        (
            "publish",
            ["'publish'", "not a command", "did you mean hasses publish?"],
        ),
        (
            "--user no-such-user",
            ["--user", "no-such-user", "no such user"],
        ),
        (
            "--cors * --cors https://a.b",
            ["--cors", "'*'", "name either"],
        ),
        (
            "-p=1 -sep=ab",
            ["-sep", "'ab'", "one printable ASCII character other than ="],
        ),
        ("-cp=1", ["-cp", "-p=PORT", "--control"]),
        (
            "-p=1 -ssl -privatekey-file=F",
            ["tls:[::]:1", "--tls-cert", "-cert-file="],
        ),
        ("-ssl", ["-ssl", "-p=PORT", "--listen tls:"]),
    ] {
        let told = refused(line, "");
        assert!(
            parts.iter().all(|part| told.contains(part)),
            "{line}: {told}"
        );
    }
    let long = refused(&format!("--path {}", "x".repeat(9999)), "");
    assert!(
        long.len() < 300 && long.contains("begins with '/'"),
        "{long}"
    );
    let arguments = vec!["--fifo".to_owned(), "a\0\x1b".to_owned()];
    let failure = read(arguments, |_| Ok(String::new())).unwrap_err();
    assert!(!failure.messages[0].contains('\x1b'));
}

#[test]
fn what_is_wrong_in_the_file_is_told_with_its_line() {
    for (file, told) in [
        ("\n--heartbeat 1x", "f:2: --heartbeat '1x': it needs"),
        (
            "--bus redis://me:secret@h/x",
            "f:1: --bus 'redis://…@h/x': ",
        ),
        (
            "--path /a\n--path /b",
            "f:2: --path is given twice; it takes one value",
        ),
        ("p=8080", "f:1: 'p=8080' is neither a command nor an option"),
        (
            "#\n#\n--config x",
            "f:3: --config belongs on the command line",
        ),
        ("-h", "f:1: -h belongs on the command line"),
        (
            "--reinit\n-cp=1",
            "f:2: -cp is an old switch and needs -p=PORT beside it",
        ),
        ("-p=1\n-x", "f:2: -x is not an option"),
    ] {
        let found = refused("--config f", file);
        assert!(found.starts_with(told), "{found}");
    }
    let arguments = vec!["--config=/no".to_owned()];
    let failure = read(arguments, |_| Err(io::ErrorKind::NotFound.into())).unwrap_err();
    assert_eq!(failure.code, 1);
    assert!(failure.messages[0].starts_with("--config /no: "));
}

#[test]
fn tls_is_for_the_addresses_that_say_so_and_with_old_switches_for_subscribers() {
    let shown_with_files = |line| {
        let plan = plan_of(line);
        let files = plan.tls.map(|files| (files.cert, files.key));
        let encrypted = plan.config.encrypted;
        (shown(&plan.listen), shown(&plan.control), files, encrypted)
    };
    let files = || Some(("C".into(), "K".into()));
    for (line, listen, control, files, encrypted) in [
        (
            "--listen tls:[::]:1 --listen [::]:2 --tls-cert C --tls-key K",
            "tls:[::]:1 [::]:2",
            "127.0.0.1:8085",
            files(),
            true,
        ),
        (
            "--control tls:unix:/x --tls-cert C --tls-key K",
            "127.0.0.1:8080",
            "tls:unix:/x",
            files(),
            false,
        ),
        (
            "-ssl -cert-file=C -privatekey-file=K -p=1 -cp=2",
            "tls:[::]:1",
            "[::]:2",
            files(),
            true,
        ),
        (
            "-p=1 -cp=2 -cert-file=C -privatekey-file=K",
            "[::]:1",
            "[::]:2",
            None,
            false,
        ),
    ] {
        let expected = (listen.into(), control.into(), files, encrypted);
        assert_eq!(shown_with_files(line), expected, "{line}");
    }
    let file = "-p=1\n-cert-file=C\n-privatekey-file=K\n-cp=2\n";
    let plan = plan_with("--config f -ssl --tls-key L", file);
    assert_eq!(shown(&plan.listen), "tls:[::]:1");
    assert_eq!(plan.tls.unwrap().key, Path::new("L"));
}
