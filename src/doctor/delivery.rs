//! The second half: whether events arrive at once, a reconnect loses nothing, and silence is borne.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use super::advice::Topic;
use super::finding::{Level, Report};
use super::look::{Looked, Request, look};
use super::publishing::Publishing;
use super::stream::{Arrival, Missed, Stream};
use super::{Own, Patient};
use crate::http::Event;

/// How long a block is waited for that should come at once.
const AT_ONCE: Duration = Duration::from_secs(3);
/// A delay that people notice.
const LATE: Duration = Duration::from_millis(150);
/// How many test events are published, and how far apart.
const EVENTS: usize = 4;
const APART: Duration = Duration::from_millis(300);
/// How long a heartbeat may be overdue.
const OVERDUE: Duration = Duration::from_secs(5);
/// How long silence is watched where hasses sends no heartbeat: most proxies cut after 60 s.
const WITHOUT_HEARTBEAT: Duration = Duration::from_secs(65);
/// The address that the doctor connects from on the machine itself, so that it can be told from that of a
/// proxy there.
const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));

/// Looks at what the open stream, and others beside it, deliver.
pub(crate) fn check(patient: &Patient<'_>, looked: Looked, report: &mut Report) {
    let url = looked.url;
    let mut stream = Stream::watch(looked.answer);
    let heartbeat = match stream.find(Instant::now() + AT_ONCE, |event| event.id.is_some()) {
        Ok((_, event)) => event.data.and_then(|data| data.parse().ok()),
        Err(missed) => {
            let text = match missed {
                Missed::Late => format!(
                    "the stream's head came, and nothing of the stream within {} s: something holds \
                     it back",
                    AT_ONCE.as_secs()
                ),
                Missed::End => "the stream ended at once".to_owned(),
                Missed::Broken(error) => format!("the stream broke off at once: {error}"),
            };
            report.mend("first bytes", Level::Wrong, Topic::Buffering, text);
            return;
        }
    };
    report.add("first bytes", Level::Ok, "the stream begins at once");
    let mut silent = patient
        .own
        .as_ref()
        .and_then(|own| quiet(patient, own, &url));
    if let Publishing::None(why) = &patient.publishing {
        report.add(
            "delivery",
            Level::Unchecked,
            format!("no test event could be published: {why}; --publish CMD is another way"),
        );
    } else if let Some(token) = &patient.token {
        let publisher = Publisher {
            patient,
            url: &url,
            token,
        };
        if publisher.arrival(&mut stream, report) {
            publisher.compression(report);
            publisher.reconnect(report);
            publisher.address(report);
        }
    } else {
        report.add(
            "delivery",
            Level::Unchecked,
            "the URL names no token that a test event could be published to",
        );
    }
    silence(
        silent.as_mut().unwrap_or(&mut stream),
        heartbeat,
        patient.wait,
        report,
    );
}

/// A stream on which nothing happens, while others are looked at.
fn quiet(patient: &Patient<'_>, own: &Own, url: &Url) -> Option<Stream> {
    let looked = look(&own.quiet(url).ok()?, &patient.request()).ok()?;
    let mut stream = Stream::watch(looked.answer);
    let begins = stream.find(Instant::now() + AT_ONCE, |event| event.id.is_some());
    begins.ok().map(|_| stream)
}

/// What needs test events.
struct Publisher<'a> {
    patient: &'a Patient<'a>,
    /// The URL behind all redirects.
    url: &'a Url,
    token: &'a str,
}

