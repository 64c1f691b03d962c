//! Answers that are written whole, and the end of a connection.

use std::time::SystemTime;

use crate::clients::ClientHandle;
use crate::messages::client::End;
use crate::wire::http::{Answer, Date};

pub(super) fn now() -> Date {
    SystemTime::now().into()
}

/// As [`answer`]. No `async fn`, which would have room for the answer itself too.
pub(super) fn write_answer(
    handle: &ClientHandle,
    whole: Answer,
    end: End,
) -> impl Future<Output = End> {
    let mut bytes = Vec::new();
    whole.write(now(), &mut bytes);
    async move { answer(handle, &bytes, end).await }
}

/// Writes a last answer and waits until the peer has read it.
pub(super) async fn answer(handle: &ClientHandle, bytes: &[u8], end: End) -> End {
    match write_all(handle, bytes).await {
        Ok(()) => wait_for_leave(handle, end).await,
        Err(broken) => broken,
    }
}

/// As [`answer`], without waiting if the peer has sent nothing more so far.
pub(super) async fn answer_at_once(handle: &ClientHandle, bytes: &[u8], end: End) -> End {
    match write_all(handle, bytes).await {
        Ok(()) if matches!(handle.read(|bytes| bytes.len()), Ok(None)) => {
            handle.finish();
            end
        }
        Ok(()) => wait_for_leave(handle, end).await,
        Err(broken) => broken,
    }
}

/// Writes all of `bytes`. On an open stream, what waits besides stays where it is.
pub(super) async fn write_all(handle: &ClientHandle, mut bytes: &[u8]) -> Result<(), End> {
    loop {
        let count = handle.write(bytes)?;
        bytes = &bytes[count..];
        // With TLS the socket may have taken a part of the last record only.
        if bytes.is_empty() && handle.is_clear() {
            return Ok(());
        }
        handle.output().await;
        if handle.is_overflowing() {
            return Err(End::Slow);
        }
        if handle.is_expired() {
            return Err(End::Left);
        }
    }
}

/// Ends our side and reads on until the peer has ended its own: closing with bytes unread would
/// reset the connection, and the answer might be lost with it (RFC 9112 §9.6).
pub(super) async fn wait_for_leave(handle: &ClientHandle, end: End) -> End {
    handle.finish();
    loop {
        match handle.read(|bytes| bytes.len()) {
            Ok(Some(1..)) => handle.step_back().await,
            Ok(None) => handle.input().await,
            Ok(Some(0)) | Err(_) => return end,
        }
        if handle.discard() {
            return end;
        }
    }
}
