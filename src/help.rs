//! What `--help` and `hasses help` say.

use crate::doctor;
use crate::failure::Failure;
use crate::suggest;

/// What `--help` says: what is used every day, on two screens, and the names of the rest.
pub(crate) const HELP: &str = "\
Usage: hasses [--option value | --option=value]...
       hasses publish TOKEN [DATA]  |  hasses subscribe TOKEN...  |  hasses status
       hasses sign ...  |  hasses doctor URL  |  hasses completions SHELL

Server-Sent Events: browsers subscribe to tokens, backends publish to them.
hasses help all explains every option, as man hasses does, and hasses help listen one;
hasses publish --help and so on explain a command.

Subscribers:
  --listen ADDR           where they connect: HOST:PORT, [::]:PORT or unix:/path, with
                          tls: in front for TLS (default 127.0.0.1:8080)
  --path PATH             the URL path that is answered (default /sse)
  --cors ORIGIN           origin whose pages may subscribe (default *)
  --subscribe-key FILE    they must prove what they may read, by a signed URL or a JWT
  --presence TOKEN        track who listens to this token, pre* or *
  --history COUNT         events of each token kept for replay (default 1000)
  --history-file FILE     keeps them across restarts
  --trust-proxy CIDR      proxies whose X-Forwarded-For is believed, such as 127.0.0.1
  More:   --allow-all --client-buffer --heartbeat --history-age --history-bytes
          --history-for --ip6-prefix --max-clients --max-clients-per-ip
          --max-tokens --presence-grace --reinit --retry --total-buffer

Publishers:
  --control ADDR          where they connect, as above (default 127.0.0.1:8085)
  --control-secret FILE   the secret that they must send over TCP
  --fifo FILE             named pipe to read
  More:   --control-host --delimiter --max-message --max-publishers --watch-secret

TLS, several nodes, a Mercure hub:
  --tls-cert FILE         certificate chain, PEM, for addresses with tls: in front
  --tls-key FILE          its private key, PEM
  --bus URL               Redis or Valkey through which several nodes act as one
  --mercure URL           public URL of the hub for Symfony, API Platform and Laravel
  More:   --bus-down --mercure-anonymous --mercure-cookie --mercure-issuer
          --mercure-origin --mercure-publish-key --mercure-subscribe-key
          --mercure-subscriptions --mercure-version

Process:
  --config FILE           more options, one a line; the command line wins
  --check                 say whether all this is right, and exit
  --log FILE              log file (default stderr)
  More:   --daemon --group --log-level --pidfile --reuse-port --user --version

The switches of hasses 1.x, with -p= among them, are understood too:
  -p=PORT -cp=PORT -murl=PATH -fifo=FILE -sep=CHAR -q -debug -l=FILE -pidfile=FILE -ssl
  -cert-file=FILE -privatekey-file=FILE -cors-base=ORIGIN -ra -user=NAME -nodaemon
  -h -help -v -V -version
";

/// What `hasses help all` says: all options, grouped, with their defaults.
const ALL: &str = "\
Usage: hasses [--option value | --option=value]...
       hasses publish TOKEN [DATA]  |  hasses subscribe TOKEN...  |  hasses status
       hasses sign ...  |  hasses doctor URL  |  hasses completions SHELL
                                                       (each has its own --help)

Server-Sent Events: browsers subscribe to tokens, backends publish to them.

