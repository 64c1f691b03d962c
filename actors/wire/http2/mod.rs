//! HTTP/2 (RFC 9113): frames, the coding of fields, and how a request and its answer are said in them.

pub mod frame;
pub mod hpack;
mod huffman;
pub mod request;
