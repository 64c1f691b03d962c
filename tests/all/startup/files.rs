//! Sockets, FIFO and what is left behind.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::program::*;
use support::needs;

#[test]
fn a_failed_start_leaves_nothing_behind() {
    let folder = Folder::new();
    let (fifo, log, pid) = (folder.text("fifo"), folder.text("log"), folder.text("pid"));
    let socket = format!("unix:{}", folder.text("socket"));
    let common = [
        "--listen",
        &socket,
        "--fifo",
        &fifo,
        "--log",
        &log,
        "--pidfile",
        &pid,
    ];
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let held = holder.local_addr().unwrap().to_string();
    for more in [&["--control", &held][..], &["--control", &held, "--daemon"]] {
        fails(
            &[&common[..], more].concat(),
            1,
            &["--control", &held, "in use"],
        );
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
    // The failure that comes last of all, with --daemon in the daemon itself.
    fs::write(&pid, "precious").unwrap();
    for more in [&[][..], &["--daemon"]] {
        fails(
            &[&common[..], more].concat(),
            1,
            &["--pidfile", "no pid file"],
        );
        assert_eq!(folder.names(), ["pid"]);
    }
    assert_eq!(fs::read_to_string(&pid).unwrap(), "precious");
}

#[test]
fn a_start_needs_some_descriptors() {
    for limit in [5, 8, 12, 16, 18, 31] {
        let mut command = Command::new("sh");
        let line = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_hasses")]);
        command.args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
        let output = command.output().unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{limit}: {told}");
        let wanted = format!("open files (ulimit -n) is {limit}; hasses needs 32");
        assert!(
            told.contains(&wanted) && told.lines().count() == 1,
            "{told}"
        );
    }
}

#[test]
fn a_history_file_belongs_to_one_daemon() {
    let folder = Folder::new();
    let file = folder.text("history");
    let arguments = "--listen 127.0.0.1:0 --control 127.0.0.1:0 --history-file ";
    let arguments: Vec<&str> = arguments.split_terminator(' ').chain([&*file]).collect();
    let first = Running::start(&arguments);
    fails(
        &arguments,
        1,
        &["--history-file", &file, "another daemon uses it"],
    );
    first.stop();
}

#[test]
fn modes_are_exact_whatever_the_umask() {
    let folder = Folder::new();
    let (fifo, listen, control) = (
        folder.text("fifo"),
        folder.text("listen"),
        folder.text("control"),
    );
    let (listen_at, control_at) = (format!("unix:{listen}"), format!("unix:{control}"));
    for (mask, old) in [("077", false), ("000", false), ("077", true)] {
        let mut command = Command::new("sh");
        command.args(["-c", &format!(r#"umask {mask} && exec "$0" "$@""#)]);
        command.arg(env!("CARGO_BIN_EXE_hasses")).args(LISTEN);
        command.args([
            "--listen",
            &listen_at,
            "--control",
            &control_at,
            "--fifo",
            &fifo,
        ]);
        command.args(if old { &["-p=0", "-nodaemon"][..] } else { &[] });
        let running = Running::spawn(command);
        assert_eq!(mode(Path::new(&fifo)), if old { 0o666 } else { 0o660 });
        assert_eq!(
            (mode(Path::new(&listen)), mode(Path::new(&control))),
            (0o666, 0o660)
        );
        UnixStream::connect(&listen).unwrap();
        running.stop();
        assert_eq!(folder.names(), ["fifo"]);
        fs::remove_file(&fifo).unwrap();
    }
}

#[test]
fn what_lies_at_the_fifos_path_is_used_or_refused() {
    let folder = Folder::new();
    let fifo = folder.text("fifo");
    let line = [&BOTH[..], &["--fifo", &fifo]].concat();
    fs::write(&fifo, "text").unwrap();
    fails(&line, 1, &["--fifo", &fifo, "no FIFO"]);
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "text");
    fs::remove_file(&fifo).unwrap();
    mkfifo(fifo.as_str(), Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    Running::start(&line).stop();
    assert_eq!(mode(Path::new(&fifo)), 0o600);
    assert!(fs::metadata(&fifo).unwrap().file_type().is_fifo());
}

#[test]
fn a_fifo_that_others_can_use_is_warned_about() {
    needs!("root");
    let folder = Folder::new();
    let fifo = folder.text("fifo");
    let line = [&BOTH[..], &["--fifo", &fifo]].concat();
    let check = [&line[..], &["--check"]].concat();
    let told = |mode: Mode, owner: Option<u32>| {
        let _old = fs::remove_file(&fifo);
        mkfifo(fifo.as_str(), Mode::S_IRUSR).unwrap();
        fs::set_permissions(&fifo, fs::Permissions::from_mode(mode.bits())).unwrap();
        std::os::unix::fs::chown(&fifo, owner, None).unwrap();
        let started = logged(Running::start(&line));
        let checked = text(&output(&check).stderr).to_owned();
        [started, checked]
    };
    let own = Mode::S_IRUSR | Mode::S_IWUSR;
    for said in told(own, Some(65_534)) {
        let warning = format!("--fifo {fifo}: it belongs to another user (uid 65534)");
        assert!(said.contains(&warning), "{said}");
    }
    for said in told(own | Mode::S_IWOTH, None) {
        let warning = format!("--fifo {fifo}: its mode 0602 lets every user");
        assert!(said.contains(&warning), "{said}");
    }
    for said in told(own, None) {
        assert!(!said.contains("--fifo"), "{said}");
    }
}

#[test]
fn a_dead_socket_is_replaced_and_everything_else_refused() {
    let folder = Folder::new();
    let socket = folder.text("socket");
    let address = format!("unix:{socket}");
    let line = [&LISTEN[..], &["--control", &address]].concat();
    drop(UnixListener::bind(&socket).unwrap());
    let running = Running::start(&line);
    UnixStream::connect(&socket).unwrap();
    fails(&line, 1, &["--control", &socket, "in use"]);
    UnixStream::connect(&socket).unwrap();
    running.stop();
    assert!(folder.names().is_empty());
    fs::write(&socket, "text").unwrap();
    fails(&line, 1, &["--control", &socket, "no socket"]);
    assert_eq!(fs::read_to_string(&socket).unwrap(), "text");
}

/// Passes sockets as systemd does: from descriptor 3 on, in this order.
fn with_sockets(names: &str, paths: &[&Path], arguments: &[&str]) -> Command {
    let script = "import os, socket, sys\n\
        names, count = sys.argv[1], int(sys.argv[2])\n\
        kept = []\n\
        for number, path in enumerate(sys.argv[3:3 + count]):\n\
        \x20   made = socket.socket(socket.AF_UNIX)\n\
        \x20   made.bind(path)\n\
        \x20   made.listen()\n\
        \x20   kept.append(made)\n\
        high = [os.dup2(made.fileno(), 50 + number) for number, made in enumerate(kept)]\n\
        for number, descriptor in enumerate(high):\n\
        \x20   os.dup2(descriptor, 3 + number, inheritable=True)\n\
        os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=names)\n\
        os.execv(sys.argv[3 + count], sys.argv[3 + count:])";
    let mut command = Command::new("python3");
    command.args(["-c", script, names, &paths.len().to_string()]);
    command
        .args(paths)
        .arg(env!("CARGO_BIN_EXE_hasses"))
        .args(arguments);
    command
}

#[test]
fn sockets_passed_by_systemd_are_used() {
    needs!("python3");
    let folder = Folder::new();
    let (one, two) = (folder.file("one"), folder.file("two"));
    // By name; the default control port gives way, and the address asked for is added.
    let running = Running::spawn(with_sockets("listen:control", &[&one, &two], &LISTEN));
    assert!(running.greeted(&format!("subscribers  unix:{}", one.display())));
    assert!(running.greeted(&format!("publishers   unix:{}", two.display())));
    assert!(running.greeted("subscribers  http://127.0.0.1:") && !running.greeted("8085"));
    UnixStream::connect(&two).unwrap();
    running.stop();
    // They are not this process' to remove.
    assert_eq!(folder.names(), ["one", "two"]);
    fs::remove_file(&one).unwrap();
    fs::remove_file(&two).unwrap();

    // By address.
    let control = format!("unix:{}", two.display());
    let line = [&LISTEN[..], &["--control", &control]].concat();
    let running = Running::spawn(with_sockets("hasses.socket", &[&two], &line));
    assert!(running.greeted(&format!("publishers   {control}")));
    running.stop();
    assert_eq!(folder.names(), ["two"]);

    let output = with_sockets("x", &[&one], &BOTH).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("neither named listen or control"));
}

#[test]
fn a_tcp_socket_passed_by_systemd_is_used_by_its_name_or_its_address() {
    for name in ["listen", ""] {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        // Without a name it is the one that was asked for.
        let asked = if name.is_empty() {
            &*address
        } else {
            "127.0.0.1:0"
        };
        let script = r#"LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@" 3<&0 </dev/null"#;
        let mut command = Command::new("sh");
        command
            .args(["-c", script, env!("CARGO_BIN_EXE_hasses")])
            .args(["--listen", asked, "--control", "127.0.0.1:0"])
            .env("LISTEN_FDNAMES", name)
            .stdin(OwnedFd::from(socket));
        let running = Running::spawn(command);
        assert!(running.greeted(&format!("http://{address}/")));
        let mut client = TcpStream::connect(&address).unwrap();
        client.write_all(b"GET /sse HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        running.stop();
    }
}
