//! Bytes to types and back: no I/O, nothing asynchronous.

pub mod address;
pub mod auth;
pub mod command;
pub mod escape;
pub mod http;
pub mod json;
pub mod mercure;
pub mod proxy_protocol;
pub mod refusal;
pub mod report;
pub mod sse;
pub mod text;
