//! The `Date` field.

use std::cell::Cell;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// A moment, to the second, as the `Date` field has it (RFC 9110 §5.6.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date([u8; LENGTH]);

/// So long is each date.
const LENGTH: usize = "Thu, 01 Jan 1970 00:00:00 GMT".len();

thread_local! {
    /// The last second, since 1970, that was asked for, and its text: nearly every answer has the same.
    static LAST: Cell<(u64, Date)> = const { Cell::new((0, Date(*b"Thu, 01 Jan 1970 00:00:00 GMT"))) };
}

impl Date {
    /// Its text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<SystemTime> for Date {
    fn from(at: SystemTime) -> Self {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (known, date) = LAST.get();
        if known == seconds {
            return date;
        }
        let text = HttpDate::from(at).to_string();
        let date = text
            .as_bytes()
            .first_chunk()
            .map_or(date, |text| Self(*text));
        LAST.set((seconds, date));
        date
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_has_its_text() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            for part in [0, 999] {
                let at = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(part);
                assert_eq!(Date::from(at).to_string(), text);
            }
        }
    }
}
