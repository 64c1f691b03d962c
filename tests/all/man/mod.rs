//! The man page says what `hasses help all` says, and is well written for the programs that show it.
mod page;

use std::env;
use std::fs;

use support::{TempDir, needs, run, temp_dir};

/// The page that is installed.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/man/hasses.1");

/// What the program says to these arguments.
fn told(arguments: &str) -> String {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    String::from_utf8(run(env!("CARGO_BIN_EXE_hasses"), &arguments).stdout).unwrap()
}

fn page() -> String {
    page::page(include_str!("hasses.1.in"), told)
}

/// The page as it is now, in a file.
fn made() -> (TempDir, String) {
    let dir = temp_dir();
    let file = dir.path().join("hasses.1");
    fs::write(&file, page()).unwrap();
    let file = file.to_str().unwrap().to_owned();
    (dir, file)
}

#[test]
fn the_man_page_says_what_help_says() {
    let page = page();
    if env::var_os("RENEW").is_some() {
        fs::write(PAGE, &page).unwrap();
    }
    let kept = fs::read_to_string(PAGE).unwrap();
    assert!(
        kept == page,
        "examples/man/hasses.1 is not up to date: RENEW=1 cargo test --test all man::"
    );
}

#[test]
fn it_is_well_written() {
    needs!("man", "mandoc");
    let (_dir, file) = made();
    let output = run("mandoc", &["-Tlint", "-Wwarning", &file]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let output = run("man", &["--warnings", "--local-file", "-P", "cat", &file]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

/// What remains on paper: letters that are bold or underlined are struck twice.
fn plain(struck: &str) -> String {
    let mut plain = String::new();
    for char in struck.chars() {
        match char {
            '\u{8}' => drop(plain.pop()),
            char => plain.push(char),
        }
    }
    plain
}

#[test]
fn a_reader_finds_every_section_and_option() {
    needs!("mandoc");
    let (_dir, file) = made();
    let output = run("mandoc", &["-Tascii", "-Owidth=100", &file]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let shown = plain(&shown);
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "HELPERS",
        "SIGNALS",
        "FILES",
        "EXIT STATUS",
        "EXAMPLES",
        "SEE ALSO",
    ] {
        assert!(shown.lines().any(|line| line == section), "{section}");
    }
    for help in [
        "help all",
        "publish --help",
        "status --help",
        "doctor --help",
    ] {
        for line in told(help).lines().filter(|line| line.starts_with("  --")) {
            let option = line.trim_start().split("  ").next().unwrap();
            let found = shown
                .lines()
                .any(|line| line.trim_start().starts_with(option));
            assert!(found, "{option} is missing:\n{shown}");
        }
    }
}
