//! Where `unsafe` may stand: in three files, each time with its reason.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use support::sources;

/// The files that may have it.
const ALLOWED: [&str; 3] = [
    "actors/clients/reactor.rs",
    "src/allocator.rs",
    "src/daemon.rs",
];

/// Whether a line of code has the word, or says that it may be had. What follows `//` is a comment.
fn has_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    words.any(|word| ["unsafe", "unsafe_code"].contains(&word))
}

#[test]
fn it_stands_in_three_files_and_says_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "actors", "examples"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 50, "{files:?}");
    let mut having = Vec::new();
    for file in files {
        let name = file.strip_prefix(root).unwrap().to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        if !text.lines().any(has_unsafe) {
            continue;
        }
        assert!(ALLOWED.contains(&name), "{name} has unsafe code");
        let count = |part: &str| text.matches(part).count();
        assert_eq!(count("unsafe {"), count("// SAFETY: "), "{name}");
        having.push(name.to_owned());
    }
    having.sort();
    assert_eq!(having, ALLOWED, "a file needs no leave any more");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}
