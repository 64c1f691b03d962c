//! Certificates: which are taken, which are refused and why, and how they are changed.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::authority::{Authority, ECDSA, ED25519, RSA};
use super::site::Site;
use support::readme::snippets;
use support::{Daemon, Program, Stream, eventually, needs, publish, run, temp_dir};

impl Site {
    fn path(&self, name: &str) -> String {
        self.daemon.file(name).to_str().unwrap().to_owned()
    }

    /// The certificate that who connects now is shown, by the name of its file.
    fn shows(&self, name: &str) -> bool {
        let mut tls = self.connect(self.daemon.listen);
        tls.conn.complete_io(&mut tls.sock).unwrap();
        let shown = &tls.conn.peer_certificates().unwrap()[0];
        *shown == CertificateDer::from_pem_file(self.path(name)).unwrap()
    }

    /// Puts other files in the place of the certificate and its key, and waits until they are shown.
    fn renew(&self, name: &str) {
        for end in ["pem", "key"] {
            let new = self.path(&format!("{name}.{end}"));
            fs::rename(new, self.path(&format!("site.{end}"))).unwrap();
        }
        self.daemon.signal(Signal::SIGHUP);
        eventually("the new certificate", || {
            self.shows("site.pem").then_some(())
        });
    }
}

#[test]
fn a_thousand_clients_do_not_notice_that_the_certificate_is_changed() {
    needs!("openssl");
    let _alone = support::heavy();
    const CLIENTS: usize = 1000;
    let site = Site::start("--heartbeat 0");
    let mut streams: Vec<Stream> = (0..CLIENTS)
        .map(|_| site.subscribe("subscribe=a"))
        .collect();
    let authority = site.daemon.file("");
    let authority = Authority::over(&authority);
    let done = AtomicBool::new(false);
    let published = thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                publish::http(site.daemon.control, "a", &count.to_string());
                count += 1;
            }
            count
        });
        for (name, kind) in [("second", RSA), ("third", ECDSA)] {
            authority.issue(name, kind);
            site.renew(name);
        }
        done.store(true, Ordering::Relaxed);
        publisher.join().unwrap()
    });
    assert!(published > 2);
    for stream in &mut streams {
        for n in 0..published {
            assert_eq!(stream.data(), n.to_string());
        }
    }
    // Nobody has come back.
    assert_eq!(site.status("handshakes"), CLIENTS);
}

#[test]
fn a_bad_new_file_leaves_the_old_one() {
    needs!("openssl");
    let site = Site::start("");
    let authority = site.daemon.file("");
    Authority::over(&authority).issue("new", ECDSA);
    let (cert, key) = (site.path("site.pem"), site.path("site.key"));
    let (good_cert, good_key) = (fs::read(&cert).unwrap(), fs::read(&key).unwrap());
    let new_key = fs::read(site.path("new.key")).unwrap();
    for (cert_now, key_now, told) in [
        (&b"garbage"[..], &good_key[..], "no certificate is in it"),
        (&good_cert[..], &good_cert[..], "no private key is in it"),
        (
            &good_cert[..],
            &new_key[..],
            "it is not the key of the first certificate",
        ),
    ] {
        fs::write(&cert, cert_now).unwrap();
        fs::write(&key, key_now).unwrap();
        site.daemon.signal(Signal::SIGHUP);
        let line = site.daemon.wait_for_log(told);
        assert!(
            line.ends_with("; the certificate stays as it was"),
            "{line}"
        );
        fs::write(&cert, &good_cert).unwrap();
        assert!(site.shows("site.pem"));
    }
    site.renew("new");
}

