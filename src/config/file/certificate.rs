//! A further certificate of a listener, which only a file can name.

use crate::config::tls::CertificateDraft;
use crate::config::values::file;
use crate::config::words::{Word, put};
use crate::features::Feature;
use crate::net::tls_files::CertificateFiles;

/// What a `[[listen.certificate]]` says.
pub(super) const CERTIFICATE: &[Word<CertificateDraft>] = &[
    Word::of(Feature::Tls, "cert", |certificate, text| {
        put(&mut certificate.cert, file(text).map(Some))
    }),
    Word::of(Feature::Tls, "key", |certificate, text| {
        put(&mut certificate.key, file(text).map(Some))
    }),
];

impl CertificateDraft {
    /// The files, once both are there.
    pub(super) fn build(self) -> Result<CertificateFiles, String> {
        match (self.cert, self.key) {
            (Some(cert), Some(key)) => Ok(CertificateFiles { cert, key }),
            _ => {
                Err("a certificate needs both; write cert = \"FILE\" and key = \"FILE\"".to_owned())
            }
        }
    }
}
