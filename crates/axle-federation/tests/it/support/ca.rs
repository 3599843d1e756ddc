//! A private certificate authority in a folder that is removed afterwards.

use std::path::PathBuf;

use axle_federation::tls::{ClientTls, ClientTlsConfig, ServerTls, ServerTlsConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

pub struct Ca {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Axle test CA");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    /// The certificate and key files of a server with these names.
    pub fn issue(&self, file: &str, names: &[&str]) -> ServerTlsConfig {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        let paths = ServerTlsConfig {
            certificate: self.folder.path().join(format!("{file}.pem")),
            private_key: self.folder.path().join(format!("{file}.key")),
        };
        std::fs::write(&paths.certificate, certificate.pem()).unwrap();
        std::fs::write(&paths.private_key, key.serialize_pem()).unwrap();
        paths
    }

    pub fn server(&self, names: &[&str]) -> ServerTls {
        ServerTls::load(self.issue(names[0], names)).unwrap()
    }

    pub fn client(&self) -> ClientTls {
        ClientTls::load(&self.client_config()).unwrap()
    }

    pub fn client_config(&self) -> ClientTlsConfig {
        ClientTlsConfig { system_roots: false, extra_ca: Some(self.path("ca.pem")), allow_tls12: false }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }
}
