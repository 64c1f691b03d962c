//! The certificate and private key by which this server proves who it is, read from PEM files.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, Ticketer, cipher_suite};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys, ServerConfig};

/// HTTP/2 (RFC 9113 §3.1).
pub(super) const HTTP2: &[u8] = b"h2";
/// Protocols that a client may name (RFC 7301), the best first. One that names others alone is refused;
/// `http/1.0` is what curl says with `--http1.0`.
const PROTOCOLS: [&[u8]; 3] = [HTTP2, b"http/1.1", b"http/1.0"];

/// The files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The chain, PEM, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// A certificate with its key, and how TLS is spoken with them.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Where they were read.
    pub files: Files,
    pub(super) server: Arc<ServerConfig>,
}

/// Why files hold no certificate and key that can be used.
#[derive(Debug)]
pub enum IdentityError {
    /// A file cannot be read.
    Read(&'static str, PathBuf, io::Error),
    /// A file is not PEM (RFC 7468).
    Pem(&'static str, PathBuf, pem::Error),
    /// No certificate stands in the file.
    NoCertificate(PathBuf),
    /// The first certificate cannot be understood.
    Certificate(PathBuf, Error),
    /// No private key stands in the file.
    NoKey(PathBuf),
    /// The key is encrypted with a passphrase.
    Encrypted(PathBuf),
    /// The key cannot be used.
    Key(PathBuf, Error),
    /// The key is another certificate's.
    Mismatch(Files),
    /// TLS itself cannot be set up.
    Setup(Error),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(option, path, error) => write!(f, "{option} {}: {error}", path.display()),
            Self::Pem(option, path, error) => {
                write!(f, "{option} {}: it is not PEM: {error}", path.display())
            }
            Self::NoCertificate(path) => write!(
                f,
                "--tls-cert {}: no certificate is in it; it needs PEM, the server's own certificate \
                 first and then those that vouch for it",
                path.display()
            ),
            Self::Certificate(path, error) => write!(
                f,
                "--tls-cert {}: its first certificate cannot be understood: {error}",
                path.display()
            ),
            Self::NoKey(path) => write!(
                f,
                "--tls-key {}: no private key is in it; it needs PEM: PKCS#8 (PRIVATE KEY), \
                 PKCS#1 (RSA PRIVATE KEY) or SEC1 (EC PRIVATE KEY)",
                path.display()
            ),
            Self::Encrypted(path) => write!(
                f,
                "--tls-key {}: the key is encrypted, and nobody is there to type a passphrase; \
                 it needs a key without one",
                path.display()
            ),
            Self::Key(path, error) => write!(
                f,
                "--tls-key {}: the key cannot be used: {error}; it needs RSA of 2048 to 8192 bits, \
                 ECDSA on P-256 or P-384, or Ed25519",
                path.display()
            ),
            Self::Mismatch(Files { cert, key }) => write!(
                f,
                "--tls-key {}: it is not the key of the first certificate in --tls-cert {}",
                key.display(),
                cert.display()
            ),
            Self::Setup(error) => write!(f, "TLS cannot be set up: {error}"),
        }
    }
}

impl std::error::Error for IdentityError {}

impl Identity {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn read(files: &Files) -> Result<Self, IdentityError> {
        let provider = Arc::new(provider());
        let chain_and_key = certified(files, &provider)?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(IdentityError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(chain_and_key)));
        server.alpn_protocols = PROTOCOLS.map(Vec::from).into();
        // Clients keep what resumes a session, sealed by us (RFC 5077, RFC 8446 §4.6.1): it costs
        // this process nothing.
        server.ticketer = Ticketer::new().map_err(IdentityError::Setup)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.ignore_client_order = has_aes();
        Ok(Self::with(files.clone(), server))
    }

    fn with(files: Files, server: ServerConfig) -> Self {
        Self {
            files,
            server: Arc::new(server),
        }
    }

    /// Reads other files, or the same ones again. Sessions that began before can be resumed.
    ///
    /// # Errors
    /// As [`Identity::read`].
    pub fn replaced(&self, files: &Files) -> Result<Self, IdentityError> {
        let mut server = ServerConfig::clone(&self.server);
        let chain_and_key = certified(files, server.crypto_provider())?;
        server.cert_resolver = Arc::new(SingleCertAndKey::from(chain_and_key));
        Ok(Self::with(files.clone(), server))
    }
}

/// ring, with AES-128 in front: it is the fastest where the processor has instructions for it.
/// Where it has none, the client's own order holds.
fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    let first = [
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    provider
        .cipher_suites
        .sort_by_key(|suite| !first.contains(suite));
    provider
}

fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

fn certified(files: &Files, provider: &CryptoProvider) -> Result<CertifiedKey, IdentityError> {
    let Files { cert, key } = files;
    let chain = chain(cert)?;
    let key = provider
        .key_provider
        .load_private_key(private_key(key)?)
        .map_err(|error| IdentityError::Key(files.key.clone(), error))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(IdentityError::Mismatch(files.clone()))
        }
        Err(error) => Err(IdentityError::Certificate(cert.clone(), error)),
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let text = read("--tls-cert", path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| IdentityError::Pem("--tls-cert", path.to_owned(), error))?;
    if chain.is_empty() {
        Err(IdentityError::NoCertificate(path.to_owned()))
    } else {
        Ok(chain)
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, IdentityError> {
    let text = read("--tls-key", path)?;
    // PKCS#8 (RFC 5958), or the old way in which OpenSSL encrypted keys of other kinds.
    let encrypted = [&b"ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"];
    let is_in = |mark: &&[u8]| memchr::memmem::find(&text, mark).is_some();
    match PrivateKeyDer::from_pem_slice(&text) {
        _ if encrypted.iter().any(is_in) => Err(IdentityError::Encrypted(path.to_owned())),
        Err(pem::Error::NoItemsFound) => Err(IdentityError::NoKey(path.to_owned())),
        Err(error) => Err(IdentityError::Pem("--tls-key", path.to_owned(), error)),
        Ok(key) => Ok(key),
    }
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|error| IdentityError::Read(option, path.to_owned(), error))
}
