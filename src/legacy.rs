//! The old daemon's switches, each told as what it means today.

use crate::failure::short;
use crate::suggest;

/// Where the old daemon logged when it was detached.
pub(crate) const LOG_FILE: &str = "/var/log/hasses.log";

/// Where the old daemon's publishers connected unless told otherwise: all addresses.
pub(crate) const CONTROL: &str = "[::]:8085";

/// What one old switch means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A new option, without its dashes, and its value if it takes one.
    Option(&'static str, Option<String>),
    /// `-sep=`: any character that the old daemon took, also where a command cannot be written with it.
    Delimiter(u8),
    /// `-cors-base=`: sent as it is.
    Cors(String),
    /// `-p=`: the old defaults hold, and subscribers connect to this address.
    OldDefaults(String),
    /// `-ssl`: subscribers come by TLS, to the address of `-p=`.
    Tls,
    /// `-nodaemon`: stay in the foreground.
    Foreground,
    /// Say how hasses is used.
    Help,
    /// Say which version this is.
    Version,
}

/// An old switch.
struct Switch {
    name: &'static str,
    takes_value: bool,
    /// The new option that does its work, without dashes; empty if there is none.
    new: &'static str,
}

const fn switch(name: &'static str, takes_value: bool, new: &'static str) -> Switch {
    Switch {
        name,
        takes_value,
        new,
    }
}

const SWITCHES: [Switch; 20] = [
    switch("-p", true, "listen"),
    switch("-cp", true, "control"),
    switch("-murl", true, "path"),
    switch("-fifo", true, "fifo"),
    switch("-sep", true, "delimiter"),
    switch("-q", false, "log-level"),
    switch("-debug", false, "log-level"),
    switch("-l", true, "log"),
    switch("-pidfile", true, "pidfile"),
    switch("-ssl", false, ""),
    switch("-cert-file", true, "tls-cert"),
    switch("-privatekey-file", true, "tls-key"),
    switch("-cors-base", true, "cors"),
    switch("-ra", false, "reinit"),
    switch("-user", true, "user"),
    switch("-nodaemon", false, ""),
    switch("-h", false, "help"),
    switch("-help", false, "help"),
    switch("-v", false, "version"),
    switch("-version", false, "version"),
];

/// The switch in a word such as `-p=8080`, and its value.
fn parts(word: &str) -> Result<(&'static Switch, Option<String>), String> {
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (word, None),
    };
    let name = if name == "-V" { "-v" } else { name };
    let known = SWITCHES.iter().find(|switch| switch.name == name);
    match (known, &value) {
        (None, _) => Err(suggest::no_switch(name)),
        (Some(switch), Some(_)) if !switch.takes_value => Err(format!("{name} takes no value")),
        (Some(switch), None) if switch.takes_value => {
            Err(format!("{name} needs a value, as in {name}=VALUE"))
        }
        (Some(switch), _) => Ok((switch, value)),
    }
}

/// What an old switch such as `-p=8080` means, or why it means nothing.
pub(crate) fn translate(word: &str) -> Result<Meaning, String> {
    let (switch, value) = parts(word)?;
    let text = value.as_deref().unwrap_or_default();
    Ok(match switch.name {
        "-h" | "-help" => Meaning::Help,
        "-v" | "-version" => Meaning::Version,
        "-nodaemon" => Meaning::Foreground,
        "-p" => Meaning::OldDefaults(all_addresses(switch.name, text)?),
        "-cp" => Meaning::Option(switch.new, Some(all_addresses(switch.name, text)?)),
        "-q" => Meaning::Option(switch.new, Some("quiet".to_owned())),
        "-debug" => Meaning::Option(switch.new, Some("debug".to_owned())),
        "-murl" if !text.starts_with('/') => Meaning::Option(switch.new, Some(format!("/{text}"))),
        "-sep" => Meaning::Delimiter(delimiter(text)?),
        "-cors-base" if text.chars().any(char::is_control) => {
            return Err("-cors-base: it may not contain control characters".to_owned());
        }
        "-cors-base" => Meaning::Cors(text.to_owned()),
        "-ssl" => Meaning::Tls,
        _ => Meaning::Option(switch.new, value),
    })
}

