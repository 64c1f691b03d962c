//! The certificate that a server shows, and why one is not trusted.

use std::time::{Duration, SystemTime};

use rustls::{CertificateError, Error};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::advice::Topic;

/// A day, in seconds.
const DAY: u64 = 86_400;

/// How many days a certificate is still valid; negative if it has ended. None if it cannot be read.
pub(crate) fn days_left(certificate: &[u8]) -> Option<i64> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after;
    let end = SystemTime::UNIX_EPOCH + end.to_unix_duration();
    let days = |time: Duration| i64::try_from(time.as_secs() / DAY).unwrap_or(i64::MAX);
    Some(match end.duration_since(SystemTime::now()) {
        Ok(left) => days(left),
        Err(over) => -days(over.duration()) - 1,
    })
}

/// What is wrong with TLS, in a sentence, and what it is about.
pub(crate) fn told(error: &Error, name: &str) -> (Topic, String) {
    let Error::InvalidCertificate(why) = error else {
        return (
            Topic::Chain,
            format!("the handshake failed: {error}; is this a port for TLS?"),
        );
    };
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            (Topic::Expired, "the certificate has expired".to_owned())
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => (
            Topic::Expired,
            "the certificate is not valid yet; is the clock right?".to_owned(),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            Topic::Name,
            format!("the certificate is not for the name {name}"),
        ),
        CertificateError::UnknownIssuer => (
            Topic::Chain,
            "the certificate is not trusted: its issuer is unknown here. Mostly the server sends \
             its own certificate without the intermediate one"
                .to_owned(),
        ),
        other => (
            Topic::Chain,
            format!("the certificate is refused: {other:?}"),
        ),
    }
}
