//! `hasses subscribe`: events in the shell, as they come.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use hasses_actors::auth::signed;
use hasses_actors::model::deadlines::since_1970;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

use crate::control::{self, Asked};
use crate::failure::{Failure, short};
use crate::http::{Event, Events, Site};
use crate::keys;
use crate::values;

const HELP: &str = "\
Usage: hasses subscribe TOKEN... [--option value | --option=value]...

Prints the events of these tokens as they come: the data alone of one token, the token and a
tab before it of several. '*' means every token. It comes back by itself when the connection
is lost, and goes on where it was. Ctrl-C ends it.

  --recent N              first the last N kept events of each token
  --count N               ends after so many events
  --json                  a line of JSON for each event: id, to, event, data
  --url URL               asks where subscribers do, such as https://example.org/sse, not at
                          the control address
  --key FILE              signs what it asks for there with the secret of --subscribe-key
";

const EXAMPLES: &str = "
  hasses subscribe room1 --recent 10
  hasses subscribe '*' --json
  hasses subscribe room1 --url https://example.org/sse --key /etc/hasses/secret

It ends with 0 after --count events, with 1 when it is refused or cannot begin, and with 2
when the command line is wrong.
";

/// How long a stream may be silent: some heartbeats.
const SILENCE: Duration = Duration::from_secs(60);
/// The shortest and the longest pause before it comes back.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long a signature holds; each connection has its own.
const SIGNED_FOR: Duration = Duration::from_secs(300);
/// The most bytes of a refusal that are read.
const MOST: u64 = 64 * 1024;

/// What is asked for.
struct Plan {
    asked: Asked,
    tokens: Vec<String>,
    recent: Option<u64>,
    left: Option<u64>,
    json: bool,
    /// Where subscribers ask; none: the control address.
    url: Option<Url>,
    key: Option<PathBuf>,
}

/// Why a connection ended.
enum End {
    /// As many events as were wanted have come.
    Counted,
    /// Nobody reads what is printed.
    Unread,
    /// It was lost: why.
    Lost(String),
}