Subscribers:
  --listen ADDR           where they connect: HOST:PORT, [::]:PORT (IPv6 and IPv4) or
                          unix:/path, with tls: in front for TLS; repeatable
                          (default 127.0.0.1:8080)
  --path PATH             the URL path that is answered (default /sse)
  --cors ORIGIN           origin whose pages may subscribe; repeatable (default *)
  --subscribe-key FILE    they must prove what they may read: by a signed URL or a JWT if
                          this is a secret, by a JWT if it is a public key or JWK Set;
                          repeatable: each key is valid (default none)
  --allow-all             anyone may subscribe to * (default off)
  --reinit                a new GET on an open stream replaces its subscription
                          (default off)
  --heartbeat SECONDS     a silent stream gets a block with an id alone so often, which
                          keeps proxies from cutting it; 0 = off (default 15)
  --retry MS              how long browsers wait before they reconnect, +-30 %; 0 = their
                          own time (default 3000)
  --history COUNT         events of each token kept for replay, 0 = none (default 1000)
  --history-age SECONDS   how long they are kept (default 3600)
  --history-for RULE      'TOKEN COUNT[/AGE]': other limits for one token, or with pre*
                          for all that begin with pre, such as 'price-* 1/forever', 'answer-* 5000/15m'
                          (s, m, h, d); repeatable (default none)
  --history-bytes BYTES   memory that all of them may take together (default 16777216)
  --history-file FILE     keeps them across restarts (default none)
  --max-clients N         streams (default: what the descriptor limit allows)
  --max-clients-per-ip N  connections of one IP address, 0 = any number (default 0)
  --ip6-prefix BITS       IPv6 addresses that agree in these count as one (default 64)
  --max-tokens N          tokens of one subscription (default 256)
  --presence TOKEN        track who listens to this token, pre* or *; repeatable
                          (default none)
  --presence-grace SECS   how long a member stays after its last stream (default 10)
  --trust-proxy CIDR      proxies whose X-Forwarded-For or PROXY protocol v2 header is
                          believed, such as 10.0.0.0/8; repeatable (default none)
  --client-buffer BYTES   unsent bytes of one slow client (default 1048576)
  --total-buffer BYTES    unsent bytes of all together (default 268435456)

