//! TLS on port 443 without the rights of root, as `examples/systemd/README.md` tells it.

use std::fs;
use std::path::Path;

use support::{needs, run, temp_dir};

use crate::tls::authority::{Authority, ECDSA};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/");

/// The two blocks of the page: what changes the socket, and what is added to the options.
fn told() -> (String, String) {
    let page = fs::read_to_string(format!("{EXAMPLES}systemd/README.md")).unwrap();
    let (_, rest) = page.split_once("```ini\n").unwrap();
    let (socket, rest) = rest.split_once("```\n").unwrap();
    let (_, rest) = rest.split_once("```\n").unwrap();
    let (options, _) = rest.split_once("```\n").unwrap();
    (socket.to_owned(), options.to_owned())
}

fn make_folder(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn systemd_takes_the_change_of_the_socket() {
    needs!("systemd-analyze");
    let dir = temp_dir();
    let folder = dir.path().join("hasses.socket.d");
    make_folder(&folder);
    fs::write(folder.join("override.conf"), told().0).unwrap();
    for unit in ["hasses.service", "hasses.socket", "hasses-control.socket"] {
        let text = fs::read_to_string(format!("{EXAMPLES}systemd/{unit}")).unwrap();
        let text = text.replace("/usr/local/bin/hasses", env!("CARGO_BIN_EXE_hasses"));
        fs::write(dir.path().join(unit), text).unwrap();
    }
    let path = format!("SYSTEMD_UNIT_PATH={}:", dir.path().display());
    let verified = run(
        "env",
        &[
            &path,
            "systemd-analyze",
            "verify",
            "--man=no",
            "hasses.socket",
        ],
    );
    let complained = String::from_utf8(verified.stderr).unwrap();
    assert!(!complained.contains("hasses"), "{complained}");
}

#[test]
fn hasses_serves_tls_on_443_without_any_right() {
    needs!(
        "root",
        "unshare",
        "ip",
        "setpriv",
        "systemd-socket-activate",
        "curl",
        "openssl"
    );
    let dir = temp_dir();
    make_folder(dir.path());
    let authority = Authority::new(dir.path());
    authority.issue("site", ECDSA);
    let folder = dir.path().display().to_string();
    let (socket, options) = told();
    // The last one counts, behind the empty one.
    let listen = socket
        .rsplit_once("ListenStream=")
        .unwrap()
        .1
        .trim()
        .to_owned();
    let options = options
        .replace("/etc/hasses/cert.pem", &format!("{folder}/site.pem"))
        .replace("/etc/hasses/key.pem", &format!("{folder}/site.key"));
    fs::write(dir.path().join("hasses.conf"), options).unwrap();
    // A network of its own, where port 443 is free. systemd binds it; hasses is nobody, with no capability.
    let script = format!(
        "ip link set lo up
        chmod 644 {folder}/site.key
        systemd-socket-activate --fdname=listen:control -l {listen} -l 127.0.0.1:8085 \
            setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --no-new-privs \
            {program} --config {folder}/hasses.conf 2>{folder}/log &
        trap \"kill $!\" EXIT
        curl -sS --retry 50 --retry-delay 1 --retry-connrefused --cacert {folder}/ca.pem \
            https://localhost/sse?health
        curl -sS -o /dev/null -w ' HTTP/%{{http_version}} ' --cacert {folder}/ca.pem https://localhost/sse.js
        grep -E '^(Uid|CapEff)' /proc/$!/status",
        program = env!("CARGO_BIN_EXE_hasses"),
    );
    let output = run("unshare", &["--net", "sh", "-ec", &script]);
    let told = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = told.split_whitespace().collect();
    let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    assert_eq!(&words[..2], ["ok", "HTTP/2"], "{told}{log}");
    assert_eq!(&words[2..4], ["Uid:", "65534"], "{told}");
    assert_eq!(words.last(), Some(&"0000000000000000"), "{told}");
}