/// Carries out the arguments after `subscribe`.
pub(crate) fn subscribe(arguments: Vec<String>) -> Result<String, Failure> {
    let options = ["recent", "count", "json", "url", "key"];
    let Some(asked) = Asked::read("subscribe", arguments, &options)? else {
        return Ok([HELP, control::HELP, EXAMPLES].concat());
    };
    let mut plan = plan(asked).map_err(|why| {
        let more = "hasses subscribe --help shows how it is used";
        Failure::usage(format!("subscribe: {why}; {more}"))
    })?;
    let (mut last, mut pause, mut begun) = (None, PAUSE.0, false);
    loop {
        let began = Instant::now();
        let why = match plan.listen(&mut last, &mut begun)? {
            End::Counted | End::Unread => return Ok(String::new()),
            End::Lost(why) if !begun => return Err(Failure::start(why)),
            End::Lost(why) => why,
        };
        if began.elapsed() > PAUSE.1 {
            pause = PAUSE.0;
        }
        // Whoever cannot read it has lost nothing.
        let _ = writeln!(io::stderr(), "hasses: {why}; trying again");
        thread::sleep(pause / 2 + pause.mul_f64(fastrand::f64() / 2.0));
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn plan(asked: Asked) -> Result<Plan, String> {
    let tokens = asked.strays.clone();
    if tokens.is_empty() {
        return Err("the token is missing".to_owned());
    }
    if let Some(prefix) = tokens
        .iter()
        .find(|token| token.len() > 1 && token.contains('*'))
    {
        let shown = short(prefix);
        return Err(format!(
            "'{shown}': a subscription names whole tokens, or * for every one"
        ));
    }
    let number = |name: &str| match asked.own(name) {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(number @ 1..) => Ok(Some(number)),
            _ => Err(format!(
                "--{name} '{}': it needs a number from 1 on",
                short(text)
            )),
        },
    };
    let url = match asked.own("url") {
        None => None,
        Some(text) => {
            let told = |why: String| format!("--url '{}': {why}", short(text));
            let url: Url = text
                .parse()
                .map_err(|why| told(format!("not a URL: {why}")))?;
            Site::of_url(&url).map_err(told)?;
            Some(url)
        }
    };
    let key = asked.own("key").map(values::file).transpose()?;
    if key.is_some() && url.is_none() {
        return Err("--key signs for --url; the control address needs no signature".to_owned());
    }
    Ok(Plan {
        recent: number("recent")?,
        left: number("count")?,
        json: asked.own("json").is_some(),
        url,
        key,
        tokens,
        asked,
    })
}

impl Plan {
    /// One connection: `last` is the newest id that came, `begun` whether anything ever has.
    ///
    /// Errors: it is refused for good.
    fn listen(&mut self, last: &mut Option<String>, begun: &mut bool) -> Result<End, Failure> {
        let (site, target) = self.target(last.is_none())?;
        let fields = match last {
            Some(id) => format!("Accept: text/event-stream\r\nLast-Event-ID: {id}\r\n"),
            None => "Accept: text/event-stream\r\n".to_owned(),
        };
        // The control secret is for the control address alone.
        let opened = self.asked.open(&site, &target, &fields, self.url.is_none());
        let mut answer = match opened {
            Ok(answer) => answer,
            Err(failure) => return Ok(End::Lost(failure.messages.concat())),
        };
        if answer.status != 200 {
            let status = answer.status;
            let body = answer.body(MOST).unwrap_or_default();
            let failure = control::refused(status, &body, &site);
            return match status {
                429 | 500.. => Ok(End::Lost(failure.messages.concat())),
                _ => Err(failure),
            };
        }
        *begun = true;
        // The system refuses no such time.
        let _kept = answer.socket().set_read_timeout(SILENCE);
        let (mut events, mut bytes) = (Events::default(), [0; 16 * 1024]);
        loop {
            let count = match answer.read(&mut bytes) {
                Ok(0) => return Ok(End::Lost(format!("{site}: the stream ended"))),
                Ok(count) => count,
                Err(error) => {
                    return Ok(End::Lost(format!(
                        "{site}: the connection was lost: {error}"
                    )));
                }
            };
            for event in events.push(&bytes[..count]) {
                if let Some(id) = &event.id {
                    *last = Some(id.clone());
                }
                if let Some(end) = self.show(&event) {
                    return Ok(end);
                }
            }
        }
    }

    /// Prints an event; the end, if it is the last.
    fn show(&mut self, event: &Event) -> Option<End> {
        let data = event.data.as_deref()?;
        if event.event.as_deref() == Some("gap") {
            let _ = writeln!(
                io::stderr(),
                "hasses: some events may have been lost: {data}"
            );
            return None;
        }
        let line = match (self.json, self.tokens.as_slice()) {
            (true, _) => format!("{data}\n"),
            (false, tokens) => plain(data, tokens.len() > 1 || tokens[0] == "*"),
        };
        let mut out = io::stdout().lock();
        if out
            .write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            return Some(End::Unread);
        }
        let left = self.left.as_mut()?;
        *left -= 1;
        (*left == 0).then_some(End::Counted)
    }

    /// Where to ask, and for what.
    fn target(&self, first: bool) -> Result<(Site, String), Failure> {
        let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
        let each = self.tokens.iter().map(|token| match token.as_str() {
            "*" => "subscribe=*".to_owned(),
            name => format!("token={}", encoded(name)),
        });
        let mut query = each.collect::<Vec<_>>().join("&");
        if let Some(key) = &self.key {
            let (keys, _) = keys::read("--key", key).map_err(Failure::start)?;
            let expires = (since_1970() + SIGNED_FOR).as_secs();
            query = signed::sign(&keys, &query, expires).ok_or_else(|| {
                Failure::start("--key: it is a public key, which signs nothing; URLs need a secret")
            })?;
        }
        query += "&format=json";
        if let Some(recent) = self.recent.filter(|_| first) {
            query += &format!("&recent={recent}");
        }
        match &self.url {
            None => Ok((self.asked.site()?, format!("/events?{query}"))),
            Some(url) => {
                let site = Site::of_url(url).map_err(Failure::start)?;
                let own = url.query().map_or(String::new(), |own| format!("{own}&"));
                Ok((site, format!("{}?{own}{query}", url.path())))
            }
        }
    }
}

/// An event's data, with its target before it if there may be several.
fn plain(json: &str, several: bool) -> String {
    let event: Value = serde_json::from_str(json).unwrap_or_default();
    let data = event["data"].as_str().unwrap_or_default();
    if !several {
        return format!("{data}\n");
    }
    let to = match &event["to"] {
        Value::String(one) => one.clone(),
        Value::Array(all) => {
            let names = all.iter().filter_map(Value::as_str);
            names.collect::<Vec<_>>().join(",")
        }
        _ => String::new(),
    };
    format!("{to}\t{data}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_stands_alone_or_behind_its_target() {
        let one = r#"{"id":1,"to":"a","data":"x\ny"}"#;
        assert_eq!(plain(one, false), "x\ny\n");
        assert_eq!(plain(one, true), "a\tx\ny\n");
        let list = r#"{"id":1,"to":["a","b*"],"event":"e","data":""}"#;
        assert_eq!(plain(list, true), "a,b*\t\n");
    }
}