impl Publisher<'_> {
    /// Publishes a test event; its data, which no other event has.
    fn publish(&self, report: &mut Report) -> Option<String> {
        let data = format!("hasses doctor {:016x}", fastrand::u64(..));
        match self.patient.publishing.publish(self.token, &data) {
            Ok(()) => Some(data),
            Err(why) => {
                report.add(
                    "delivery",
                    Level::Wrong,
                    format!("a test event was not taken in: {why}"),
                );
                None
            }
        }
    }

    /// The URL for another stream with an id of its own; none where the user's query is used.
    fn another(&self) -> Option<(Url, String)> {
        let own = self.patient.own.as_ref()?;
        // A key that has signed once signs again.
        own.another(self.url).ok()
    }

    /// Whether events arrive when they are published; false if it is useless to publish more.
    fn arrival(&self, stream: &mut Stream, report: &mut Report) -> bool {
        let mut delays = Vec::new();
        for _ in 0..EVENTS {
            let before = Instant::now();
            let Some(data) = self.publish(report) else {
                return false;
            };
            match stream.find(before + AT_ONCE, carries(&data)) {
                Ok((at, _)) => delays.push(at.saturating_duration_since(before)),
                Err(Missed::Late) if self.is_unknown() => {
                    report.add(
                        "delivery",
                        Level::Unchecked,
                        "an event did not arrive, and the hasses that took it in does not know this \
                         stream: --control ADDR must name that behind the URL",
                    );
                    return false;
                }
                Err(Missed::Late) => {
                    report.mend(
                        "delivery",
                        Level::Wrong,
                        Topic::Buffering,
                        format!(
                            "an event had not arrived after {} s: something collects events before \
                             it passes them on",
                            AT_ONCE.as_secs()
                        ),
                    );
                    return true;
                }
                Err(Missed::End | Missed::Broken(_)) => {
                    report.mend(
                        "delivery",
                        Level::Wrong,
                        Topic::ReadTimeout,
                        "the stream ended while events were published",
                    );
                    return true;
                }
            }
            thread::sleep(APART.saturating_sub(before.elapsed()));
        }
        delays.sort();
        let median = delays[delays.len() / 2];
        let told = format!(
            "events arrive after {:.0} ms",
            median.as_secs_f64() * 1000.0
        );
        if median > LATE && matches!(self.patient.publishing, Publishing::Control(_)) {
            report.mend("delivery", Level::Note, Topic::Buffering, told);
        } else {
            report.add("delivery", Level::Ok, told);
        }
        true
    }

    /// Whether the control address is that of a hasses without the doctor's stream.
    fn is_unknown(&self) -> bool {
        let Some(own) = &self.patient.own else {
            return false;
        };
        matches!(self.patient.publishing.client(&own.token), Some(None))
    }

    /// Whether compression, which browsers ask for, holds events back.
    fn compression(&self, report: &mut Report) {
        let request = Request {
            compressed: true,
            ..self.patient.request()
        };
        let Ok(looked) = look(self.url, &request) else {
            return;
        };
        let coding = looked.answer.field("content-encoding").unwrap_or_default();
        if coding.is_empty() || coding == "identity" {
            report.add("compression", Level::Ok, "the stream is not compressed");
            return;
        }
        let coding = coding.to_owned();
        let mut stream = Stream::watch(looked.answer);
        // What belongs to the beginning.
        while stream.next(Instant::now() + APART).is_some() {}
        for _ in 0..EVENTS - 1 {
            if self.publish(report).is_none() {
                return;
            }
            let came = stream.next(Instant::now() + AT_ONCE);
            if !matches!(came, Some((_, Arrival::Bytes))) {
                report.mend(
                    "compression",
                    Level::Wrong,
                    Topic::Compression,
                    format!("{coding} compression holds events back"),
                );
                return;
            }
            while stream.next(Instant::now() + APART).is_some() {}
        }
        report.mend(
            "compression",
            Level::Note,
            Topic::Compressed,
            format!("the stream is compressed with {coding}, which holds nothing back here"),
        );
    }

    /// Whether the end of a stream passes, and what happens before the next connection is replayed.
    fn reconnect(&self, report: &mut Report) {
        let (url, id) = match self.another() {
            Some((url, id)) => (url, Some(id)),
            None => (self.url.clone(), None),
        };
        let Ok(looked) = look(&url, &self.patient.request()) else {
            report.add("reconnect", Level::Wrong, "a second stream was refused");
            return;
        };
        let mut stream = Stream::watch(looked.answer);
        let soon = || Instant::now() + AT_ONCE;
        // Refused streams have no position.
        let _begins = stream.find(soon(), |event| event.id.is_some());
        self.end(&mut stream, id.as_deref(), report);
        let Some(last) = stream.last_event_id.clone() else {
            report.add("reconnect", Level::Skipped, "the stream told no position");
            return;
        };
        drop(stream);
        let Some(data) = self.publish(report) else {
            return;
        };
        let by_header = Request {
            last_event_id: Some(last.clone()),
            ..self.patient.request()
        };
        match replayed(&url, &by_header, &data) {
            Replayed::Yes => {
                report.add(
                    "reconnect",
                    Level::Ok,
                    "an event that was missed is replayed",
                );
            }
            Replayed::Gap => report.add(
                "reconnect",
                Level::Note,
                "the missed event is a gap: does hasses keep a history (--history)?",
            ),
            Replayed::Cached => report.mend(
                "reconnect",
                Level::Wrong,
                Topic::Cache,
                "the second connection got a finished stream: a cache answers",
            ),
            Replayed::No => {
                let mut by_query = url.clone();
                by_query.query_pairs_mut().append_pair("lastEventId", &last);
                let text = match replayed(&by_query, &self.patient.request(), &data) {
                    Replayed::Yes => {
                        "the field Last-Event-ID does not reach hasses, so what browsers miss between \
                         two connections is lost"
                    }
                    _ => "an event that was published between two connections was lost",
                };
                report.mend("reconnect", Level::Wrong, Topic::LastEventId, text);
            }
        }
    }

    /// Whether the end of a stream reaches the browser.
    fn end(&self, stream: &mut Stream, id: Option<&str>, report: &mut Report) {
        let Some(Ok(())) = id.and_then(|id| self.patient.publishing.disconnect(id)) else {
            return;
        };
        match stream.find(Instant::now() + AT_ONCE, |_| false) {
            Err(Missed::End) => report.add("end", Level::Ok, "the end of a stream passes"),
            Err(Missed::Broken(error)) => report.add(
                "end",
                Level::Note,
                format!("the end of a stream comes as a broken connection: {error}"),
            ),
            _ => report.mend(
                "end",
                Level::Wrong,
                Topic::Buffering,
                "hasses ended a stream, and the browser was not told within 3 s",
            ),
        }
    }

    /// Whose address hasses sees.
    fn address(&self, report: &mut Report) {
        let Some((url, id)) = self.another() else {
            let why = "a query of your own is used, so no stream can be told from others";
            return report.add("address", Level::Skipped, why);
        };
        let here =
            |host: Option<&str>| host.is_some_and(|host| matches!(host, "localhost" | "127.0.0.1"));
        let request = Request {
            source: here(url.host_str()).then_some(SOURCE),
            ..self.patient.request()
        };
        let Ok(looked) = look(&url, &request) else {
            return;
        };
        let Some((local, remote)) = looked.answer.socket().addresses else {
            return;
        };
        let Some(client) = self.patient.publishing.client(&id) else {
            let why =
                "only a control address tells whom hasses sees, and ends a stream: --control ADDR";
            return report.add("address", Level::Skipped, why);
        };
        let seen = client
            .as_ref()
            .and_then(|client| client["address"].as_str());
        let Some(seen) = seen.and_then(address_of) else {
            let why =
                "the hasses at the control address does not know this stream: another node has it";
            return report.add("address", Level::Skipped, why);
        };
        drop(looked);
        let http = client.as_ref().and_then(|client| client["http"].as_str());
        if http == Some("1.0") {
            report.mend(
                "upstream",
                Level::Note,
                Topic::Upstream10,
                "the proxy speaks HTTP/1.0 to hasses: a stream that breaks off looks like one that \
                 ended, and every stream costs a new connection",
            );
        }
        if seen == local.ip() {
            report.add(
                "address",
                Level::Ok,
                format!("hasses sees the client: {seen}"),
            );
        } else if seen == remote.ip() || is_private(seen) {
            report.mend(
                "address",
                Level::Wrong,
                Topic::Address,
                format!(
                    "hasses sees {seen} instead of the client {}: all clients count as one, in the \
                     log, in lists and for --max-clients-per-ip; if {seen} is your proxy, start hasses \
                     with --trust-proxy {seen}",
                    local.ip()
                ),
            );
        } else {
            report.add("address", Level::Ok, format!("hasses sees {seen}"));
        }
    }
}

