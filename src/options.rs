//! What a command line asks for: it is read, with the config file that it names.

use std::io;
use std::path::Path;

use crate::failure::Failure;
use crate::legacy::{self, Meaning};
use crate::plan::Plan;
use crate::source::Source;
use crate::words::{self, Word};

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// To say how hasses is used.
    Help,
    /// To say which version this is.
    Version,
    /// To say whether a start would succeed.
    Check(Box<Plan>),
    /// To start.
    Start(Box<Plan>),
}

/// Understands the arguments (without the program's name). `read` gives the text of the config file.
pub(crate) fn read(
    arguments: Vec<String>,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Request, Failure> {
    let words = words::cut(arguments);
    if let Some(answer) = words.iter().find_map(answer) {
        return Ok(answer);
    }
    let line = Source::command_line(&words).map_err(Failure::usage)?;
    let file = match &line.new.config {
        None => Source::default(),
        Some(path) => {
            let text = read(path)
                .map_err(|error| Failure::start(format!("--config {}: {error}", path.display())))?;
            Source::file(path, &text).map_err(Failure::usage)?
        }
    };
    let check = line.new.check;
    let plan = Box::new(Plan::of(line, file)?);
    Ok(if check {
        Request::Check(plan)
    } else {
        Request::Start(plan)
    })
}

/// Help and version are given whatever else is asked for.
fn answer(word: &Word) -> Option<Request> {
    match word {
        Word::Option { name, .. } if name == "help" => Some(Request::Help),
        Word::Option { name, .. } if name == "version" => Some(Request::Version),
        Word::Old(switch) => match legacy::translate(switch) {
            Ok(Meaning::Help) => Some(Request::Help),
            Ok(Meaning::Version) => Some(Request::Version),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
