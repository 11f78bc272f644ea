//! The files that TLS is set up from, as the settings name them.
//!
//! They are read by what speaks TLS, which a build may lack.

use std::path::{Path, PathBuf};

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the certificate itself first.
    pub cert: PathBuf,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// TLS at a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// What the client may be shown, chosen by SNI; the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// Who may sign clients' certificates; `None`: they are not asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client needs one.
    pub client_required: bool,
    /// Whether plain HTTP and WebSocket are spoken there as well.
    pub plain: bool,
    /// Whether a client can go on with a session that it had.
    pub resumes: bool,
}

/// TLS towards a backend, or another server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Who may sign the backend's certificate; `None`: the public authorities.
    pub ca: Option<PathBuf>,
    /// Whether the public authorities may as well.
    pub public_too: bool,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// What the backend is shown, if anything: a certificate chain ...
    pub cert: Option<PathBuf>,
    /// ... and its key.
    pub key: Option<PathBuf>,
}

impl ServerTls {
    /// All files that the settings name.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self
            .certificates
            .iter()
            .flat_map(|files| [&files.cert, &files.key]);
        pairs.chain(&self.client_ca).map(PathBuf::as_path)
    }
}

impl ClientTls {
    /// All files that the settings name.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = [&self.cert, &self.key, &self.ca];
        files.into_iter().flatten().map(PathBuf::as_path)
    }
}
