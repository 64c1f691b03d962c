//! Starting, failing to start, and what is left behind, with the real program.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Group, Pid, User, mkfifo};

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hasses-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path of a file as text.
    fn text(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn hasses(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> Output {
    hasses(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Asserts that it ends with this code and one line that holds these parts.
#[track_caller]
fn fails(arguments: &[&str], code: i32, parts: &[&str]) {
    let output = output(arguments);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.starts_with("hasses: "), "{told}");
    assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    assert!(output.stdout.is_empty());
}

/// Asks until it is so.
#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "not within 10 s: {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One that runs in the foreground and has greeted.
struct Running {
    child: Child,
    greeting: String,
    /// Kept open; what follows the greeting fits into the pipe.
    _stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        Self::spawn(hasses(arguments))
    }

    /// Waits for the last line of the greeting, the one that publishes.
    fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("\n  echo ") && !greeting.contains("\n  curl --unix-socket ") {
            assert_ne!(stderr.read_line(&mut greeting).unwrap(), 0, "{greeting}");
        }
        Self {
            child,
            greeting,
            _stderr: stderr,
        }
    }

    fn greeted(&self, part: &str) -> bool {
        self.greeting.contains(part)
    }

    /// The port in the greeting that stands after `before`.
    fn port(&self, before: &str) -> u16 {
        let (_, after) = self.greeting.split_once(before).unwrap();
        let end = after.find(|char: char| !char.is_ascii_digit()).unwrap();
        after[..end].parse().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    #[track_caller]
    fn stop(mut self) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A daemon known by its pid file, killed at the end.
struct Daemon(Pid);

impl Daemon {
    fn of(pidfile: &Path) -> Self {
        let text = fs::read_to_string(pidfile).unwrap();
        Self(Pid::from_raw(text.trim().parse().unwrap()))
    }

    /// A process that ended stays a zombie where no init collects it.
    fn lives(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.0))
            .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
    }

    #[track_caller]
    fn stop(self) {
        kill(self.0, Signal::SIGTERM).unwrap();
        eventually("the daemon ends", || !self.lives());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.lives() {
            let _ = kill(self.0, Signal::SIGKILL);
        }
    }
}

const LISTEN: [&str; 2] = ["--listen", "127.0.0.1:0"];
const BOTH: [&str; 4] = ["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"];

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn help_and_version_go_to_standard_output() {
    let version = output(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    assert_eq!(text(&version.stdout), "hasses 2.0.0\n");
    let help = output(&["-h"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).contains("--client-buffer BYTES"));
}

#[test]
fn a_bad_option_is_told_in_one_line() {
    fails(
        &["--heartbeat=1x"],
        2,
        &["--heartbeat", "'1x'", "0 to 86400"],
    );
    fails(&["--bus", "redis://x"], 2, &["--bus"]);
    fails(&["-murl=/sse"], 2, &["-murl", "--path"]);
    let folder = Folder::new();
    let conf = folder.text("conf");
    fs::write(&conf, "# x\n--retry abc\n").unwrap();
    let place = format!("{conf}:2: ");
    fails(&["--config", &conf], 2, &[&place, "--retry", "'abc'"]);
    fails(
        &["--config", &folder.text("none")],
        1,
        &["--config", "none"],
    );
}

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
fn check_says_what_is_wrong_and_makes_nothing() {
    let folder = Folder::new();
    let fifo = folder.text("fifo");
    let right = output(&["--check", "--fifo", &fifo, "--log", &folder.text("log")]);
    assert_eq!(right.status.code(), Some(0));
    assert_eq!(text(&right.stdout), "configuration ok\n");
    assert!(folder.names().is_empty());

    fails(&["--check", "--retry", "x"], 2, &["--retry"]);
    fails(
        &["--check", "--user", "no-such-user"],
        2,
        &["--user", "no-such-user"],
    );
    fails(
        &["--check", "--listen", "no-such-host.invalid:1"],
        1,
        &["--listen", "no-such-host"],
    );
    fails(&["--check", "--log", &folder.text("no/log")], 1, &["--log"]);
    fs::write(&fifo, "").unwrap();
    fails(
        &["--check", "--fifo", &fifo],
        1,
        &["--fifo", &fifo, "no FIFO"],
    );
    let both = output(&[
        "--check",
        "--fifo",
        &fifo,
        "--pidfile",
        "/no/such/folder/pid",
    ]);
    assert_eq!(text(&both.stderr).lines().count(), 2);
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

#[test]
fn a_daemon_is_ready_when_its_parent_ends() {
    let folder = Folder::new();
    let (pid, control, log) = (
        folder.text("pid"),
        folder.text("control"),
        folder.text("log"),
    );
    let address = format!("unix:{control}");
    let line = [
        "--control",
        &address,
        "--pidfile",
        &pid,
        "--log",
        &log,
        "--daemon",
    ];
    let output = output(&[&LISTEN[..], &line].concat());
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let daemon = Daemon::of(Path::new(&pid));
    UnixStream::connect(&control).unwrap();
    let proc = PathBuf::from(format!("/proc/{}", daemon.0));
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), Path::new("/"));
    for number in 0..3 {
        let stream = fs::read_link(proc.join(format!("fd/{number}"))).unwrap();
        assert_eq!(stream, Path::new("/dev/null"));
    }
    let session = nix::unistd::getsid(Some(daemon.0)).unwrap();
    assert_ne!(session, nix::unistd::getsid(None).unwrap());
    assert_ne!(session, daemon.0);

    let again = [&BOTH[..], &["--pidfile", &pid]].concat();
    fails(
        &again,
        1,
        &["--pidfile", "another hasses runs", &daemon.0.to_string()],
    );
    fails(
        &[&again[..], &["--daemon"]].concat(),
        1,
        &["another hasses runs"],
    );
    daemon.stop();
    assert_eq!(folder.names(), ["log"]);
}

#[test]
fn a_daemon_finds_relative_paths() {
    let folder = Folder::new();
    let line = [
        "--listen",
        "unix:listen",
        "--fifo",
        "fifo",
        "--pidfile",
        "pid",
        "--log",
        "log",
    ];
    let mut command = hasses(&[&line[..], &["--daemon"]].concat());
    let output = command.current_dir(&folder.0).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let daemon = Daemon::of(&folder.file("pid"));
    assert_eq!(folder.names(), ["fifo", "listen", "log", "pid"]);
    daemon.stop();
    assert_eq!(folder.names(), ["fifo", "log"]);
}

#[test]
fn a_stale_pid_file_is_replaced() {
    let folder = Folder::new();
    let pid = folder.text("pid");
    // This process lives, but holds no lock: its number was given again.
    fs::write(&pid, format!("{}\n", std::process::id())).unwrap();
    let running = Running::start(&[&BOTH[..], &["--pidfile", &pid]].concat());
    assert_eq!(
        fs::read_to_string(&pid).unwrap(),
        format!("{}\n", running.pid())
    );
    running.stop();
    assert!(folder.names().is_empty());
}

#[test]
fn the_user_owns_what_was_made_and_is_not_root_any_more() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test changes users: run it as root"
    );
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    let group = Group::from_name("daemon").unwrap().unwrap().gid.as_raw();
    let folder = Folder::new();
    chown(&folder.0, Some(uid), None).unwrap();
    let (fifo, log, pid) = (folder.text("fifo"), folder.text("log"), folder.text("pid"));
    let control = format!("unix:{}", folder.text("control"));
    let line = [
        "--control",
        &control,
        "--fifo",
        &fifo,
        "--log",
        &log,
        "--pidfile",
        &pid,
    ];
    let more = ["--user", "nobody", "--group", "daemon"];
    let running = Running::start(&[&LISTEN[..], &line, &more].concat());
    for (name, gid) in [
        ("fifo", group),
        ("control", group),
        ("log", gid),
        ("pid", gid),
    ] {
        let metadata = fs::metadata(folder.file(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid), "{name}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let has = |field: &str, ids: &[u32]| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let found: Vec<u32> = line
            .unwrap()
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect();
        assert_eq!(found, ids, "{field}");
    };
    has("Uid:", &[uid; 4]);
    has("Gid:", &[gid; 4]);
    has("Groups:", &[]);
    running.stop();
    assert_eq!(folder.names(), ["fifo", "log"]);
}

