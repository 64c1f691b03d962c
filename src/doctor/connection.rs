//! The first half: name, TLS, HTTP version, redirects, status, content type, CORS, cookies.

use std::net::IpAddr;
use std::time::Duration;

use super::Patient;
use super::advice::Topic;
use super::between::Between;
use super::certificate;
use super::finding::{Level, Report};
use super::look::{Failed, Looked, Request, look};
use crate::http::{self, Site, Trouble};

/// A certificate that ends within so many days is worth a note.
const SOON: i64 = 14;
/// The longest body of a refusal that is shown.
const LONGEST_REASON: u64 = 300;

/// Looks at everything up to the head of the stream. The open stream, if there is one.
pub(crate) fn check(patient: &Patient<'_>, report: &mut Report) -> Option<Looked> {
    encryption(patient, report)?;
    let mut looked = match look(&patient.url, &patient.request()) {
        Ok(looked) => looked,
        Err(failed) => {
            unanswered(patient, &failed, report);
            return None;
        }
    };
    if report.between == Between::Unknown {
        report.between = Between::of(&looked.answer);
    }
    if !redirects(patient, &looked, report) || !status(patient, &mut looked, report) {
        return None;
    }
    if !content_type(&looked, report) {
        return None;
    }
    script(patient, &looked, report);
    cache(&looked, report);
    cors(patient, &looked, report);
    cookie(patient, report);
    Some(looked)
}

/// Why a request had no answer. A proxy that buffers holds even the head back, and answers HEAD.
fn unanswered(patient: &Patient<'_>, failed: &Failed, report: &mut Report) {
    if !failed.is_time_out() {
        let text = failed.to_string();
        return report.mend("request", Level::Wrong, Topic::Gateway, text);
    }
    let head = Request {
        head: true,
        ..patient.request()
    };
    let Ok(looked) = look(&patient.url, &head) else {
        let text = format!("{failed}, not even to HEAD");
        return report.mend("request", Level::Wrong, Topic::Gateway, text);
    };
    if report.between == Between::Unknown {
        report.between = Between::of(&looked.answer);
    }
    let text = format!("{failed}, and HEAD is answered at once: something holds the stream back");
    report.mend("request", Level::Wrong, Topic::Buffering, text);
}

/// Whether browsers trust plain http to this host, as that to the own machine, and so have locks there.
fn has_locks(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let own = |ip: IpAddr| ip.is_loopback();
    host == "localhost" || host.ends_with(".localhost") || host.parse().is_ok_and(own)
}

/// Name, TLS and the HTTP versions that browsers get.
fn encryption(patient: &Patient<'_>, report: &mut Report) -> Option<()> {
    let site = match Site::of_url(&patient.url) {
        Ok(site) => site,
        Err(why) => {
            report.add("URL", Level::Wrong, why);
            return None;
        }
    };
    let name = site.name().to_owned();
    let connected = http::connect(&site, Duration::from_secs(10), None, &["h2", "http/1.1"]);
    let socket = match connected {
        Ok(socket) => socket,
        Err(trouble) => {
            match &trouble {
                Trouble::Tls(error) => {
                    let (topic, text) = certificate::told(error, &name);
                    report.mend("TLS", Level::Wrong, topic, text);
                }
                Trouble::Name(_) => report.add("name", Level::Wrong, trouble.to_string()),
                _ => report.add("connection", Level::Wrong, trouble.to_string()),
            }
            return None;
        }
    };
    if let Some((_, remote)) = socket.addresses {
        report.add("name", Level::Ok, format!("{name} is {}", remote.ip()));
    }
    let Some(tls) = socket.tls() else {
        let six = "plain http: browsers open at most six streams to a host, for all tabs together";
        let text = if has_locks(&name) {
            six.to_owned()
        } else {
            let path = patient.url.path();
            format!("{six}, and {path}.js cannot share one stream between tabs")
        };
        report.mend("TLS", Level::Note, Topic::Http2, text);
        return Some(());
    };
    let days = (tls.peer_certificates())
        .and_then(|chain| chain.first())
        .and_then(|certificate| certificate::days_left(certificate));
    match days {
        Some(days) if days < SOON => report.mend(
            "TLS",
            Level::Note,
            Topic::Expired,
            format!("the certificate is trusted, and ends in {days} days"),
        ),
        Some(days) => report.add(
            "TLS",
            Level::Ok,
            format!("the certificate is trusted, for {days} more days"),
        ),
        None => report.add("TLS", Level::Ok, "the certificate is trusted"),
    }
    if tls.alpn_protocol() == Some(b"h2") {
        report.add("HTTP version", Level::Ok, "HTTP/2 is offered");
    } else {
        report.mend(
            "HTTP version",
            Level::Note,
            Topic::Http2,
            "HTTP/1.1 only: browsers open at most six streams to a host, for all tabs together",
        );
    }
    Some(())
}

