//! How many publishers there may be, how long they may take, and what they may make the daemon hold.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;
use socket2::{Domain, Socket, Type};
use support::daemon::Preparation;
use support::{Connection, Daemon, eventually, needs, publish};

fn guarded(options: &str) -> Daemon {
    let line = format!(
        "--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} \
         --control-secret {{dir}}/secret {options}"
    );
    Daemon::prepared(&line, |place: &Preparation| place.write("secret", "right"))
}

fn get(daemon: &Daemon, target: &str, fields: &str) -> support::Response {
    let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    Connection::to(daemon.control)
        .send(text.as_bytes())
        .response()
}

#[test]
fn whoever_never_says_anything_gives_way() {
    let daemon = Daemon::start("--max-publishers 8 --control unix:{dir}/socket");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut honest = Connection::to(daemon.control);
    honest
        .send(b"{\"to\":\"a\",\"data\":\"1\",\"ack\":true}\n")
        .line();
    assert_eq!(stream.data(), "1");
    // Far more than there are places for, silent or with half a message, and none of them in the way.
    let mut silent: Vec<Connection> = (0..100)
        .map(|n| {
            let mut connection = Connection::to(daemon.control);
            if n % 2 == 0 {
                connection.send(b"a=half");
            }
            connection
        })
        .collect();
    assert_eq!(get(&daemon, "/healthz", "").body, "ok");
    honest
        .send(b"{\"to\":\"a\",\"data\":\"2\",\"ack\":true}\n")
        .line();
    assert_eq!(stream.data(), "2");
    daemon.wait_for_log("as many publishers as --max-publishers allows");
    let given_up = silent
        .iter_mut()
        .take(90)
        .map(Connection::rest)
        .all(|rest| rest.is_empty());
    assert!(given_up, "they were closed without a word");
    // Unix sockets are of the same number.
    let mut unix = UnixStream::connect(daemon.file("socket")).unwrap();
    unix.write_all(b"a=3\n").unwrap();
    assert_eq!(stream.data(), "3");
    drop(silent);
    let refused = get(&daemon, "/metrics", "").body;
    assert!(
        refused.contains("hasses_refused_total{reason=\"publisher\"}"),
        "{refused}"
    );
}

#[test]
fn who_knows_the_secret_keeps_its_place() {
    let daemon = guarded("--max-publishers 4");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut known: Vec<Connection> = (0..4)
        .map(|_| {
            let mut connection = Connection::to(daemon.control);
            connection
                .send(b"auth right\n{\"to\":\"a\",\"data\":\"x\",\"ack\":true}\n")
                .line();
            connection
        })
        .collect();
    assert_eq!(["x"; 4].map(String::from), [(); 4].map(|()| stream.data()));
    // Nobody can go: the next is told so.
    let refused = Connection::to(daemon.control).response();
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert!(
        refused.json()["error"]
            .as_str()
            .unwrap()
            .contains("--max-publishers")
    );
    for connection in &mut known {
        connection
            .send(b"{\"to\":\"a\",\"data\":\"y\",\"ack\":true}\n")
            .line();
    }
    known.pop();
    eventually("a place", || {
        (get(&daemon, "/healthz", "").status == 200).then_some(())
    });
}

#[test]
fn publishers_take_no_descriptor_from_subscribers() {
    let daemon = Daemon::start_after("ulimit -n 128", "--max-publishers 1000 --log {dir}/log");
    eventually("the warning", || {
        daemon
            .text_of("log")
            .contains("--max-publishers 1000: the limit")
            .then_some(())
    });
    let _silent: Vec<TcpStream> = (0..300)
        .map(|_| TcpStream::connect(daemon.control).unwrap())
        .collect();
    let streams: Vec<_> = (0..50).map(|_| daemon.subscribe("subscribe=a")).collect();
    publish::http(daemon.control, "a", "x");
    for mut stream in streams {
        assert_eq!(stream.data(), "x");
    }
}

