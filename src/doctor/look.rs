//! One request as a browser makes it, through whatever stands between.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use url::Url;

use crate::http::{self, Answer, Site, Socket, Trouble};

/// How long connecting, and the head of an answer, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most redirects that are followed.
const MOST_REDIRECTS: usize = 5;

/// What a request is made with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// `Origin` of the page, if it is another.
    pub(crate) origin: Option<String>,
    /// `Cookie`.
    pub(crate) cookie: Option<String>,
    /// `Last-Event-ID`.
    pub(crate) last_event_id: Option<String>,
    /// Whether only the head of the answer is asked for.
    pub(crate) head: bool,
    /// Whether compressed answers are taken.
    pub(crate) compressed: bool,
    /// The address to connect from.
    pub(crate) source: Option<IpAddr>,
}

/// An answer, and the way to it.
pub(crate) struct Looked {
    /// Where it came from in the end.
    pub(crate) url: Url,
    /// The redirects on the way: status, and where to.
    pub(crate) redirects: Vec<(u16, Url)>,
    pub(crate) answer: Answer<Socket>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failed {
    /// No connection.
    Connect(Trouble),
    /// A connection, and no answer on it.
    Answer(io::Error),
    /// A redirect that cannot be followed.
    Redirect(String),
}

impl Failed {
    /// Whether there was a connection, and no answer in time.
    pub(crate) fn is_time_out(&self) -> bool {
        matches!(self, Self::Answer(error) if is_time_out(error))
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(trouble) => trouble.fmt(f),
            Self::Answer(error) if is_time_out(error) => {
                write!(f, "no answer within {} s", PATIENCE.as_secs())
            }
            Self::Answer(error) => error.fmt(f),
            Self::Redirect(why) => f.write_str(why),
        }
    }
}

/// Whether a read ended because its time was over.
pub(crate) fn is_time_out(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Makes a request, and follows redirects as `EventSource` does.
///
/// # Errors
/// There is no answer.
pub(crate) fn look(url: &Url, request: &Request) -> Result<Looked, Failed> {
    let mut url = url.clone();
    let mut redirects = Vec::new();
    loop {
        let answer = once(&url, request)?;
        if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(Looked {
                url,
                redirects,
                answer,
            });
        }
        let to = answer.field("location").unwrap_or_default();
        let next = url.join(to).map_err(|why| {
            Failed::Redirect(format!("{} redirects to '{to}': {why}", answer.status))
        })?;
        redirects.push((answer.status, next.clone()));
        if redirects.len() > MOST_REDIRECTS {
            return Err(Failed::Redirect(format!(
                "more than {MOST_REDIRECTS} redirects, the last to {next}"
            )));
        }
        url = next;
    }
}

fn once(url: &Url, request: &Request) -> Result<Answer<Socket>, Failed> {
    let site = Site::of_url(url).map_err(Failed::Redirect)?;
    let mut socket =
        http::connect(&site, PATIENCE, request.source, &["http/1.1"]).map_err(Failed::Connect)?;
    let text = written(url, &site, request);
    socket.write_all(text.as_bytes()).map_err(Failed::Answer)?;
    http::read_answer(socket).map_err(Failed::Answer)
}

/// The request's head, with the fields that browsers send for an `EventSource`.
fn written(url: &Url, site: &Site, request: &Request) -> String {
    let mut target = url.path().to_owned();
    if let Some(query) = url.query() {
        target = format!("{target}?{query}");
    }
    let method = if request.head { "HEAD" } else { "GET" };
    let mut text = format!(
        "{method} {target} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n\
         User-Agent: hasses-doctor/{}\r\n",
        site.host,
        env!("CARGO_PKG_VERSION")
    );
    let encodings = request
        .compressed
        .then(|| "gzip, deflate, br, zstd".to_owned());
    for (name, value) in [
        ("Accept-Encoding", &encodings),
        ("Origin", &request.origin),
        ("Cookie", &request.cookie),
        ("Last-Event-ID", &request.last_event_id),
    ] {
        if let Some(value) = value {
            text += &format!("{name}: {value}\r\n");
        }
    }
    text + "\r\n"
}
