//! Everything over real sockets: the real binary, started, subscribed to, published to and stopped. A module
//! for each promise; `tests/README.md` says where a new test goes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attacks;
mod bus;
mod chat;
mod client_address;
mod commands;
mod control_http;
mod control_secret;
mod dashboard;
mod doctor;
mod fifo;
mod forms;
mod helpers;
mod history_file;
mod http2;
mod keys;
mod legacy;
mod limits;
mod logging;
mod man;
mod mercure;
mod metrics;
mod package;
mod page_script;
mod presence;
mod proxies;
mod publish_http;
mod publish_text;
mod publishers;
mod readme;
mod real_clients;
mod reinit;
mod reload;
mod replay;
mod replay_large;
mod retention;
mod routing;
mod shell_helpers;
mod startup;
mod stream;
mod subscribe;
mod systemd;
mod tls;