#[test]
fn streamed_answers_are_a_quarter() {
    let daemon = Daemon::start("--max-publishers 8");
    let live = || {
        let mut connection = Connection::to(daemon.control);
        connection.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = connection.head();
        (connection, head)
    };
    let first = live();
    let _second = live();
    let (mut third, head) = live();
    assert_eq!((first.1.status, head.status), (200, 503));
    assert!(head.header("retry-after").is_some());
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    third.exactly(length, Instant::now() + Duration::from_secs(5));
    drop(first);
    // On the same connection, as soon as the place is free.
    eventually("a place", || {
        third.send(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n");
        let head = third.head();
        if head.status == 200 {
            return Some(());
        }
        let length: usize = head.header("content-length").unwrap().parse().unwrap();
        third.exactly(length, Instant::now() + Duration::from_secs(5));
        None
    });
}

#[test]
fn answers_are_written_as_they_come() {
    let daemon = Daemon::start("");
    let _streams: Vec<_> = (0..50)
        .map(|n| daemon.subscribe(&format!("subscribe=t{n}")))
        .collect();
    let before = daemon.resident_kib();
    // Some 10 kB each, of which nothing is read for now.
    let mut greedy = TcpStream::connect(daemon.control).unwrap();
    greedy
        .write_all("tcpclientlist\n".repeat(20_000).as_bytes())
        .unwrap();
    eventually("as much as the socket takes", || {
        let begun = daemon.resident_kib();
        std::thread::sleep(Duration::from_millis(200));
        (daemon.resident_kib() == begun).then_some(())
    });
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB for answers that nobody reads");
    // Nobody else waits for it.
    let asked = Instant::now();
    let list: serde_json::Value =
        serde_json::from_str(&publish::ask_tcp(daemon.control, "tcpclientlist\n")).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 50);
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[test]
fn json_takes_no_more_than_its_bytes() {
    let daemon = Daemon::start("");
    let before = daemon.resident_kib();
    let full = 8 << 20;
    for (body, named) in [
        (
            format!("[{}{{}}]", "{},".repeat(full / 3 - 2)),
            "at most 10000 messages",
        ),
        (
            format!("{{\"to\":[{}0],\"data\":\"\"}}", "0,".repeat(full / 2 - 20)),
            "list of strings only",
        ),
        (
            format!(
                "{{\"to\":[{}\"a\"],\"data\":\"\"}}",
                "\"a\",".repeat(full / 4 - 20)
            ),
            "at most 1000 targets",
        ),
        (
            format!("{{{}\"x\":1}}", "\"x\":1,".repeat(full / 6 - 20)),
            "unknown key",
        ),
    ] {
        let answer = publish::post(
            daemon.control,
            "/publish",
            "application/json",
            body.as_bytes(),
        );
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains(named), "{answer:?}");
    }
    // The body itself, and the text that it is: nothing that is many times as much.
    let peak = peak_kib(&daemon).saturating_sub(before);
    assert!(peak < 48 * 1024, "{peak} KiB at the most");
    let over = vec![b' '; full + 1];
    let answer = publish::post(daemon.control, "/publish", "application/json", &over);
    assert_eq!(answer.status, 413, "{answer:?}");
}

/// Memory that it has held at the most, in KiB (proc(5): VmHWM).
fn peak_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let words = line.unwrap().split_whitespace().nth(1);
    words.unwrap().parse().unwrap()
}

#[test]
fn a_slow_body_is_awaited_and_a_silent_one_is_not() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let begin = |length: usize| {
        let mut connection = Connection::to(daemon.control);
        let head =
            format!("POST /publish/a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        connection.send(head.as_bytes()).send(b"x");
        connection
    };
    let mut silent = begin(10);
    let mut slow = begin(13);
    let began = Instant::now();
    // For longer than a request's head may take.
    for _ in 0..12 {
        std::thread::sleep(Duration::from_secs(1));
        slow.send(b"y");
    }
    assert_eq!(slow.response().status, 200);
    assert_eq!(stream.data(), format!("x{}", "y".repeat(12)));
    let answer = silent.response();
    assert_eq!(answer.status, 408);
    assert!(
        answer
            .body
            .contains("nothing of the request's body came for 10 seconds")
    );
    assert!(began.elapsed() < Duration::from_secs(14));
}

#[test]
fn a_head_has_ten_seconds_from_its_first_byte() {
    let daemon = Daemon::start("");
    let began = Instant::now();
    let mut dripping = Connection::to(daemon.control);
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    for byte in head {
        if dripping.is_answered() {
            break;
        }
        dripping.send(&[*byte]);
        std::thread::sleep(Duration::from_millis(300));
    }
    assert_eq!(dripping.response().status, 408);
    let took = began.elapsed();
    let bounds = Duration::from_secs(9)..Duration::from_secs(12);
    assert!(bounds.contains(&took), "{took:?}");
}

