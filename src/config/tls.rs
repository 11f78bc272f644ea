//! TLS at a listener, on its way from words to settings.

use crate::net::tls_files::{CertificateFiles, ServerTls};
use std::path::PathBuf;

/// TLS at a listener, as far as it was given.
#[derive(Clone, Debug, Default)]
pub struct TlsDraft {
    /// The certificate that the listener itself names.
    pub own: CertificateDraft,
    /// Those of its `[[listen.certificate]]` tables.
    pub more: Vec<CertificateFiles>,
    /// See [`ServerTls::client_ca`].
    pub client_ca: Option<PathBuf>,
    /// See [`ServerTls::client_required`].
    pub client_required: Option<bool>,
    /// See [`ServerTls::plain`].
    pub plain: Option<bool>,
}

/// A certificate that may not have both of its files yet.
#[derive(Clone, Debug, Default)]
pub struct CertificateDraft {
    /// The chain.
    pub cert: Option<PathBuf>,
    /// The key.
    pub key: Option<PathBuf>,
}

impl TlsDraft {
    /// The settings, or the key that is wrong or missing.
    pub(super) fn build(self) -> Result<Option<ServerTls>, (&'static str, String)> {
        let lone = |key, other| Err((key, format!("{key} without {other}; write {other} too")));
        let mut certificates = match (self.own.cert, self.own.key) {
            (Some(cert), Some(key)) => vec![CertificateFiles { cert, key }],
            (Some(_), None) => return lone("tls-cert", "tls-key"),
            (None, Some(_)) => return lone("tls-key", "tls-cert"),
            (None, None) => Vec::new(),
        };
        certificates.extend(self.more);
        if certificates.is_empty() {
            let given = [
                ("client-ca", self.client_ca.is_some()),
                ("client-auth", self.client_required.is_some()),
                ("plain", self.plain.is_some()),
            ];
            return match given.into_iter().find(|(_, given)| *given) {
                Some((key, _)) => lone(key, "tls-cert"),
                None => Ok(None),
            };
        }
        if self.client_required.is_some() && self.client_ca.is_none() {
            return lone("client-auth", "client-ca");
        }
        Ok(Some(ServerTls {
            certificates,
            client_ca: self.client_ca,
            client_required: self.client_required.unwrap_or(true),
            plain: self.plain.unwrap_or(false),
            resumes: true,
        }))
    }
}
