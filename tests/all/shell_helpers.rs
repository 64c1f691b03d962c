//! The helpers of the shell: `hasses publish`, `status`, `subscribe`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use support::{Daemon, Port, needs, publish, temp_dir};

use crate::tls::authority::Authority;
use crate::tls::site::Site;

/// What a run of the program was.
struct Run {
    code: i32,
    told: String,
    complained: String,
}

fn hasses(arguments: &[&str], input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hasses"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may not read all, or none, of it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        told: String::from_utf8(output.stdout).unwrap(),
        complained: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Publishes, which must succeed; what it says.
fn published(daemon: &Daemon, arguments: &[&str], input: &str) -> String {
    let control = daemon.control.to_string();
    let arguments = [&["publish", "--control", &control], arguments].concat();
    let run = hasses(&arguments, input.as_bytes());
    assert_eq!((run.code, &*run.complained), (0, ""), "{arguments:?}");
    run.told
}

#[test]
fn who_types_a_message_is_told_how_it_ends() {
    needs!("script");
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("token=a");
    let command = format!(
        "{} publish a --control {}",
        env!("CARGO_BIN_EXE_hasses"),
        daemon.control
    );
    let mut script = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = script.stdin.take().unwrap();
    let mut told = BufReader::new(script.stdout.take().unwrap());
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    assert!(line.contains("type the message; Ctrl-D"), "{line}");
    input.write_all(b"typed\n\x04").unwrap();
    assert_eq!(stream.data(), "typed");
    assert!(script.wait().unwrap().success());
}

#[test]
fn a_message_is_published_as_it_is() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("token=a-b%20%26%3Fé&subscribe=pre-x&id=me");
    let told = published(&daemon, &["a-b &?é", "hello; = \n world"], "");
    let event = stream.event();
    assert_eq!(told, format!("id {} recipients 1\n", event.id.unwrap()));
    assert_eq!(event.data.as_deref(), Some("hello; = \n world"));
    assert_eq!(event.event, None);
    published(&daemon, &["pr*", "hi", "--event=ne ws&"], "");
    assert_eq!(stream.event().event.as_deref(), Some("ne ws&"));
    published(&daemon, &["*", ""], "");
    assert_eq!(stream.data(), "");
    published(&daemon, &["x", "--", "--not-an-option"], "");
    assert_eq!(stream.data(), "--not-an-option");
    let spared = published(&daemon, &["x", "no", "--except", "me"], "");
    assert!(spared.ends_with(" recipients 0\n"), "{spared}");
    // Sent again, it is published once.
    for _ in 0..2 {
        published(&daemon, &["x", "once", "--idempotency-key", "k 1é"], "");
    }
    published(&daemon, &["x", "end"], "");
    assert_eq!([stream.data(), stream.data()], ["once", "end"]);
    // From standard input.
    let input = [
        (&["x"][..], "two\nlines\n\n", "two\nlines\n"),
        (&["x", "-"], "one", "one"),
    ];
    for (arguments, written, data) in input {
        published(&daemon, arguments, written);
        assert_eq!(stream.data(), data);
    }
    let large = "large ".repeat(150_000);
    published(&daemon, &["x"], &large);
    assert_eq!(stream.data(), large);
}

#[test]
fn figures_are_printed() {
    let daemon = Daemon::start("--control unix:{dir}/control");
    let _stream = daemon.subscribe("subscribe=a");
    let unix = format!("unix:{}", daemon.file("control").display());
    for control in [daemon.control.to_string(), unix.clone()] {
        let run = hasses(&["status", "--control", &control], b"");
        assert_eq!((run.code, &*run.complained), (0, ""));
        let words =
            |line: &str| -> Vec<String> { line.split_whitespace().map(str::to_owned).collect() };
        let lines: Vec<Vec<String>> = run.told.lines().map(words).collect();
        assert_eq!(lines[0], ["version", "2.0.0"]);
        assert!(lines.contains(&words("subscribers 1")), "{}", run.told);
        assert!(lines.contains(&words("log level normal")), "{}", run.told);
        // No two lines begin alike.
        let names = run.told.lines().map(|line| line.split("  ").next());
        let different: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(different.len(), lines.len(), "{}", run.told);
        let run = hasses(&["status", "--json", "--control", &control], b"");
        let figures: serde_json::Value = serde_json::from_str(&run.told).unwrap();
        assert_eq!(figures["sseconncli"], 1);
    }
    let mut stream = daemon.subscribe("subscribe=a");
    let run = hasses(
        &["publish", "a", "over the socket", "--control", &unix],
        b"",
    );
    assert_eq!(run.code, 0);
    assert_eq!(stream.data(), "over the socket");
}

