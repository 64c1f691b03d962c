//! The lines for a person who just started hasses in the foreground.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use hasses_actors::Config;
use hasses_actors::net::Endpoint;

/// Says where hasses listens, and what to paste to see an event; `key` is the subscribers' key's file,
/// and `secret` that of the publishers' secret.
pub(crate) fn text(
    config: &Config,
    key: Option<&Path>,
    subscribers: &[Endpoint],
    publishers: &[Endpoint],
    secret: Option<&Path>,
) -> String {
    let mut text = format!("hasses {}\n", config.about.version);
    for endpoint in subscribers {
        line(&mut text, "subscribers", &shown(endpoint, &config.path));
    }
    for endpoint in publishers {
        line(&mut text, "publishers", &endpoint.to_string());
    }
    if let Some(fifo) = &config.fifo {
        line(&mut text, "FIFO", &fifo.path.display().to_string());
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

fn shown(endpoint: &Endpoint, path: &str) -> String {
    match endpoint {
        Endpoint::Tcp { .. } => format!("http://{endpoint}{path}"),
        Endpoint::Unix(_) => endpoint.to_string(),
    }
}

fn subscribe(config: &Config, key: Option<&Path>, subscribers: &[Endpoint]) -> Option<String> {
    let (host, port) = subscribers.iter().find_map(reached)?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    let url = format!("http://{host}:{port}{}?", config.path);
    match (&config.subscribe_key, key) {
        (None, _) => Some(format!("curl -N {}", quoted(&(url + "subscribe=room1")))),
        (Some(known), Some(file)) if known.is_secret() => Some(format!(
            "curl -N {}\"$(hasses sign --key {} --for 1h subscribe=room1)\"",
            quoted(&url),
            quoted(&file.to_string_lossy())
        )),
        // Only who has the private key can make what is needed.
        (Some(_), _) => None,
    }
}

fn publish(publishers: &[Endpoint], fifo: Option<&Path>, secret: Option<&Path>) -> Option<String> {
    if let Some((host, port)) = publishers.iter().find_map(reached) {
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
    publishers.iter().find_map(|endpoint| match endpoint {
        Endpoint::Unix(path) => Some(format!(
            "curl --unix-socket {} -d hello http://localhost/publish/room1",
            quoted(&path.to_string_lossy())
        )),
        Endpoint::Tcp { .. } => None,
    })
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

/// The text as one word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
