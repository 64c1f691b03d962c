//! HTTP/2: streams that share a connection, and are clients like all others.

mod attacks;
mod publishers;
mod streams;
