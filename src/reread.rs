//! Reading the options again while hasses runs: on SIGHUP.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hasses_actors::config::{Config, Mercure, Reread};
use hasses_actors::net::identity::Identity;

use crate::files;
use crate::keys;
use crate::options::{self, Request};
use crate::plan::Plan;
use crate::secret_file;

/// Remembers where and how hasses was started; with the plan that came of it, this is how to read
/// the same options, and the secrets that they name, again. What is wrong with one changes none.
pub(crate) fn again(arguments: Vec<String>, folder: PathBuf) -> impl FnOnce(&Plan) -> Reread {
    move |plan| {
        let before = fixed(plan);
        let encrypted = plan.config.encrypted;
        let identity = Mutex::new(plan.config.tls.clone());
        let asked_for_a_secret = plan.control_secret.is_some();
        Reread(Arc::new(move || {
            let read = options::read(arguments.clone(), |path| {
                fs::read_to_string(folder.join(path))
            });
            let mut plan = match read.map_err(|failure| failure.messages.join("; "))? {
                Request::Start(plan) => *plan,
                _ => return Err("they do not ask for a start".into()),
            };
            secret_file::fill(&mut plan, &folder)?;
            let changed = before
                .iter()
                .zip(fixed(&plan))
                .filter(|(old, new)| **old != *new);
            let mut warnings = std::mem::take(&mut plan.config.warnings);
            warnings.extend(
                changed
                    .map(|(_, (option, _))| format!("{option} was changed; that needs a restart")),
            );
            if asked_for_a_secret && plan.control_secret.is_none() {
                let open = "whoever reaches the control ports can publish";
                warnings.push(format!("--control-secret is not given any more: {open}"));
            }
            warnings.extend(keys::load(&mut plan, &folder)?);
            // Nobody panics with it in hand, and whole it is in any case.
            let mut identity = identity.lock().unwrap_or_else(PoisonError::into_inner);
            warnings.extend(replace(&mut identity, &plan, &folder).err());
            plan.config.tls = identity.clone();
            plan.config.encrypted = encrypted;
            Ok((plan.config, warnings))
        }))
    }
}

/// Reads the certificate again, where there is one; a bad file leaves it as it was.
fn replace(identity: &mut Option<Identity>, plan: &Plan, folder: &Path) -> Result<(), String> {
    if let (Some(identity), Some(files)) = (identity, files::tls_files(plan, folder)) {
        *identity = identity
            .replaced(&files)
            .map_err(|why| format!("{why}; the certificate stays as it was"))?;
    }
    Ok(())
}

/// What is to be said of the Mercure hub, if there is one.
fn hub(config: &Config, say: impl FnOnce(&Mercure) -> String) -> String {
    config.mercure.as_deref().map(say).unwrap_or_default()
}

/// What only a restart can change.
fn fixed(plan: &Plan) -> [(&'static str, String); 14] {
    let config = &plan.config;
    [
        ("--listen", format!("{:?}", plan.listen)),
        ("--control", format!("{:?}", plan.control)),
        ("--reuse-port", format!("{:?}", plan.reuse_port)),
        ("--bus", format!("{:?}", config.bus)),
        (
            "--mercure",
            hub(config, |mercure| format!("{:?}", mercure.hub)),
        ),
        (
            "--mercure-subscriptions",
            hub(config, |mercure| mercure.subscriptions.to_string()),
        ),
        ("--fifo", format!("{:?}", config.fifo)),
        ("--history-file", format!("{:?}", config.history_file)),
        ("--log", format!("{:?}", config.log)),
        ("--pidfile", format!("{:?}", plan.pidfile)),
        ("--user", format!("{:?}", config.about.user)),
        ("--group", format!("{:?}", plan.group)),
        ("--ip6-prefix", format!("{:?}", config.ip6_prefix)),
        ("--daemon", format!("{:?}", plan.detach)),
    ]
}