#[test]
fn certbot_hands_a_certificate_over_as_the_readme_says() {
    needs!("openssl");
    let files = "--tls-cert {dir}/cert.pem --tls-key {dir}/key.pem";
    let site = Site::command_line_with(
        &format!("--listen tls:127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} {files}"),
        |dir| {
            fs::rename(dir.join("site.pem"), dir.join("cert.pem")).unwrap();
            fs::rename(dir.join("site.key"), dir.join("key.pem")).unwrap();
        },
    );
    let folder = site.daemon.file("");
    Authority::over(&folder).issue("new", ECDSA);
    fs::create_dir(folder.join("live")).unwrap();
    fs::rename(folder.join("new.pem"), folder.join("live/fullchain.pem")).unwrap();
    fs::rename(folder.join("new.key"), folder.join("live/privkey.pem")).unwrap();
    assert!(!site.shows("live/fullchain.pem"));

    let snippets = snippets();
    let hook = snippets.iter().find(|one| one.kind == "hook").unwrap();
    let reload = format!("kill -HUP {}", site.daemon.pid());
    let hook = hook.text.replace("-g hasses ", "");
    let hook = hook.replace("systemctl reload hasses", &reload);
    let hook = hook.replace("/etc/hasses/", &site.path(""));
    let lineage = format!("RENEWED_LINEAGE={}", site.path("live"));
    run("env", &[&lineage, "sh", "-ec", &hook]);
    eventually("the new certificate", || {
        site.shows("live/fullchain.pem").then_some(())
    });
}

#[test]
fn sessions_are_resumed_whatever_file_is_read_again() {
    needs!("openssl");
    let site = Site::start("");
    let resumed = || {
        let mut tls = site.asked("");
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut tls, &mut answer).unwrap();
        tls.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    };
    assert!(!resumed() && resumed());
    site.daemon.signal(Signal::SIGHUP);
    site.daemon.wait_for_log("settings read again");
    assert!(resumed());
}

