//! How a publisher shows that it knows the control secret: `auth SECRET` as the first line of text,
//! or `Authorization: Bearer SECRET` (RFC 6750 §2.1) in HTTP.

use std::fmt;

use memchr::memchr;

use crate::model::secret::MAX_SECRET;

/// What the line begins with.
pub const AUTH: &[u8] = b"auth ";
/// Its longest form, without its line end.
const MAX_LINE: usize = AUTH.len() + MAX_SECRET;

/// A whole `auth` line.
#[derive(Debug, PartialEq, Eq)]
pub struct AuthLine<'a> {
    /// What is offered as the secret.
    pub offered: &'a [u8],
    /// Bytes of the line, its end included.
    pub length: usize,
}

/// Why a connection's first bytes are no `auth` line. What they are is not shown: it may be a secret
/// with a slip of the pen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthError {
    /// They are something else.
    Missing,
    /// No secret is as long.
    Long,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the first line must be auth SECRET"),
            Self::Long => write!(f, "the auth line is longer than {MAX_LINE} bytes"),
        }
    }
}

impl std::error::Error for AuthError {}

/// Reads the `auth` line, which ends at a newline, at CR LF or, if these are `all` that will come,
/// with the bytes. `None` = it goes on.
///
/// # Errors
/// It is none, which is known as soon as its first bytes are, or longer than any secret.
pub fn first_line(bytes: &[u8], all: bool) -> Result<Option<AuthLine<'_>>, AuthError> {
    let begun = bytes.len().min(AUTH.len());
    if bytes[..begun] != AUTH[..begun] {
        return Err(AuthError::Missing);
    }
    // No further than an end can be: a CR and a newline stand behind the longest line.
    let (line, length) = match memchr(b'\n', &bytes[..bytes.len().min(MAX_LINE + 2)]) {
        Some(end) => (
            bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]),
            end + 1,
        ),
        None if all => (bytes, bytes.len()),
        None if bytes.len() > MAX_LINE + 1 => return Err(AuthError::Long),
        None => return Ok(None),
    };
    if line.len() > MAX_LINE {
        return Err(AuthError::Long);
    }
    match line.strip_prefix(AUTH) {
        Some(offered) => Ok(Some(AuthLine { offered, length })),
        None => Err(AuthError::Missing),
    }
}

/// Whether a piece of text is an `auth` line, or the beginning of one, where nobody asked for it: a
/// publisher's script may write it always. It is neither taken nor shown.
///
/// `auth a=x` is a message to the token `auth a`, but what has `=` only at its end is a secret, as
/// base64 has it.
pub fn is_auth(piece: &[u8]) -> bool {
    let Some(word) = piece.strip_prefix(AUTH) else {
        return false;
    };
    match memchr(b'=', word) {
        None => true,
        Some(at) => word[at..].iter().all(|byte| *byte == b'='),
    }
}

/// The secret in `Authorization`; none if there is none of this scheme, whose name may be in either
/// case (RFC 9110 §11.1).
pub fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, offered) = authorization?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("Bearer")).then(|| offered.trim_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bytes: &[u8]) -> Result<Option<AuthLine<'_>>, AuthError> {
        first_line(bytes, false)
    }

    fn whole(offered: &[u8], length: usize) -> Result<Option<AuthLine<'_>>, AuthError> {
        Ok(Some(AuthLine { offered, length }))
    }

    #[test]
    fn the_line_ends_at_a_newline() {
        assert_eq!(line(b"auth x\na=1"), whole(b"x", 7));
        assert_eq!(line(b"auth x\r\na=1\n"), whole(b"x", 8));
        assert_eq!(line(b"auth x;a=1\n"), whole(b"x;a=1", 11));
        assert_eq!(line(b"auth \n"), whole(b"", 6));
        for begun in [&b""[..], b"a", b"auth", b"auth ", b"auth x", b"auth x\r"] {
            assert_eq!(line(begun), Ok(None), "{begun:?}");
        }
        assert_eq!(first_line(b"auth x", true), whole(b"x", 6));
    }

    #[test]
    fn what_is_none_is_known_early() {
        for bytes in [
            &b"b"[..],
            b"AUTH x\n",
            b"auth\n",
            b"auth\tx",
            b"a=1",
            b"{",
            b"\n",
        ] {
            assert_eq!(line(bytes), Err(AuthError::Missing), "{bytes:?}");
        }
        assert_eq!(first_line(b"aut", true), Err(AuthError::Missing));
    }

    #[test]
    fn it_is_bounded() {
        let longest = [b"auth ", &[b'x'; MAX_SECRET][..], b"\r\n"].concat();
        assert_eq!(line(&longest), whole(&longest[5..MAX_LINE], MAX_LINE + 2));
        for end in [&b"x\n"[..], b"x\r\n", b"xx", b"xxx"] {
            let longer = [b"auth ", &[b'x'; MAX_SECRET][..], end].concat();
            assert_eq!(line(&longer), Err(AuthError::Long), "{end:?}");
        }
    }

    #[test]
    fn where_nobody_asked_it_is_told_from_messages() {
        for piece in ["auth x", "auth abc==", "auth ", "auth a b"] {
            assert!(is_auth(piece.as_bytes()), "{piece}");
        }
        for piece in [
            "auth",
            "auth=x",
            "authx",
            "auth a=x",
            "auth a=b=",
            " auth x",
        ] {
            assert!(!is_auth(piece.as_bytes()), "{piece}");
        }
    }

    #[test]
    fn a_bearer_in_either_case() {
        for (field, offered) in [
            ("Bearer x", Some("x")),
            ("bearer  x=/+ ", Some("x=/+")),
            ("BEARER x y", Some("x y")),
            ("Basic x", None),
            ("Bearer", None),
            ("x", None),
        ] {
            assert_eq!(bearer(Some(field)), offered, "{field}");
        }
        assert_eq!(bearer(None), None);
    }
}
