//! What is told at the start.

use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use super::Redis;
use support::Port;
use support::{Daemon, Stream, needs, publish, readme, run, temp_dir};

/// The exit code and what a start, or a check, says.
fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("timeout")
        .args(["20", env!("CARGO_BIN_EXE_hasses")])
        .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text)
}

#[test]
fn what_will_not_pass_is_told_and_ends_the_start() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("--requirepass secret --databases 4");
    let port = redis.port;
    for (url, why) in [
        (
            format!("redis://127.0.0.1:{port}"),
            "refuses user or password",
        ),
        (
            format!("redis://:wrong@127.0.0.1:{port}"),
            "refuses user or password",
        ),
        (
            format!("redis://me:secret@127.0.0.1:{port}"),
            "refuses user or password",
        ),
        (
            format!("redis://:secret@127.0.0.1:{port}/9"),
            "no such database",
        ),
    ] {
        for check in [&["--bus", url.as_str()][..], &["--check", "--bus", &url]] {
            let (code, text) = told(check);
            assert_eq!(code, Some(1), "{url}: {text}");
            assert!(
                text.contains("--bus") && text.contains(why),
                "{url}: {text}"
            );
            assert!(
                !text.contains("wrong") && !text.contains("secret"),
                "{text}"
            );
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
    let right = Daemon::start(&format!("--bus redis://:secret@127.0.0.1:{port}/3"));
    super::wait_for_bus(&right, true);
    assert!(!right.log().contains("secret"), "{}", right.log());
    let (code, text) = told(&["--bus-down", "refuse"]);
    assert_eq!(code, Some(2), "{text}");
    for wrong in ["redis://127.0.0.1?x=1", "http://127.0.0.1"] {
        let (code, text) = told(&["--bus", wrong]);
        assert_eq!(code, Some(2), "{text}");
    }
}

#[test]
fn a_check_tells_what_is_no_redis() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-x\r\n", ""] {
        let server = listener.try_clone().unwrap();
        let server = thread::spawn(move || {
            let (mut socket, _) = server.accept().unwrap();
            let _gone = socket.write_all(answer.as_bytes());
        });
        let (code, text) = told(&["--check", "--bus", &url]);
        server.join().unwrap();
        assert_eq!(code, Some(1), "{answer}: {text}");
        assert!(text.contains(&format!("--bus {url}")), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    // One that takes connections and says nothing.
    let (code, text) = told(&["--check", "--bus", &url]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no answer within 2 seconds"), "{text}");
}

#[test]
fn over_tls_the_certificate_must_be_right() {
    needs!("redis-server", "redis-cli", "openssl");
    let dir = temp_dir();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("cert"), file("key"));
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-keyout",
            &key,
            "-out",
            &cert,
        ],
    );
    let reserved = Port::reserve();
    let port = reserved.number();
    let _redis = Redis::start(&format!(
        "--tls-port {port} --tls-cert-file {cert} --tls-key-file {key} --tls-auth-clients no"
    ));
    let url = format!("rediss://localhost:{port}");
    let (code, text) = told(&["--bus", &url]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("--bus") && text.contains("TLS"), "{text}");
    let right = Daemon::start_after(
        &format!("export SSL_CERT_FILE={cert}"),
        &format!("--bus {url}"),
    );
    super::wait_for_bus(&right, true);
    let mut stream = right.subscribe("subscribe=a");
    publish::http(right.control, "a", "over TLS");
    assert_eq!(stream.data(), "over TLS");
}

#[test]
fn a_bus_that_is_away_at_the_start_may_come() {
    needs!("redis-server", "redis-cli");
    let mut redis = Redis::start("");
    redis.crash();
    let (code, text) = told(&["--check", "--bus", &redis.url()]);
    assert_eq!(code, Some(1), "{text}");
    let url = redis.url();
    let local = Daemon::start(&format!("--bus {url}"));
    let refusing = Daemon::start(&format!("--bus {url} --bus-down refuse"));
    let mut stream = local.subscribe("subscribe=a");
    let mut far = refusing.subscribe("subscribe=a");
    let id = publish::http(local.control, "a", "alone").0;
    assert_eq!(stream.event().id, Some(id));
    redis.start_again();
    super::wait_for_bus(&local, true);
    super::wait_for_bus(&refusing, true);
    let last = publish::http(refusing.control, "a", "together").0;
    assert!(last > id);
    // What may have been missed, as nobody knows what the bus had before, is said.
    for stream in [&mut stream, &mut far] {
        let told =
            std::iter::from_fn(|| Some(stream.event()).filter(|event| event.id != Some(last)));
        let told: Vec<_> = told.collect();
        assert_eq!(told[0].event.as_deref(), Some("gap"), "{told:?}");
    }
    assert!(local.log().contains(" is away: "), "{}", local.log());
}

#[test]
fn what_was_published_before_the_first_meeting_is_added() {
    needs!("redis-server", "redis-cli");
    for (options, known) in [("", 0), ("--history-file {dir}/history", 1)] {
        let mut redis = Redis::start("");
        redis.crash();
        let mut one = Daemon::start(options);
        let first = publish::http(one.control, "a", "before").0;
        one.stop();
        one.start_again_with(&format!("--bus {}", redis.url()));
        let ids = ["1", "2"].map(|data| publish::http(one.control, "a", data).0);
        redis.start_again();
        super::wait_for_bus(&one, true);
        assert_eq!(super::figure(&one, "bus_waiting"), 0);
        let two = super::node(&redis, "");
        let late = Stream::starting(two.listen, "subscribe=a&recent=9", "");
        let events: Vec<_> = late.events.iter().filter_map(|event| event.id).collect();
        assert_eq!(events, [&[first][..known], &ids].concat(), "{options}");
    }
}

#[test]
fn the_readmes_way_works() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("--requirepass secret");
    let mut snippets = readme::snippets().into_iter();
    let snippet = snippets.find(|snippet| snippet.kind == "bus").unwrap();
    let line = snippet
        .text
        .replace("0.0.0.0:8080", "127.0.0.1:{listen}")
        .replace("redis.internal:6379", &format!("127.0.0.1:{}", redis.port))
        .replace("PASSWORD", "secret");
    let arguments = line.trim().strip_prefix("hasses ").unwrap();
    let node = Daemon::command_line(&format!("{arguments} --control 127.0.0.1:{{control}}"));
    super::wait_for_bus(&node, true);
}

#[test]
fn the_commands_that_the_readme_names_are_enough() {
    needs!("redis-server", "redis-cli");
    let redis = Redis::start("");
    let readme = include_str!("../../../examples/cluster/README.md");
    let named = readme.split_once("The user needs `").unwrap().1;
    let named = named.split_once('`').unwrap().0;
    let rights = format!("+{}", named.to_lowercase().replace(' ', " +"));
    let made = redis.ask(&format!(
        "acl setuser few on >secret ~hasses:* &hasses:node:* {rights}"
    ));
    assert_eq!(made.trim(), "OK", "{rights}");
    let bus = format!("--bus redis://few:secret@127.0.0.1:{}", redis.port);
    let [one, two] = [(); 2].map(|()| Daemon::start(&bus));
    let mut stream = two.subscribe("subscribe=a");
    publish::http(one.control, "a", "1");
    assert_eq!(stream.data(), "1");
    // All is done that is ever done: it comes back when it was lost.
    redis.ask("flushall");
    publish::http(one.control, "a", "2");
    assert_eq!(stream.data(), "2");
    for node in [&one, &two] {
        assert!(!node.log().contains("does not allow"), "{}", node.log());
    }
}
