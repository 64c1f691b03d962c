//! The chat of `examples`, with each of its backends: one page, played in a real browser.

mod starting;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use support::{Program, needs, temp_dir, without_what_cargo_tells};

const TOP: &str = env!("CARGO_MANIFEST_DIR");
const HASSES: &str = env!("CARGO_BIN_EXE_hasses");
/// Where each page is asked to be: on any free port.
const ADDRESS: &str = "127.0.0.1:0";

/// The command that starts the chat with this backend, as a person writes it in the project's folder.
fn command(backend: &str) -> Vec<&'static str> {
    let mut command = match backend {
        "rust" => vec![env!("CARGO"), "run", "--quiet", "--locked"],
        "python" => vec!["examples/chat/chat.py"],
        "php" => vec!["examples/chat/php/run"],
        other => panic!("there is no backend in {other}"),
    };
    if backend == "rust" {
        // As this test was built, so that it need not be built once more.
        command.extend((!cfg!(debug_assertions)).then_some("--release"));
        command.extend(["--example", "chat", "--"]);
    }
    command.push(ADDRESS);
    command
}

/// Plays all scenes with this backend; screenshots are left in `target/test-output`.
fn play(backend: &str) {
    let output = Path::new(TOP).join("target/test-output");
    fs::create_dir_all(&output).unwrap();
    let dir = temp_dir();
    let mut node = Command::new("node");
    node.arg("tests/all/chat/scenes.mjs")
        .arg(HASSES)
        .arg(output.join(format!("chat-{backend}")))
        .args(command(backend))
        .current_dir(TOP)
        .env("TMPDIR", dir.path());
    without_what_cargo_tells(&mut node);
    let mut scenes = Program::start(&mut node);
    // Each wait in it has an end of its own; a first build by cargo may come before.
    let ended = scenes.end_within(Duration::from_secs(600));
    let status = ended.unwrap_or_else(|| {
        kill(Pid::from_raw(scenes.id().cast_signed()), Signal::SIGTERM).unwrap();
        scenes.wait_for_end()
    });
    let written = scenes.last_words();
    assert!(status.success(), "{status}:\n{written}");
    assert!(written.contains("all played"), "{written}");
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(
        left, 0,
        "something was left in the folder for passing files"
    );
}

#[test]
fn the_page_with_the_backend_in_rust() {
    needs!("node", "chromium", "npm:playwright-core", "npm:axe-core");
    play("rust");
}

#[test]
fn the_page_with_the_backend_in_python() {
    needs!(
        "node",
        "chromium",
        "npm:playwright-core",
        "npm:axe-core",
        "python3"
    );
    play("python");
}

#[test]
fn the_page_with_the_backend_in_php() {
    needs!(
        "node",
        "chromium",
        "npm:playwright-core",
        "npm:axe-core",
        "php"
    );
    play("php");
}
