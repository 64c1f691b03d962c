//! The dashboard in a browser.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use super::tls::authority::{Authority, ECDSA};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Connection, Daemon, PATIENCE, Port, Program, Stream, eventually, needs, publish};

/// What a name may not do.
const HOSTILE: &str = "%3Cimg%20src=x%20onerror=hacked%3D1%3E";

/// One of the scripts beside this file, in which the page is used.
fn browser(daemon: &Daemon, script: &str) -> Program {
    browser_at(daemon, &format!("http://{}/", daemon.control), script)
}

fn browser_at(daemon: &Daemon, url: &str, script: &str) -> Program {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/dashboard");
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../test-output");
    Program::start(
        Command::new("node")
            .arg(format!("{folder}/{script}.mjs"))
            .arg(url)
            .args([daemon.file("chromium"), output]),
    )
}

/// Waits for the script's end; each of its steps has its own patience.
fn passes(mut browser: Program) {
    let ended = browser.end_within(4 * PATIENCE);
    let status = ended.unwrap_or_else(|| panic!("no end: {}", browser.output()));
    assert!(status.success(), "{}", browser.last_words());
}

fn get(address: SocketAddr, method: &str) -> support::Response {
    let request = format!("{method} / HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut connection = Connection::to(address);
    connection.send(request.as_bytes());
    match method {
        "HEAD" => connection.head(),
        _ => connection.response(),
    }
}

#[test]
fn the_page_may_do_little() {
    let daemon = Daemon::start("");
    for method in ["GET", "HEAD"] {
        let answer = get(daemon.control, method);
        assert_eq!(answer.status, 200);
        let header = |name: &str| answer.header(name).unwrap();
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("cache-control"), "no-cache");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let policy = header("content-security-policy");
        for part in [
            "default-src 'none'; script-src 'sha256-",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        let length: usize = header("content-length").parse().unwrap();
        assert!((10_000..=56 * 1024).contains(&length), "{length}");
    }
}

#[test]
fn charts_publishing_levels_and_names() {
    needs!("node", "chromium", "npm:playwright-core", "npm:axe-core");
    let daemon = Daemon::start("");
    let agent = "User-Agent: <img src=x onerror=hacked=1>\r\n";
    let query = format!("token={HOSTILE}&token=busy&id={HOSTILE}");
    let _hostile = Stream::starting(daemon.listen, &query, agent);
    let mut room = daemon.subscribe("token=test-room&id=listener");
    let _spared = daemon.subscribe("token=test-room&id=spared");
    let mut browser = browser(&daemon, "figures");
    let mut published = 0;
    eventually("curves that move", || {
        publish::http(daemon.control, "busy", &"x".repeat(published % 99));
        published += 1;
        let over = browser.output().contains("moves: clients") || browser.has_ended().is_some();
        over.then_some(())
    });
    publish::http(daemon.control, "busy", "one more");
    let news = eventually("the test event", || {
        publish::http(daemon.control, "busy", "the busiest");
        (room_has(&daemon) || browser.has_ended().is_some()).then(|| room.event())
    });
    assert_eq!(news.event.as_deref(), Some("news"));
    assert_eq!(news.data.as_deref(), Some("two\nlines"));
    browser.wait_for("switched");
    eventually("the log level", || {
        let status = publish::ask_tcp(daemon.control, "tcpstatus\n");
        status.contains("\"loglevel\":0").then_some(())
    });
    passes(browser);
}

/// Whether the test event was delivered to the one that it is for.
fn room_has(daemon: &Daemon) -> bool {
    let mut connection = Connection::to(daemon.control);
    connection.send(b"GET /clients?search=listener&limit=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    connection.response().json()[0]["messages"] == 1
}

#[test]
fn two_thousand_clients() {
    needs!("node", "chromium", "npm:playwright-core", "npm:axe-core");
    let _alone = support::heavy();
    let daemon = Daemon::start("");
    let _streams: Vec<Connection> = (0..2000)
        .map(|n| {
            let mut connection = Connection::to(daemon.listen);
            let query = format!("subscribe=all-own{n}&id=client+{n}");
            let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
            connection.send(request.as_bytes());
            connection
        })
        .collect();
    daemon.wait_for_clients(2000);
    passes(browser(&daemon, "clients"));
}

#[test]
fn the_secret_is_asked_for_and_comes_by_tls() {
    needs!(
        "node",
        "chromium",
        "npm:playwright-core",
        "npm:axe-core",
        "openssl"
    );
    let line = "--listen 127.0.0.1:{listen} --control tls:127.0.0.1:{control} \
                --tls-cert {dir}/site.pem --tls-key {dir}/site.key --control-secret {dir}/secret";
    let daemon = Daemon::prepared(line, |place| {
        Authority::new(&place.dir).issue("site", ECDSA);
        place.write("secret", "sésame\n");
    });
    let browser = browser_at(&daemon, &format!("https://{}/", daemon.control), "secret");
    browser.wait_for("axe, secret, dark");
    browser.wait_for("known");
    fs::write(daemon.file("secret"), "another\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    passes(browser);
}

#[test]
fn the_watch_secret_shows_the_figures_alone() {
    needs!("node", "chromium", "npm:playwright-core", "npm:axe-core");
    let line = "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --presence room1 \
                --control-secret {dir}/control --watch-secret {dir}/watcher";
    let daemon = Daemon::prepared(line, |place| {
        place.write("control", "control\n");
        place.write("watcher", "watcher\n");
    });
    let _member = daemon.subscribe("token=room1&id=ann");
    let _anonymous = daemon.subscribe("token=room1");
    passes(browser(&daemon, "watcher"));
}

#[test]
fn it_comes_back_after_a_restart() {
    needs!("node", "chromium", "npm:playwright-core", "npm:axe-core");
    let mut daemon = Daemon::start("");
    let browser = browser(&daemon, "restart");
    browser.wait_for("live");
    daemon.stop();
    browser.wait_for("lost");
    daemon.start_again();
    let _stream = daemon.subscribe("subscribe=room1");
    passes(browser);
}

/// As nginx proxies if nobody tells it otherwise: the daemon is named in `Host`, and not the site.
#[test]
fn behind_nginx_under_a_prefix_it_works_with_one_option() {
    needs!(
        "node",
        "chromium",
        "npm:playwright-core",
        "npm:axe-core",
        "nginx",
        "setpriv"
    );
    let port = Port::reserve();
    let site = format!("http://{}", port.address());
    let daemon = Daemon::start(&format!("--control-host {site}"));
    let closed = Daemon::start("");
    let mut room = daemon.subscribe("token=room1");
    let text = format!(
        "daemon off; pid {dir}/pid; events {{}} http {{ access_log off; client_body_temp_path {dir}/body; \
         proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; \
         scgi_temp_path {dir}/s; server {{ listen {}; \
         location /hasses/ {{ proxy_pass http://{}/; }} location /closed/ {{ proxy_pass http://{}/; }} }} }}",
        port.address(),
        daemon.control,
        closed.control,
        dir = daemon.file("").display(),
    );
    fs::write(daemon.file("nginx.conf"), text).unwrap();
    let mut nginx = Program::start(
        Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--", "nginx", "-e", "stderr", "-c"])
            .arg(daemon.file("nginx.conf")),
    );
    eventually("nginx", || {
        assert_eq!(nginx.has_ended().map(|_| nginx.output()), None);
        TcpStream::connect(port.address()).ok()
    });
    let browser = browser_at(&daemon, &format!("{site}/hasses/"), "prefix");
    passes(browser);
    assert_eq!(room.data(), "by nginx");
    let post = |target: &str, origin: &str| {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: {0}\r\nOrigin: {origin}\r\nContent-Length: 1\r\n\r\nx",
            port.address()
        );
        Connection::to(port.address())
            .send(request.as_bytes())
            .response()
    };
    assert_eq!(post("/hasses/publish/room1", &site).status, 200);
    // Another site's page does not, nor this one's where it was not named; both are told what to do.
    for refused in [
        post("/hasses/publish/room1", "http://evil.example"),
        post("/closed/publish/room1", &site),
    ] {
        assert_eq!(refused.status, 403, "{refused:?}");
        for part in ["Origin", "--control-host"] {
            assert!(refused.body.contains(part), "{refused:?}");
        }
    }
    let _ended = kill(Pid::from_raw(nginx.id() as i32), Signal::SIGTERM);
    nginx.end_within(PATIENCE);
}
