//! Reading the options again while hasses runs: on SIGHUP.

use std::env;
use std::fs;
use std::sync::Arc;

use hasses_actors::config::Reread;

use crate::options::{self, Plan, Request};

/// Remembers where and how hasses was started; with the plan that came of it, this is how to read
/// the same options again.
pub(crate) fn again(arguments: Vec<String>) -> impl FnOnce(&Plan) -> Reread {
    // A daemon leaves the folder in which a relative path was meant.
    let folder = env::current_dir().unwrap_or_default();
    move |plan| {
        let before = fixed(plan);
        Reread(Arc::new(move || {
            let read = options::read(arguments.clone(), |path| {
                fs::read_to_string(folder.join(path))
            });
            let plan = match read.map_err(|failure| failure.messages.join("; "))? {
                Request::Start(plan) => plan,
                _ => return Err("they do not ask for a start".into()),
            };
            let changed = before
                .iter()
                .zip(fixed(&plan))
                .filter(|(old, new)| **old != *new);
            let warnings = changed
                .map(|(_, (option, _))| format!("{option} was changed; that needs a restart"));
            Ok((plan.config, warnings.collect()))
        }))
    }
}

/// What only a restart can change.
fn fixed(plan: &Plan) -> [(&'static str, String); 5] {
    [
        ("--listen", format!("{:?}", plan.listen)),
        ("--control", format!("{:?}", plan.control)),
        ("--bus", format!("{:?}", plan.config.bus)),
        ("--fifo", format!("{:?}", plan.config.fifo.is_some())),
        ("--user", format!("{:?}", plan.config.about.user)),
    ]
}
