//! Requests as they come: the first in any number of pieces, later ones on an open stream.

use std::rc::Rc;

use super::introduction::Introduction;
use super::unserved::Unserved;
use super::{End, Message};
use crate::clients::ClientHandle;
use crate::net::tls::Trouble;
use crate::wire::http::{BodyLength, Head, Method, Reader, Refused, Request, Version};
use crate::wire::http2::frame::PREFACE_BEGINS;

/// Reads the request, in however many pieces it comes.
pub(super) async fn request(
    handle: &ClientHandle,
    input: &mut Vec<u8>,
    introduction: &mut Introduction<'_>,
    hub: Option<Rc<str>>,
) -> Result<Box<Request>, Unserved<Refused>> {
    let mut reader = Reader::with_hub(hub);
    let mut expired = false;
    let mut given_up = None;
    loop {
        // Not kept in a variable, which would be a part of the state while more is awaited.
        match read(handle, &mut reader, input, introduction) {
            Ok(Some(Begun::Http2)) => return Err(End::Upgraded.into()),
            Ok(Some(Begun::Request(head))) => {
                input.drain(..head.length);
                return Ok(head.request);
            }
            Ok(None) if let Some(end) = given_up => return Err(End::Finished(end).into()),
            Ok(None) if expired && handle.is_handshaking() => {
                return Err(End::from(&Trouble::Late).into());
            }
            Ok(None) if expired && input.is_empty() => return Err(End::Left.into()),
            Ok(None) if expired => {
                let why = "the request was not complete within 10 seconds";
                return Err(Refused::new(408, why).into());
            }
            Ok(None) => {}
            Err(refused) => return Err(refused.into()),
        }
        handle.input().await;
        match handle.message() {
            // What has come by now still counts: after a pause of this process it may be all.
            Some(Message::Expired) => expired = true,
            Some(Message::Finish { end }) => given_up = Some(end),
            _ => {}
        }
        let mut take = || {
            handle.read(|bytes| {
                input.extend_from_slice(bytes);
                bytes.len()
            })
        };
        let count = take();
        if let Err(error) = &count
            && let Some(trouble @ Trouble::NotTls) = Trouble::of(error)
        {
            // What it sent may say which page may read the answer.
            take()?;
            return Err(Refused::new(400, trouble.to_string()).into());
        }
        if count? == Some(0) {
            return Err(if input.is_empty() {
                End::Left.into()
            } else {
                Refused::new(400, "the request ended before it was complete").into()
            });
        }
    }
}

/// What a connection begins with.
enum Begun {
    Request(Head),
    /// The preface of HTTP/2, as far as that is clear.
    Http2,
}

/// The request, if all of it has come.
fn read(
    handle: &ClientHandle,
    reader: &mut Reader,
    input: &mut Vec<u8>,
    introduction: &mut Introduction<'_>,
) -> Result<Option<Begun>, Refused> {
    if !introduction.read(input)? {
        return Ok(None);
    }
    if input.starts_with(PREFACE_BEGINS) || !input.is_empty() && handle.is_http2() {
        return Ok(Some(Begun::Http2));
    }
    Ok(reader.read(input)?.map(Begun::Request))
}

/// A GET among what a client sent on an open stream; all that is none is thrown away.
///
/// What comes in one piece counts as what comes in several, so another request goes alone; but
/// behind a body, or what cannot be understood, nobody knows where a request would begin.
pub(super) fn next_request(input: &mut Vec<u8>) -> Option<Box<Request>> {
    while !input.is_empty() {
        match Reader::new().read(input) {
            Ok(None) => return None,
            Ok(Some(Head { request, length })) => {
                input.drain(..length);
                if request.method == Method::Get && request.version == Version::Http11 {
                    return Some(request);
                }
                if request.body != BodyLength::None {
                    input.clear();
                }
            }
            Err(_) => input.clear(),
        }
    }
    None
}
