//! Which sockets serve subscribers and which publishers: those passed by systemd, and new ones.

use hasses_actors::net::{self, Bound, Door, Endpoint, Rights};

use crate::inherited::{self, Inherited};
use crate::made::Made;
use crate::plan::{Addresses, Plan};

/// Every listening socket, and the files that were made for them.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// Where subscribers connect.
    pub(crate) subscribers: Vec<Bound>,
    /// Where publishers connect.
    pub(crate) publishers: Vec<Bound>,
    /// The files of Unix sockets that this process made.
    pub(crate) files: Vec<Made>,
}

/// Takes over what systemd passed and listens on the rest of what was asked for.
pub(crate) fn open(plan: &Plan) -> Result<Opened, String> {
    let mut opened = Opened::default();
    for socket in inherited::take()? {
        let asked = |addresses: &Addresses| {
            let mut doors = addresses.doors.iter();
            doors.any(|asked| inherited::is_same(&asked.endpoint, &socket.address))
        };
        let (listen, control) = (asked(&plan.listen), asked(&plan.control));
        let (role, addresses) = match socket.name.as_str() {
            "listen" => (&mut opened.subscribers, &plan.listen),
            "control" => (&mut opened.publishers, &plan.control),
            _ if listen => (&mut opened.subscribers, &plan.listen),
            _ if control => (&mut opened.publishers, &plan.control),
            _ => return Err(nobody_asked(&socket)),
        };
        role.push(Bound {
            tls: has_tls(addresses, &socket.address),
            endpoint: socket.address,
            listener: socket.listener,
        });
    }
    let rights = |mode| Rights {
        mode,
        owner: plan.user.as_ref().map(|user| user.uid),
        group: plan.group.or(plan.user.as_ref().map(|user| user.gid)),
    };
    let all = opened.subscribers.iter().chain(&opened.publishers);
    let passed: Vec<Endpoint> = all.map(|bound| bound.endpoint.clone()).collect();
    let Opened {
        subscribers,
        publishers,
        files,
    } = &mut opened;
    for (option, addresses, bound, mode) in [
        ("--listen", &plan.listen, subscribers, 0o666),
        ("--control", &plan.control, publishers, 0o660),
    ] {
        for door in missing(addresses, bound) {
            let told = |why: &dyn std::fmt::Display| {
                let systemd = held_by_systemd(door, &passed);
                format!("{option}: {why}{systemd}")
            };
            let new =
                net::bind(door, plan.reuse_port, rights(mode)).map_err(|error| told(&error))?;
            if let Endpoint::Unix(path) = &door.endpoint {
                files.push(Made::new(path).map_err(|error| told(&error))?);
            }
            bound.extend(new);
        }
    }
    Ok(opened)
}

/// What to add where a port cannot be bound because a socket that systemd passed has it.
fn held_by_systemd(door: &Door, passed: &[Endpoint]) -> String {
    let port = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp { port, .. } => Some(*port),
        Endpoint::Unix(_) => None,
    };
    let mut passed = passed.iter();
    match passed.find(|passed| port(passed).is_some() && port(passed) == port(&door.endpoint)) {
        Some(passed) => format!(
            "; systemd's socket unit listens on {passed}: write the same address here, or change \
             the unit by systemctl edit"
        ),
        None => String::new(),
    }
}

/// The addresses that no passed socket listens on. A default gives way to any passed socket.
fn missing<'a>(addresses: &'a Addresses, passed: &[Bound]) -> Vec<&'a Door> {
    if !addresses.asked && !passed.is_empty() {
        return Vec::new();
    }
    let is_passed = |asked: &Door| {
        let mut passed = passed.iter();
        passed.any(|bound| inherited::is_same(&asked.endpoint, &bound.endpoint))
    };
    let mut doors: Vec<_> = addresses.doors.iter().collect();
    doors.retain(|door| !is_passed(door));
    doors
}

/// Whether TLS is spoken at a passed socket: as the option with the same address says, else, where
/// the socket has its role by its name, as all of that option's addresses do.
fn has_tls(addresses: &Addresses, passed: &Endpoint) -> bool {
    let mut doors = addresses.doors.iter();
    let same = doors.find(|asked| inherited::is_same(&asked.endpoint, passed));
    match same {
        Some(door) => door.tls,
        None => !addresses.doors.is_empty() && addresses.doors.iter().all(|door| door.tls),
    }
}

fn nobody_asked(socket: &Inherited) -> String {
    format!(
        "LISTEN_FDS: the socket at {} is neither named listen or control, \
         nor the address of --listen or --control",
        socket.address
    )
}