/// Whether an event has this data, in whatever form.
fn carries(data: &str) -> impl Fn(&Event) -> bool {
    move |event| {
        let there = event.data.as_deref().unwrap_or_default();
        there.contains(data)
    }
}

/// What a second connection got.
enum Replayed {
    Yes,
    No,
    Gap,
    Cached,
}

fn replayed(url: &Url, request: &Request, data: &str) -> Replayed {
    let Ok(looked) = look(url, request) else {
        return Replayed::No;
    };
    let mut stream = Stream::watch(looked.answer);
    let wanted = |event: &Event| {
        event.event.as_deref() == Some("gap")
            || event
                .data
                .as_deref()
                .is_some_and(|there| there.contains(data))
    };
    match stream.find(Instant::now() + AT_ONCE, wanted) {
        Ok((_, event)) if event.event.as_deref() == Some("gap") => Replayed::Gap,
        Ok(_) => Replayed::Yes,
        Err(Missed::End) => Replayed::Cached,
        Err(Missed::Late | Missed::Broken(_)) => Replayed::No,
    }
}

/// The IP address at the front of `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
fn address_of(text: &str) -> Option<IpAddr> {
    let socket = text
        .parse()
        .ok()
        .map(|socket: std::net::SocketAddr| socket.ip());
    socket.or_else(|| text.trim_matches(['[', ']']).parse().ok())
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_private() || address.is_loopback() || address.is_link_local()
        }
        IpAddr::V6(address) => address.is_loopback() || address.segments()[0] & 0xfe00 == 0xfc00,
    }
}

