//! Who may read streams from other origins.

/// Allowed origins (Fetch standard, CORS protocol).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// `*`, without credentials.
    Any,
    /// These, with credentials. One is always sent; of several the request's own is echoed, with
    /// `Vary: Origin`.
    Only(Vec<String>),
}
