//! How much is logged.

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Errors, and answers to commands.
    Quiet,
    /// What an administrator wants to know.
    Normal,
    /// Each connection, request and message.
    Debug,
}
