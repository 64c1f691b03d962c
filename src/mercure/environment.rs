//! The environment variables of the reference hub's container, so that hasses can take its place.
//!
//! Keys and what `MERCURE_EXTRA_DIRECTIVES` says stand in for options that are not given. Where
//! `--mercure` is not given either, `SERVER_NAME` beside a key says that there is a hub, and where.

use crate::mercure;
use crate::typed::Typed;
use crate::values;

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// Options, as if they were typed.
    pub(crate) typed: Typed,
    /// Keys: the variable, its value, whether it is the publishers'.
    pub(crate) keys: Vec<(&'static str, String, bool)>,
    /// What it asks for that there is not, one line each.
    pub(crate) notes: Vec<String>,
}

const PUBLISHER_KEY: &str = "MERCURE_PUBLISHER_JWT_KEY";
const PUBLISHER_ALG: &str = "MERCURE_PUBLISHER_JWT_ALG";
const SUBSCRIBER_KEY: &str = "MERCURE_SUBSCRIBER_JWT_KEY";
const SUBSCRIBER_ALG: &str = "MERCURE_SUBSCRIBER_JWT_ALG";
const ISSUERS: &str = "MERCURE_TRUSTED_ISSUERS";
const DIRECTIVES: &str = "MERCURE_EXTRA_DIRECTIVES";
const SERVER_NAME: &str = "SERVER_NAME";
/// The path of the reference hub.
const PATH: &str = "/.well-known/mercure";

/// Variables of the reference hub that there is nothing for.
const UNSUPPORTED: [&str; 8] = [
    "MERCURE_PUBLISHER_JWKS_URL",
    "MERCURE_SUBSCRIBER_JWKS_URL",
    "MERCURE_TRANSPORT_URL",
    "MERCURE_LICENSE",
    "MERCURE_DEMO",
    "GLOBAL_OPTIONS",
    "CADDY_GLOBAL_OPTIONS",
    "CADDY_SERVER_EXTRA_DIRECTIVES",
];

