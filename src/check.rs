//! `--check`: whether a start would find everything in order, without opening or making anything.

use std::fs::File;
use std::io::Read;
use std::mem;
use std::path::Path;

use hasses_actors::bus;
use hasses_actors::config::LogTarget;
use hasses_actors::net::{self, BindError, Door, Endpoint};
use nix::unistd::{AccessFlags, eaccess};

use crate::boot;
use crate::failure::Failure;
use crate::files;
use crate::keys::{self, OPTION};
use crate::pidfile;
use crate::plan::Plan;
use crate::secret_file;

/// Looks at everything that the options name, and tells all that is wrong; what the start would warn of, if
/// nothing is.
pub(crate) fn check(mut plan: Plan, folder_of_start: &Path) -> Result<Vec<String>, Failure> {
    let mut wrong = Vec::from_iter(secret_file::fill(&mut plan, folder_of_start).err());
    for (option, addresses) in [("--listen", &plan.listen), ("--control", &plan.control)] {
        for door in &addresses.doors {
            wrong.extend(address(option, &door.endpoint).err());
        }
    }
    wrong.extend(files::identity(&plan, folder_of_start).err());
    if let Some(fifo) = &plan.config.fifo {
        wrong.extend(match files::is_fifo(&fifo.path) {
            Ok(true) => may("--fifo", &fifo.path, AccessFlags::R_OK).err(),
            Ok(false) => folder("--fifo", &fifo.path).err(),
            Err(why) => Some(why),
        });
    }
    if let LogTarget::File(path) = &plan.config.log {
        let right = writable("--log", path).and_then(|()| files::is_read("--log", path));
        wrong.extend(right.err());
    }
    if let Some(path) = &plan.config.history_file {
        let right = writable("--history-file", path).and_then(|()| history(path));
        wrong.extend(right.err());
    }
    let mut warnings = mem::take(&mut plan.config.warnings);
    warnings.extend(plan.lost_log().map(str::to_owned));
    if let (Some(fifo), false) = (&plan.config.fifo, plan.hands_log_over) {
        warnings.extend(files::about_fifo(&fifo.path, plan.user.as_ref()));
    }
    for path in &plan.subscribe_keys {
        match keys::read(OPTION, path) {
            Ok((_, about_key)) => warnings.extend(about_key),
            Err(why) => wrong.push(why),
        }
    }
    if plan.config.control_secret.is_none() {
        let open = plan.control.doors.iter().filter(|door| is_open(door));
        warnings.extend(open.map(|door| boot::open_control(&door.endpoint)));
    }
    for (option, path) in plan.mercure_keys.files() {
        wrong.extend(keys::read(option, path).err());
    }
    if let Some(path) = &plan.pidfile {
        let right = pidfile::check(path).and_then(|()| writable("--pidfile", path));
        wrong.extend(right.err());
    }
    if let Some(bus) = &plan.config.bus {
        wrong.extend(
            bus::probe(&bus.url)
                .err()
                .map(|trouble| format!("--bus {}: {trouble}", bus.url)),
        );
    }
    if wrong.is_empty() {
        let warning = |text: &String| format!("warning: {text}");
        Ok(warnings.iter().map(warning).collect())
    } else {
        Err(Failure::several(&wrong))
    }
}

/// Whether other machines reach an address.
fn is_open(door: &Door) -> bool {
    let addresses = door.endpoint.resolve().unwrap_or_default();
    addresses.iter().any(|address| !address.ip().is_loopback())
}

fn address(option: &str, endpoint: &Endpoint) -> Result<(), String> {
    if let Endpoint::Unix(path) = endpoint {
        folder(option, path)?;
    }
    match net::check(endpoint) {
        // Most likely the daemon whose next start is being checked.
        Ok(()) | Err(BindError::Live(_)) => Ok(()),
        Err(error) => Err(format!("{option}: {error}")),
    }
}

/// Whether a file can be written to, or made.
fn writable(option: &str, path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!("{option} {}: it is a directory", path.display()));
    }
    if path.exists() {
        may(option, path, AccessFlags::W_OK)
    } else {
        folder(option, path)
    }
}

/// Whether a file can be made at `path`.
fn folder(option: &str, path: &Path) -> Result<(), String> {
    files::has_folder(option, path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => may(option, parent, AccessFlags::W_OK),
        _ => may(option, Path::new("."), AccessFlags::W_OK),
    }
}

fn may(option: &str, path: &Path, how: AccessFlags) -> Result<(), String> {
    eaccess(path, how).map_err(|error| format!("{option}: {}: {}", path.display(), error.desc()))
}

/// What every history file begins with.
const HISTORY: &[u8] = b"hasses history ";

/// Whether a file that is there already is a history file, as far as its beginning tells.
fn history(path: &Path) -> Result<(), String> {
    let mut beginning = [0; HISTORY.len()];
    let read = File::open(path).and_then(|mut file| file.read(&mut beginning));
    match read {
        Ok(length) if !HISTORY.starts_with(&beginning[..length]) => Err(format!(
            "--history-file: {} is there, and is no history file; it would be left as it is",
            path.display()
        )),
        // One that is not there is made, and one that cannot be read is found out elsewhere.
        _ => Ok(()),
    }
}
