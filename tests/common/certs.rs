//! Certificates of a test's own: authorities that live as long as the test, and
//! what they sign.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TempDir;

const DAY: Duration = Duration::from_secs(86400);

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Certificate {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for hosts, or for a client; the first name is its common one.
    pub fn issue(&self, names: &[&str]) -> Certificate {
        self.issue_until(names, SystemTime::now() + 90 * DAY)
    }

    /// A certificate that ended so many days ago.
    pub fn issue_expired(&self, names: &[&str], days: u32) -> Certificate {
        self.issue_until(names, SystemTime::now() - days * DAY - DAY / 2)
    }

    /// A certificate that ends in so many days.
    pub fn issue_expiring(&self, names: &[&str], days: u32) -> Certificate {
        self.issue_until(names, SystemTime::now() + days * DAY + DAY / 2)
    }

    fn issue_until(&self, names: &[&str], end: SystemTime) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names[0], names);
        params.not_after = date_time_ymd(1970, 1, 1) + end.duration_since(UNIX_EPOCH).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        Certificate {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Certificate {
    /// Writes `NAME.pem` and `NAME.key`, and says where they are.
    pub fn write(&self, temp: &TempDir, name: &str) -> (String, String) {
        (
            temp.write(&format!("{name}.pem"), &self.cert),
            temp.write(&format!("{name}.key"), &self.key),
        )
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![der(&self.cert)]
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// The certificate in a PEM file.
pub fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// Valid since long ago, as clocks of tests may be anywhere.
fn params(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params
}
