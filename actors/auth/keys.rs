//! The keys that hold together: one for each file, or all of a file's JWK Set (RFC 7517 §5).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use pkcs1::der::Encode;
use pkcs1::{RsaPublicKey, UintRef};
use ring::hmac;
use serde::Deserialize;
use serde_json::Value;

use super::key::{Curve, Public, ed25519, point, rsa};
use super::{Key, KeyError};

/// All keys of which each one holds, so that keys can be changed without a moment in which none does.
/// Its `Debug` shows algorithms alone.
#[derive(Debug, Clone)]
pub struct Keys {
    /// At least one.
    keys: Vec<Key>,
}

impl Keys {
    /// Reads a file's content: a JWK Set, or a single JWK, in JSON; else what [`Key::read`] takes.
    ///
    /// # Errors
    /// What is there instead of keys.
    pub fn read(content: &[u8]) -> Result<Self, KeyError> {
        // What is one of these, even a broken one, is never taken for a secret: all may know it.
        let keys = match serde_json::from_slice(content) {
            Ok(Value::Object(mut set)) if set.contains_key("keys") => match set.remove("keys") {
                Some(Value::Array(keys)) => jwks(keys)?,
                _ => return Err(KeyError::EmptySet),
            },
            Ok(one @ Value::Object(_)) if one.get("kty").is_some() => jwks(vec![one])?,
            _ => vec![Key::read(content)?],
        };
        Ok(Self { keys })
    }

    /// Adds the keys of a further file.
    pub fn extend(&mut self, further: Self) {
        self.keys.extend(further.keys);
    }

    /// Whether the first file has a secret, which signs URLs too.
    pub fn starts_with_secret(&self) -> bool {
        self.keys.first().is_some_and(Key::is_secret)
    }

    /// Whether one of them is a secret.
    pub fn has_secret(&self) -> bool {
        self.keys.iter().any(Key::is_secret)
    }

    /// Whether one of them is a secret that is short enough to be guessed.
    pub fn has_short(&self) -> bool {
        self.keys.iter().any(Key::is_short)
    }

    /// The names of the algorithms that they are for, each once.
    pub fn algorithms(&self) -> String {
        let mut names: Vec<String> = Vec::new();
        for key in &self.keys {
            for name in key.algorithms().split(", ") {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        names.join(", ")
    }

    /// What signs URLs: HMAC-SHA256 with each secret.
    pub(super) fn url_keys(&self) -> impl Iterator<Item = &hmac::Key> {
        self.keys.iter().filter_map(Key::url_key)
    }

    /// The keys that may have signed a JWT with this algorithm, which names a key or none: those of
    /// that name, if there are any, and those without one.
    pub(super) fn for_jwt(&self, algorithm: Algorithm, kid: Option<&str>) -> Vec<&Key> {
        let fits = |key: &&Key| key.rules.algorithms.contains(&algorithm);
        let named = |key: &&Key| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
        self.keys.iter().filter(fits).filter(named).collect()
    }
}

/// What matters of a JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    k: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<String>,
}

/// The keys of a set that check signatures; others in it are passed over (RFC 7517 §5).
fn jwks(set: Vec<Value>) -> Result<Vec<Key>, KeyError> {
    let mut keys = Vec::new();
    for (jwk, place) in set.into_iter().zip(1..) {
        let jwk = serde_json::from_value::<Jwk>(jwk).map_err(|_| KeyError::Jwk(place))?;
        if let Some(key) = jwk.key(place)? {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        Err(KeyError::EmptySet)
    } else {
        Ok(keys)
    }
}

impl Jwk {
    /// The key, if it is one that checks signatures.
    fn key(&self, place: usize) -> Result<Option<Key>, KeyError> {
        let signs = self
            .purpose
            .as_deref()
            .is_none_or(|purpose| purpose == "sig");
        let verifies = |operations: &Vec<String>| {
            let mut operations = operations.iter();
            operations.any(|one| one == "verify" || one == "sign")
        };
        if !signs || !self.key_ops.as_ref().is_none_or(verifies) {
            return Ok(None);
        }
        let broken = || KeyError::Jwk(place);
        let mut key = match (&*self.kty, self.crv.as_deref()) {
            ("oct", _) => {
                let secret = decoded(&self.k).filter(|secret| !secret.is_empty());
                Key::secret(&secret.ok_or_else(broken)?)
            }
            _ if self.d.is_some() => return Err(KeyError::Private),
            ("RSA", _) => self.public(place, Self::rsa)?,
            ("EC", Some("P-256")) => self.public(place, |jwk| jwk.point(Curve::P256))?,
            ("EC", Some("P-384")) => self.public(place, |jwk| jwk.point(Curve::P384))?,
            ("OKP", Some("Ed25519")) => self.public(place, |jwk| {
                ed25519(&decoded(&jwk.x).ok_or(KeyError::Unknown)?)
            })?,
            _ => return Ok(None),
        };
        if let Some(alg) = &self.alg {
            let alg: Algorithm = match alg.parse() {
                Ok(alg) => alg,
                // Of another purpose, such as RSA-OAEP.
                Err(_) => return Ok(None),
            };
            key.rules.algorithms.retain(|known| *known == alg);
            if key.rules.algorithms.is_empty() {
                return Err(broken());
            }
        }
        key.kid.clone_from(&self.kid);
        Ok(Some(key))
    }

    fn public(
        &self,
        place: usize,
        make: impl Fn(&Self) -> Result<Public, KeyError>,
    ) -> Result<Key, KeyError> {
        let key = make(self).map(Key::public);
        key.map_err(|error| match error {
            KeyError::Unknown => KeyError::Jwk(place),
            error => error,
        })
    }

    /// An RSA key, in the one form that is read here.
    fn rsa(&self) -> Result<Public, KeyError> {
        let (Some(n), Some(e)) = (decoded(&self.n), decoded(&self.e)) else {
            return Err(KeyError::Unknown);
        };
        let number = |bytes| UintRef::new(bytes).map_err(|_| KeyError::Unknown);
        let key = RsaPublicKey {
            modulus: number(&n)?,
            public_exponent: number(&e)?,
        };
        // Beside the numbers there are their lengths and kinds.
        let mut der = vec![0; n.len() + e.len() + 32];
        let der = key.encode_to_slice(&mut der);
        rsa(der.map_err(|_| KeyError::Unknown)?)
    }

    fn point(&self, curve: Curve) -> Result<Public, KeyError> {
        let (Some(x), Some(y)) = (decoded(&self.x), decoded(&self.y)) else {
            return Err(KeyError::Unknown);
        };
        point(&[&[4], &x[..], &y[..]].concat(), curve)
    }
}

fn decoded(text: &Option<String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.as_ref()?).ok()
}
