//! `hasses doctor`: looks at the public URL as a browser would, through whatever stands between, and
//! says what is wrong and which lines mend it.

mod advice;
mod between;
mod certificate;
mod connection;
mod delivery;
mod finding;
mod look;
mod publishing;
mod stream;

use std::time::Duration;

use url::Url;

use crate::control::{self, Asked};
use crate::failure::{Failure, short};
use crate::keys;
use between::Between;
use finding::Report;
use hasses_actors::auth::{Keys, signed};
use hasses_actors::model::deadlines::since_1970;
use look::Request;
use publishing::Publishing;

const HELP: &str = "\
Usage: hasses doctor URL [--option value | --option=value]...

Looks at URL as a browser would, through every proxy on the way: name, TLS, redirects,
CORS, whether events arrive at once, how long a silent stream lives, whether a reconnect
loses nothing. Prints each finding, and the lines that mend it.

URL is the public one, such as https://www.example.com/sse. Without a query the doctor
subscribes to a token of its own; where hasses asks for a key, name --key, or a URL with a
query that may be used. It publishes test events through --control, or by --publish.

  --publish CMD           how to publish if no control address is in reach: a shell
                          command that gets the token as $1 and the data as $2
  --key FILE              the secret of --subscribe-key: signs the doctor's own query
  --origin ORIGIN         the page's origin, if it is not that of URL: CORS is looked at
  --cookie NAME=VALUE     a cookie that hasses must get: connects with nothing else
  --proxy NAME            what stands between, if it does not say so itself: nginx, Apache,
                          Caddy, HAProxy, Varnish, Traefik, Cloudflare
  --wait SECONDS          how long a silent stream is watched (default: until hasses'
                          own heartbeat is due)
  --json                  one JSON object instead of text
";

const EXAMPLES: &str = "
  hasses doctor https://www.example.com/sse
  hasses doctor https://www.example.com/sse --publish 'ssh web hasses publish \"$1\" \"$2\"'

It ends with 0 when all is well, with 1 when something is wrong, and with 2 when the
command line is wrong or lacks --control, --publish or --key, so that nobody knows. What
was not looked at stands in the last line, and in JSON in \"unchecked\".
";

/// What is looked at.
struct Patient<'a> {
    /// The URL with its query.
    url: Url,
    /// The token that test events are published to, if it is known.
    token: Option<String>,
    /// Makes further queries for the same token, if the URL came without one.
    own: Option<Own>,
    origin: Option<String>,
    cookie: Option<String>,
    /// How long a silent stream is watched, if the user says it.
    wait: Option<Duration>,
    publishing: Publishing<'a>,
}

/// Carries out the arguments after `doctor`; what it says, and the exit code.
pub(crate) fn doctor(arguments: Vec<String>) -> Result<(String, u8), Failure> {
    let options = [
        "publish", "key", "origin", "cookie", "proxy", "wait", "json",
    ];
    let Some(asked) = Asked::read("doctor", arguments, &options)? else {
        return Ok(([HELP, control::HELP, EXAMPLES].concat(), 0));
    };
    let patient = understood(&asked)?;
    let proxy = asked.own("proxy");
    let between = match proxy {
        None => Between::Unknown,
        Some(name) => Between::named(name).ok_or_else(|| {
            let names = Between::ALL.map(Between::name).join(", ");
            usage(&format!(
                "--proxy '{}': it needs one of {names}",
                short(name)
            ))
        })?,
    };
    let mut report = Report {
        url: patient.url.clone(),
        between,
        findings: Vec::new(),
    };
    if let Some(looked) = connection::check(&patient, &mut report) {
        delivery::check(&patient, looked, &mut report);
    }
    let text = match asked.own("json") {
        Some(_) => report.json(),
        None => report.text(),
    };
    Ok((text, report.code()))
}

impl Patient<'_> {
    /// The request that every check begins with.
    fn request(&self) -> Request {
        Request {
            origin: self.origin.clone(),
            cookie: self.cookie.clone(),
            ..Request::default()
        }
    }
}

