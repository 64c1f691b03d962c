//! A small blocking HTTP/1.1 client for the helpers of the shell: `publish`, `status`, `subscribe` and
//! `doctor`. The daemon itself never uses it.

mod answer;
mod events;
mod site;
mod socket;

pub(crate) use answer::{Answer, read_answer};
pub(crate) use events::{Event, Events};
pub(crate) use site::Site;
pub(crate) use socket::{Socket, Trouble, connect};
