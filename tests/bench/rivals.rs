//! The rivals: how each is configured, subscribed to and published to.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::publisher::Posts;
use crate::servers::{Kind, Wish};

/// Where Debian's libnginx-mod-nchan puts the module.
const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";

/// The key of the Mercure hub's publishers, and a JWT made with it that may publish everything.
const MERCURE_KEY: &str = "a key of thirty-two bytes or more, for the benchmark";
const MERCURE_JWT: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdfX0.E-CcVr3fhudH-R1mZUvGT162ZHsf1eIOoBQ51rrtV-o";

/// What it lacks to be measured here, if anything.
pub(crate) fn lacks(kind: Kind) -> Option<&'static str> {
    let on_path = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    match kind {
        Kind::Nchan if !Path::new(NCHAN).exists() => Some("nginx's module nchan"),
        Kind::Mercure if !on_path("mercure") => Some("a program mercure on PATH"),
        Kind::Centrifugo if !on_path("centrifugo") => Some("a program centrifugo on PATH"),
        _ => None,
    }
}

/// Writes its configuration into `dir`, and says how it is started.
pub(crate) fn command(
    kind: Kind,
    dir: &Path,
    subscribers: SocketAddr,
    publishers: SocketAddr,
    wish: Wish,
) -> io::Result<Vec<String>> {
    let file = dir.join("configuration");
    let (text, words): (String, &[&str]) = match kind {
        Kind::Mercure => (
            caddyfile(subscribers),
            &["mercure", "run", "--adapter", "caddyfile", "--config"],
        ),
        Kind::Centrifugo => (
            centrifugo_json(subscribers, publishers),
            &["centrifugo", "-c"],
        ),
        _ => (
            nginx_conf(dir, subscribers, publishers, wish),
            &["nginx", "-c"],
        ),
    };
    // Centrifugo goes by the name's end.
    let file = if kind == Kind::Centrifugo {
        file.with_extension("json")
    } else {
        file
    };
    fs::write(&file, text)?;
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words.push(file.to_string_lossy().into_owned());
    if kind == Kind::Nchan {
        words.extend(["-p".to_owned(), dir.to_string_lossy().into_owned()]);
    }
    Ok(words)
}

/// The URL of a subscription to this token.
pub(crate) fn subscription(kind: Kind, token: &str) -> String {
    match kind {
        Kind::Mercure => format!("/.well-known/mercure?topic={token}"),
        Kind::Centrifugo => {
            format!("/connection/uni_sse?cf_connect=%7B%22subs%22:%7B%22{token}%22:%7B%7D%7D%7D")
        }
        _ => format!("/sse?subscribe={token}"),
    }
}

/// How a message is posted to it.
pub(crate) fn posts(
    kind: Kind,
    subscribers: SocketAddr,
    publishers: SocketAddr,
    pipeline: usize,
) -> Posts {
    Posts {
        address: if kind == Kind::Mercure {
            subscribers
        } else {
            publishers
        },
        pipeline: pipeline.max(1),
        request: match kind {
            Kind::Mercure => |token, payload| {
                let fields = format!("Authorization: Bearer {MERCURE_JWT}\r\n");
                let form = "application/x-www-form-urlencoded";
                let body = format!("topic={token}&data={payload}");
                post("/.well-known/mercure", form, &fields, &body)
            },
            Kind::Centrifugo => |token, payload| {
                let body = format!(r#"{{"channel":"{token}","data":"{payload}"}}"#);
                post("/api/publish", "application/json", "", &body)
            },
            Kind::Nchan => {
                |token, payload| post(&format!("/pub?to={token}"), "text/plain", "", payload)
            }
            _ => |token, payload| {
                let token = if token == "all" { "%2A" } else { token };
                post(&format!("/publish/{token}"), "text/plain", "", payload)
            },
        },
    }
}

fn post(target: &str, kind: &str, fields: &str, body: &str) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What the rival needs in its environment.
pub(crate) fn environment(command: &mut Command, dir: &Path) {
    // Caddy, in which the Mercure hub runs, keeps files there.
    command
        .env("XDG_CONFIG_HOME", dir)
        .env("XDG_DATA_HOME", dir);
}

fn caddyfile(subscribers: SocketAddr) -> String {
    format!(
        "{{
    admin off
    auto_https off
    persist_config off
    log {{
        level ERROR
    }}
}}
http://{subscribers} {{
    route {{
        mercure {{
            anonymous
            transport local
            write_timeout 0
            publisher_jwt \"{MERCURE_KEY}\" HS256
            subscriber_jwt \"{MERCURE_KEY}\" HS256
        }}
    }}
}}
"
    )
}

fn centrifugo_json(subscribers: SocketAddr, publishers: SocketAddr) -> String {
    format!(
        r#"{{
"client": {{"insecure": true}},
"http_api": {{"insecure": true}},
"uni_sse": {{"enabled": true}},
"log": {{"level": "error"}},
"channel": {{"without_namespace": {{"allow_subscribe_for_client": true}}}},
"http_server": {{"address": "127.0.0.1", "port": "{}", "internal_address": "127.0.0.1", "internal_port": "{}"}}
}}
"#,
        subscribers.port(),
        publishers.port()
    )
}

fn nginx_conf(dir: &Path, subscribers: SocketAddr, publishers: SocketAddr, wish: Wish) -> String {
    let dir = dir.display();
    // With the usual 10 it loses messages that come faster than one client takes them.
    let keep = if wish.clients > 1 { 10 } else { 10_000 };
    let connections = wish.clients * 5 / 4 + 256;
    format!(
        "load_module {NCHAN};
daemon off; user root; worker_processes 1; worker_rlimit_nofile 20000;
pid {dir}/nginx.pid; error_log {dir}/error.log warn;
events {{ worker_connections {connections}; use epoll; multi_accept on; }}
http {{
    access_log off; keepalive_timeout 3600; keepalive_requests 1000000000; tcp_nodelay on;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    nchan_shared_memory_size 2g;
    nchan_message_buffer_length {keep}; nchan_message_timeout 10s;
    server {{
        listen {subscribers} backlog=4096;
        location = /sse {{
            nchan_subscriber eventsource; nchan_channel_id $arg_subscribe;
            nchan_subscriber_first_message newest; nchan_eventsource_ping_interval 0;
            nchan_subscriber_timeout 0;
        }}
    }}
    server {{
        listen {publishers} backlog=4096;
        location = /pub {{ nchan_publisher http; nchan_channel_id $arg_to; }}
    }}
}}
"
    )
}
