//! Who may use whom inside actors/: each folder or file uses only what stands above it in the table.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use support::sources;

/// Each layer, and the layers that it uses. All of those stand above it, so there is no circle.
const LAYERS: [(&str, &[&str]); 21] = [
    ("runtime", &[]),
    ("model", &[]),
    ("net", &["runtime"]),
    ("wire", &["model"]),
    ("http2", &["net", "wire"]),
    ("auth", &["model", "wire"]),
    ("config", &["auth", "model", "net"]),
    ("messages", &["config", "model", "net", "runtime", "wire"]),
    ("archive", &["model", "runtime"]),
    ("logger", &["config", "model", "runtime", "wire"]),
    (
        "clients",
        &[
            "auth", "config", "http2", "messages", "model", "net", "runtime", "wire",
        ],
    ),
    (
        "registry",
        &[
            "archive", "clients", "config", "logger", "messages", "model", "net", "runtime", "wire",
        ],
    ),
    (
        "bus",
        &[
            "archive", "config", "messages", "model", "net", "runtime", "wire",
        ],
    ),
    (
        "intake",
        &["config", "logger", "messages", "model", "runtime", "wire"],
    ),
    (
        "fifo",
        &["config", "intake", "messages", "model", "runtime"],
    ),
    (
        "control",
        &[
            "clients", "config", "http2", "intake", "logger", "messages", "model", "net",
            "runtime", "wire",
        ],
    ),
    ("updates", &["clients", "messages", "model", "runtime"]),
    ("listener", &["clients", "messages", "net", "runtime"]),
    ("clock", &["config", "messages", "runtime"]),
    ("signals", &["config", "logger", "messages", "runtime"]),
    ("notify", &["runtime"]),
];
/// The files that know everybody.
const ABOVE_ALL: [&str; 2] = ["lib", "wiring"];

/// Code without comments, and without its tests, which may use whatever they need.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules that code names by `crate::`, alone or several in braces.
fn used(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = &code[at + path.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            used.insert(first_word(rest));
            continue;
        };
        let mut depth = 0;
        for part in list.split_inclusive([',', '{', '}']) {
            if depth == 0 {
                used.insert(first_word(part.trim_start()));
            }
            match part.chars().last() {
                Some('{') => depth += 1,
                Some('}') if depth == 0 => break,
                Some('}') => depth -= 1,
                _ => {}
            }
        }
    }
    used.remove("");
    used
}

fn first_word(text: &str) -> String {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    text.chars().take_while(word).collect()
}

/// The folder in actors/, or the file without its ending.
fn layer_of(file: &Path) -> String {
    let first = file.iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn each_layer_uses_only_what_the_table_says() {
    let actors = Path::new(env!("CARGO_MANIFEST_DIR")).join("actors");
    let mut files = Vec::new();
    sources(&actors, &mut files);
    assert!(files.len() > 100, "{files:?}");
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let name = file.strip_prefix(&actors).unwrap();
        let layer = layer_of(name);
        let is_test = name.iter().any(|part| part == "tests")
            || name
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .ends_with("tests");
        // What is built or measured is none of what runs.
        if is_test || ["benches", "build"].contains(&&*layer) || ABOVE_ALL.contains(&&*layer) {
            continue;
        }
        let (_, allowed) = LAYERS
            .iter()
            .find(|(known, _)| *known == layer)
            .unwrap_or_else(|| panic!("{} is in no layer of the table", name.display()));
        let mut uses = used(&code(&fs::read_to_string(&file).unwrap()));
        uses.remove(&layer);
        for use_ in &uses {
            assert!(
                allowed.contains(&&**use_),
                "{} uses crate::{use_}, but {layer} may not: move what is needed to a layer above both, \
                 or think again",
                name.display()
            );
        }
        found.entry(layer).or_default().extend(uses);
    }
    for (layer, allowed) in LAYERS {
        let found = found.remove(layer).unwrap_or_default();
        let allowed: BTreeSet<String> = allowed.iter().map(ToString::to_string).collect();
        assert_eq!(found, allowed, "{layer} does not use all that it may");
    }
}

#[test]
fn the_table_has_no_circle() {
    for (place, (layer, allowed)) in LAYERS.iter().enumerate() {
        for other in *allowed {
            let stands = LAYERS.iter().position(|(known, _)| known == other);
            assert!(
                stands < Some(place),
                "{layer} uses {other}, which stands below it"
            );
        }
    }
}

#[test]
fn a_use_is_found_however_it_is_written() {
    let code = "use crate::model::{A, b::C};\nuse crate::{net, wire::{self, text}};\ncrate::logger::x();\n\
                use crate::{\n    auth::Key,\n    config,\n};";
    let expected = ["auth", "config", "logger", "model", "net", "wire"];
    assert_eq!(used(code), expected.map(String::from).into());
    let comments = self::code("// crate::model\n//! [`crate::net`]\n");
    assert_eq!(used(&comments), BTreeSet::new());
}