/// What stands in the environment, `of` giving a variable's value. `hub`: a hub is asked for by an
/// option; `tls`: there is a certificate.
///
/// Errors: a value that cannot be understood, by the variable's name.
pub(crate) fn read(
    of: impl Fn(&str) -> Option<String>,
    hub: bool,
    tls: bool,
) -> Result<Environment, String> {
    let of = |name: &str| {
        of(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let mut read = Environment::default();
    let server = of(SERVER_NAME);
    let has_key = of(PUBLISHER_KEY).is_some() || of(SUBSCRIBER_KEY).is_some();
    let asked = hub || (has_key && server.is_some());
    if !asked {
        return Ok(read);
    }
    for (key, alg, publishers) in [
        (PUBLISHER_KEY, PUBLISHER_ALG, true),
        (SUBSCRIBER_KEY, SUBSCRIBER_ALG, false),
    ] {
        if let Some(value) = of(key) {
            check_algorithm(alg, of(alg).as_deref(), &value)?;
            read.keys.push((key, value, publishers));
        }
    }
    if let Some(issuers) = of(ISSUERS) {
        read.typed.mercure_issuer = words(&issuers).map(str::to_owned).collect();
    }
    let mut identity = None;
    for line in of(DIRECTIVES).unwrap_or_default().lines() {
        read.directive(line, &mut identity)
            .map_err(|why| format!("{DIRECTIVES}: {why}"))?;
    }
    for name in UNSUPPORTED.iter().filter(|name| of(name).is_some()) {
        read.notes.push(format!(
            "{name}: there is nothing like it here, so it is passed over"
        ));
    }
    if !hub && let Some(server) = server {
        read.serve(&server, identity, tls)
            .map_err(|why| format!("{SERVER_NAME}: {why}"))?;
    }
    Ok(read)
}

/// The words of a list, with blanks or commas between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', '\t', ',', '\n'])
        .filter(|word| !word.is_empty())
}

/// Checks that an algorithm is one for the key that stands beside it: which it is, the key says.
fn check_algorithm(name: &str, algorithm: Option<&str>, key: &str) -> Result<(), String> {
    let is_secret = !key.contains("-----BEGIN ");
    match algorithm {
        None => Ok(()),
        Some(algorithm) if algorithm.starts_with("HS") == is_secret => Ok(()),
        Some(algorithm) => Err(format!(
            "{name}: {algorithm} is no algorithm for this key, which is {}",
            if is_secret {
                "a secret"
            } else {
                "a public key"
            }
        )),
    }
}

impl Environment {
    /// Understands one of the extra directives.
    fn directive(&mut self, line: &str, identity: &mut Option<String>) -> Result<(), String> {
        let line = line.split_once(" #").map_or(line, |(line, _)| line);
        let mut parts = words(line);
        let Some(name) = parts.next().filter(|name| !name.starts_with('#')) else {
            return Ok(());
        };
        let values: Vec<String> = parts
            .map(|value| value.trim_matches('"').to_owned())
            .collect();
        let first = values.first().cloned();
        let needed = || first.clone().ok_or_else(|| format!("{name} needs a value"));
        match name {
            "anonymous" => self.typed.mercure_anonymous = true,
            "subscriptions" => self.typed.mercure_subscriptions = true,
            "cors_origins" | "publish_origins" => {
                for value in values.iter().filter(|value| *value != "*") {
                    let origin = mercure::origin(value).map_err(|why| format!("{name}: {why}"))?;
                    if !self.typed.mercure_origin.contains(&origin) {
                        self.typed.mercure_origin.push(origin);
                    }
                }
                if values.iter().any(|value| value == "*") {
                    self.notes.push(format!(
                        "{DIRECTIVES}: {name} *: every page may read what needs no credentials; those that \
                         may send them must be named"
                    ));
                }
            }
            "cookie_name" => self.typed.mercure_cookie = Some(mercure::cookie(&needed()?)?),
            "heartbeat" => self.typed.heartbeat = Some(seconds(&needed()?)?),
            "resource_identifier" => *identity = Some(needed()?),
            "public_urls" if identity.is_none() => *identity = Some(needed()?),
            "public_urls" => {}
            "publisher_jwt" | "subscriber_jwt" => {
                let publishers = name == "publisher_jwt";
                check_algorithm(name, values.get(1).map(String::as_str), &needed()?)?;
                self.keys
                    .retain(|(_, _, of_publishers)| *of_publishers != publishers);
                self.keys.push((DIRECTIVES, needed()?, publishers));
            }
            // Both are spoken, and streams are not turned round.
            "protocol_version_compatibility" | "write_timeout" | "dispatch_timeout" => {}
            other => self.notes.push(format!(
                "{DIRECTIVES}: {} is not known here, so it is passed over",
                other.escape_debug()
            )),
        }
        Ok(())
    }

    /// Where the hub is to be, by Caddy's address of a site.
    fn serve(&mut self, server: &str, identity: Option<String>, tls: bool) -> Result<(), String> {
        let Some(first) = words(server).next() else {
            return Ok(());
        };
        let (scheme, rest) = match first.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, first),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, Some(port))
            }
            _ => (rest, None),
        };
        // Caddy asks for no certificate without a name.
        let nameless = host.is_empty() && scheme.is_none();
        let plain = scheme == Some("http") || port == Some("80") || nameless;
        let encrypted = !plain && tls;
        if !plain && !tls {
            self.notes.push(format!(
                "{SERVER_NAME}={first} asks for HTTPS with a certificate of its own making, which there is \
                 not here: give --tls-cert and --tls-key, or let a proxy do it; until then the hub \
                 is served without TLS"
            ));
        }
        let listen = match (port, encrypted) {
            (Some(port), true) => format!("tls:[::]:{port}"),
            (Some(port), false) => format!("[::]:{port}"),
            (None, true) => "tls:[::]:443".to_owned(),
            (None, false) => "[::]:80".to_owned(),
        };
        self.typed.listen = vec![values::address(&listen)?];
        let named = if host.is_empty() { "localhost" } else { host };
        let scheme = if plain { "http" } else { "https" };
        let own = match port {
            Some(port) => format!("{scheme}://{named}:{port}{PATH}"),
            None => format!("{scheme}://{named}{PATH}"),
        };
        self.typed.mercure = Some(mercure::url(&identity.unwrap_or(own))?);
        Ok(())
    }
}

