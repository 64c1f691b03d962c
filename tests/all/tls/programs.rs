//! The programs that people use: curl, openssl, Python, Node's EventSource, a browser.

use std::process::Command;

use super::site::Site;
use support::{Program, eventually, needs, publish, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

impl Site {
    fn url(&self) -> String {
        format!(
            "https://localhost:{}/sse?subscribe=room1",
            self.daemon.listen.port()
        )
    }

    fn ca(&self) -> String {
        self.daemon.file("ca.pem").to_str().unwrap().to_owned()
    }

    /// One request by `openssl s_client`; what it says.
    fn s_client(&self, options: &[&str]) -> String {
        let port = self.daemon.listen.port();
        let (ca, request) = (
            self.ca(),
            "GET /elsewhere HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n",
        );
        let line = format!(
            "printf '{request}' | openssl s_client -connect 127.0.0.1:{port} -ign_eof \
             -servername localhost -verify_return_error -CAfile {ca} {}",
            options.join(" ")
        );
        String::from_utf8(run("sh", &["-c", &line]).stdout).unwrap()
    }
}

#[test]
fn curl() {
    needs!("curl", "openssl");
    let site = Site::all_tls("");
    let (url, ca) = (site.url(), site.ca());
    let options = [
        ["--http1.1", "--tlsv1.3"],
        ["--http1.0", "--tlsv1.2"],
        ["--http2", "--tlsv1.2"],
    ];
    let readers = options.map(|options| {
        Program::start(
            Command::new("curl")
                .args(["-sSN", "--cacert", &ca])
                .args(options)
                .arg(&url),
        )
    });
    for reader in &readers {
        reader.wait_for("id: ");
    }
    let control = format!(
        "https://localhost:{}/publish/room1",
        site.daemon.control.port()
    );
    let answer = run("curl", &["-sS", "--cacert", &ca, "-d", "by curl", &control]);
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(answer["recipients"], 3);
    for reader in &readers {
        reader.wait_for("data: by curl");
    }
    let refused = Command::new("curl").args(["-sS", &url]).output().unwrap();
    assert_eq!(
        refused.status.code(),
        Some(60),
        "a stranger's certificate: {refused:?}"
    );
}

#[test]
fn openssl_speaks_both_versions_and_resumes_both() {
    needs!("openssl");
    let site = Site::start("");
    let session = site.daemon.file("session").to_str().unwrap().to_owned();
    for (version, cipher) in [("-tls1_2", "AES128-GCM"), ("-tls1_3", "AES_128_GCM")] {
        let first = site.s_client(&[version, "-alpn", "http/1.1", "-sess_out", &session]);
        assert!(first.contains("\nNew, TLSv1."), "{first}");
        assert!(first.contains("ALPN protocol: http/1.1"), "{first}");
        assert!(first.contains(cipher), "{first}");
        assert!(first.contains("HTTP/1.1 404"), "{first}");
        let second = site.s_client(&[version, "-sess_in", &session]);
        assert!(second.contains("\nReused, TLSv1."), "{second}");
        assert!(second.contains("HTTP/1.1 404"), "{second}");
    }
    let old = Command::new("openssl")
        .args([
            "s_client",
            "-tls1_1",
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-connect",
        ])
        .arg(site.daemon.listen.to_string())
        .output()
        .unwrap();
    assert!(!old.status.success(), "{old:?}");
}

#[test]
fn python() {
    needs!("openssl", "python3");
    let site = Site::start("");
    let script = format!("{ROOT}/tests/clients/tls.py");
    let port = site.daemon.listen.port().to_string();
    for (version, shown) in [("TLSv1_2", "TLSv1.2"), ("TLSv1_3", "TLSv1.3")] {
        let arguments = [&script, "127.0.0.1", &port, &site.ca(), version];
        let reader = Program::start(Command::new("python3").args(arguments));
        reader.wait_for(&format!("{shown} http/1.1"));
        eventually("its subscription", || {
            (publish::http(site.daemon.control, "room1", version).1 == 1).then_some(())
        });
        reader.wait_for(&format!("data: {version}"));
        drop(reader);
        site.daemon.wait_for_clients(0);
    }
}

#[test]
fn the_eventsource_package() {
    needs!("node", "npm:eventsource", "openssl");
    let site = Site::start("--retry 100");
    let script = format!("{ROOT}/tests/clients/eventsource.mjs");
    let url = site.url() + "&id=me";
    let mut node = Command::new("node");
    node.args([&script, &url])
        .env("NODE_EXTRA_CA_CERTS", site.ca());
    let reader = Program::start(&mut node);
    reader.wait_for("open");
    site.daemon.wait_for_clients(1);
    publish::http(site.daemon.control, "room1", "by TLS");
    reader.wait_for("\"by TLS\"");
    publish::talk_tcp(site.daemon.control, "disconnect:me\n");
    reader.wait_for("error, state 0");
    eventually("its return", || {
        (publish::http(site.daemon.control, "room1", "again").1 == 1).then_some(())
    });
    reader.wait_for("\"again\"");
}

#[test]
fn a_browser() {
    needs!("node", "chromium", "npm:playwright-core", "openssl");
    let site = Site::start("");
    let script = format!("{ROOT}/tests/clients/browser.mjs");
    let server = format!("https://localhost:{}/sse", site.daemon.listen.port());
    let page = format!("file://{ROOT}/examples/page/index.html?token=room1&server={server}");
    let data = site.daemon.file("chromium");
    let arguments = [&script, &page, data.to_str().unwrap(), "shown by TLS"];
    let mut browser = Program::start(Command::new("node").args(arguments));
    browser.wait_for("ready");
    publish::http(site.daemon.control, "room1", "shown by TLS");
    browser.wait_for("shown shown by TLS");
    let status = browser.wait_for_end();
    assert!(status.success(), "{}", browser.output());
}
