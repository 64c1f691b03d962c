//! A warning or an error, as it is kept for those who watch.

use std::time::SystemTime;

use super::Cost;

/// A warning or an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its number, from 1 on; none is left out.
    pub number: u64,
    /// When it was told.
    pub at: SystemTime,
    /// `error` or `warning`.
    pub level: &'static str,
    /// What it says, at most 400 bytes.
    pub text: String,
}

impl Cost for Note {}
