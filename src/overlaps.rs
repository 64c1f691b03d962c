//! One file or address named for two purposes, which would spoil one of them.

use std::fs;
use std::net::IpAddr;
use std::path::{self, Path, PathBuf};

use hasses_actors::net::{Door, Endpoint};

/// Refuses the same file for two options, if hasses writes at least one of them. Each path comes with its
/// option and with whether hasses writes it.
///
/// # Errors
/// Names both options and the path.
pub(crate) fn paths(named: &[(&str, &Path, bool)]) -> Result<(), String> {
    for (index, (option, path, writes)) in named.iter().enumerate() {
        for (other, other_path, other_writes) in &named[..index] {
            if (*writes || *other_writes) && real(path) == real(other_path) {
                return Err(format!(
                    "{other} and {option} name the same file, {}: each needs one of its own",
                    path.display()
                ));
            }
        }
    }
    Ok(())
}

/// The path without links and `..`, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let path = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Ok(real) = fs::canonicalize(&path) {
        return real;
    }
    match (path.parent().map(fs::canonicalize), path.file_name()) {
        (Some(Ok(folder)), Some(name)) => folder.join(name),
        _ => path,
    }
}

/// Refuses two addresses of which one covers the other: the second could never be bound.
///
/// # Errors
/// Names both with their options.
pub(crate) fn addresses(listen: &[Door], control: &[Door]) -> Result<(), String> {
    let listen = listen.iter().map(|door| ("--listen", door));
    let control = control.iter().map(|door| ("--control", door));
    let all: Vec<(&str, &Door)> = listen.chain(control).collect();
    for (index, (option, door)) in all.iter().enumerate() {
        for (other, other_door) in &all[..index] {
            let (one, two) = (&other_door.endpoint, &door.endpoint);
            let any = matches!(two, Endpoint::Tcp { port: 0, .. });
            if one == two && !any {
                return Err(format!("{other} and {option} name the same address, {two}"));
            }
            if covers(one, two) || covers(two, one) {
                return Err(format!(
                    "{other} {one} and {option} {two} overlap: [::] means all addresses of both \
                     families, 0.0.0.0 all of IPv4"
                ));
            }
        }
    }
    Ok(())
}

/// Whether a socket bound to `wide` takes the connections to `narrow` too.
fn covers(wide: &Endpoint, narrow: &Endpoint) -> bool {
    let (Endpoint::Tcp { host, port }, Endpoint::Tcp { host: to, port: at }) = (wide, narrow)
    else {
        return false;
    };
    // Port 0 is another one each time.
    if port != at || *port == 0 {
        return false;
    }
    match (host.parse(), to.parse()) {
        (Ok(IpAddr::V6(all)), _) if all.is_unspecified() => true,
        (Ok(IpAddr::V4(all)), Ok(IpAddr::V4(_))) => all.is_unspecified(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn files_that_are_written_are_nobody_elses() {
        let (a, b, c) = (
            Path::new("/tmp/a"),
            Path::new("/tmp/../tmp/a"),
            Path::new("/tmp/c"),
        );
        assert!(paths(&[("--log", a, true), ("--fifo", c, true)]).is_ok());
        let told = paths(&[("--log", a, true), ("--pidfile", b, true)]).unwrap_err();
        assert!(
            told.starts_with("--log and --pidfile name the same file"),
            "{told}"
        );
        assert!(paths(&[("--tls-key", a, false), ("--log", a, true)]).is_err());
        assert!(paths(&[("--tls-cert", a, false), ("--tls-key", a, false)]).is_ok());
    }

    #[test]
    fn addresses_that_overlap_are_found() {
        let doors = |text: &str| -> Vec<Door> {
            text.split_whitespace()
                .map(|text| text.parse().unwrap())
                .collect()
        };
        for (listen, control, right) in [
            ("127.0.0.1:1 [::1]:1", "127.0.0.1:2 unix:/a", true),
            ("127.0.0.1:0", "0.0.0.0:0 [::]:0", true),
            ("0.0.0.0:1 [::1]:1", "", true),
            ("0.0.0.0:1 [::]:1", "", false),
            ("[::]:1", "localhost:1", false),
            ("0.0.0.0:1", "127.0.0.1:1", false),
            ("127.0.0.1:1", "127.0.0.1:1", false),
            ("unix:/a", "unix:/a", false),
        ] {
            let told = addresses(&doors(listen), &doors(control));
            assert_eq!(told.is_ok(), right, "{listen} {control}: {told:?}");
        }
    }
}
