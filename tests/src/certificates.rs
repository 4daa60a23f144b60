//! Certificates for the planes: one authority, and what it signs.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tempfile::TempDir;

/// An authority and its folder of PEM files.
pub struct Certificates {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl Certificates {
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("switchyard-certificates-").unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// The authority's certificate.
    #[must_use]
    pub fn authority(&self) -> String {
        self.path("ca.pem")
    }

    /// Signs a certificate for `localhost`, 127.0.0.1 and the node of that name, and gives the paths of it and of its key.
    #[must_use]
    pub fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names = vec![name.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        let node = format!("switchyard://node/{name}").as_str().try_into().unwrap();
        params.subject_alt_names.push(SanType::URI(node));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (certificate_file, key_file) = self.files(name);
        fs::write(&certificate_file, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        (certificate_file, key_file)
    }

    /// Where a certificate of [`Self::issue`] and its key are.
    #[must_use]
    pub fn files(&self, name: &str) -> (String, String) {
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key.pem")))
    }

    fn path(&self, file: &str) -> String {
        let path: PathBuf = self.folder.path().join(file);
        path.into_os_string().into_string().unwrap()
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
