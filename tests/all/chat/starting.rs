//! Each backend by itself: its one command starts everything, it checks what it is told, and Ctrl-C leaves
//! nothing behind.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{HASSES, TOP, command};
use support::publish::post;
use support::{Connection, Program, Stream, TempDir, needs, temp_dir, without_what_cargo_tells};

/// A chat that somebody started.
struct Chat {
    program: Program,
    dir: TempDir,
    page: SocketAddr,
    events: SocketAddr,
}

impl Chat {
    fn start(backend: &str) -> Self {
        let dir = temp_dir();
        let line = command(backend);
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).current_dir(TOP);
        command.env("TMPDIR", dir.path()).process_group(0);
        // The example finds the daemon, or builds it; the others would take one that is somewhere.
        match backend {
            "rust" => command.env_remove("HASSES"),
            _ => command.env("HASSES", HASSES),
        };
        without_what_cargo_tells(&mut command);
        let program = Program::start(&mut command);
        let told = program.wait_for("Open http://");
        let page = told.split(['/', ' ']).find_map(|word| word.parse().ok());
        let page: SocketAddr = page.unwrap();
        let place = Connection::to(page)
            .send(b"GET /where HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n")
            .response()
            .json();
        let port = place["port"].as_u64().unwrap().try_into().unwrap();
        Self {
            program,
            dir,
            page,
            events: (page.ip(), port).into(),
        }
    }

    /// What the server answers to this.
    fn say(&self, said: &Value) -> (u16, Value) {
        let answer = post(
            self.page,
            "/say",
            "application/json",
            said.to_string().as_bytes(),
        );
        (answer.status, answer.json())
    }

    /// Ends it as Ctrl-C does.
    fn end(mut self) {
        let group = Pid::from_raw(self.program.id().cast_signed());
        killpg(group, Signal::SIGINT).unwrap();
        self.program.wait_for_end();
        for address in [self.page, self.events] {
            TcpStream::connect(address).unwrap_err();
        }
        let left: Vec<_> = fs::read_dir(self.dir.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn starts_checks_and_ends(backend: &str) {
    let chat = Chat::start(backend);
    let ann = json!({"room": "a-b", "id": "7", "name": "Änn", "text": "x;y=1\n\"😀\"\\"});
    let with = |key: &str, value: Value| {
        let mut said = ann.clone();
        said[key] = value;
        said
    };
    let mut all = Stream::open(chat.events, "token=chat:a-b");
    let mut spared = Stream::open(chat.events, "token=chat:a-b&id=7");
    assert_eq!(chat.say(&with("text", Value::Null)), (200, json!({})));
    assert_eq!(chat.say(&ann), (200, json!({})));
    let typing = json!({"room": "a-b", "id": "7", "name": "Änn"});
    let data = |stream: &mut Stream| serde_json::from_str::<Value>(&stream.data()).unwrap();
    assert_eq!(data(&mut all), typing);
    assert_eq!(data(&mut all), ann);
    assert_eq!(data(&mut spared), ann);

    for (key, value) in [
        ("room", json!("a b")),
        ("room", json!("a*")),
        ("room", json!("a\n")),
        ("room", json!("a".repeat(33))),
        ("room", json!("")),
        ("room", json!(7)),
        ("id", json!("a;b")),
        ("id", Value::Null),
        ("name", json!("A\nnn")),
        ("name", json!("A\u{85}nn")),
        ("name", json!("  ")),
        ("name", json!("ä".repeat(41))),
        ("text", json!(" \n\t")),
        ("text", json!("bell\u{7}")),
        ("text", json!(["a"])),
    ] {
        let (status, told) = chat.say(&with(key, value.clone()));
        assert_eq!(status, 400, "{key} {value}: {told}");
        assert!(told["error"].is_string(), "{key} {value}: {told}");
    }
    assert_eq!(chat.say(&json!([1])).0, 400);
    for length in [3001, 20_000] {
        assert_eq!(chat.say(&with("text", json!("x".repeat(length)))).0, 413);
    }
    let kind = post(chat.page, "/say", "text/plain", ann.to_string().as_bytes());
    assert_eq!(kind.status, 415);
    // Twice in JSON, this becomes a line that is too long for the pipe.
    let quotes = with("text", json!("\"".repeat(1500)));
    match backend {
        "php" => assert_eq!(chat.say(&quotes).0, 413),
        _ => {
            assert_eq!(chat.say(&quotes).0, 200);
            assert_eq!(data(&mut all), quotes);
        }
    }
    let last = with("text", json!("é".repeat(1500)));
    assert_eq!(chat.say(&last).0, 200);
    assert_eq!(data(&mut all), last);
    chat.end();
}

#[test]
fn the_backend_in_rust() {
    needs!("cargo");
    starts_checks_and_ends("rust");
}

#[test]
fn the_backend_in_python() {
    needs!("python3");
    starts_checks_and_ends("python");
}

#[test]
fn the_backend_in_php() {
    needs!("php");
    starts_checks_and_ends("php");
}
