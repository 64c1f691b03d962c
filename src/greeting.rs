//! The lines for a person who just started hasses in the foreground.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use hasses_actors::Config;
use hasses_actors::net::{Door, Endpoint};

use crate::plan::CONTROL;

/// Says where hasses listens, and what to paste to see an event; `key` is the subscribers' key's file,
/// and `secret` that of the publishers' secret.
pub(crate) fn text(
    config: &Config,
    key: Option<&Path>,
    subscribers: &[Door],
    publishers: &[Door],
    secret: Option<&Path>,
) -> String {
    let mut text = format!("hasses {}\n", config.about.version);
    for door in subscribers {
        line(&mut text, "subscribers", &shown(door, &config.path));
    }
    for door in publishers {
        line(&mut text, "publishers", &door.to_string());
    }
    if let Some(fifo) = &config.fifo {
        line(&mut text, "FIFO", &fifo.path.display().to_string());
    }
    if publishers.is_empty() {
        let none = format!("none: only the FIFO is read; --control {CONTROL} adds one");
        line(&mut text, "control", &none);
    }
    if let Some((_, origin)) = origin(publishers) {
        line(&mut text, "dashboard", &(origin + "/"));
    }
    let publish = publish(
        publishers,
        config.fifo.as_ref().map(|fifo| fifo.path.as_path()),
        secret,
    );
    let subscribe = subscribe(config, key, subscribers);
    if let (Some(subscribe), Some(publish)) = (subscribe, publish) {
        text.push_str("Try it, in two other shells:\n");
        text.push_str(&format!("  {subscribe}\n  {publish}\n"));
    }
    text
}

fn line(text: &mut String, what: &str, place: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  {what:<12} {place}");
}

fn shown(door: &Door, path: &str) -> String {
    match &door.endpoint {
        endpoint @ Endpoint::Tcp { .. } => format!("{}://{endpoint}{path}", scheme(door)),
        Endpoint::Unix(_) => door.to_string(),
    }
}

fn scheme(door: &Door) -> &'static str {
    if door.tls { "https" } else { "http" }
}

fn subscribe(config: &Config, key: Option<&Path>, subscribers: &[Door]) -> Option<String> {
    let (door, origin) = origin(subscribers)?;
    let url = format!("{origin}{}?", config.path);
    // No certificate is for an address such as 127.0.0.1.
    let curl = if door.tls { "curl -kN" } else { "curl -N" };
    match (&config.subscribe_keys, key) {
        (None, _) => Some(format!("{curl} {}", quoted(&(url + "token=room1")))),
        (Some(known), Some(file)) if known.starts_with_secret() => Some(format!(
            "{curl} {}\"$(hasses sign --key {} --for 1h token=room1)\"",
            quoted(&url),
            quoted(&file.to_string_lossy())
        )),
        // Only who has the private key can make what is needed.
        (Some(_), _) => None,
    }
}

fn publish(publishers: &[Door], fifo: Option<&Path>, secret: Option<&Path>) -> Option<String> {
    let plain = || {
        publishers
            .iter()
            .filter(|door| !door.tls)
            .map(|door| &door.endpoint)
    };
    if let Some((host, port)) = plain().find_map(reached) {
        // Both Debian netcats end by themselves with -q1.
        return Some(match secret {
            None => format!("echo 'room1=hello' | nc -q1 {host} {port}"),
            Some(path) => format!(
                "(echo \"auth $(cat {})\"; echo 'room1=hello') | nc -q1 {host} {port}",
                quoted(&path.to_string_lossy())
            ),
        });
    }
    if let Some(path) = fifo {
        return Some(format!(
            "echo 'room1=hello' > {}",
            quoted(&path.to_string_lossy())
        ));
    }
    let unix = plain().find_map(|endpoint| match endpoint {
        Endpoint::Unix(path) => Some(format!(
            "curl --unix-socket {} -d hello http://localhost/publish/room1",
            quoted(&path.to_string_lossy())
        )),
        Endpoint::Tcp { .. } => None,
    });
    let tls = || {
        let (host, port) = publishers.iter().find_map(|door| reached(&door.endpoint))?;
        let host = bracketed(host);
        let secret = secret.map_or_else(String::new, |path| {
            let file = quoted(&path.to_string_lossy());
            format!("-H \"Authorization: Bearer $(cat {file})\" ")
        });
        Some(format!(
            "curl -k {secret}-d hello https://{host}:{port}/publish/room1"
        ))
    };
    unix.or_else(tls)
}

/// The address and port by which a program on this machine gets to a TCP listener.
fn reached(endpoint: &Endpoint) -> Option<(String, u16)> {
    let Endpoint::Tcp { host, port } = endpoint else {
        return None;
    };
    let all = host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    Some((
        if all {
            "127.0.0.1".to_owned()
        } else {
            host.clone()
        },
        *port,
    ))
}

/// How the URLs begin by which a program on this machine gets to the first TCP listener.
fn origin(doors: &[Door]) -> Option<(&Door, String)> {
    let (door, (host, port)) = doors
        .iter()
        .find_map(|door| Some((door, reached(&door.endpoint)?)))?;
    let origin = format!("{}://{}:{port}", scheme(door), bracketed(host));
    Some((door, origin))
}

/// The host as it stands in a URL.
fn bracketed(host: String) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    }
}

/// The text as one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
