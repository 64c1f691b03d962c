//! The order of a start: bind, open, detach, write the pid file, drop privileges, run.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

use hasses_actors::bus;
use hasses_actors::config::LogTarget;
use hasses_actors::net::BusUrl;
use hasses_actors::net::{Bound, Door, Endpoint};
use hasses_actors::{Config, Sockets};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{AccessFlags, eaccess};

use crate::daemon::{self, Parent};
use crate::failure::Failure;
use crate::files;
use crate::greeting;
use crate::janitor::Janitor;
use crate::keys;
use crate::made::Made;
use crate::pidfile::PidFile;
use crate::plan::Plan;
use crate::privileges::{self, Account};
use crate::sockets::{self, Opened};

/// Descriptors that a start needs: it opens about twenty, more with further addresses and files.
const FEWEST_DESCRIPTORS: u64 = 32;

/// Starts hasses and returns when it has ended. With `--daemon` it returns in the daemon, and in the
/// calling process if the start failed; if not, the calling process ends inside.
pub(crate) fn start(plan: Plan) -> Result<(), Failure> {
    let parent = Rc::new(Cell::new(None));
    let result = serve(plan, &parent);
    // By now everything that a failed start made is gone again.
    if let (Err(failure), Some(parent)) = (&result, parent.take()) {
        parent.failed(&failure.messages);
    }
    result
}

fn serve(mut plan: Plan, parent: &Rc<Cell<Option<Parent>>>) -> Result<(), Failure> {
    raise_descriptor_limit()?;
    hear_signals();
    privileges::no_new_ones().map_err(Failure::start)?;
    if let Some(bus) = &plan.config.bus {
        try_bus(&bus.url)?;
    }
    if let Some(why) = plan.lacks_folder() {
        return Err(Failure::start(why));
    }
    let Opened {
        subscribers,
        publishers,
        files: sockets,
    } = sockets::open(&plan).map_err(Failure::start)?;
    let about_key = keys::load_first(&mut plan).map_err(Failure::start)?;
    plan.config.warnings.extend(about_key);
    let mut lasting = open_files(&plan).map_err(Failure::start)?;
    warn_of_openness(&mut plan, &publishers);

    if plan.detach {
        // If the daemon failed or died, the calling process takes away what is left.
        let waiting = daemon::detach().map_err(|messages| Failure::several(&messages))?;
        parent.set(Some(waiting));
    }
    let user = plan.user.as_ref();
    let unreadable = unreadable(&plan).map_err(Failure::start)?;
    let pidfile = match &plan.pidfile {
        Some(path) => Some(PidFile::write(path, user).map_err(Failure::start)?),
        None => None,
    };
    let mut config = plan.config;
    // It ends before the files of this process are dropped, which finds them gone then.
    let _janitor = {
        let files = sockets.iter().chain(pidfile.iter().map(PidFile::made));
        give_up_rights(user, &config, files).map_err(Failure::start)?
    };
    if !plan.detach {
        let key = plan.subscribe_keys.first().map(|path| path.as_path());
        let (subscribers, publishers) = (doors(&subscribers), doors(&publishers));
        let secret = plan.control_secret.as_deref();
        let greeting = greeting::text(&config, key, &subscribers, &publishers, secret);
        config.greeting = Some(greeting);
    }
    config.warnings.extend(unreadable);

    let started = Rc::new(Cell::new(false));
    let (answers, waiting) = (Rc::clone(&started), Rc::clone(parent));
    let ready = move || {
        answers.set(true);
        if let Some(parent) = waiting.take() {
            parent.ready();
        }
    };
    let listeners = Sockets {
        subscribers,
        publishers,
    };
    let result = hasses_actors::run(config, listeners, Box::new(ready));
    if started.get() {
        lasting.iter_mut().for_each(Made::keep);
    }
    result.map_err(Failure::start)
}

/// Warns of a FIFO and of control addresses through which others than the administrator may publish.
fn warn_of_openness(plan: &mut Plan, publishers: &[Bound]) {
    let warnings = &mut plan.config.warnings;
    // Old switches make the FIFO open to all.
    if let (Some(fifo), false) = (&plan.config.fifo, plan.hands_log_over) {
        warnings.extend(files::about_fifo(&fifo.path, plan.user.as_ref()));
    }
    if plan.config.control_secret.is_none() {
        let open = publishers.iter().filter(|bound| bound.is_open_to_others());
        warnings.extend(open.map(|bound| open_control(&bound.address())));
    }
}

/// Whether the bus can be used. One that is away may come; one that refuses us will go on doing so.
fn try_bus(url: &BusUrl) -> Result<(), Failure> {
    match bus::probe(url) {
        Err(trouble) if trouble.is_wrong() => {
            Err(Failure::start(format!("--bus {url}: {trouble}")))
        }
        _ => Ok(()),
    }
}