/// Whether a stream on which nothing happens lives until hasses sends its heartbeat.
fn silence(
    stream: &mut Stream,
    heartbeat: Option<u64>,
    wait: Option<Duration>,
    report: &mut Report,
) {
    let heartbeat = heartbeat
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs);
    let begun = Instant::now();
    let mut since = stream.last;
    let mut longest = Duration::ZERO;
    // Heartbeats do not wait for silence, so the first may come soon after something else.
    let enough = heartbeat.map(|heartbeat| heartbeat * 4 / 5);
    while wait.is_some() || enough.is_none_or(|enough| longest < enough) {
        let deadline = match (wait, heartbeat) {
            (Some(wait), _) => begun + wait,
            (None, Some(heartbeat)) => since + heartbeat + OVERDUE,
            (None, None) => since + WITHOUT_HEARTBEAT,
        };
        let Some((at, arrival)) = stream.next(deadline) else {
            break;
        };
        let silent = at.saturating_duration_since(since);
        if let Arrival::End | Arrival::Broken(_) = arrival {
            let text = format!(
                "the stream was cut after {:.0} s of silence",
                silent.as_secs_f64()
            );
            return report.mend("silence", Level::Wrong, Topic::ReadTimeout, text);
        }
        longest = longest.max(silent);
        since = at;
    }
    let silent = since.elapsed();
    let lives = longest.max(silent).as_secs_f64();
    let Some(heartbeat) = heartbeat else {
        let text = format!(
            "the stream outlived {lives:.0} s; hasses sends no heartbeat (--heartbeat 0), so nobody \
             notices a dead connection"
        );
        return report.add("silence", Level::Note, text);
    };
    if silent >= heartbeat + OVERDUE {
        let text = format!(
            "no heartbeat was seen in {:.0} s, and hasses sends one every {} s: something holds small \
             blocks back",
            silent.as_secs_f64(),
            heartbeat.as_secs()
        );
        report.mend("silence", Level::Wrong, Topic::Buffering, text);
    } else if enough.is_some_and(|enough| longest < enough) {
        let text = format!("a silent stream lives for {lives:.0} s, as long as it was watched");
        report.add("silence", Level::Ok, text);
    } else {
        let text = format!(
            "a heartbeat was seen after {:.0} s of silence",
            longest.as_secs_f64()
        );
        report.add("silence", Level::Ok, text);
    }
}