#[test]
fn what_does_not_work_is_told() {
    let daemon = Daemon::start("--max-message 100");
    let control = daemon.control.to_string();
    let reserved = Port::reserve();
    let nobody = reserved.address().to_string();
    let long = "x".repeat(3_000_000);
    let table: [(i32, &[&str], &str); 13] = [
        (
            2,
            &["publish"],
            "publish: the token is missing; hasses publish --help",
        ),
        (2, &["publish", "a", "b", "c"], "quote the data"),
        (
            2,
            &["publish", "a", "--retain", "no"],
            "--retain is not an option",
        ),
        (2, &["publish", "a", "--event"], "--event needs a value"),
        (
            2,
            &["publish", "a", "--control", "x"],
            "--control 'x': not an address",
        ),
        (2, &["status", "now"], "'now' is too much"),
        (2, &["status", "--event", "x"], "--event is not an option"),
        (1, &["status", "--control", &nobody], "refused"),
        (
            1,
            &["status", "--control", "unix:/nowhere/s"],
            "unix:/nowhere/s: there is no such socket; is hasses running?",
        ),
        (
            1,
            &["publish", "a*b", "x", "--control", &control],
            "refused with 400: the token \"a%2Ab\"",
        ),
        (
            1,
            &["publish", "a", "--control", &control],
            "refused with 413",
        ),
        (
            1,
            &["status", "--control", &control, "--control-secret", "/none"],
            "--control-secret /none: No",
        ),
        (
            1,
            &[
                "status",
                "--control",
                &control,
                "--control-secret",
                "/dev/null",
            ],
            "secret is empty",
        ),
    ];
    for (code, arguments, part) in table {
        let run = hasses(arguments, long.as_bytes());
        assert_eq!(run.code, code, "{arguments:?} {}", run.complained);
        assert_eq!(run.told, "");
        assert_eq!(run.complained.lines().count(), 1, "{}", run.complained);
        assert!(run.complained.starts_with("hasses: "), "{}", run.complained);
        assert!(run.complained.contains(part), "{part}: {}", run.complained);
    }
}

#[test]
fn help_shows_examples() {
    for (helper, example) in [
        ("publish", "hasses publish room1 'hello'"),
        ("status", "hasses status --control unix:/run/hasses.sock"),
    ] {
        let run = hasses(&[helper, "--control", "x", "--help"], b"");
        assert_eq!((run.code, &*run.complained), (0, ""));
        for part in [example, "--control-secret FILE", "--control ADDR"] {
            assert!(run.told.contains(part), "{}", run.told);
        }
        assert!(run.told.lines().all(|line| line.len() < 92), "{}", run.told);
    }
}

#[test]
fn a_daemon_with_a_secret_is_asked_with_it() {
    let (listen, control) = ("127.0.0.1:{listen}", "127.0.0.1:{control}");
    let options = format!("--listen {listen} --control {control} --control-secret {{dir}}/secret");
    let daemon = Daemon::prepared(&options, |preparation| {
        preparation.write("secret", "s3cret\n")
    });
    let control = daemon.control.to_string();
    let file = daemon.file("secret");
    let known = [
        "--control",
        &control,
        "--control-secret",
        file.to_str().unwrap(),
    ];
    let mut stream = daemon.subscribe("subscribe=a");
    let run = hasses(&[&["publish", "a", "hello"], &known[..]].concat(), b"");
    assert_eq!((run.code, &*run.complained), (0, ""));
    assert_eq!(stream.data(), "hello");
    assert_eq!(hasses(&[&["status"], &known[..]].concat(), b"").code, 0);
    let run = hasses(&["publish", "a", "no", "--control", &control], b"");
    assert_eq!(run.code, 1);
    assert!(
        run.complained.contains("refused with 401: "),
        "{}",
        run.complained
    );
    // Everything that tells or does something asks for it.
    for line in [
        "GET /status",
        "GET /clients",
        "GET /clients?limit=1",
        "GET /metrics",
        "GET /live",
        "POST /disconnect/x",
        "POST /loglevel/debug",
    ] {
        let ask = |fields: &str| {
            let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            support::Connection::to(daemon.control)
                .send(request.as_bytes())
                .head()
                .status
        };
        assert_eq!(ask(""), 401, "{line}");
        assert_eq!(ask("Authorization: Bearer s3cret\r\n"), 200, "{line}");
    }
}

