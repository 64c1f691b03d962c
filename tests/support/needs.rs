//! What a test needs besides the daemon: programs, packages, rights.

use std::env;
use std::io::{Write, stderr};
use std::path::Path;
use std::thread;

use crate::TOP;

/// Ends a test that needs what this machine lacks: `needs!("redis-server", "npm:eventsource", "root");` as its
/// first line. A name is that of a program, or the path of a file, `npm:NAME` a package in `tests/node_modules`, `pip:NAME` a module of
/// `tests/python`, and `root` the right to do everything.
///
/// What is left out, and why, is written to standard error. With `HASSES_TESTS=complete`, as `tests/run` sets it,
/// the test fails instead, but for `root`. With `HASSES_TESTS=quick` every such test is left out.
#[macro_export]
macro_rules! needs {
    ($($name:expr),+ $(,)?) => {
        if !$crate::needs::are_met(&[$($name),+]) {
            return;
        }
    };
}

/// Whether the calling test can run; for [`needs!`].
pub fn are_met(names: &[&str]) -> bool {
    let mode = env::var("HASSES_TESTS").unwrap_or_default();
    if mode == "quick" {
        return false;
    }
    let missing: Vec<&str> = names.iter().copied().filter(|name| !is_met(name)).collect();
    if missing.is_empty() {
        return true;
    }
    let missing_only_root = missing == ["root"];
    let missing = missing.join(", ");
    assert!(
        mode != "complete" || missing_only_root,
        "missing on this machine: {missing}"
    );
    let test = thread::current();
    let test = test.name().unwrap_or_default();
    // Not by a macro, as the test's harness would keep that to itself.
    let _ = writeln!(stderr(), "left out: {test} needs {missing}");
    false
}

fn is_met(name: &str) -> bool {
    if name.starts_with('/') {
        return Path::new(name).exists();
    }
    let exists = |path: String| Path::new(&path).exists();
    match name.split_once(':') {
        Some(("npm", package)) => exists(format!("{TOP}/tests/node_modules/{package}")),
        Some(("pip", module)) => {
            let places = Path::new(TOP).join("tests/python/lib").read_dir();
            places.is_ok_and(|mut places| {
                let module = |place: &Path| place.join("site-packages").join(module);
                places.any(|place| {
                    place.is_ok_and(|place| {
                        let module = module(&place.path());
                        module.exists() || module.with_extension("py").exists()
                    })
                })
            })
        }
        _ if name == "root" => rustix::process::geteuid().is_root(),
        _ => is_program(name),
    }
}

/// Whether a program is where programs are.
fn is_program(name: &str) -> bool {
    let path = env::var("PATH").unwrap_or_default();
    let mut folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders.any(|folder| Path::new(folder).join(name).is_file())
}