/// The whole seconds of a duration as Go writes it: `40s`, `1m30s`, `500ms`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("{} is no duration such as 40s", text.escape_debug());
    let (mut rest, mut milliseconds) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = rest[digits..].find(|c: char| c.is_ascii_digit());
        let (unit, after) = rest[digits..].split_at(unit.unwrap_or(rest.len() - digits));
        let each = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        milliseconds = number
            .checked_mul(each)
            .and_then(|all| all.checked_add(milliseconds))
            .ok_or_else(wrong)?;
        rest = after;
    }
    match milliseconds {
        0 => Ok(0),
        some => values::heartbeat(&(some.div_ceil(1000)).to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn read_all(variables: &[(&str, &str)], hub: bool) -> Result<Environment, String> {
        let of = |name: &str| {
            let mut variables = variables.iter();
            variables
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        read(of, hub, false)
    }

    #[test]
    fn without_a_hub_it_says_nothing() {
        for variables in [
            &[][..],
            &[(SERVER_NAME, "example.org")],
            &[(PUBLISHER_KEY, "secret")],
            &[(SERVER_NAME, ""), (PUBLISHER_KEY, "secret")],
            &[(DIRECTIVES, "anonymous")],
        ] {
            let read = read_all(variables, false).unwrap();
            assert!(read.keys.is_empty() && read.typed.mercure.is_none());
            assert!(!read.typed.mercure_anonymous);
        }
    }

    #[test]
    fn a_container_says_all() {
        let read = read_all(
            &[
                (SERVER_NAME, ":80"),
                (PUBLISHER_KEY, "!ChangeThisMercureHubJWTSecretKey!"),
                (PUBLISHER_ALG, "HS256"),
                (SUBSCRIBER_KEY, "!ChangeThisMercureHubJWTSecretKey!"),
                (ISSUERS, "https://a.example, https://b.example"),
                (
                    DIRECTIVES,
                    "cors_origins http://localhost:3000\nanonymous\nsubscriptions # all of it\n\
                     cookie_name c\nheartbeat 1m30s\nwrite_timeout 0\ndemo\npublish_origins *",
                ),
                ("MERCURE_TRANSPORT_URL", "bolt://x"),
            ],
            false,
        )
        .unwrap();
        let Environment { typed, keys, notes } = read;
        assert_eq!(
            typed.mercure.unwrap().as_str(),
            "http://localhost/.well-known/mercure"
        );
        assert_eq!(typed.listen[0].to_string(), "[::]:80");
        assert_eq!(keys.len(), 2);
        assert_eq!(typed.mercure_issuer.len(), 2);
        assert!(typed.mercure_anonymous && typed.mercure_subscriptions);
        assert_eq!(typed.mercure_origin, ["http://localhost:3000"]);
        assert_eq!(
            (typed.mercure_cookie.as_deref(), typed.heartbeat),
            (Some("c"), Some(90))
        );
        let told = notes.join("\n");
        for named in ["demo", "publish_origins *", "MERCURE_TRANSPORT_URL"] {
            assert!(told.contains(named), "{told}");
        }
    }

    #[test]
    fn a_server_has_a_name() {
        let url = |name: &str, directives: &str| {
            let of = [
                (SERVER_NAME, name),
                (PUBLISHER_KEY, "x"),
                (DIRECTIVES, directives),
            ];
            let read = read_all(&of, false).unwrap();
            let listen = read.typed.listen[0].to_string();
            (
                read.typed.mercure.unwrap().as_str().to_owned(),
                listen,
                read.notes.len(),
            )
        };
        let own = |host: &str| format!("{host}/.well-known/mercure");
        assert_eq!(
            url("localhost", ""),
            (own("https://localhost"), "[::]:80".into(), 1)
        );
        assert_eq!(
            url("http://e.org", ""),
            (own("http://e.org"), "[::]:80".into(), 0)
        );
        assert_eq!(
            url("e.org:8443", ""),
            (own("https://e.org:8443"), "[::]:8443".into(), 1)
        );
        assert_eq!(
            url(":80", "public_urls https://e.org/hub").0,
            "https://e.org/hub"
        );
        let pinned = "resource_identifier https://e.org/a\npublic_urls https://e.org/b";
        assert_eq!(url("x.org, y.org", pinned).0, "https://e.org/a");
    }

    #[test]
    fn beside_the_option_only_what_is_missing_is_taken() {
        let read = read_all(&[(SERVER_NAME, ":80"), (SUBSCRIBER_KEY, "x")], true).unwrap();
        assert!(read.typed.mercure.is_none() && read.typed.listen.is_empty());
        assert_eq!(read.keys.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (variable, value, named) in [
            (PUBLISHER_ALG, "RS256", PUBLISHER_ALG),
            (DIRECTIVES, "heartbeat soon", "soon"),
            (DIRECTIVES, "cookie_name", "cookie_name needs"),
            (DIRECTIVES, "cors_origins nonsense", "cors_origins"),
            (DIRECTIVES, "publisher_jwt x RS256", "publisher_jwt"),
            (DIRECTIVES, "public_urls nonsense", SERVER_NAME),
        ] {
            let of = [
                (SERVER_NAME, ":80"),
                (PUBLISHER_KEY, "x"),
                (variable, value),
            ];
            let why = read_all(&of, false).unwrap_err();
            assert!(why.contains(named), "{why}");
        }
    }
}