/// Whether the query is still there behind all redirects.
fn redirects(patient: &Patient<'_>, looked: &Looked, report: &mut Report) -> bool {
    let Some((code, _)) = looked.redirects.first() else {
        return true;
    };
    let mut to = looked.url.clone();
    to.set_query(None);
    if patient.url.query() != looked.url.query() {
        report.mend(
            "redirect",
            Level::Wrong,
            Topic::Query,
            format!("{code} to {to} loses the query, and with it the tokens"),
        );
        return false;
    }
    if to.path().strip_suffix('/') == Some(patient.url.path()) {
        report.mend(
            "redirect",
            Level::Note,
            Topic::Path,
            format!(
                "{code} to {to}: the web server has its rule for a path with a slash at the end"
            ),
        );
    } else {
        report.add(
            "redirect",
            Level::Note,
            format!("{code} to {to}: use that URL, as every reconnect takes this detour"),
        );
    }
    true
}

/// Whether there is a stream.
fn status(patient: &Patient<'_>, looked: &mut Looked, report: &mut Report) -> bool {
    let status = looked.answer.status;
    if status == 200 {
        let version = format!("200, in HTTP/1.{}", looked.answer.minor);
        report.add("status", Level::Ok, version);
        return true;
    }
    let from_hasses = looked.answer.field("content-type").unwrap_or_default();
    let from_hasses = from_hasses.starts_with("text/plain");
    let body = looked.answer.body(LONGEST_REASON).unwrap_or_default();
    let reason = String::from_utf8_lossy(&body);
    let reason = if from_hasses { reason.trim() } else { "" };
    let because = if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    };
    let dropped = looked.redirects.is_empty() && patient.url.query().is_some();
    match status {
        400 if dropped => report.mend(
            "status",
            Level::Wrong,
            Topic::Query,
            format!("400{because}; does the proxy pass the query on?"),
        ),
        400 if from_hasses => report.add("status", Level::Wrong, format!("400{because}")),
        401 if patient.cookie.is_some() => report.mend(
            "status",
            Level::Wrong,
            Topic::Cookie,
            format!("401 in spite of the cookie{because}; does the proxy drop it?"),
        ),
        401 | 403 if !from_hasses => report.add(
            "status",
            Level::Wrong,
            format!(
                "{status}, and not from hasses: another program refuses the request, such as a \
                 password or a rule of the web server for this path"
            ),
        ),
        401 | 403 => unproven(patient, &format!("{status}{because}"), report),
        429 => report.add("status", Level::Wrong, format!("429{because}")),
        500..=599 => report.mend(
            "status",
            Level::Wrong,
            Topic::Gateway,
            format!("{status}: the proxy answers, and hasses behind it cannot be reached{because}"),
        ),
        _ => report.mend(
            "status",
            Level::Wrong,
            Topic::Path,
            format!("{status}{because}; this path does not lead to the --path of hasses"),
        ),
    }
    false
}

/// hasses asks for a proof of what the doctor may read, and did not get one that is good.
fn unproven(patient: &Patient<'_>, told: &str, report: &mut Report) {
    let (level, more) = match &patient.own {
        None => (Level::Wrong, "the URL's query gives no right to read"),
        Some(own) if own.key.is_some() => (
            Level::Wrong,
            "the query is signed with --key: is that the secret of --subscribe-key, and are both clocks \
             right?",
        ),
        Some(_) => (
            Level::Unchecked,
            "hasses is locked by --subscribe-key, as it may be, and the doctor has no key. --key FILE names \
             the secret's file, --cookie hasses=JWT a user's right; a URL with a signed query does too",
        ),
    };
    report.add("status", level, format!("{told}; {more}"));
}

/// Whether it is an event stream.
fn content_type(looked: &Looked, report: &mut Report) -> bool {
    let kind = looked.answer.field("content-type").unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let right = essence.eq_ignore_ascii_case("text/event-stream");
    if right {
        report.add("content type", Level::Ok, kind.to_owned());
    } else {
        report.mend(
            "content type",
            Level::Wrong,
            Topic::Path,
            format!("'{kind}' is not text/event-stream: another program answers at this path"),
        );
    }
    right
}

