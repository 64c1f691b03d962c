//! What the key's file holds, and which signatures it can check.
//!
//! The key's kind fixes the algorithms (RFC 8725 §3.1), so a public key is never taken for a secret.

use std::collections::HashSet;
use std::fmt;

use jsonwebtoken::Algorithm::{self, *};
use jsonwebtoken::{DecodingKey, Validation};
use pkcs1::RsaPublicKeyRef;
use pkcs1::der::Decode;
use ring::hmac;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::verifier;

/// Bytes from which on a secret is long enough for HS256 (RFC 7518 §3.2).
const LONG_ENOUGH: usize = 32;
/// The sizes of RSA keys that are taken, in bits (RFC 7518 §3.3, and what `ring` can).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// rsaEncryption (RFC 8017 appendix A.1), id-ecPublicKey, prime256v1 and secp384r1 (RFC 5480 §2.1.1),
/// id-Ed25519 (RFC 8410 §3).
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A subscribers' key. Its `Debug` shows its algorithms alone.
#[derive(Clone)]
pub struct Key {
    /// What checks a JWT's signature.
    pub(super) jwt: DecodingKey,
    /// The algorithms that it is for.
    pub(super) rules: Validation,
    /// What signs URLs, if it is a secret.
    secret: Option<Secret>,
    /// Its name in a JWK Set (RFC 7517 §4.5).
    pub(super) kid: Option<String>,
}

#[derive(Clone)]
struct Secret {
    hs256: hmac::Key,
    short: bool,
}

/// Why a file's content is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyError {
    /// Nothing is in it.
    Empty,
    /// It is PEM text that cannot be read.
    Pem,
    /// It is a private key.
    Private,
    /// It is PEM of something else.
    NoKey,
    /// It is a public key of a kind that is not known here, or a broken one.
    Unknown,
    /// It is an RSA key of this many bits.
    RsaBits(usize),
    /// It is a JWK Set without a key that checks signatures.
    EmptySet,
    /// The key at this place of its JWK Set, from 1 on, is broken.
    Jwk(usize),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty; it needs a secret or a public key"),
            Self::Pem => f.write_str("it begins like PEM but cannot be read as such"),
            Self::Private => f.write_str(
                "it holds a private key, which belongs to whoever makes JWTs; the public key is \
                 needed here (openssl pkey -in PRIVATE -pubout)",
            ),
            Self::NoKey => f.write_str(
                "its PEM is neither PUBLIC KEY nor RSA PUBLIC KEY; of a certificate take the key \
                 (openssl x509 -in CERT -noout -pubkey)",
            ),
            Self::Unknown => f.write_str(
                "its public key is of no kind that is known here: RSA, P-256, P-384 or Ed25519",
            ),
            Self::EmptySet => f.write_str(
                "no key of its JWK Set is one that checks signatures: oct, RSA, EC with P-256 or P-384, \
                 or OKP with Ed25519",
            ),
            Self::Jwk(place) => write!(
                f,
                "key {place} of its JWK Set cannot be used; each needs the members that RFC 7518 §6 \
                 and RFC 8037 §2 ask for, in base64url"
            ),
            Self::RsaBits(bits) => write!(
                f,
                "its RSA key has {bits} bits; {} to {} are taken",
                RSA_BITS.start(),
                RSA_BITS.end()
            ),
        }
    }
}

impl std::error::Error for KeyError {}

