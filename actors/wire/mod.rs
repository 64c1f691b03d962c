//! Bytes to types and back: no I/O, nothing asynchronous.

pub mod command;
pub mod http;
pub mod json;
pub mod report;
pub mod sse;
pub mod text;
