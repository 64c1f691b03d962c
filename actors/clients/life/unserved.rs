//! Why a client does not get what its request asks for.

use std::io;

use crate::messages::client::End;
use crate::wire::http::Refused;
use crate::wire::mercure::answer::Denied;

/// Either the request is refused, which is answered, or the client has ended.
#[derive(Debug)]
pub(super) enum Unserved<R> {
    Refused(R),
    Ended(End),
}

impl<R: From<Refused>> From<Refused> for Unserved<R> {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.into())
    }
}

impl From<Denied> for Unserved<Denied> {
    fn from(denied: Denied) -> Self {
        Self::Refused(denied)
    }
}

impl<R> From<End> for Unserved<R> {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

impl<R> From<io::Error> for Unserved<R> {
    fn from(error: io::Error) -> Self {
        Self::Ended(error.into())
    }
}