/// Each client needs a descriptor, so the soft limit goes up to the hard one. Where that fails the
/// soft limit serves.
///
/// Fails where there are so few that hasses might start, and then miss the one with which it hears of
/// signals.
fn raise_descriptor_limit() -> Result<(), Failure> {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((limit, _)) if limit < FEWEST_DESCRIPTORS => Err(Failure::start(format!(
            "the limit of open files (ulimit -n) is {limit}; hasses needs {FEWEST_DESCRIPTORS}, \
             and one more for each subscriber"
        ))),
        _ => Ok(()),
    }
}

/// The signal mask survives exec. A parent may have blocked TERM, INT and HUP: unblock them, or nobody
/// could stop hasses.
fn hear_signals() {
    let meant = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP];
    // Fails only for a set that is none.
    let _never = meant.into_iter().collect::<SigSet>().thread_unblock();
}

/// Makes the FIFO and the log file where they are missing. They stay when a run has ended.
fn open_files(plan: &Plan) -> Result<Vec<Made>, String> {
    let user = plan.user.as_ref();
    let mut made = Vec::new();
    if let Some(fifo) = &plan.config.fifo {
        made.extend(files::fifo(&fifo.path, plan.fifo_mode, user, plan.group)?);
    }
    if let LogTarget::File(path) = &plan.config.log {
        made.extend(files::written("--log", path, user, plan.hands_log_over)?);
    }
    if let Some(path) = &plan.config.history_file {
        made.extend(files::written("--history-file", path, user, false)?);
    }
    Ok(made)
}

/// Looks whether `account`, or the user of this process, may do what hasses has to, and becomes
/// `account`. What that user may not do is to take `files` away: a janitor keeps the right to, if need be.
fn give_up_rights<'a>(
    account: Option<&Account>,
    config: &Config,
    files: impl Iterator<Item = &'a Made>,
) -> Result<Option<Janitor>, String> {
    let Some(account) = account else {
        may_use(config)?;
        return Ok(None);
    };
    let beyond = privileges::as_user(account, || {
        may_use(config)?;
        Ok::<Vec<_>, String>(files.filter(|file| !may_remove(file.path())).collect())
    })??;
    let janitor = match beyond.as_slice() {
        [] => None,
        beyond => Some(Janitor::hire(beyond).map_err(|error| {
            let first = beyond[0].path().display();
            format!("--user: nobody can be found to remove {first} at the end: {error}")
        })?),
    };
    privileges::become_user(account)?;
    Ok(janitor)
}

/// Warnings about what SIGHUP will not be able to read again, once hasses is its user.
fn unreadable(plan: &Plan) -> Result<Vec<String>, String> {
    let Some(account) = &plan.user else {
        return Ok(Vec::new());
    };
    let files = plan.read_again();
    privileges::as_user(account, || {
        let warning = |(option, path): &(&str, &Path)| {
            let error = eaccess(*path, AccessFlags::R_OK).err()?;
            let what = match *option {
                "--tls-cert" | "--tls-key" => "not change the certificate",
                _ => "change no settings",
            };
            Some(format!(
                "{option} {}: the user {} cannot read it ({}), so SIGHUP will {what}",
                path.display(),
                account.asked,
                error.desc()
            ))
        };
        files.iter().filter_map(warning).collect()
    })
}

/// Whether the user that hasses runs as may read the FIFO and write to the log and the history.
fn may_use(config: &Config) -> Result<(), String> {
    let may = |option: &str, path: &Path, how| {
        eaccess(path, how).map_err(|error| {
            let who = match &config.about.user {
                Some(user) => format!("it must be the user {user}'s to use; chown or remove it"),
                None => "it may not be used".to_owned(),
            };
            format!("{option} {}: {}: {who}", path.display(), error.desc())
        })
    };
    if let Some(fifo) = &config.fifo {
        may("--fifo", &fifo.path, AccessFlags::R_OK)?;
    }
    if let LogTarget::File(path) = &config.log {
        may("--log", path, AccessFlags::W_OK)?;
    }
    if let Some(path) = &config.history_file {
        may(
            "--history-file",
            path,
            AccessFlags::R_OK | AccessFlags::W_OK,
        )?;
    }
    Ok(())
}

fn doors(bound: &[Bound]) -> Vec<Door> {
    let door = |bound: &Bound| Door {
        endpoint: bound.address(),
        tls: bound.tls,
    };
    bound.iter().map(door).collect()
}

/// A warning about a control port that other machines reach.
pub(crate) fn open_control(address: &Endpoint) -> String {
    format!(
        "the control port {address} is open to other hosts and asks for no secret: \
         whoever reaches it can publish"
    )
}

/// Whether this user may remove its own file at `path`.
fn may_remove(path: &Path) -> bool {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    eaccess(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}
