//! The script for pages, `GET PATH.js`: how the daemon sends it, and what it does in browsers, simulated and real.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Connection, Daemon, Program, Response, Stream, needs, temp_dir};

const TOP: &str = env!("CARGO_MANIFEST_DIR");
/// What the simulated browsers go through: as many courses of chance are played each time.
const SEEDS: &str = "1-6";

fn get(address: SocketAddr, request: &str) -> Response {
    Connection::to(address).send(request.as_bytes()).response()
}

/// The script's bytes, as curl gets them.
fn script(address: SocketAddr, options: &[&str]) -> Vec<u8> {
    let url = format!("http://{address}/sse.js");
    let output = Command::new("curl")
        .args(["-sS", &url])
        .args(options)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn the_script_is_sent_as_a_module() {
    needs!("curl");
    let daemon = Daemon::start("");
    let answer = get(daemon.listen, "GET /sse.js HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("Content-Type").as_deref(),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(
        answer.header("Access-Control-Allow-Origin").as_deref(),
        Some("*")
    );
    assert_eq!(answer.header("Vary").as_deref(), Some("Accept-Encoding"));
    assert_eq!(answer.header("Content-Encoding"), None);
    assert!(
        answer.body.contains("export function connect("),
        "{}",
        answer.body
    );

    // Compressed where that is accepted, it is the same, in at most 8 KiB.
    let raw = script(daemon.listen, &["-H", "Accept-Encoding: gzip"]);
    assert!(raw.len() <= 8 * 1024, "{} bytes", raw.len());
    assert_eq!(raw.get(..2), Some(&[0x1f, 0x8b][..]));
    assert_eq!(
        script(daemon.listen, &["--compressed"]),
        answer.body.as_bytes()
    );

    // Who has it already is told so, in either form.
    let tag = answer.header("ETag").unwrap();
    for (tags, status) in [
        (tag.as_str(), 304),
        ("\"other\"", 200),
        ("*", 304),
        (&format!("\"x\", W/{tag}"), 304),
    ] {
        let again = get(
            daemon.listen,
            &format!("GET /sse.js HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tags}\r\n\r\n"),
        );
        assert_eq!(
            (again.status, again.header("ETag").as_deref()),
            (status, Some(tag.as_str())),
            "{tags}"
        );
    }
    let known = format!("If-None-Match: {tag}");
    let written = [
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %header{content-encoding}",
    ];
    let options = [&["-H", "Accept-Encoding: gzip", "-H", &known], &written[..]].concat();
    assert_eq!(script(daemon.listen, &options), b"200 gzip");

    let head = String::from_utf8(script(daemon.listen, &["-I"])).unwrap();
    let length = format!("Content-Length: {}\r\n", answer.body.len());
    assert!(head.contains(&length), "{head}");
    assert_eq!(
        get(daemon.listen, "OPTIONS /sse.js HTTP/1.1\r\nHost: x\r\n\r\n").status,
        204
    );
    let post = get(
        daemon.listen,
        "POST /sse.js HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(
        (post.status, post.header("Allow").as_deref()),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    assert_eq!(
        get(daemon.listen, "GET /sse.jsx HTTP/1.1\r\nHost: x\r\n\r\n").status,
        404
    );
}

#[test]
fn the_script_has_the_streams_path_and_origins_and_needs_no_right() {
    let dir = temp_dir();
    let key = dir.path().join("key");
    fs::write(&key, "k".repeat(32)).unwrap();
    let options = format!(
        "--path /live/events --subscribe-key {} --cors https://a.example --cors https://b.example --max-clients 1",
        key.display()
    );
    let daemon = Daemon::start(&options);
    let ask = |origin: &str| {
        get(
            daemon.listen,
            &format!("GET /live/events.js?v=2 HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\n\r\n"),
        )
    };
    let answer = ask("https://b.example");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("Access-Control-Allow-Origin").as_deref(),
        Some("https://b.example")
    );
    assert_eq!(
        answer.header("Vary").as_deref(),
        Some("Accept-Encoding, Origin")
    );
    assert_eq!(
        ask("https://c.example").header("Access-Control-Allow-Origin"),
        None
    );
    assert_eq!(
        get(daemon.listen, "GET /sse.js HTTP/1.1\r\nHost: x\r\n\r\n").status,
        404
    );
}

#[test]
fn the_script_is_sent_where_there_is_no_room_for_a_stream() {
    let daemon = Daemon::start("--max-clients 1");
    let _only = Stream::open(daemon.listen, "subscribe=a");
    let refused = get(
        daemon.listen,
        "GET /sse?subscribe=a HTTP/1.1\r\nHost: x\r\n\r\n",
    );
    assert_eq!(refused.status, 503);
    assert_eq!(
        get(daemon.listen, "GET /sse.js HTTP/1.1\r\nHost: x\r\n\r\n").status,
        200
    );
}

#[test]
fn in_simulated_browsers_nothing_is_lost_or_doubled() {
    needs!("node", "curl");
    let daemon = Daemon::start("");
    let dir = temp_dir();
    let file = dir.path().join("sse.js");
    fs::write(&file, script(daemon.listen, &[])).unwrap();
    let output = Command::new("node")
        .arg("tests/all/page_script/model.mjs")
        .arg(&file)
        .arg(SEEDS)
        .current_dir(TOP)
        .output()
        .unwrap();
    let written = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{written}");
    assert!(
        written.contains(&format!("played by chance: {SEEDS}")),
        "{written}"
    );
}

/// Runs scenes with the daemon; what they write is left in `target/test-output`, as it tells figures.
fn play(name: &str, group: &str) {
    let file = format!("tests/all/page_script/{name}");
    let mut node = Command::new("node");
    node.args([&file, env!("CARGO_BIN_EXE_hasses"), group]);
    let mut scenes = Program::start(node.current_dir(TOP));
    let ended = scenes.end_within(Duration::from_secs(300));
    let written = scenes.last_words();
    let output = Path::new(TOP).join("target/test-output");
    fs::create_dir_all(&output).unwrap();
    fs::write(output.join(format!("{name}-{group}.txt")), &written).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{written}");
    assert!(written.contains("all played"), "{written}");
}

#[test]
fn in_chromium_one_stream_serves_all_tabs_whatever_happens() {
    needs!("node", "npm:playwright-core", "chromium");
    let _alone = support::heavy();
    play("browser.mjs", "open");
}

#[test]
fn in_chromium_rights_end_and_are_renewed() {
    needs!("node", "npm:playwright-core", "chromium");
    play("browser.mjs", "keyed");
}

#[test]
fn in_firefox_one_stream_serves_all_tabs() {
    needs!("node", "firefox-esr");
    play("firefox.mjs", "");
}

#[test]
fn the_package_for_npm_has_what_it_needs() {
    needs!("npm", "node");
    let dir = temp_dir();
    let run = |command: &mut Command| {
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", "--pack-destination"])
        .arg(dir.path())
        .current_dir(format!("{TOP}/examples/clients"))
        .env("npm_config_cache", dir.path().join("cache"));
    let file = run(&mut npm);
    let mut tar = Command::new("tar");
    run(tar.args(["-xzf", file.trim()]).current_dir(dir.path()));
    let package = dir.path().join("package");
    let mut found: Vec<_> = fs::read_dir(&package)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "HANDOVER.md",
            "README.md",
            "package.json",
            "sse",
            "sse.d.ts",
            "sse.js"
        ]
    );
    // It works where there are neither locks nor a page: in Node.
    let daemon = Daemon::start("");
    let script = format!(
        "import {{ connect }} from '{}/sse.js';\n\
         const live = connect({{ url: 'http://{}/sse' }});\n\
         live.on('a', (data) => {{ console.log(data); live.close(); }});\n\
         live.onState = (state) => state === 'live' && fetch('http://{}/publish/a', {{ method: 'POST', body: 'hello' }});",
        package.display(),
        daemon.listen,
        daemon.control
    );
    let mut node = Command::new("timeout");
    node.args(["20", "node", "--input-type=module", "-e", &script]);
    assert_eq!(run(&mut node), "hello\n");
}

#[test]
fn a_job_is_followed_by_who_started_it() {
    needs!(
        "node",
        "npm:playwright-core",
        "chromium",
        "nginx",
        "php",
        "python3",
        "openssl"
    );
    play("job.mjs", "");
}