impl Key {
    /// Reads a file's content: a public key as PEM (SubjectPublicKeyInfo of RFC 5280, or RSA's own
    /// of RFC 8017), else a secret; one newline at its end is not part of it.
    ///
    /// # Errors
    /// What is there instead of a key.
    pub fn read(content: &[u8]) -> Result<Self, KeyError> {
        const BEGIN: &[u8] = b"-----BEGIN ";
        if content.windows(BEGIN.len()).any(|part| part == BEGIN) {
            return public(content).map(Self::public);
        }
        let secret = match content {
            [secret @ .., b'\r', b'\n'] | [secret @ .., b'\n'] => secret,
            secret => secret,
        };
        if secret.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self::secret(secret))
    }

    /// The key that these bytes are.
    pub(super) fn secret(secret: &[u8]) -> Self {
        let hs256 = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let short = secret.len() < LONG_ENOUGH;
        Self::new(
            DecodingKey::from_secret(secret),
            &[HS256, HS384, HS512],
            Some(Secret { hs256, short }),
        )
    }

    /// A public key.
    pub(super) fn public((jwt, algorithms): Public) -> Self {
        Self::new(jwt, algorithms, None)
    }

    fn new(jwt: DecodingKey, algorithms: &[Algorithm], secret: Option<Secret>) -> Self {
        verifier::install();
        let rules = Validation {
            algorithms: algorithms.to_vec(),
            // jsonwebtoken rounds to whole seconds, and lets a JWT live on in the second of its `exp`.
            validate_exp: false,
            required_spec_claims: HashSet::new(),
            // Who else takes it matters not: `subscribe` says what it is good for here.
            validate_aud: false,
            ..Validation::default()
        };
        Self {
            jwt,
            rules,
            secret,
            kid: None,
        }
    }

    /// Whether it is a secret, which signs URLs too.
    pub fn is_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether it is a secret that is short enough to be guessed.
    pub fn is_short(&self) -> bool {
        self.secret.as_ref().is_some_and(|secret| secret.short)
    }

    /// The names of the algorithms that it is for (RFC 7518 §3.1, RFC 8037 §3.1).
    pub fn algorithms(&self) -> String {
        let names = self.rules.algorithms.iter();
        let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
        names.join(", ")
    }

    /// What signs URLs: HMAC-SHA256, if it is a secret.
    pub(super) fn url_key(&self) -> Option<&hmac::Key> {
        self.secret.as_ref().map(|secret| &secret.hs256)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithms())
    }
}

/// A public key, and what it is for.
pub(super) type Public = (DecodingKey, &'static [Algorithm]);

/// Reads PEM (RFC 7468).
fn public(content: &[u8]) -> Result<Public, KeyError> {
    let blocks = pem::parse_many(content).map_err(|_| KeyError::Pem)?;
    if blocks.iter().any(|pem| pem.tag().ends_with("PRIVATE KEY")) {
        return Err(KeyError::Private);
    }
    match blocks.as_slice() {
        [only] if only.tag() == "PUBLIC KEY" => public_info(only.contents()),
        [only] if only.tag() == "RSA PUBLIC KEY" => rsa(only.contents()),
        [] => Err(KeyError::Pem),
        _ => Err(KeyError::NoKey),
    }
}

/// Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7).
fn public_info(der: &[u8]) -> Result<Public, KeyError> {
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::Unknown)?;
    let bytes = info.subject_public_key.as_bytes();
    let bytes = bytes.ok_or(KeyError::Unknown)?;
    let curve = || info.algorithm.parameters_oid().ok();
    match info.algorithm.oid {
        RSA => rsa(bytes),
        EC if curve() == Some(P256) => point(bytes, Curve::P256),
        EC if curve() == Some(P384) => point(bytes, Curve::P384),
        ED25519 => ed25519(bytes),
        _ => Err(KeyError::Unknown),
    }
}

/// The elliptic curves of ECDSA that are known here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Curve {
    P256,
    P384,
}

/// Takes an uncompressed point of a curve: 4 and two coordinates (RFC 5480 §2.2).
pub(super) fn point(bytes: &[u8], curve: Curve) -> Result<Public, KeyError> {
    match (curve, bytes) {
        (Curve::P256, [4, point @ ..]) if point.len() == 64 => {
            Ok((DecodingKey::from_ec_der(bytes), &[ES256]))
        }
        (Curve::P384, [4, point @ ..]) if point.len() == 96 => {
            Ok((DecodingKey::from_ec_der(bytes), &[ES384]))
        }
        _ => Err(KeyError::Unknown),
    }
}

/// Takes a public key of Ed25519 (RFC 8032 §5.1.5).
pub(super) fn ed25519(bytes: &[u8]) -> Result<Public, KeyError> {
    match bytes.len() {
        32 => Ok((DecodingKey::from_ed_der(bytes), &[EdDSA])),
        _ => Err(KeyError::Unknown),
    }
}

/// Reads an RSAPublicKey (RFC 8017 appendix A.1.1).
pub(super) fn rsa(der: &[u8]) -> Result<Public, KeyError> {
    let key = RsaPublicKeyRef::from_der(der).map_err(|_| KeyError::Unknown)?;
    let modulus = key.modulus.as_bytes();
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = modulus.len() * 8 - unused as usize;
    if RSA_BITS.contains(&bits) {
        Ok((
            DecodingKey::from_rsa_der(der),
            &[RS256, RS384, RS512, PS256, PS384, PS512],
        ))
    } else {
        Err(KeyError::RsaBits(bits))
    }
}
