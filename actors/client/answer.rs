//! Answers that are written whole, and the end of a connection.

use std::time::SystemTime;

use super::End;
use crate::crowd::Seat;
use crate::wire::http::{Answer, Date};

pub(super) fn now() -> Date {
    SystemTime::now().into()
}

/// As [`answer`]. No `async fn`, which would have room for the answer itself too.
pub(super) fn write_answer(seat: &Seat, whole: Answer, end: End) -> impl Future<Output = End> {
    let mut bytes = Vec::new();
    whole.write(now(), &mut bytes);
    async move { answer(seat, &bytes, end).await }
}

/// Writes a last answer and waits until the peer has read it.
pub(super) async fn answer(seat: &Seat, bytes: &[u8], end: End) -> End {
    match write_all(seat, bytes).await {
        Ok(()) => wait_for_leave(seat, end).await,
        Err(broken) => broken,
    }
}

/// As [`answer`], without waiting if the peer has sent nothing more so far.
pub(super) async fn answer_at_once(seat: &Seat, bytes: &[u8], end: End) -> End {
    match write_all(seat, bytes).await {
        Ok(()) if matches!(seat.read(|bytes| bytes.len()), Ok(None)) => {
            seat.finish();
            end
        }
        Ok(()) => wait_for_leave(seat, end).await,
        Err(broken) => broken,
    }
}

/// Writes all of `bytes`. On an open stream, what waits besides stays where it is.
pub(super) async fn write_all(seat: &Seat, mut bytes: &[u8]) -> Result<(), End> {
    loop {
        let count = seat.write(bytes)?;
        bytes = &bytes[count..];
        // With TLS the socket may have taken a part of the last record only.
        if bytes.is_empty() && seat.is_clear() {
            return Ok(());
        }
        seat.output().await;
        if seat.is_overflowing() {
            return Err(End::Slow);
        }
        if seat.is_expired() {
            return Err(End::Left);
        }
    }
}

/// Ends our side and reads on until the peer has ended its own: closing with bytes unread would
/// reset the connection, and the answer might be lost with it (RFC 9112 §9.6).
pub(super) async fn wait_for_leave(seat: &Seat, end: End) -> End {
    seat.finish();
    loop {
        match seat.read(|bytes| bytes.len()) {
            Ok(Some(1..)) => seat.step_back().await,
            Ok(None) => seat.input().await,
            Ok(Some(0)) | Err(_) => return end,
        }
        if seat.discard() {
            return end;
        }
    }
}
