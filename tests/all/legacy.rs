//! The old daemon's place taken: its command lines, its config file, its publishers.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use support::{Daemon, needs, publish};

/// The Docker image's command line, on free ports.
const DOCKER: &str = "-p={listen} -cp={control} -murl=/sse -nodaemon -cors-base=* -q";

#[test]
fn the_docker_command_line() {
    let daemon = Daemon::command_line(DOCKER);
    let mut stream = daemon.subscribe("subscribe=room1-room2&id=12");
    let cors = stream.head.header("access-control-allow-origin");
    assert_eq!(cors.as_deref(), Some("*"));
    publish::tcp(daemon.control, "room1=hello;");
    assert_eq!(stream.data(), "hello");
    publish::tcp(daemon.control, "*=everyone");
    assert_eq!(stream.data(), "everyone");
    let version = publish::ask_tcp(daemon.control, "tcpstatus");
    assert!(version.starts_with("{\"version\":\"2."), "{version}");
}

#[test]
fn silence_ends_a_message_with_old_switches_only() {
    let old = Daemon::command_line(DOCKER);
    let mut stream = old.subscribe("subscribe=a");
    let mut socket = TcpStream::connect(old.control).unwrap();
    for number in 0..3 {
        write!(socket, "a={number}").unwrap();
        assert_eq!(stream.data(), number.to_string());
    }

    let new = Daemon::start("");
    let mut stream = new.subscribe("subscribe=a");
    let mut socket = TcpStream::connect(new.control).unwrap();
    socket.set_nodelay(true).unwrap();
    for part in ["a=slow", "ly", " written\n"] {
        let began = Instant::now();
        socket.write_all(part.as_bytes()).unwrap();
        support::eventually("more than the silence", || {
            publish::http(new.control, "other", "x");
            (began.elapsed() > Duration::from_millis(150)).then_some(())
        });
    }
    assert_eq!(stream.data(), "slowly written");
}

#[test]
fn an_old_config_file() {
    let old = "# Old style configuration\n\
               -p={listen}\n-cp={control}\n-murl=/events\n-sep=|\n-fifo={dir}/in\n\n\
               -l={dir}/hasses.log\n-pidfile={dir}/pid\n-cors-base=https://page.example\n-nodaemon\n-debug\n";
    let daemon = Daemon::prepared("--config {dir}/hasses.conf", |place| {
        place.write("hasses.conf", old);
    });
    let request = "GET /events?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = support::Stream::request(daemon.listen, request);
    let cors = stream.head.header("access-control-allow-origin");
    assert_eq!(cors.as_deref(), Some("https://page.example"));
    stream.position();
    publish::fifo(&daemon.file("in"), "a=1;2|");
    assert_eq!(stream.data(), "1;2");
    let mode = daemon.file("in").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o666, "everyone may write to the old pipe");
    assert_eq!(daemon.text_of("pid").trim(), daemon.pid().to_string());
    publish::talk_tcp(daemon.control, "numberofclients|");
    support::eventually("the answer in the log file", || {
        daemon
            .text_of("hasses.log")
            .contains("Number of connected clients: 1")
            .then_some(())
    });
}

#[test]
fn the_old_defaults_allow_a_star() {
    let daemon = Daemon::command_line("-p={listen} -cp={control} -nodaemon");
    let mut stream = daemon.subscribe("subscribe=*");
    publish::tcp(daemon.control, "anything=x");
    assert_eq!(stream.data(), "x");
    // The old log went to standard output.
    publish::talk_tcp(daemon.control, "numberofclients");
    daemon.wait_for_log("Number of connected clients: 1");
}

#[test]
fn new_options_may_be_added_and_win() {
    let daemon = Daemon::command_line(&format!("{DOCKER} --path /new --max-message 3"));
    let request = "GET /new?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = support::Stream::request(daemon.listen, request);
    publish::tcp(daemon.control, "a=four\na=abc\n");
    assert_eq!(stream.data(), "abc");
}

#[test]
fn the_first_process_of_a_container_never_detaches() {
    needs!("root", "unshare");
    // Only root makes a process the first of its own list.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let first = format!("unshare --pid --fork --kill-child {}", support::hasses());
    let daemon = Daemon::instead(&first, "-p=1 -l={dir}/log");
    let mut stream = daemon.subscribe("subscribe=a");
    publish::tcp(daemon.control, "a=x\n");
    assert_eq!(stream.data(), "x");
    // Its parent waits for it still.
    assert!(std::path::Path::new(&format!("/proc/{}", daemon.pid())).exists());
    publish::talk_tcp(daemon.control, "loglevel_debug\n");
}
