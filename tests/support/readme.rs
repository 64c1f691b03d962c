//! The snippets of README.md and of the pages beside the examples, taken from there and run as they stand,
//! but for the ports, the pipe's path and the folder `/etc/hasses`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Daemon, TOP, hasses, run};

/// A fenced block with `<!-- test: KIND -->` before it.
#[derive(Debug)]
pub struct Snippet {
    pub kind: String,
    pub language: String,
    pub text: String,
}

/// All that are marked, in order; fails if a block in a language that can be run is not marked.
pub fn snippets() -> Vec<Snippet> {
    pages().iter().flat_map(|text| of_page(text)).collect()
}

/// README.md, and after it the pages beside the examples.
pub fn pages() -> Vec<String> {
    let mut pages = vec![
        format!("{TOP}/README.md"),
        format!("{TOP}/tests/bench/README.md"),
    ];
    let examples = fs::read_dir(format!("{TOP}/examples")).unwrap();
    let page = |folder: PathBuf| folder.join("README.md").to_str().unwrap().to_owned();
    let mut beside: Vec<String> = (examples.map(|entry| page(entry.unwrap().path())))
        .filter(|page| Path::new(page).exists())
        .collect();
    beside.sort();
    pages.extend(beside);
    (pages.iter())
        .map(|page| fs::read_to_string(page).unwrap())
        .collect()
}

fn of_page(text: &str) -> Vec<Snippet> {
    let mut found = Vec::new();
    let mut kind = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(marked) = line.strip_prefix("<!-- test: ") {
            kind = marked.strip_suffix(" -->");
        } else if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match kind.take() {
                Some(kind) => found.push(Snippet {
                    kind: kind.to_owned(),
                    language: language.to_owned(),
                    text: body.join("\n") + "\n",
                }),
                None => assert!(
                    !["sh", "php", "python", "js"].contains(&language),
                    "no test for {body:?}"
                ),
            }
        }
    }
    found
}

impl Snippet {
    /// The snippet for this daemon: its ports, its pipe named `in`, its secret in `key`.
    pub fn text_for(&self, daemon: &Daemon) -> String {
        self.text
            .replace("8080", &daemon.listen.port().to_string())
            .replace("8085", &daemon.control.port().to_string())
            .replace("target/release/hasses", hasses())
            .replace("/run/hasses.fifo", daemon.file("in").to_str().unwrap())
            .replace("/etc/hasses/secret", daemon.file("key").to_str().unwrap())
            .replace("hasses sign", &format!("{} sign", hasses()))
            .replace("/etc/hasses", daemon.file("").to_str().unwrap())
    }

    /// The command that runs it.
    fn command(&self, daemon: &Daemon) -> (&'static str, Vec<String>) {
        let (program, extension) = match self.language.as_str() {
            "sh" => ("sh", "sh"),
            "php" => ("php", "php"),
            "python" => ("python3", "py"),
            "js" => ("node", "mjs"),
            other => panic!("nothing runs {other:?}"),
        };
        let file = daemon.file(&format!("snippet.{extension}"));
        fs::write(&file, self.text_for(daemon)).unwrap();
        (program, vec![file.to_str().unwrap().to_owned()])
    }

    /// Runs it to its end, which must be a success, and returns what it wrote.
    pub fn run(&self, daemon: &Daemon) -> String {
        let (program, arguments) = self.command(daemon);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        String::from_utf8(run(program, &arguments).stdout).unwrap()
    }

    /// Runs it to its end, and returns what it wrote and complained of.
    pub fn told(&self, daemon: &Daemon) -> String {
        let (program, arguments) = self.command(daemon);
        let output = Command::new(program).args(arguments).output().unwrap();
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8(both).unwrap()
    }

    /// A command that runs it beside the test.
    pub fn in_background(&self, daemon: &Daemon) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {}", self.text_for(daemon))]);
        command
    }

    /// The texts of the events that it publishes: those in it that begin with `hello`.
    pub fn published(&self) -> Vec<String> {
        let ends = ['\'', '"', ';', '\\', '\n'];
        let mut texts: Vec<String> = Vec::new();
        for (at, _) in self.text.match_indices("hello") {
            let rest = &self.text[at..];
            // In JSON the delimiter is an ordinary character.
            let end = if self.text[..at].ends_with("\"data\":\"") {
                rest.find('"')
            } else {
                rest.find(ends)
            };
            texts.push(rest[..end.unwrap()].to_owned());
        }
        assert!(!texts.is_empty(), "{self:?} publishes nothing");
        texts
    }
}
