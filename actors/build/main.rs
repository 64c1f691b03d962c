//! Makes the page's script, which `GET PATH.js` answers with, of its modules in `examples/clients`: joined into
//! one, without what only people read, and compressed. No Node is needed for that.

#![expect(
    clippy::print_stdout,
    reason = "that is how a build script speaks to cargo"
)]

use std::env;
use std::error::Error;
use std::fs;
use std::path::Path;

mod minify;

/// The modules, each behind those that it imports.
const MODULES: [&str; 7] = [
    "sse/blocks.js",
    "sse/query.js",
    "sse/stream.js",
    "sse/feed.js",
    "sse/tab.js",
    "sse/listeners.js",
    "sse.js",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=../examples/clients");
    let folder = Path::new("../examples/clients");
    let mut joined = String::new();
    for name in MODULES {
        let path = folder.join(name);
        let source =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        joined += &without_modules(&source, name == "sse.js");
    }
    let script = minify::minify(&joined);
    let mut compressed = Vec::new();
    zopfli::compress(
        zopfli::Options::default(),
        zopfli::Format::Gzip,
        script.as_bytes(),
        &mut compressed,
    )?;
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("sse.js"), script)?;
    fs::write(Path::new(&out).join("sse.js.gz"), compressed)?;
    Ok(())
}

/// A module's text less its imports, which are lines of their own; only the last one exports anything.
fn without_modules(source: &str, is_last: bool) -> String {
    let mut text = String::new();
    for line in source.lines().filter(|line| !line.starts_with("import ")) {
        let line = if is_last {
            line
        } else {
            line.strip_prefix("export ").unwrap_or(line)
        };
        text += line;
        text.push('\n');
    }
    text
}