/// A connection on which the system takes little for who does not read.
fn narrow(to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

/// In real time: it waits, and costs those beside it nothing.
#[test]
fn whoever_does_not_go_on_is_given_up_in_time() {
    let daemon = Daemon::start("--log-level debug");
    let mut stream = daemon.subscribe("subscribe=a");
    let began = Instant::now();
    let within = |most: u64, what: &str, over: &mut dyn FnMut() -> bool| {
        while !over() {
            let waited = began.elapsed();
            assert!(waited < Duration::from_secs(most), "{what}: {waited:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        began.elapsed()
    };
    let mut unread = narrow(daemon.control);
    let asked = "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2000);
    unread.set_nonblocking(true).unwrap();
    let _as_much_as_it_takes = unread.write(asked.as_bytes());
    let mut unfinished = Connection::to(daemon.control);
    unfinished.send(b"a=never");
    let mut growing = Connection::to(daemon.control);
    growing.send(b"a=gr");
    let name = format!("publisher {}: ", unread.local_addr().unwrap());
    let timed_out = |line: &str| line.contains(&name) && line.ends_with("timed out");
    let given_up = within(45, "an answer that is not read", &mut || {
        daemon.log().lines().any(timed_out)
    });
    assert!(given_up > Duration::from_secs(29), "{given_up:?}");
    growing.send(b"o");
    let closed = within(80, "a message without its end", &mut || {
        unfinished.is_answered()
    });
    assert!(closed > Duration::from_secs(59), "{closed:?}");
    assert_eq!(unfinished.rest(), b"");
    daemon.wait_for_log("its message has been unfinished for 60 seconds");
    growing.send(b"wn\n");
    assert_eq!(stream.data(), "grown", "and nothing of the other");
}

/// Publishers and subscribers have one account, and whoever has most goes first.
#[test]
fn what_is_held_for_all_has_a_bound() {
    let daemon = Daemon::start("--total-buffer 8000000 --client-buffer 20000000 --history 0");
    let mut deaf = Connection::over(narrow(daemon.listen));
    deaf.send(b"GET /sse?subscribe=deaf HTTP/1.1\r\nHost: x\r\n\r\n")
        .head();
    let mut other = daemon.subscribe("subscribe=other");
    // The kernel takes a part; the rest, some megabytes, waits here.
    let text = "x".repeat(1_000_000);
    let waiting = || {
        daemon.metrics().lines().find_map(|line| {
            line.strip_prefix("hasses_waiting_bytes ")?
                .parse::<f64>()
                .ok()
        })
    };
    while waiting().unwrap() < 6e6 {
        publish::http(daemon.control, "deaf", &text);
    }
    let body = |bytes: usize| {
        let mut connection = Connection::to(daemon.control);
        let head = "POST /publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                    Content-Length: 8000000\r\n\r\n";
        connection.send(head.as_bytes()).send(&vec![b' '; bytes]);
        connection
    };
    let small = body(1_000_000);
    let large = body(3_500_000);
    daemon.wait_for_clients(1);
    daemon.wait_for_log("disconnected");
    assert!(
        !small.is_answered() && !large.is_answered(),
        "who has less stays"
    );
    let _larger = body(5_000_000);
    eventually("the largest of the publishers goes", || {
        daemon
            .log()
            .contains("takes the most of what --total-buffer allows")
            .then_some(())
    });
    assert!(!small.is_answered());
    publish::http(daemon.control, "other", "end");
    assert_eq!(other.data(), "end");
}

#[test]
fn the_system_asks_whether_publishers_are_still_there() {
    needs!("ss");
    let daemon = Daemon::start("");
    let socket = TcpStream::connect(daemon.control).unwrap();
    let port = socket.local_addr().unwrap().port();
    let timer = eventually("the connection in ss", || {
        let listed = std::process::Command::new("ss")
            .args(["-tnoH", "dport", "=", &port.to_string()])
            .output();
        let text = String::from_utf8(listed.ok()?.stdout).unwrap();
        (!text.trim().is_empty()).then_some(text)
    });
    assert!(timer.contains("timer:(keepalive,"), "{timer}");
}

#[test]
fn the_watch_secret_opens_the_figures_alone() {
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --watch-secret {dir}/watch \
                --control unix:{dir}/socket";
    let write = |place: &Preparation| {
        place.write("watch", "looking\n");
        place.write("secret", "right\n");
    };
    let watched = Daemon::prepared(line, write);
    let both = Daemon::prepared(&format!("{line} --control-secret {{dir}}/secret"), write);
    let looking = "Authorization: Bearer looking\r\n";
    let right = "Authorization: Bearer right\r\n";
    for (daemon, with_both) in [(&watched, false), (&both, true)] {
        for target in ["/status", "/metrics", "/live", "/subscribers/a"] {
            let status = |fields: &str| {
                let mut connection = Connection::to(daemon.control);
                let text = format!("GET {target} HTTP/1.1\r\nHost: x.y\r\n{fields}\r\n");
                connection.send(text.as_bytes()).head().status
            };
            assert_eq!(status(looking), 200, "{target}");
            assert_eq!(status("Authorization: Bearer wrong\r\n"), 401, "{target}");
            assert_eq!(status(""), 403, "a strange Host without a secret");
            assert_eq!(get(daemon, target, "").status, 401, "{target}");
            assert_eq!(status(right), if with_both { 200 } else { 401 });
        }
        for target in ["/clients", "/events?token=a", "/presence", "/presence/a"] {
            assert_eq!(get(daemon, target, "").status, 401, "{target}");
            let answer = get(daemon, target, looking);
            assert_eq!(answer.status, 401, "{target}");
            assert!(
                answer
                    .body
                    .contains("--watch-secret opens the figures alone"),
                "{answer:?}"
            );
        }
        for (target, status) in [("/", 200), ("/healthz", 200)] {
            assert_eq!(get(daemon, target, "").status, status);
        }
        // Publishing is as it was.
        let post = |fields: &str| {
            let text = format!(
                "POST /publish/a HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: 1\r\n\r\nx"
            );
            let mut connection = Connection::to(daemon.control);
            connection.send(text.as_bytes()).response().status
        };
        let without = if with_both { 401 } else { 200 };
        assert_eq!((post(""), post(looking)), (without, without));
        assert_eq!(post(right), 200);
        // Never a text connection.
        let answers = publish::talk_tcp(daemon.control, "auth looking\ntcpnumberofclients\n");
        assert_eq!(answers[0].contains("error"), with_both, "{answers:?}");
        // A Unix socket is guarded by its file's mode, and has no name.
        let mut unix = UnixStream::connect(daemon.file("socket")).unwrap();
        unix.write_all(b"GET /clients HTTP/1.1\r\nHost: some.where\r\nConnection: close\r\n\r\n")
            .unwrap();
        let answer = std::io::read_to_string(&mut unix).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn old_switches_open_no_new_windows() {
    let line = "-p={listen} -cp={control} -nodaemon";
    let paths = [
        "/",
        "/live",
        "/clients",
        "/presence",
        "/events",
        "/presence/a",
    ];
    let old = Daemon::command_line(line);
    for path in paths {
        let answer = get(&old, path, "");
        assert_eq!(answer.status, 403, "{path}");
        for named in ["--control-secret", "--control-host"] {
            assert!(answer.body.contains(named), "{answer:?}");
        }
    }
    let post = publish::post(old.control, "/disconnect/7", "", b"");
    assert_eq!(post.status, 403);
    for path in ["/status", "/metrics", "/healthz", "/subscribers/a"] {
        assert_eq!(get(&old, path, "").status, 200, "{path}");
    }
    publish::http(old.control, "a", "x");
    publish::tcp(old.control, "a=x\ndisconnect:7\n");
    let named = Daemon::command_line(&format!("{line} --control-host some.where"));
    assert_eq!(get(&named, "/", "").status, 200);
    let new = Daemon::start("");
    assert_eq!(get(&new, "/", "").status, 200);
}

#[test]
fn a_mark_or_blanks_in_front_are_no_part_of_a_message() {
    let daemon = Daemon::start("--fifo {dir}/in --control unix:{dir}/socket");
    let mut stream = daemon.subscribe("subscribe=a");
    let mark = "\u{feff}";
    for text in [
        format!("{mark}a=1\na=end\n"),
        format!("{mark}{{\"to\":\"a\",\"data\":\"1\"}}\n  \t{{\"to\":\"a\",\"data\":\"end\"}}\n"),
        format!("{mark}\r\n{{\"to\":\"a\",\"data\":\"1\"}}\na=end"),
    ] {
        publish::tcp(daemon.control, &text);
        assert_eq!(stream.data_until("end"), ["1"], "{text:?} over TCP");
        publish::unix(&daemon.file("socket"), &text);
        assert_eq!(stream.data_until("end"), ["1"], "{text:?} over Unix");
        publish::fifo(&daemon.file("in"), &text);
        assert_eq!(stream.data_until("end"), ["1"], "{text:?} in the pipe");
        let mut pieces = Connection::to(daemon.control);
        for byte in text.as_bytes() {
            pieces.send(&[*byte]);
        }
        drop(pieces);
        assert_eq!(stream.data_until("end"), ["1"], "{text:?} in pieces");
    }
    let status = publish::ask_tcp(daemon.control, &format!("{mark}tcpstatus\n"));
    assert!(status.contains("\"version\""), "{status}");
    let mut connection = Connection::to(daemon.control);
    let request = format!("{mark}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(connection.send(request.as_bytes()).response().body, "ok");
    let body = format!("{mark}[{{\"to\":\"a\",\"data\":\"end\"}}]");
    let answer = publish::post(
        daemon.control,
        "/publish",
        "application/json",
        body.as_bytes(),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(stream.data(), "end");
    // A list is no message, whatever stands in it.
    let refused = publish::ask_tcp(daemon.control, "[{\"to\":\"a\",\"data\":\"x;a=y\"}]\n");
    assert!(refused.contains("not a list"), "{refused}");
    publish::tcp(daemon.control, "a=end\n");
    assert_eq!(stream.data(), "end");
    let guarded = guarded("");
    publish::tcp(guarded.control, format!("{mark}auth right\na=x\n"));
    eventually("the message", || {
        let status = get(&guarded, "/status", "Authorization: Bearer right\r\n").json();
        (status["msgproccnt"] == json!(1)).then_some(())
    });
}

#[test]
fn refusals_cannot_fill_the_log() {
    let daemon = Daemon::start("--log {dir}/log");
    let mut connections: Vec<Connection> =
        (0..20).map(|_| Connection::to(daemon.control)).collect();
    for _ in 0..50 {
        for connection in &mut connections {
            connection.send(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
        }
    }
    for connection in &mut connections {
        for _ in 0..50 {
            assert_eq!(connection.response().status, 404);
        }
    }
    publish::tcp(daemon.control, "clientlist\n".repeat(500));
    let log = eventually("how many more there were", || {
        let log = daemon.text_of("log");
        let told = ["more: not_found", "more: clientlist"];
        told.iter().all(|part| log.contains(part)).then_some(log)
    });
    let refused = log.matches("refused with 404").count();
    assert!(
        (20..=200).contains(&refused),
        "{refused} lines for 1,000 refusals"
    );
    let lists = log.matches("requested client list").count();
    assert!((1..=10).contains(&lists), "{lists} lists");
    assert_eq!(get(&daemon, "/status", "").json()["refused"], 1000);
}

#[test]
fn what_looks_wrong_at_the_start_is_told() {
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --fifo {dir}/in \
                --trust-proxy 127.0.0.1 --max-clients-per-ip 5";
    let daemon = Daemon::prepared(line, |place: &Preparation| {
        let pipe = place.dir.join("in");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&pipe, all).unwrap();
    });
    daemon.wait_for_log("its mode 0666 lets every user of this machine publish");
    let mut stream = daemon.subscribe("subscribe=a");
    daemon.wait_for_log("sends no X-Forwarded-For");
    // What other daemons reopen their logs on does no harm.
    daemon.signal(nix::sys::signal::Signal::SIGUSR1);
    publish::fifo(&daemon.file("in"), "a=x\n");
    assert_eq!(stream.data(), "x");
    // A log that nobody reads would make the start wait.
    let pipe = daemon.file("log");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for check in [&["--check"][..], &[]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hasses"));
        command.args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
        let ended = command
            .arg("--log")
            .arg(&pipe)
            .args(check)
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(1));
        let told = String::from_utf8(ended.stderr).unwrap();
        assert!(told.contains("nobody reads this named pipe"), "{told}");
    }
}
