//! Certificates and keys: from files to what TLS needs.
//!
//! Everything that can be wrong with them is found here, at the start, at a
//! reload and by `adit check`, and named with its file.

use super::{Acceptor, Connector, x509};
use crate::net::tls_files::{CertificateFiles, ClientTls, ServerTls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore, ServerConfig,
    SignatureScheme,
};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// How long before its end a certificate is warned of.
const SOON: Duration = Duration::from_secs(14 * 86400);

impl ServerTls {
    /// Reads the files, and says what will be wrong with them soon.
    ///
    /// # Errors
    /// What is wrong with them now.
    pub fn load(&self, now: SystemTime) -> Result<(Acceptor, Vec<String>), String> {
        let provider = Arc::new(default_provider());
        let mut warnings = Vec::new();
        let mut keys = Vec::new();
        for files in &self.certificates {
            let key = files.load(&provider)?;
            warnings.extend(files.judge_validity(&key, now)?);
            keys.push(Arc::new(key));
        }
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("cannot set up TLS: {e}"))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(roots(ca)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = if self.client_required {
                    verifier
                } else {
                    verifier.allow_unauthenticated()
                };
                let verifier = verifier
                    .build()
                    .map_err(|e| format!("{}: {e}", ca.display()))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(BySni(keys)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Tickets hold the session at the client: nothing is kept here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        match self.resumes {
            true => {
                config.ticketer = Ticketer::new().map_err(|e| format!("cannot set up TLS: {e}"))?;
            }
            false => config.send_tls13_tickets = 0,
        }
        Ok((Acceptor(Arc::new(config)), warnings))
    }
}

impl ClientTls {
    /// Reads the files, for a backend of this name.
    ///
    /// # Errors
    /// What is wrong with them, or with the name.
    pub fn load(&self, host: &str) -> Result<Connector, String> {
        let provider = Arc::new(default_provider());
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host}: no name that a certificate can have"))?;
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("cannot set up TLS: {e}"))?;
        let builder = if self.insecure {
            let any = Arc::new(AnyCertificate(provider.clone()));
            builder.dangerous().with_custom_certificate_verifier(any)
        } else {
            let mut roots = match &self.ca {
                Some(ca) => roots(ca)?,
                None => RootCertStore::empty(),
            };
            if self.ca.is_none() || self.public_too {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            }
            builder.with_root_certificates(roots)
        };
        let config = match (self.cert.clone(), self.key.clone()) {
            (Some(cert), Some(key)) => {
                let files = CertificateFiles { cert, key };
                let (chain, key) = files.read()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|e| files.explain(e))?
            }
            (None, None) => builder.with_no_client_auth(),
            (Some(_), None) => return Err("backend-cert without backend-key".to_owned()),
            (None, Some(_)) => return Err("backend-key without backend-cert".to_owned()),
        };
        Ok(Connector {
            config: Arc::new(config),
            name,
        })
    }
}

impl CertificateFiles {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
        let chain = certificates(&self.cert, "the certificate")?;
        let key = PrivateKeyDer::from_pem_slice(&bytes(&self.key, "the key")?).map_err(|e| {
            format!(
                "{}: no private key in PEM (PKCS#8, PKCS#1 or SEC1): {e}",
                self.key.display()
            )
        })?;
        Ok((chain, key))
    }

    fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let (chain, key) = self.read()?;
        CertifiedKey::from_der(chain, key, provider).map_err(|e| self.explain(e))
    }

    /// What is wrong with the two together.
    fn explain(&self, error: Error) -> String {
        match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "key {} does not belong to certificate {}",
                self.key.display(),
                self.cert.display()
            ),
            Error::InvalidCertificate(e) => {
                format!("{}: not a certificate: {e}", self.cert.display())
            }
            e => format!("{}: {e}", self.key.display()),
        }
    }

    /// An error after the certificate's end, a warning before it.
    fn judge_validity(
        &self,
        key: &CertifiedKey,
        now: SystemTime,
    ) -> Result<Option<String>, String> {
        let cert = self.cert.display();
        let Some(end) = key.cert.first().and_then(|leaf| x509::not_after(leaf)) else {
            return Err(format!("{cert}: the end of its validity cannot be read"));
        };
        let days = |time: Duration| time.as_secs() / 86400;
        match end.duration_since(now) {
            Err(past) => Err(format!(
                "{cert}: expired {} days ago",
                days(past.duration())
            )),
            Ok(left) if left < SOON => Ok(Some(format!("{cert} expires in {} days", days(left)))),
            Ok(_) => Ok(None),
        }
    }
}

/// A file's bytes; `what` they are is said where there are none.
fn bytes(path: &Path, what: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {what} cannot be read: {e}", path.display()))
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path, what)?).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(format!("{}: no certificate in PEM", path.display())),
        Err(e) => Err(format!("{}: no certificate in PEM: {e}", path.display())),
    }
}

fn roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "the authorities")? {
        roots
            .add(certificate)
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(roots)
}

/// The certificate whose names have the one that the client asks for; else the
/// first.
#[derive(Debug)]
struct BySni(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name();
        let named = wanted.and_then(|name| self.0.iter().find(|key| has_name(key, name)));
        named.or(self.0.first()).cloned()
    }
}

fn has_name(key: &CertifiedKey, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else {
        return false;
    };
    let leaf = key
        .cert
        .first()
        .map(rustls::server::ParsedCertificate::try_from);
    leaf.is_some_and(|leaf| {
        leaf.is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, &name).is_ok())
    })
}

impl Acceptor {
    /// The settings of one connection, and where the name is noted that its
    /// client asks for.
    pub(super) fn listening(&self) -> (ServerConfig, Arc<AskedName>) {
        let mut config = ServerConfig::clone(&self.0);
        let asked = Arc::new(AskedName {
            certificates: config.cert_resolver.clone(),
            name: OnceLock::new(),
        });
        config.cert_resolver = asked.clone();
        (config, asked)
    }
}

/// The name that one client asks for. rustls' unbuffered connections tell it
/// to nobody but who chooses the certificate.
#[derive(Debug)]
pub(super) struct AskedName {
    certificates: Arc<dyn ResolvesServerCert>,
    name: OnceLock<String>,
}

impl AskedName {
    pub(super) fn name(&self) -> Option<&str> {
        self.name.get().map(String::as_str)
    }
}

impl ResolvesServerCert for AskedName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            self.name.get_or_init(|| name.to_owned());
        }
        self.certificates.resolve(hello)
    }
}

/// Takes every certificate, for those who said `backend-insecure`.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