/// Whether pages get the script of hasses beside the stream.
fn script(patient: &Patient<'_>, looked: &Looked, report: &mut Report) {
    let mut url = looked.url.clone();
    url.set_path(&format!("{}.js", looked.url.path()));
    url.set_query(None);
    let got = match look(&url, &patient.request()) {
        Ok(Looked { answer, .. }) => {
            let kind = answer.field("content-type").unwrap_or_default().to_owned();
            if answer.status == 200 && kind.contains("javascript") {
                return report.add("script", Level::Ok, format!("{} is served", url.path()));
            }
            format!("{}, '{kind}'", answer.status)
        }
        Err(failed) => failed.to_string(),
    };
    report.mend(
        "script",
        Level::Note,
        Topic::Script,
        format!(
            "{} does not come from hasses ({got}): pages need a copy of the script elsewhere",
            url.path()
        ),
    );
}

fn cache(looked: &Looked, report: &mut Report) {
    let field = |name: &str| looked.answer.field(name).unwrap_or_default();
    let aged = field("age").parse::<u64>().is_ok_and(|age| age > 0);
    let hit = [
        "x-cache",
        "x-cache-status",
        "cf-cache-status",
        "x-proxy-cache",
    ]
    .iter()
    .any(|name| field(name).to_ascii_uppercase().starts_with("HIT"));
    if aged || hit {
        report.mend(
            "cache",
            Level::Wrong,
            Topic::Cache,
            "the answer comes from a cache, not from hasses",
        );
    }
}

/// Whether a page of `--origin` may read the stream (Fetch, CORS protocol).
fn cors(patient: &Patient<'_>, looked: &Looked, report: &mut Report) {
    let Some(origin) = &patient.origin else {
        return;
    };
    let allowed: Vec<&str> = (looked.answer.fields.iter())
        .filter(|(name, _)| name == "access-control-allow-origin")
        .map(|(_, value)| value.as_str())
        .collect();
    let credentials = looked.answer.field("access-control-allow-credentials") == Some("true");
    match allowed.as_slice() {
        [one] if *one == "*" || one == origin => {
            let cookies = if credentials {
                "with cookies"
            } else {
                "without cookies, as --cors does not name the origin"
            };
            report.add(
                "CORS",
                Level::Ok,
                format!("pages of {origin} may read the stream, {cookies}"),
            );
        }
        [] => report.mend(
            "CORS",
            Level::Wrong,
            Topic::Cors,
            format!("pages of {origin} may not read the stream: no Access-Control-Allow-Origin"),
        ),
        [other] if !other.contains(',') => report.mend(
            "CORS",
            Level::Wrong,
            Topic::Cors,
            format!("pages of {origin} may not read the stream, only those of {other}"),
        ),
        _ => report.mend(
            "CORS",
            Level::Wrong,
            Topic::CorsTwice,
            "Access-Control-Allow-Origin stands there twice, which browsers refuse: hasses sends \
             it, and so does the proxy",
        ),
    }
}

/// Whether a cookie arrives: without a signature in the query, hasses must let the doctor in by it.
fn cookie(patient: &Patient<'_>, report: &mut Report) {
    let Some(cookie) = &patient.cookie else {
        return;
    };
    let with = Request {
        cookie: Some(cookie.clone()),
        ..Request::default()
    };
    let status = |request: &Request| look(&patient.url, request).map(|looked| looked.answer.status);
    match (status(&with), status(&Request::default())) {
        (Ok(_), Ok(401 | 403)) => report.add("cookie", Level::Ok, "the cookie reaches hasses"),
        (Ok(_), Ok(_)) => report.add(
            "cookie",
            Level::Note,
            "hasses lets everybody in, so nobody knows whether the cookie arrives",
        ),
        (Err(failed), _) | (_, Err(failed)) => {
            report.add("cookie", Level::Wrong, failed_text(&failed))
        }
    }
}

fn failed_text(failed: &Failed) -> String {
    format!("the request with the cookie failed: {failed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_trusted_to_the_own_machine_alone() {
        for host in [
            "localhost",
            "Site.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "[::1]",
        ] {
            assert!(has_locks(host), "{host}");
        }
        for host in [
            "example.org",
            "localhost.example.org",
            "10.0.0.1",
            "::",
            "notlocalhost",
        ] {
            assert!(!has_locks(host), "{host}");
        }
    }
}
