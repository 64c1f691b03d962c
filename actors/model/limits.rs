//! What bounds the events that are kept.

use std::time::Duration;

/// What bounds a history; whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events; 0 = none are kept.
    pub count: usize,
    /// Bytes of the events as they are sent, with whom they were for, and 128 for each.
    pub bytes: usize,
    /// Age.
    pub age: Duration,
}
