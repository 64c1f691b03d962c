//! Bytes to types and back: no I/O, nothing asynchronous.

pub mod address;
pub(crate) mod auth;
pub mod command;
pub(crate) mod escape;
pub mod http;
pub mod http2;
pub mod info;
pub mod json;
pub mod mercure;
pub mod proxy_protocol;
pub mod refusal;
pub(crate) mod report;
pub mod sse;
pub mod text;