fn usage(why: &str) -> Failure {
    Failure::usage(format!(
        "doctor: {why}; hasses doctor --help shows how it is used"
    ))
}

fn understood(asked: &Asked) -> Result<Patient<'_>, Failure> {
    let text = match asked.strays.as_slice() {
        [url] => url,
        [] => return Err(usage("the URL is missing")),
        _ => return Err(usage("there is more than one URL")),
    };
    let mut url: Url =
        (text.parse()).map_err(|why| usage(&format!("'{}' is not a URL: {why}", short(text))))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(usage("the URL must begin with http:// or https://"));
    }
    url.set_fragment(None);
    let wait = match asked.own("wait") {
        None => None,
        Some(text) => match text.parse() {
            Ok(seconds) if (1..=3600).contains(&seconds) => Some(Duration::from_secs(seconds)),
            _ => return Err(usage("--wait needs a whole number of seconds (1 to 3600)")),
        },
    };
    let (token, own) = match url.query() {
        None | Some("") => {
            let own = Own::new(asked)?;
            let id = own.token.clone();
            url.set_query(Some(&own.query(&id)?));
            (Some(id), Some(own))
        }
        Some(_) => (parameter(&url, &["token", "subscribe"]), None),
    };
    // Position blocks that tell the heartbeat. Nothing that is wider, so it may follow a signature.
    let query = url.query().unwrap_or_default();
    if !query.split('&').any(|one| one.starts_with("ping=")) {
        let query = format!("{query}&ping=1");
        url.set_query(Some(&query));
    }
    Ok(Patient {
        url,
        token,
        own,
        origin: asked.own("origin").map(str::to_owned),
        cookie: asked.own("cookie").map(str::to_owned),
        wait,
        publishing: Publishing::find(asked),
    })
}

/// A token of the doctor's own, and the key that its queries are signed with, if there is one.
struct Own {
    token: String,
    key: Option<Keys>,
}

impl Own {
    fn new(asked: &Asked) -> Result<Self, Failure> {
        let key = match asked.own("key") {
            None => None,
            Some(path) => {
                let (key, _) = keys::read("--key", path.as_ref()).map_err(Failure::start)?;
                Some(key)
            }
        };
        let token = format!("doctor{:016x}", fastrand::u64(..));
        Ok(Self { token, key })
    }

    /// A query for the token, with an id.
    fn query(&self, id: &str) -> Result<String, Failure> {
        self.query_for(&self.token, id)
    }

    fn query_for(&self, token: &str, id: &str) -> Result<String, Failure> {
        let query = format!("token={token}&id={id}&ping=1");
        let Some(key) = &self.key else {
            return Ok(query);
        };
        let expires = (since_1970() + Duration::from_secs(3600)).as_secs();
        signed::sign(key, &query, expires).ok_or_else(|| {
            Failure::start("--key: it is a public key, which signs nothing; URLs need a secret")
        })
    }

    /// `url` for another stream, and its id, which no other stream has.
    fn another(&self, url: &Url) -> Result<(Url, String), Failure> {
        let id = format!("{}{:08x}", self.token, fastrand::u32(..));
        let mut url = url.clone();
        url.set_query(Some(&self.query(&id)?));
        Ok((url, id))
    }

    /// `url` for a stream on which nothing is published.
    fn quiet(&self, url: &Url) -> Result<Url, Failure> {
        let token = format!("{}quiet", self.token);
        let mut url = url.clone();
        url.set_query(Some(&self.query_for(&token, &token)?));
        Ok(url)
    }
}

/// The first of a query's parameters with one of these names. Of `subscribe` the first token.
fn parameter(url: &Url, names: &[&str]) -> Option<String> {
    let (name, value) = url
        .query_pairs()
        .find(|(name, _)| names.contains(&name.as_ref()))?;
    let value = match name.as_ref() {
        "subscribe" => value.split('-').next().unwrap_or_default().to_owned(),
        _ => value.into_owned(),
    };
    (!value.is_empty() && value != "*").then_some(value)
}