/// One connection's request, after which it is answered with `answer`.
fn serve(mut socket: impl Read + Write, answer: &str) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap() > 0 {
        request.extend_from_slice(&byte);
    }
    socket.write_all(answer.as_bytes()).unwrap();
    String::from_utf8(request).unwrap()
}

#[test]
fn the_secret_of_a_file_goes_along() {
    let dir = temp_dir();
    let (file, path) = (dir.path().join("secret"), dir.path().join("s"));
    std::fs::write(&file, "password\n").unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let serving = thread::spawn(move || {
        let answer = "HTTP/1.1 401 No\r\n\r\n{\"error\":\"the secret is wrong\"}";
        serve(listener.accept().unwrap().0, answer)
    });
    let (file, path) = (file.to_str().unwrap(), format!("unix:{}", path.display()));
    let run = hasses(
        &["status", "--control", &path, "--control-secret", file],
        b"",
    );
    assert_eq!(run.code, 1);
    assert!(
        run.complained
            .ends_with("refused with 401: the secret is wrong\n")
    );
    let request = serving.join().unwrap();
    assert!(
        request.contains("\r\nAuthorization: Bearer password\r\n"),
        "{request}"
    );
}

#[test]
fn what_is_no_hasses_is_told() {
    for answer in ["", "SSH-2.0-OpenSSH_9\r\n", "HTTP/1.1 200 OK\r\n\r\n<html>"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let serving = thread::spawn(move || serve(listener.accept().unwrap().0, answer));
        let run = hasses(&["publish", "a", "b", "--control", &address], b"");
        assert_eq!((run.code, &*run.told), (1, ""), "{answer:?}");
        assert_eq!(run.complained.lines().count(), 1, "{}", run.complained);
        serving.join().unwrap();
    }
}

#[test]
fn a_message_that_was_taken_in_is_no_failure() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let control = daemon.control.to_string();
    let program = env!("CARGO_BIN_EXE_hasses");
    let shell = |script: &str| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, program, &control]);
        command.status().unwrap().code()
    };
    let script = "\"$0\" publish a taken --control \"$1\" > /dev/full";
    assert_eq!(shell(script), Some(0));
    assert_eq!(stream.data(), "taken");
    let script = "printf 'x\\r\\n' | \"$0\" publish a --control \"$1\"";
    assert_eq!(shell(script), Some(0));
    assert_eq!(stream.data(), "x");
    // What is no UTF-8 is refused, however it comes.
    let bytes = "printf 'x\\377' | \"$0\" publish a --control \"$1\" 2>/dev/null";
    let argument = "\"$0\" publish a \"$(printf 'x\\377')\" --control \"$1\" 2>/dev/null";
    assert_eq!((shell(bytes), shell(argument)), (Some(2), Some(2)));
    publish::http(daemon.control, "a", "end");
    assert_eq!(stream.data(), "end");
}

