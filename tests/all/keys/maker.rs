//! Keys, JWTs and signatures made by others than hasses.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::SECRET;
use support::{TempDir, run, temp_dir};

const MAKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/all/keys/maker.mjs");

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// A pair of each kind: `KIND.pem` and `KIND.pub.pem`, of RSA also `pkcs1.pub.pem`.
pub(crate) fn keys() -> TempDir {
    let dir = temp_dir();
    run("node", &[MAKER, "keys", dir.path().to_str().unwrap()]);
    dir
}

/// What a JWT is made of; the key's file holds a secret or a private key.
pub(crate) fn part(alg: &str, key: &Path, claims: &str) -> Value {
    json!({ "alg": alg, "key": key, "claims": claims })
}

/// JWTs made by Node.
pub(crate) fn jwts(parts: &[Value]) -> Vec<String> {
    let json = serde_json::to_string(parts).unwrap();
    let output = run("node", &[MAKER, "jwts", &json]).stdout;
    let text = String::from_utf8(output).unwrap();
    let made: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(made.len(), parts.len());
    made
}

/// JWTs of these claims, signed by HS256 with a secret.
pub(crate) fn by_secret<const N: usize>(secret: &str, claims: [&str; N]) -> [String; N] {
    let dir = temp_dir();
    let file = dir.path().join("secret");
    std::fs::write(&file, secret).unwrap();
    let parts = claims.map(|claims| part("HS256", &file, claims));
    jwts(&parts).try_into().unwrap()
}

/// A JWT of these claims, with the usual secret.
pub(crate) fn jwt(claims: &str) -> String {
    let [jwt] = by_secret(SECRET, [claims]);
    jwt
}

/// What Python's hmac makes of a query and the usual secret.
pub(crate) fn hmac(query: &str) -> String {
    let script = "import hmac, sys; print(hmac.new(*(a.encode() for a in sys.argv[1:3]), 'sha256').hexdigest())";
    let output = run("python3", &["-c", script, SECRET, query]).stdout;
    String::from_utf8(output).unwrap().trim_end().to_owned()
}

/// A query with its end and its signature.
pub(crate) fn signed(query: &str, expires: u64) -> String {
    let query = format!("{query}&expires={expires}");
    let sign = hmac(&query);
    format!("{query}&sign={sign}")
}

/// A query that is good for some minutes.
pub(crate) fn good(query: &str) -> String {
    signed(query, now() + 600)
}
