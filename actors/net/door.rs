//! Where something listens, and whether it speaks TLS there: `tls:` in front of an address.

use std::fmt;
use std::str::FromStr;

use super::{Endpoint, EndpointError};

/// An address as `--listen` and `--control` take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Whether TLS is spoken there, on a Unix socket too: a proxy may pass connections on unopened.
    pub tls: bool,
}

impl FromStr for Door {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (rest, tls) = match text.strip_prefix("tls:") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let endpoint = rest.parse()?;
        Ok(Self { endpoint, tls })
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, tls } = self;
        write!(f, "{}{endpoint}", if *tls { "tls:" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn what_is_written_is_understood_and_shown_again() {
        for (text, tls) in [
            ("127.0.0.1:8080", false),
            ("tls:[::]:443", true),
            ("tls:unix:/run/hasses.sock", true),
        ] {
            let door: Door = text.parse().unwrap();
            assert_eq!((door.to_string().as_str(), door.tls), (text, tls));
        }
    }

    #[test]
    fn tls_is_said_once_and_in_front() {
        for text in ["tls:", "tls:tls:[::]:443", "[::]:443:tls", "TLS:[::]:443"] {
            assert!(text.parse::<Door>().is_err(), "{text}");
        }
    }
}
