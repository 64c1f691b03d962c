//! What the key's file holds, and which signatures it can check.
//!
//! All cryptography is `ring`'s, which compares in constant time. The key's kind fixes the algorithms
//! (RFC 8725 §3.1), so a public key is never taken for a secret.

use std::fmt;

use pkcs1::RsaPublicKeyRef;
use pkcs1::der::Decode;
use ring::hmac;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

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

/// A subscribers' key. Its `Debug` shows its kind alone.
#[derive(Clone)]
pub struct Key(Kind);

#[derive(Clone)]
enum Kind {
    Secret(Box<Secret>),
    Public(Family, Vec<u8>),
}

/// A secret, prepared for each of its algorithms.
#[derive(Clone)]
struct Secret {
    hs256: hmac::Key,
    hs384: hmac::Key,
    hs512: hmac::Key,
    short: bool,
}

/// Kinds of public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
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

/// Why a signature is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// The key is not for that algorithm.
    Algorithm,
    /// The signature is another.
    Signature,
}

impl Key {
    /// Reads a file's content: a public key as PEM (SubjectPublicKeyInfo of RFC 5280, or RSA's own
    /// of RFC 8017), else a secret; one newline at its end is not part of it.
    ///
    /// # Errors
    /// What is there instead of a key.
    pub fn read(content: &[u8]) -> Result<Self, KeyError> {
        const BEGIN: &[u8] = b"-----BEGIN ";
        if content.windows(BEGIN.len()).any(|part| part == BEGIN) {
            return public(content).map(|(family, bytes)| Self(Kind::Public(family, bytes)));
        }
        let secret = match content {
            [secret @ .., b'\r', b'\n'] | [secret @ .., b'\n'] => secret,
            secret => secret,
        };
        if secret.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self(Kind::Secret(Box::new(Secret {
            hs256: hmac::Key::new(hmac::HMAC_SHA256, secret),
            hs384: hmac::Key::new(hmac::HMAC_SHA384, secret),
            hs512: hmac::Key::new(hmac::HMAC_SHA512, secret),
            short: secret.len() < LONG_ENOUGH,
        }))))
    }

    /// Whether it is a secret, which signs URLs too.
    pub fn is_secret(&self) -> bool {
        matches!(self.0, Kind::Secret(_))
    }

    /// Whether it is a secret that is short enough to be guessed.
    pub fn is_short(&self) -> bool {
        matches!(&self.0, Kind::Secret(secret) if secret.short)
    }

    /// The algorithms that it is for (RFC 7518 §3.1, RFC 8037 §3.1).
    pub fn algorithms(&self) -> &'static str {
        match &self.0 {
            Kind::Secret(_) => "HS256, HS384, HS512",
            Kind::Public(Family::Rsa, _) => "RS256, RS384, RS512, PS256, PS384, PS512",
            Kind::Public(Family::P256, _) => "ES256",
            Kind::Public(Family::P384, _) => "ES384",
            Kind::Public(Family::Ed25519, _) => "EdDSA",
        }
    }

    /// What signs URLs: HMAC-SHA256, if it is a secret.
    pub(super) fn url_key(&self) -> Option<&hmac::Key> {
        match &self.0 {
            Kind::Secret(secret) => Some(&secret.hs256),
            Kind::Public(..) => None,
        }
    }

    /// Checks a signature by the algorithm of that name.
    pub(super) fn verify(&self, name: &str, message: &[u8], signed: &[u8]) -> Result<(), Bad> {
        let (family, bytes) = match &self.0 {
            Kind::Secret(secret) => {
                let key = match name {
                    "HS256" => &secret.hs256,
                    "HS384" => &secret.hs384,
                    "HS512" => &secret.hs512,
                    _ => return Err(Bad::Algorithm),
                };
                return hmac::verify(key, message, signed).map_err(|_| Bad::Signature);
            }
            Kind::Public(family, bytes) => (family, bytes),
        };
        let algorithm: &dyn VerificationAlgorithm = match (family, name) {
            (Family::Rsa, "RS256") => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Family::Rsa, "RS384") => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Family::Rsa, "RS512") => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Family::Rsa, "PS256") => &signature::RSA_PSS_2048_8192_SHA256,
            (Family::Rsa, "PS384") => &signature::RSA_PSS_2048_8192_SHA384,
            (Family::Rsa, "PS512") => &signature::RSA_PSS_2048_8192_SHA512,
            (Family::P256, "ES256") => &signature::ECDSA_P256_SHA256_FIXED,
            (Family::P384, "ES384") => &signature::ECDSA_P384_SHA384_FIXED,
            (Family::Ed25519, "EdDSA") => &signature::ED25519,
            _ => return Err(Bad::Algorithm),
        };
        UnparsedPublicKey::new(algorithm, bytes)
            .verify(message, signed)
            .map_err(|_| Bad::Signature)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithms())
    }
}

/// Reads PEM (RFC 7468): the kind of a public key, and its bytes as `ring` takes them.
fn public(content: &[u8]) -> Result<(Family, Vec<u8>), KeyError> {
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
fn public_info(der: &[u8]) -> Result<(Family, Vec<u8>), KeyError> {
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|_| KeyError::Unknown)?;
    let bytes = info.subject_public_key.as_bytes();
    let bytes = bytes.ok_or(KeyError::Unknown)?;
    let curve = || info.algorithm.parameters_oid().ok();
    // An uncompressed point is 4 and two coordinates (RFC 5480 §2.2).
    match (info.algorithm.oid, bytes) {
        (RSA, bytes) => rsa(bytes),
        (EC, [4, point @ ..]) if curve() == Some(P256) && point.len() == 64 => {
            Ok((Family::P256, bytes.to_vec()))
        }
        (EC, [4, point @ ..]) if curve() == Some(P384) && point.len() == 96 => {
            Ok((Family::P384, bytes.to_vec()))
        }
        (ED25519, bytes) if bytes.len() == 32 => Ok((Family::Ed25519, bytes.to_vec())),
        _ => Err(KeyError::Unknown),
    }
}

/// Reads an RSAPublicKey (RFC 8017 appendix A.1.1).
fn rsa(der: &[u8]) -> Result<(Family, Vec<u8>), KeyError> {
    let key = RsaPublicKeyRef::from_der(der).map_err(|_| KeyError::Unknown)?;
    let modulus = key.modulus.as_bytes();
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = modulus.len() * 8 - unused as usize;
    match RSA_BITS.contains(&bits) {
        true => Ok((Family::Rsa, der.to_vec())),
        false => Err(KeyError::RsaBits(bits)),
    }
}
