//! HTTP/1.x for both ports (RFC 9110, RFC 9112): bytes in, types out, and back.
//!
//! | file | subject |
//! | --- | --- |
//! | [`reader`] | a request's head out of bytes in any pieces |
//! | [`request`] | what a head says: the method, the target, the fields that matter here |
//! | [`body`] | a request's body out of bytes in any pieces |
//! | [`detect`] | HTTP told apart from text on the control port |
//! | [`query`] | percent-decoding, and a subscriber's query |
//! | [`forwarded`] | whom a proxy speaks for |
//! | [`cors`] | the CORS header lines of the subscribers' port |
//! | [`access`] | who may make which request on the control port |
//! | [`guard`] | requests on the control port that a web page could have forged |
//! | [`control_api`] | which request on the control port means what |
//! | [`page`] | which part of the list of clients is asked for |
//! | [`date`] | the `Date` field |
//! | [`response`] | heads and whole answers |
//! | [`refused`] | why a request is not answered with what it asked for |

pub(crate) mod access;
pub(crate) mod body;
pub(crate) mod control_api;
pub(crate) mod cors;
pub(crate) mod date;
mod detect;
mod fields;
pub mod forwarded;
pub(crate) mod guard;
pub(crate) mod page;
pub mod query;
pub(crate) mod reader;
pub(crate) mod refused;
pub(crate) mod request;
pub(crate) mod response;

pub use body::Body;
pub use date::Date;
pub use detect::looks_like_http;
pub use reader::{Head, Reader};
pub use refused::Refused;
pub use request::{BodyLength, Method, Request, Version, event_id};
pub use response::Answer;
