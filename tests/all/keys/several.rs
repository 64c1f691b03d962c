//! Several keys that hold together: files that are given, and JWK Sets.

use nix::sys::signal::Signal;
use serde_json::json;
use support::{Daemon, needs, run};

use super::maker::{by_secret, good, jwts, keys, part};
use super::{SECRET, bearer, open, refused, with_key, write_key};

const CLAIMS: &str = r#"{"subscribe":["a"]}"#;
const NEW: &str = "the key that comes next, which is long too";

#[test]
fn keys_change_without_a_moment_in_which_nobody_gets_in() {
    needs!("node", "python3");
    let daemon = Daemon::prepared(
        "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} \
         --subscribe-key {dir}/old --subscribe-key {dir}/new",
        |place| {
            write_key(&place.dir.join("old"), SECRET);
            write_key(&place.dir.join("new"), NEW);
        },
    );
    let ([old], [new], [other]) = (
        by_secret(SECRET, [CLAIMS]),
        by_secret(NEW, [CLAIMS]),
        by_secret("another", [CLAIMS]),
    );
    open(&daemon, "subscribe=a", &bearer(&old));
    open(&daemon, "subscribe=a", &bearer(&new));
    open(&daemon, &good("subscribe=a"), "");
    let sign = ["sign", "--for", "1h", "subscribe=a", "--key"];
    let file = daemon.file("new");
    let signed = run(
        env!("CARGO_BIN_EXE_hasses"),
        &[&sign[..], &[file.to_str().unwrap()]].concat(),
    );
    open(
        &daemon,
        String::from_utf8(signed.stdout).unwrap().trim_end(),
        "",
    );
    refused(
        &daemon,
        "subscribe=a",
        &bearer(&other),
        401,
        "signature is wrong",
    );

    write_key(&daemon.file("old"), NEW);
    daemon.signal(Signal::SIGHUP);
    daemon.wait_for_log("settings read again");
    refused(
        &daemon,
        "subscribe=a",
        &bearer(&old),
        401,
        "signature is wrong",
    );
    open(&daemon, "subscribe=a", &bearer(&new));
}

#[test]
fn a_jwk_set_gives_all_its_keys() {
    needs!("node", "python3");
    let pairs = keys();
    let file = |name: &str| pairs.path().join(name);
    let script = "const { createPublicKey } = require('crypto'), { readFileSync } = require('fs');\
        const keys = process.argv.slice(1).map(file => ({ kid: file.match(/([a-z0-9]+)\\.pub/)[1], use: 'sig',\
          ...createPublicKey(readFileSync(file)).export({ format: 'jwk' }) }));\
        console.log(JSON.stringify({ keys }, null, 1))";
    let names = [
        "rsa.pub.pem",
        "p256.pub.pem",
        "p384.pub.pem",
        "ed25519.pub.pem",
    ];
    let files = names.map(file);
    let mut arguments = vec!["-e", script];
    arguments.extend(files.iter().map(|file| file.to_str().unwrap()));
    let set = String::from_utf8(run("node", &arguments).stdout).unwrap();
    let daemon = with_key(&set, "");
    let parts = [
        ("RS256", "rsa.pem"),
        ("PS512", "rsa.pem"),
        ("ES256", "p256.pem"),
        ("ES384", "p384.pem"),
        ("EdDSA", "ed25519.pem"),
    ];
    let made = jwts(&parts.map(|(alg, key)| part(alg, &file(key), CLAIMS)));
    for jwt in &made {
        open(&daemon, "subscribe=a", &bearer(jwt));
    }
    // What all may read is no secret.
    let [forged] = by_secret(&set, [CLAIMS]);
    refused(
        &daemon,
        "subscribe=a",
        &bearer(&forged),
        401,
        "\"HS256\" is not allowed",
    );
    refused(&daemon, &good("subscribe=a"), "", 401, "need a secret");
}

#[test]
fn a_set_without_a_usable_key_is_refused() {
    for (set, told) in [
        (json!({"keys": []}), "no key of its JWK Set"),
        (
            json!({"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}),
            "key 1 of its JWK Set",
        ),
        (
            json!({"keys": [{"kty": "oct", "k": ""}]}),
            "key 1 of its JWK Set",
        ),
    ] {
        let dir = support::temp_dir();
        let path = dir.path().join("key");
        write_key(&path, &set.to_string());
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_hasses"))
            .args([
                "--check",
                "--listen",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
                "--subscribe-key",
            ])
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(told), "{text}");
    }
}
