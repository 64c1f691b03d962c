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
hasses help all explains every option, as man hasses does; hasses publish --help
and so on explain a command.

Subscribers:
  --listen ADDR           where they connect: HOST:PORT, [::]:PORT or unix:/path, with
                          tls: in front for TLS (default 127.0.0.1:8080)
  --path PATH             the URL path that is answered (default /sse)
  --cors ORIGIN           allowed origin (default *)
  --subscribe-key FILE    they prove what they may read with a signed URL or a JWT
  --presence TOKEN        for this token, pre* or *, it is known who is there
  --history COUNT         events of each token kept for replay (default 1000)
  --history-file FILE     keeps them across restarts
  --trust-proxy CIDR      proxies whose X-Forwarded-For is believed
  More:   --allow-all --client-buffer --heartbeat --history-age --history-bytes
          --history-for --ip6-prefix --max-clients --max-clients-per-ip
          --max-tokens --presence-grace --reinit --retry --total-buffer

Publishers:
  --control ADDR          where they connect, as above (default 127.0.0.1:8085)
  --control-secret FILE   over TCP they must know what it holds
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
  --cors ORIGIN           allowed origin; repeatable (default *)
  --subscribe-key FILE    they prove what they may read with this secret, by a signed URL
                          or a JWT, or with this public key or JWK Set, by a JWT;
                          repeatable: each key holds (default none)
  --allow-all             anyone may subscribe to * (default off)
  --reinit                a new GET on an open stream replaces its subscription
                          (default off)
  --heartbeat SECONDS     a position block after that much silence, 0 = off (default 15)
  --retry MS              when browsers come back, +-30 %, 0 = not told (default 3000)
  --history COUNT         events of each token kept for replay, 0 = none (default 1000)
  --history-age SECONDS   how old they may grow (default 3600)
  --history-for RULE      'TOKEN COUNT[/AGE]': other limits for a token, or for all that
                          begin so, such as 'price-* 1/forever', 'answer-* 5000/15m'
                          (s, m, h, d); repeatable (default none)
  --history-bytes BYTES   memory that all of them may take together (default 16777216)
  --history-file FILE     keeps them across restarts (default none)
  --max-clients N         streams (default: what the descriptor limit allows)
  --max-clients-per-ip N  connections of one IP address, 0 = any number (default 0)
  --ip6-prefix BITS       of an IPv6 address these count as one address (default 64)
  --max-tokens N          tokens of one subscription (default 256)
  --presence TOKEN        for this token, pre* or *, it is known who is there; repeatable
                          (default none)
  --presence-grace SECS   so long after its last stream a member is still there (default 10)
  --trust-proxy CIDR      proxies whose X-Forwarded-For or PROXY protocol v2 header is
                          believed, such as 10.0.0.0/8; repeatable (default none)
  --client-buffer BYTES   what a slow client may have waiting (default 1048576)
  --total-buffer BYTES    what may wait for all together (default 268435456)

Publishers:
  --control ADDR          where they connect, as above; repeatable
                          (default 127.0.0.1:8085, none if --fifo is given alone)
  --control-host NAME     a further Host that HTTP there answers to, or the origin of its
                          page behind a proxy (https://ops.example:8443); repeatable
  --control-secret FILE   over TCP they must know what it holds; re-read on SIGHUP
                          (default none)
  --watch-secret FILE     opens the figures alone, by HTTP: for Prometheus and the dashboard;
                          re-read on SIGHUP (default none)
  --max-publishers N      connections of publishers (default 512)
  --fifo FILE             named pipe to read, made with mode 0660 if missing (default none)
  --delimiter CHAR        ends a text message, as a newline does (default ;)
  --max-message BYTES     longest message (default 1048576)

Several nodes as one:
  --bus URL               Redis or Valkey where they meet: redis://[USER:PASSWORD@]HOST[:PORT]
                          [/DATABASE][?prefix=NAME], rediss:// for TLS (default none)
  --bus-down HOW          while it is away: local = to this node's subscribers alone, refuse
                          (default local)

A Mercure hub for Symfony, API Platform and Laravel:
  --mercure URL           its public URL, as in https://example.org/.well-known/mercure;
                          subscribers' addresses answer at its path (default none)
  --mercure-publish-key FILE  what publishers' tokens are signed with: a secret, a public key
                          or a JWK Set; repeatable, read again on SIGHUP (default none)
  --mercure-subscribe-key FILE  what subscribers' tokens are signed with (default none)
  --mercure-issuer ISS    whose tokens hold in version 1.0; repeatable (default the origin
                          of the URL)
  --mercure-anonymous     without a token one may subscribe to what is public (default off)
  --mercure-subscriptions  the subscriptions API and its events (default off)
  --mercure-origin ORIGIN  pages that may send credentials, and publish by cookie;
                          repeatable (default the origin of the URL)
  --mercure-cookie NAME   the cookie with the token (default the protocol's own)
  --mercure-version 7|8   speak 0.x or 1.0 alone (default none of them alone)

TLS (addresses with tls: in front):
  --tls-cert FILE         certificate and those that vouch for it, PEM; read again on SIGHUP
                          (default none)
  --tls-key FILE          its private key, PEM (default none)

Process:
  --config FILE           more options, one a line; the command line wins
  --check                 say whether all this is right, and exit
  --log FILE              log file, reopened on SIGHUP (default stderr, which a daemon has not)
  --log-level LEVEL       quiet, normal or debug (default normal)
  --daemon                detach once everything is open (default: stay in the foreground)
  --pidfile FILE          where to write the process id (default none)
  --user NAME[:GROUP]     user to become after the start
  --group NAME            owner group of FIFO and Unix sockets
  --reuse-port            share the ports with other processes
  --help, --version       say this, say the version

The switches of hasses 1.x, with -p= among them, are understood too:
  -p=PORT -cp=PORT -murl=PATH -fifo=FILE -sep=CHAR -q -debug -l=FILE -pidfile=FILE -ssl
  -cert-file=FILE -privatekey-file=FILE -cors-base=ORIGIN -ra -user=NAME -nodaemon
  -h -help -v -V -version
";

/// `hasses help`, alone, with `all`, or with the name of a helper.
pub(crate) fn help(arguments: Vec<String>) -> Result<String, Failure> {
    let asked = vec!["--help".to_owned()];
    match arguments.first().map(String::as_str) {
        None | Some("help" | "--help") => Ok(HELP.to_owned()),
        Some("all") => Ok(ALL.to_owned()),
        Some("doctor") => doctor::doctor(asked).map(|(text, _)| text),
        Some(name) => match crate::helper(name) {
            Some(helper) => helper(asked),
            None => Err(Failure::usage(suggest::no_word(name))),
        },
    }
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
    fn every_command_explains_itself() {
        for name in suggest::HELPERS {
            let text = help(vec![name.to_owned()]);
            assert!(text.is_ok_and(|text| !text.is_empty()), "{name}");
        }
    }
}