#[test]
fn events_are_printed_as_they_come() {
    let mut daemon = Daemon::start("");
    let control = daemon.control.to_string();
    publish::http(daemon.control, "a", "kept");
    let one = hasses(
        &[
            "subscribe",
            "a",
            "--recent",
            "1",
            "--count",
            "1",
            "--control",
            &control,
        ],
        b"",
    );
    assert_eq!((one.code, &*one.told), (0, "kept\n"), "{}", one.complained);
    let program = env!("CARGO_BIN_EXE_hasses");
    let start = |arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        command.arg("subscribe").args(arguments);
        support::Program::start(&mut command)
    };
    let all = start(&["*", "--control", &control]);
    let json = start(&["a", "b-c", "--json", "--control", &control]);
    let url = format!("http://{}/sse", daemon.listen);
    let outside = start(&["a", "--url", &url]);
    daemon.wait_for_clients(3);
    publish::http(daemon.control, "a?event=e", "one");
    all.wait_for("a\tone");
    json.wait_for("\"to\":\"a\",\"event\":\"e\",\"data\":\"one\"}");
    outside.wait_for("one");
    // It comes back by itself, and goes on.
    daemon.stop();
    daemon.start_again();
    daemon.wait_for_clients(3);
    publish::http(daemon.control, "a", "two");
    all.wait_for("a\ttwo");
    outside.wait_for("two");
    assert!(all.output().contains("trying again"), "{}", all.output());
    for (arguments, code, told) in [
        (&["subscribe"][..], 2, "the token is missing"),
        (&["subscribe", "a*"], 2, "whole tokens"),
        (&["subscribe", "a", "--count", "0"], 2, "--count '0'"),
        (
            &["subscribe", "a", "--key", "/f"],
            2,
            "--key signs for --url",
        ),
        (&["subscribe", "*", "--url", &url], 1, "--allow-all"),
        (
            &["subscribe", "a", "--control", "127.0.0.1:1"],
            1,
            "127.0.0.1:1",
        ),
    ] {
        let run = hasses(arguments, b"");
        assert_eq!(run.code, code, "{}", run.complained);
        assert!(run.complained.contains(told), "{}", run.complained);
    }
}

#[test]
fn it_signs_for_itself() {
    let line =
        "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --subscribe-key {dir}/key";
    let daemon = Daemon::prepared(line, |place| {
        place.write("key", "0123456789abcdef0123456789abcdef")
    });
    publish::http(daemon.control, "a", "kept");
    let (url, key) = (format!("http://{}/sse", daemon.listen), daemon.file("key"));
    let arguments = [
        "subscribe",
        "a",
        "--url",
        &url,
        "--recent",
        "1",
        "--count",
        "1",
    ];
    let without = hasses(&arguments, b"");
    assert_eq!(without.code, 1, "{}", without.told);
    let signed = [&arguments[..], &["--key", key.to_str().unwrap()]].concat();
    let run = hasses(&signed, b"");
    assert_eq!((run.code, &*run.told), (0, "kept\n"), "{}", run.complained);
}

#[test]
fn every_helper_speaks_tls() {
    needs!("openssl");
    let site = Site::all_tls("");
    let root = site.daemon.file("ca.pem");
    let ports = [site.daemon.listen, site.daemon.control].map(|address| address.port());
    let url = format!("https://localhost:{}/sse", ports[0]);
    let run = |arguments: &[&str], trusts: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
        command.args(arguments).env("SSL_CERT_FILE", trusts);
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    for scheme in ["https://", "tls:"] {
        let control = format!("{scheme}localhost:{}", ports[1]);
        let (code, told, why) = run(&["publish", "a", "hello", "--control", &control], &root);
        assert_eq!((code, why.as_str()), (Some(0), ""), "{told}");
        let (code, told, why) = run(&["status", "--json", "--control", &control], &root);
        assert_eq!((code, why.as_str()), (Some(0), ""));
        let status: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert!(status["msgproccnt"].as_u64() >= Some(1), "{told}");
        for place in [["--control", &control], ["--url", &url]] {
            let asked = ["subscribe", "a", "--recent", "1", "--count", "1"];
            let (code, told, why) = run(&[&asked[..], &place].concat(), &root);
            assert_eq!((code, told.as_str()), (Some(0), "hello\n"), "{why}");
        }
    }
    // A certificate of an authority that is not trusted is told.
    let stranger = temp_dir();
    let _other = Authority::new(stranger.path());
    let control = format!("https://localhost:{}", ports[1]);
    let (code, _, why) = run(
        &["status", "--control", &control],
        &stranger.path().join("ca.pem"),
    );
    assert_eq!(code, Some(1));
    assert!(why.contains("certificate"), "{why}");
}
