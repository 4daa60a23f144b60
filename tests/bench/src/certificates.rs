//! Certificates for a run with TLS: an authority that lives for it, and one certificate that all servers show.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// The name in the certificate, for those that can't check an address. 127.0.0.1 is in it too.
pub(crate) const NAME: &str = "localhost";

/// PEM files.
#[derive(Debug)]
pub(crate) struct Certificates {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    pub(crate) fn write(folder: &Path) -> io::Result<Self> {
        let files = Self {
            authority: folder.join("authority.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key.pem"),
        };
        files.issue().map_err(io::Error::other)?.write(&files)?;
        Ok(files)
    }

    fn issue(&self) -> Result<Pem, rcgen::Error> {
        let authority_key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        // OpenSSL takes a certificate that is called as its issuer is for one that signed itself.
        params.distinguished_name.push(DnType::CommonName, "bench authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key)?.pem();
        let key = KeyPair::generate()?;
        let names = vec![NAME.to_owned(), "127.0.0.1".to_owned()];
        let issuer = Issuer::new(params, authority_key);
        let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?.pem();
        Ok(Pem { authority, certificate, key: key.serialize_pem() })
    }
}

struct Pem {
    authority: String,
    certificate: String,
    key: String,
}

impl Pem {
    fn write(&self, files: &Certificates) -> io::Result<()> {
        fs::write(&files.authority, &self.authority)?;
        fs::write(&files.certificate, &self.certificate)?;
        fs::write(&files.key, &self.key)
    }
}