/// Why an old switch alone is not enough, and what to write instead.
pub(crate) fn without_port(word: &str) -> String {
    let (name, new) = match parts(word) {
        Ok((switch, _)) => (switch.name, switch.new),
        Err(why) => return why,
    };
    let instead = match (name, new) {
        ("-nodaemon", _) => {
            "no new option is needed: hasses stays in the foreground unless --daemon is given"
                .to_owned()
        }
        ("-ssl", _) => {
            "the new way is --listen tls:HOST:PORT with --tls-cert and --tls-key".to_owned()
        }
        ("-q", new) => format!("the new option is --{new} quiet"),
        ("-debug", new) => format!("the new option is --{new} debug"),
        (_, new) => format!("the new option is --{new}"),
    };
    format!("{name} is an old switch and needs -p=PORT beside it; {instead}")
}

fn all_addresses(name: &str, port: &str) -> Result<String, String> {
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits => Ok(format!("[::]:{port}")),
        _ => Err(format!(
            "{name}: '{}' is no port; a port is a number from 0 to 65535",
            short(port)
        )),
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte @ b' '..=b'~'] if *byte != b'=' => Ok(*byte),
        _ => Err(format!(
            "-sep: '{}' is not one printable ASCII character other than =",
            short(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_old_switch_has_a_meaning() {
        let option = |name, value: &str| Meaning::Option(name, Some(value.to_owned()));
        for (word, meaning) in [
            ("-p=8080", Meaning::OldDefaults("[::]:8080".to_owned())),
            ("-cp=8085", option("control", "[::]:8085")),
            ("-murl=/sse", option("path", "/sse")),
            ("-murl=sse", option("path", "/sse")),
            ("-fifo=/run/a=b", option("fifo", "/run/a=b")),
            ("-sep=:", Meaning::Delimiter(b':')),
            ("-sep=x", Meaning::Delimiter(b'x')),
            ("-sep= ", Meaning::Delimiter(b' ')),
            ("-q", option("log-level", "quiet")),
            ("-debug", option("log-level", "debug")),
            ("-l=/var/log/x", option("log", "/var/log/x")),
            ("-pidfile=/run/x", option("pidfile", "/run/x")),
            ("-cors-base=*", Meaning::Cors("*".to_owned())),
            ("-cors-base=a.b", Meaning::Cors("a.b".to_owned())),
            (
                "-cors-base=http://x/",
                Meaning::Cors("http://x/".to_owned()),
            ),
            ("-ra", Meaning::Option("reinit", None)),
            ("-user=www-data", option("user", "www-data")),
            ("-nodaemon", Meaning::Foreground),
            ("-ssl", Meaning::Tls),
            ("-h", Meaning::Help),
            ("-help", Meaning::Help),
            ("-v", Meaning::Version),
            ("-V", Meaning::Version),
            ("-version", Meaning::Version),
        ] {
            assert_eq!(translate(word), Ok(meaning), "{word}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_reason() {
        for (word, why) in [
            (
                "-p=x",
                "-p: 'x' is no port; a port is a number from 0 to 65535",
            ),
            (
                "-cp=65536",
                "-cp: '65536' is no port; a port is a number from 0 to 65535",
            ),
            (
                "-p=+1",
                "-p: '+1' is no port; a port is a number from 0 to 65535",
            ),
            ("-p", "-p needs a value, as in -p=VALUE"),
            ("-ra=1", "-ra takes no value"),
            (
                "-sep==",
                "-sep: '=' is not one printable ASCII character other than =",
            ),
            (
                "-cors-base=a\rb",
                "-cors-base: it may not contain control characters",
            ),
            ("-ssl=1", "-ssl takes no value"),
            (
                "-cert-file",
                "-cert-file needs a value, as in -cert-file=VALUE",
            ),
            ("-x=1", "-x is not an option; hasses --help lists them"),
        ] {
            assert_eq!(translate(word), Err(why.to_owned()), "{word}");
        }
    }

    #[test]
    fn without_a_port_the_new_option_is_named() {
        for (word, option) in [
            ("-cp=1", "--control"),
            ("-murl=/x", "--path"),
            ("-fifo=x", "--fifo"),
            ("-sep=;", "--delimiter"),
            ("-q", "--log-level quiet"),
            ("-debug", "--log-level debug"),
            ("-l=x", "--log"),
            ("-pidfile=x", "--pidfile"),
            ("-cors-base=*", "--cors"),
            ("-ra", "--reinit"),
            ("-user=x", "--user"),
            ("-cert-file=x", "--tls-cert"),
            ("-privatekey-file=x", "--tls-key"),
        ] {
            let told = without_port(word);
            assert!(
                told.ends_with(&format!("; the new option is {option}")),
                "{told}"
            );
        }
        assert!(without_port("-ssl").contains("--listen tls:HOST:PORT"));
        assert!(without_port("-nodaemon").contains("no new option is needed"));
    }
}
