//! A command line cut into its words: `--opt value`, `--opt=value` and the old daemon's switches.

/// The options that take no value.
const SWITCHES: [&str; 10] = [
    "allow-all",
    "check",
    "daemon",
    "help",
    "json",
    "mercure-anonymous",
    "mercure-subscriptions",
    "reinit",
    "reuse-port",
    "version",
];

/// One thing on the command line or in the config file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// `--name` or `--name=value` or `--name value`.
    Option {
        /// Without the dashes.
        name: String,
        /// What it is set to.
        value: Option<String>,
    },
    /// One of the old daemon's switches, such as `-p=8080`, or something that looks like one.
    Old(String),
    /// Something else.
    Stray(String),
}

/// Whether the option takes no value.
pub(crate) fn is_switch(name: &str) -> bool {
    SWITCHES.contains(&name)
}

/// Cuts arguments into words. An argument after an option that takes a value is that value unless it
/// looks like an option itself; `--opt=-value` is there for those.
pub(crate) fn cut(arguments: impl IntoIterator<Item = String>) -> Vec<Word> {
    let mut rest = arguments.into_iter().peekable();
    let mut words = Vec::new();
    while let Some(argument) = rest.next() {
        words.push(match argument.strip_prefix("--") {
            Some("") => Word::Stray(argument),
            Some(option) => match option.split_once('=') {
                Some((name, value)) => Word::Option {
                    name: name.to_owned(),
                    value: Some(value.to_owned()),
                },
                None if is_switch(option) => Word::Option {
                    name: option.to_owned(),
                    value: None,
                },
                None => Word::Option {
                    name: option.to_owned(),
                    value: rest.next_if(|next| !looks_like_an_option(next)),
                },
            },
            None if looks_like_an_option(&argument) => Word::Old(argument),
            None => Word::Stray(argument),
        });
    }
    words
}

/// `--x` or `-x`; neither `-` nor `-1`.
fn looks_like_an_option(argument: &str) -> bool {
    let mut bytes = argument.bytes();
    bytes.next() == Some(b'-')
        && bytes
            .next()
            .is_some_and(|byte| byte == b'-' || byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, value: Option<&str>) -> Word {
        Word::Option {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn values_stand_after_a_blank_or_an_equals_sign() {
        let line = "--path /sse --fifo=a=b --daemon -p=80 x --heartbeat -1 --log --check --cors";
        assert_eq!(
            cut(line.split(' ').map(str::to_owned)),
            [
                option("path", Some("/sse")),
                option("fifo", Some("a=b")),
                option("daemon", None),
                Word::Old("-p=80".to_owned()),
                Word::Stray("x".to_owned()),
                option("heartbeat", Some("-1")),
                option("log", None),
                option("check", None),
                option("cors", None),
            ]
        );
    }
}