#[test]
fn the_greeting_names_the_real_addresses() {
    let running = Running::start(&BOTH);
    let subscribers = running.port("http://127.0.0.1:");
    let publishers = running.port("nc -q1 127.0.0.1 ");
    TcpStream::connect(("127.0.0.1", subscribers)).unwrap();
    TcpStream::connect(("127.0.0.1", publishers)).unwrap();
    assert!(running.greeted(&format!(
        "\n  curl -N 'http://127.0.0.1:{subscribers}/sse?subscribe=room1'\n  \
         echo 'room1=hello' | nc -q1 127.0.0.1 {publishers}\n"
    )));
    running.stop();
}

#[test]
fn the_file_holds_options_and_the_command_line_wins() {
    let folder = Folder::new();
    let conf = folder.text("conf");
    fs::write(&conf, "-p=0 -cp=0\r\n-nodaemon\n--path /file # ours\n").unwrap();
    let running = Running::start(&["--config", &conf]);
    assert!(running.greeted("/file?subscribe=room1") && running.greeted("http://[::]:"));
    running.stop();
    let running = Running::start(&["--config", &conf, "--path=/line", "--listen=127.0.0.1:0"]);
    assert!(running.greeted("/line?subscribe=room1") && !running.greeted("http://[::]:"));
    running.stop();
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
