//! SIGHUP: keys are read again, and nobody is dropped.

use nix::sys::signal::Signal;

use super::maker::{self, by_secret, good};
use super::{SECRET, bearer, open, refused, with_secret, write_key};
use support::{Connection, eventually, needs, publish};

const CLAIMS: &str = r#"{"subscribe":["a"]}"#;

#[test]
fn a_new_key_holds_for_what_comes_next() {
    needs!("node", "python3");
    let daemon = with_secret("");
    let keys = maker::keys();
    let public = std::fs::read_to_string(keys.path().join("ed25519.pub.pem")).unwrap();
    let ([old], [new]) = (
        by_secret(SECRET, [CLAIMS]),
        by_secret("the key that comes next, which is long too", [CLAIMS]),
    );
    let signature = maker::part("EdDSA", &keys.path().join("ed25519.pem"), CLAIMS);
    let edwards = maker::jwts(&[signature]).remove(0);
    let mut stream = open(&daemon, "subscribe=a", &bearer(&old));
    let mut begun = Connection::to(daemon.listen);
    begun.send(b"GET /sse?subscribe=a HTTP/1.1\r\n");
    daemon.wait_for_clients(1);

    write_key(
        &daemon.file("key"),
        "the key that comes next, which is long too",
    );
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("settings read again");
    refused(
        &daemon,
        "subscribe=a",
        &bearer(&old),
        401,
        "signature is wrong",
    );
    refused(&daemon, &good("subscribe=a"), "", 401, "signature is wrong");
    let rest = format!("Host: x\r\n{}\r\n", bearer(&old));
    let begun = begun.send(rest.as_bytes()).response();
    assert_eq!(begun.status, 401, "a request that had begun before");
    open(&daemon, "subscribe=a", &bearer(&new));
    publish::http(daemon.control, "a", "still");
    assert_eq!(stream.data(), "still");

    write_key(&daemon.file("key"), &public);
    daemon.signal(Signal::SIGHUP);
    eventually("the public key", || {
        (daemon.log().matches("settings read again").count() == 2).then_some(())
    });
    refused(&daemon, "subscribe=a", &bearer(&new), 401, "not allowed");
    open(&daemon, "subscribe=a", &bearer(&edwards));
    publish::http(daemon.control, "a", "and still");
    assert_eq!(stream.data(), "and still");
}

#[test]
fn a_bad_one_changes_nothing() {
    needs!("node", "python3");
    let daemon = with_secret("");
    let key = daemon.file("key");
    let keys = maker::keys();
    let private = std::fs::read_to_string(keys.path().join("p256.pem")).unwrap();
    for (content, told) in [
        (Some(""), "it is empty"),
        (Some(private.as_str()), "the public key is needed"),
        (None, "No such file"),
    ] {
        match content {
            Some(content) => write_key(&key, content),
            None => std::fs::remove_file(&key).unwrap(),
        }
        daemon.signal(Signal::SIGHUP);
        let line = daemon.wait_for_log(told);
        let named = format!("stay as they were: --subscribe-key {}: ", key.display());
        assert!(line.contains(&named), "{line}");
        open(&daemon, &good("subscribe=a"), "");
    }
}
