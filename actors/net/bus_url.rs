//! The bus's URL: `redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?prefix=NAME]`, or `rediss://` for
//! TLS.

use std::fmt;
use std::str::FromStr;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// What the names of our keys begin with by default.
const PREFIX: &str = "hasses";
/// The longest prefix.
const MAX_PREFIX: usize = 100;

/// Where the bus is.
#[derive(Clone)]
pub struct BusUrl {
    info: ConnectionInfo,
    prefix: String,
    shown: String,
}

impl BusUrl {
    /// How it is connected to.
    pub(crate) fn info(&self) -> ConnectionInfo {
        self.info.clone()
    }

    /// What the names of our keys begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// As log lines may show it: without user and password.
impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BusUrl({self})")
    }
}

impl PartialEq for BusUrl {
    fn eq(&self, other: &Self) -> bool {
        let secrets = |url: &Self| {
            let redis = url.info.redis_settings();
            let part = |part: Option<&str>| part.map(str::to_owned);
            (part(redis.username()), part(redis.password()))
        };
        self.shown == other.shown && secrets(self) == secrets(other)
    }
}

impl FromStr for BusUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let right = "it needs redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME], or rediss:// for TLS";
        let (scheme, _) = text.split_once("://").ok_or(right)?;
        if !matches!(scheme, "redis" | "rediss") {
            return Err(format!(
                "'{}' is no scheme of a bus; {right}",
                scheme.escape_default()
            ));
        }
        // The library knows parameters and fragments of its own, one of which switches checks off.
        if text.contains('#') {
            return Err(format!("it has a '#' in it (write %23); {right}"));
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let prefix = prefix(query)?;
        let info = base
            .into_connection_info()
            .map_err(|error| format!("{error}; {right}"))?;
        let redis = info.redis_settings();
        let (ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. }) =
            info.addr()
        else {
            return Err(right.into());
        };
        if host.is_empty() {
            return Err(format!("it names no host; {right}"));
        }
        if redis.db() < 0 {
            return Err(format!("{} is no number of a database", redis.db()));
        }
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        let shown = format!("{scheme}://{host}:{port}/{}?prefix={prefix}", redis.db());
        // The server need not be told what speaks to it; older ones have no word for that.
        let redis = redis.clone().set_skip_set_lib_name();
        Ok(Self {
            info: info.set_redis_settings(redis),
            prefix,
            shown,
        })
    }
}

fn prefix(query: &str) -> Result<String, String> {
    let mut prefix = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name != "prefix" {
            let name: String = name.chars().take(40).collect();
            return Err(format!(
                "'{}' is no parameter of it; prefix=NAME is the only one",
                name.escape_default()
            ));
        }
        if prefix.replace(value).is_some() {
            return Err("it has prefix= twice".into());
        }
    }
    let prefix = prefix.unwrap_or(PREFIX);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":._-{}".contains(&byte);
    if (1..=MAX_PREFIX).contains(&prefix.len()) && prefix.bytes().all(plain) {
        Ok(prefix.to_owned())
    } else {
        Err("prefix= needs 1 to 100 letters, digits or : . _ - { }".into())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn urls_are_understood() {
        for (url, shown) in [
            ("redis://h", "redis://h:6379/0?prefix=hasses"),
            ("rediss://h:1/2?prefix=a:b", "rediss://h:1/2?prefix=a:b"),
            ("redis://[::1]:5", "redis://[::1]:5/0?prefix=hasses"),
            ("redis://me:secret@h/3?", "redis://h:6379/3?prefix=hasses"),
        ] {
            let read: BusUrl = url.parse().unwrap();
            assert_eq!(read.to_string(), shown);
            assert!(!format!("{read:?}").contains("secret"));
        }
        let url: BusUrl = "redis://me:p%40ss@h".parse().unwrap();
        let info = url.info();
        let redis = info.redis_settings();
        assert_eq!(
            (redis.username(), redis.password()),
            (Some("me"), Some("p@ss"))
        );
        assert_ne!(url, "redis://me:other@h".parse().unwrap());
    }

    #[test]
    fn wrong_urls_are_refused_by_name() {
        for (url, part) in [
            ("h:6379", "it needs redis://"),
            ("http://h", "'http' is no scheme"),
            ("unix:///run/redis.sock", "'unix' is no scheme"),
            ("redis://", "it needs redis://"),
            ("redis://h/x", "it needs redis://"),
            ("redis://h/-1", "-1 is no number of a database"),
            ("redis://h?protocol=resp3", "'protocol' is no parameter"),
            ("redis://h?prefix=", "1 to 100"),
            ("redis://h?prefix=a%20b", "1 to 100"),
            ("redis://h?prefix=a&prefix=b", "twice"),
            ("rediss://h/#insecure", "'#'"),
        ] {
            let why = url.parse::<BusUrl>().unwrap_err();
            assert!(why.contains(part), "{url}: {why}");
            assert!(!why.contains("secret"));
        }
    }
}