Publishers:
  --control ADDR          where they connect, as above; repeatable
                          (default 127.0.0.1:8085, none if --fifo is given alone)
  --control-host NAME     a further host name that they may use in HTTP, or the origin of the
                          dashboard behind a proxy (https://ops.example:8443); repeatable
  --control-secret FILE   the secret that they must send over TCP; read again on SIGHUP
                          (default none)
  --watch-secret FILE     a secret that opens the figures only, for Prometheus and the
                          dashboard; read again on SIGHUP (default none)
  --max-publishers N      connections of publishers (default 512)
  --fifo FILE             named pipe to read, made with mode 0660 if missing (default none)
  --delimiter CHAR        ends a text message, as a newline does (default ;)
  --max-message BYTES     longest message (default 1048576)

Several nodes as one:
  --bus URL               Redis or Valkey where they meet: redis://[USER:PASSWORD@]HOST[:PORT]
                          [/DATABASE][?prefix=NAME], rediss:// for TLS (default none)
  --bus-down HOW          while it is away: local = to this node's subscribers only, refuse
                          (default local)

A Mercure hub for Symfony, API Platform and Laravel:
  --mercure URL           its public URL, as in https://example.org/.well-known/mercure;
                          subscribers' addresses answer at its path (default none)
  --mercure-publish-key FILE  the key of publishers' JWTs: a secret, a public key or a JWK Set;
                          repeatable, read again on SIGHUP (default none)
  --mercure-subscribe-key FILE  the key of subscribers' JWTs, likewise (default none)
  --mercure-issuer ISS    whose JWTs are valid in version 1.0; repeatable (default the
                          origin of the URL)
  --mercure-anonymous     without a JWT one may subscribe to what is public (default off)
  --mercure-subscriptions  the subscriptions API and its events (default off)
  --mercure-origin ORIGIN  pages that may send credentials, and publish by cookie;
                          repeatable (default the origin of the URL)
  --mercure-cookie NAME   the cookie with the JWT (default the protocol's own)
  --mercure-version 7|8   speak only 0.x (7) or only 1.0 (8) (default both of them)

TLS (addresses with tls: in front):
  --tls-cert FILE         certificate chain, PEM; read again on SIGHUP (default none)
  --tls-key FILE          its private key, PEM (default none)

Process:
  --config FILE           more options, one a line; the command line wins
  --check                 check all options and files, say what is wrong, and exit
  --log FILE              log file, reopened on SIGHUP (default stderr; with --daemon none)
  --log-level LEVEL       quiet, normal or debug (default normal)
  --daemon                run in the background once everything is open (default off)
  --pidfile FILE          where to write the process id (default none)
  --user NAME[:GROUP]     user to become after the start
  --group NAME            owner group of FIFO and Unix sockets
  --reuse-port            share the ports with other processes
  --help, --version       show the help, show the version

The switches of hasses 1.x, with -p= among them, are understood too:
  -p=PORT -cp=PORT -murl=PATH -fifo=FILE -sep=CHAR -q -debug -l=FILE -pidfile=FILE -ssl
  -cert-file=FILE -privatekey-file=FILE -cors-base=ORIGIN -ra -user=NAME -nodaemon
  -h -help -v -V -version
";

/// `hasses help`, alone, with `all`, or with the name of a helper or an option.
pub(crate) fn help(arguments: Vec<String>) -> Result<String, Failure> {
    let asked = vec!["--help".to_owned()];
    match arguments.first().map(String::as_str) {
        None | Some("help" | "--help") => Ok(HELP.to_owned()),
        Some("all") => Ok(ALL.to_owned()),
        Some("doctor") => doctor::doctor(asked).map(|(text, _)| text),
        Some(name) => match crate::helper(name) {
            Some(helper) => helper(asked),
            None => explained(name).ok_or_else(|| Failure::usage(suggest::no_word(name))),
        },
    }
}

/// What `hasses help all` says of one option, which may be written with its dashes.
fn explained(name: &str) -> Option<String> {
    let name = name.trim_start_matches('-');
    let is_it = |line: &'static str| listed(line).is_some_and(|option| option.name == name);
    let mut lines = ALL.lines().skip_while(|line| !is_it(line));
    let first = lines.next()?;
    let rest = lines.take_while(|line| line.starts_with("   "));
    Some(
        [first]
            .into_iter()
            .chain(rest)
            .flat_map(|line| [line, "\n"])
            .collect(),
    )
}

/// An option as the help lists it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Without its dashes.
    pub(crate) name: &'static str,
    /// What stands for its value, such as `FILE`; none for a switch.
    pub(crate) value: Option<&'static str>,
    /// The first line of what is said of it.
    pub(crate) about: &'static str,
}

/// The options of the daemon, in the order of `hasses help all`.
pub(crate) fn options() -> impl Iterator<Item = Listed> {
    ALL.lines().filter_map(listed)
}

fn listed(line: &'static str) -> Option<Listed> {
    let option = line.strip_prefix("  --")?;
    // `--help, --version` stand in one line, and mean nothing to a config file.
    if option.starts_with("help,") {
        return None;
    }
    let (head, about) = option.split_once("  ").unwrap_or((option, ""));
    let (name, value) = match head.split_once(' ') {
        Some((name, value)) => (name, Some(value)),
        None => (head, None),
    };
    Some(Listed {
        name,
        value,
        about: about.trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::is_switch;

    #[test]
    fn every_option_is_listed_with_its_value() {
        let listed: Vec<Listed> = options().collect();
        assert!(listed.len() > 30, "{}", listed.len());
        for option in &listed {
            assert_eq!(option.value.is_none(), is_switch(option.name), "{option:?}");
            assert!(!option.about.is_empty(), "{option:?}");
        }
    }

    #[test]
    fn help_fits_two_screens_and_names_every_option() {
        let lines: Vec<&str> = HELP.lines().collect();
        assert!(lines.len() <= 2 * 24, "{} lines", lines.len());
        for line in &lines {
            assert!(line.len() <= 88, "{line}");
        }
        for option in options() {
            let name = format!("--{}", option.name);
            let words = || HELP.split_whitespace();
            assert!(words().any(|word| word == name), "{name}");
        }
        for explained in HELP.lines().filter_map(listed) {
            let known =
                |option: Listed| (option.name, option.value) == (explained.name, explained.value);
            assert!(options().any(known), "{explained:?}");
        }
    }

    #[test]
    fn an_option_is_explained_alone() {
        let told = |name: &str| help(vec![name.to_owned()]).unwrap_or_default();
        let listen = told("listen");
        assert!(listen.starts_with("  --listen ADDR "), "{listen}");
        assert!(listen.ends_with("(default 127.0.0.1:8080)\n"), "{listen}");
        assert_eq!(told("--listen"), listen);
        for option in options() {
            let text = told(option.name);
            assert!(text.contains(option.about), "{text}");
            assert_eq!(text.matches("\n  --").count(), 0, "{text}");
        }
        assert!(help(vec!["xyzzy".to_owned()]).is_err());
    }

    #[test]
    fn every_command_explains_itself() {
        for name in suggest::HELPERS {
            let text = help(vec![name.to_owned()]);
            assert!(text.is_ok_and(|text| !text.is_empty()), "{name}");
        }
    }
}
