//! hasses, a daemon for Server-Sent Events: arguments in, exit code out.

mod allocator;
mod boot;
mod check;
mod completions;
mod config_file;
mod control;
mod daemon;
mod descriptors;
mod doctor;
mod failure;
mod files;
mod greeting;
mod help;
mod http;
mod inherited;
mod janitor;
mod keys;
mod legacy;
mod made;
mod mercure;
mod options;
mod overlaps;
mod pidfile;
mod plan;
mod privileges;
mod publish;
#[cfg(test)]
mod races;
mod reread;
mod retention;
mod room;
mod secret_file;
mod sign;
mod sockets;
mod source;
mod status;
mod subscribe;
mod suggest;
mod typed;
mod values;
mod words;

use std::env;
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

use failure::{Failure, short};
use options::Request;

/// What `--version` says.
const VERSION: &str = concat!("hasses ", env!("CARGO_PKG_VERSION"), "\n");

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure.messages);
            ExitCode::from(failure.code)
        }
    }
}

fn run() -> Result<(), Failure> {
    let mut arguments = Vec::new();
    for argument in env::args_os().skip(1) {
        arguments.push(argument.into_string().map_err(|raw| {
            Failure::usage(format!("'{}' is not UTF-8", short(&raw.to_string_lossy())))
        })?);
    }
    let does = |name: &String| name == "publish";
    let helps = |argument: &String| argument == "--help";
    let done = arguments.first().is_some_and(does) && !arguments.iter().any(helps);
    if arguments.first().is_some_and(|first| first == "doctor") {
        let (text, code) = doctor::doctor(arguments.split_off(1))?;
        say(&text)?;
        // What is wrong stands in the text.
        return match code {
            0 => Ok(()),
            code => Err(Failure::told(code)),
        };
    }
    if let Some(helper) = arguments.first().and_then(|first| helper(first)) {
        let told = helper(arguments.split_off(1))?;
        return match say(&told) {
            // It was done; that nobody hears of it changes nothing.
            Err(_) if done => Ok(()),
            said => said,
        };
    }
    // A daemon leaves the folder in which a relative path was meant.
    let folder = env::current_dir().unwrap_or_default();
    let reread = reread::again(arguments.clone(), folder.clone());
    match options::read(arguments, |path| fs::read_to_string(path))? {
        Request::Help => say(help::HELP),
        Request::Version => say(VERSION),
        Request::Check(plan) => {
            let warnings = check::check(*plan, &folder)?;
            report(&warnings);
            say("configuration ok\n")
        }
        Request::Start(mut plan) => {
            allocator::give_large_buffers_back();
            secret_file::fill(&mut plan, &folder).map_err(Failure::start)?;
            plan.config.tls = files::identity(&plan, &folder).map_err(Failure::start)?;
            plan.config.reread = Some(reread(&plan));
            // Later nobody would see it.
            let lost = plan.lost_log().map(|text| format!("warning: {text}"));
            report(lost.as_slice());
            boot::start(*plan)
        }
    }
}

/// A helper for the shell: what it says, given the arguments after its name.
type Helper = fn(Vec<String>) -> Result<String, Failure>;

fn helper(name: &str) -> Option<Helper> {
    match name {
        "completions" => Some(completions::completions),
        "help" => Some(help::help),
        "publish" => Some(publish::publish),
        "sign" => Some(sign::sign),
        "status" => Some(status::status),
        "subscribe" => Some(subscribe::subscribe),
        "version" => Some(|_| Ok(VERSION.to_owned())),
        _ => None,
    }
}

/// Writes an answer to standard output.
fn say(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| Failure::start(format!("standard output: {error}")))
}

/// Tells what went wrong, one message a line. If standard error is closed, the exit code remains.
fn report(messages: &[String]) {
    let mut stderr = io::stderr().lock();
    for message in messages {
        let _ = writeln!(stderr, "hasses: {message}");
    }
}