/// What a start, or only its check, says and how it ends.
fn said(line: &str, check: bool) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
    command
        .args(line.split_whitespace())
        .args(check.then_some("--check"));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_and_when_only_checked() {
    needs!("openssl");
    let dir = temp_dir();
    let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let authority = Authority::new(dir.path());
    authority.issue("site", ECDSA);
    authority.issue("other", ECDSA);
    let (site_key, encrypted, old) = (file("site.key"), file("encrypted"), file("old"));
    let pass = ["-aes128", "-passout", "pass:secret"];
    run(
        "openssl",
        &[&["ec", "-in", &site_key, "-out", &old], &pass[..]].concat(),
    );
    let pkcs8 = [
        "pkcs8",
        "-topk8",
        "-passout",
        "pass:secret",
        "-in",
        &site_key,
        "-out",
        &encrypted,
    ];
    run("openssl", &pkcs8);
    run(
        "openssl",
        &[
            "ecparam",
            "-name",
            "secp521r1",
            "-genkey",
            "-noout",
            "-out",
            &file("521"),
        ],
    );
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(file("no_der"), no_der).unwrap();
    fs::write(file("no_base64"), no_der.replace("AAAA", "A!")).unwrap();
    for (cert, key, option, why) in [
        ("nowhere", "site.key", "--tls-cert", "No such file"),
        (
            "site.key",
            "site.key",
            "--tls-cert",
            "no certificate is in it",
        ),
        ("no_der", "site.key", "--tls-cert", "cannot be understood"),
        ("no_base64", "site.key", "--tls-cert", "is not PEM"),
        ("site.pem", "nowhere", "--tls-key", "No such file"),
        (
            "site.pem",
            "site.pem",
            "--tls-key",
            "no private key is in it",
        ),
        (
            "site.pem",
            "other.key",
            "--tls-key",
            "not the key of the first certificate",
        ),
        ("site.pem", "encrypted", "--tls-key", "the key is encrypted"),
        ("site.pem", "old", "--tls-key", "the key is encrypted"),
        ("site.pem", "521", "--tls-key", "P-256 or P-384"),
    ] {
        let (cert, key) = (file(cert), file(key));
        let path = if option == "--tls-cert" { &cert } else { &key };
        let line = format!("--listen tls:127.0.0.1:0 --tls-cert {cert} --tls-key {key}");
        for check in [false, true] {
            let (code, text) = said(&line, check);
            assert_eq!(code, Some(1), "{text}");
            assert!(
                text.contains(&format!("{option} {path}: ")) && text.contains(why),
                "{text}"
            );
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
    let (cert, key) = (file("site.pem"), file("site.key"));
    let line = format!("--listen tls:127.0.0.1:0 --tls-cert {cert} --tls-key {key}");
    assert_eq!(
        said(&line, true),
        (Some(0), "configuration ok\n".to_owned())
    );
}

#[test]
fn keys_of_all_kinds_in_all_forms() {
    needs!("openssl");
    let site = Site::start("");
    let folder = site.daemon.file("");
    let authority = Authority::over(&folder);
    let (key, other) = (site.path("new.key"), site.path("other"));
    let forms: [(&[&str], &[&str]); 5] = [
        (RSA, &["pkey"]),
        (RSA, &["rsa", "-traditional"]),
        (ECDSA, &["pkey"]),
        (ECDSA, &["ec"]),
        (ED25519, &["pkey"]),
    ];
    for (kind, form) in forms {
        authority.issue("new", kind);
        run("openssl", &[form, &["-in", &key, "-out", &other]].concat());
        let label = fs::read_to_string(&other)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned();
        let expected = match form[0] {
            "rsa" => "-----BEGIN RSA PRIVATE KEY-----",
            "ec" => "-----BEGIN EC PRIVATE KEY-----",
            _ => "-----BEGIN PRIVATE KEY-----",
        };
        assert_eq!(label, expected);
        fs::rename(&other, &key).unwrap();
        site.renew("new");
    }
}

#[test]
fn old_switches_have_tls_for_subscribers_alone() {
    needs!("openssl");
    let site = Site::command_line(
        "-ssl -cert-file={dir}/site.pem -privatekey-file={dir}/site.key \
         -p={listen} -cp={control} -nodaemon",
    );
    let mut stream = site.subscribe("subscribe=a");
    publish::tcp(site.daemon.control, "a=hello;");
    assert_eq!(stream.data(), "hello");
    assert_eq!(site.status("mode"), "SSL encrypted (https)");
}

#[test]
fn a_daemon_finds_relative_files_again() {
    needs!("openssl");
    let site = Site::start("");
    let (listen, control) = (Daemon::start("").listen, Daemon::start("").control);
    let line = format!(
        "--daemon --pidfile pid --log log --listen tls:{listen} --control {control} \
         --tls-cert site.pem --tls-key site.key"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
    command
        .current_dir(site.daemon.file(""))
        .args(line.split_whitespace());
    assert!(command.status().unwrap().success());
    let daemon = Detached(site.daemon.text_of("pid").trim().parse().unwrap());
    kill(Pid::from_raw(daemon.0), Signal::SIGHUP).unwrap();
    eventually("it was read", || {
        let log = site.daemon.text_of("log");
        log.contains("settings read again").then_some(())
    });
    assert!(!site.daemon.text_of("log").contains("stays as it was"));
}

/// A daemon's process id; it ends with the test.
struct Detached(i32);

impl Drop for Detached {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.0);
        let _ = kill(pid, Signal::SIGTERM);
        eventually("the daemon's end", || {
            kill(pid, None).is_err().then_some(())
        });
    }
}

#[test]
fn what_its_user_cannot_read_again_is_named() {
    needs!("openssl", "root");
    let site = Site::start("");
    let (cert, key) = (site.path("site.pem"), site.path("site.key"));
    let line = format!(
        "--listen tls:127.0.0.1:0 --control 127.0.0.1:0 --user nobody --tls-cert {cert} --tls-key {key}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
    let daemon = Program::start(command.args(line.split_whitespace()));
    let told = daemon.wait_for(&format!("warning: --tls-key {key}: "));
    assert!(
        told.contains("SIGHUP will not change the certificate"),
        "{told}"
    );
    assert!(told.contains("nobody"), "{told}");
    assert!(
        !daemon.output().contains("--tls-cert"),
        "anyone may read it"
    );
    kill(Pid::from_raw(daemon.id() as i32), Signal::SIGHUP).unwrap();
    daemon.wait_for("the certificate stays as it was");
}
