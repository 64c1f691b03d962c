//! What bounds events that wait together.

use std::time::Duration;

/// What bounds events that wait together, for a disk or for other nodes; whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events; 0 = none are kept.
    pub count: usize,
    /// Bytes: their text, with whom they were for, and 128 for each.
    pub bytes: usize,
    /// Age.
    pub age: Duration,
}
