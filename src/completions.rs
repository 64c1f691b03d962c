//! Completion scripts for shells, made from the options that `--help` lists.

use std::fmt::Write;

use crate::failure::{Failure, short};
use crate::help::{self, Listed};
use crate::suggest::HELPERS;

const HELP: &str = "\
Usage: hasses completions SHELL

Prints the completion script for bash, zsh or fish.

  hasses completions bash > /usr/share/bash-completion/completions/hasses
  hasses completions zsh  > /usr/share/zsh/vendor-completions/_hasses
  hasses completions fish > /usr/share/fish/vendor_completions.d/hasses.fish
";

/// Carries out the arguments after `completions`; the script.
pub(crate) fn completions(arguments: Vec<String>) -> Result<String, Failure> {
    match arguments.first().map(String::as_str) {
        Some("--help" | "-h") => Ok(HELP.to_owned()),
        Some("bash") => Ok(bash()),
        Some("zsh") => Ok(zsh()),
        Some("fish") => Ok(fish()),
        Some(other) => Err(Failure::usage(format!(
            "completions: '{}' is not supported; it needs bash, zsh or fish",
            short(other)
        ))),
        None => Err(Failure::usage(
            "completions: the shell is missing: bash, zsh or fish",
        )),
    }
}

/// The words that an option's value may be, where there are few.
fn choices(option: &Listed) -> Option<&'static str> {
    match option.name {
        "log-level" => Some("quiet normal debug"),
        "bus-down" => Some("local refuse"),
        _ => None,
    }
}

fn is_file(option: &Listed) -> bool {
    option.value == Some("FILE")
}

fn joined(filter: impl Fn(&Listed) -> bool, separator: &str) -> String {
    let names = help::options().filter(filter);
    let names: Vec<String> = names.map(|option| format!("--{}", option.name)).collect();
    names.join(separator)
}

fn bash() -> String {
    let mut cases = format!(
        "        {}) mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;;\n",
        joined(is_file, "|")
    );
    for option in help::options() {
        if let Some(words) = choices(&option) {
            // Writing to a String cannot fail.
            let _ = writeln!(
                cases,
                "        --{}) mapfile -t COMPREPLY < <(compgen -W '{words}' -- \"$word\"); return ;;",
                option.name
            );
        }
    }
    let values =
        |option: &Listed| option.value.is_some() && !is_file(option) && choices(option).is_none();
    format!(
        "# bash completion for hasses; made by: hasses completions bash\n\
         _hasses() {{\n    \
             local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}\n    \
             local words='{} --help --version'\n    \
             case $before in\n{cases}        {}) return ;;\n    esac\n    \
             [ \"$COMP_CWORD\" -eq 1 ] && words=\"{} $words\"\n    \
             mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n\
         }}\n\
         complete -o filenames -F _hasses hasses\n",
        joined(|_| true, " "),
        joined(values, "|"),
        HELPERS.join(" "),
    )
}

fn zsh() -> String {
    let mut script = format!(
        "#compdef hasses\n# made by: hasses completions zsh\n_arguments -s \\\n  \
         '1:: :({})' \\\n",
        HELPERS.join(" ")
    );
    for option in help::options() {
        let about = option
            .about
            .replace('\'', "'\\''")
            .replace(['[', ']', ':'], " ");
        let value = match (option.value, choices(&option)) {
            (None, _) => String::new(),
            (Some(value), Some(words)) => format!(":{value}:({words})"),
            (Some(value), None) if is_file(&option) => format!(":{value}:_files"),
            (Some(value), None) => format!(":{value}: "),
        };
        let _ = writeln!(script, "  '*--{}[{about}]{value}' \\", option.name);
    }
    script + "  '--help[show the help]' \\\n  '--version[show the version]'\n"
}

fn fish() -> String {
    let mut script = format!(
        "# made by: hasses completions fish\ncomplete -c hasses -f\n\
         complete -c hasses -n __fish_use_subcommand -a '{}'\n",
        HELPERS.join(" ")
    );
    for option in help::options() {
        let about = option.about.replace('\'', "\\'");
        let value = match (option.value, choices(&option)) {
            (None, _) => String::new(),
            (Some(_), Some(words)) => format!(" -x -a '{words}'"),
            (Some(_), None) if is_file(&option) => " -r -F".to_owned(),
            (Some(_), None) => " -x".to_owned(),
        };
        let _ = writeln!(
            script,
            "complete -c hasses -l {}{value} -d '{about}'",
            option.name
        );
    }
    script
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn every_shell_gets_every_option() {
        for (shell, dashes) in [("bash", "--"), ("zsh", "--"), ("fish", "-l ")] {
            let script = completions(vec![shell.to_owned()]).unwrap();
            for option in help::options() {
                let wanted = format!("{dashes}{}", option.name);
                assert!(script.contains(&wanted), "{shell}: {wanted}");
            }
        }
        assert_eq!(completions(vec!["csh".to_owned()]).unwrap_err().code, 2);
    }
}
