//! Certificates that a site keeps beside those of the system: `certs.d`.
//!
//! containers-certs.d(5): `HOST[:PORT]/*.crt` are authorities, `X.cert` with `X.key` is what we
//! show to that host. Files are read when a host is first asked.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, parse_pem};

use crate::{Error, Result, Url};

/// Where a site keeps certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateDirs {
    /// For every host; replaces `per_host`.
    pub all_hosts: Option<PathBuf>,
    /// Have a directory `HOST[:PORT]` for each host; the first that has one counts.
    pub per_host: Vec<PathBuf>,
}

/// What a directory holds.
#[derive(Default)]
pub(crate) struct Certificates {
    pub authorities: Vec<Certificate<'static>>,
    pub identity: Option<ClientCert>,
}

impl CertificateDirs {
    /// The directory for the host of `url`; `None`: only the system's authorities count.
    pub(crate) fn for_url(&self, url: &Url) -> Option<PathBuf> {
        if self.all_hosts.is_some() {
            return self.all_hosts.clone();
        }
        let (host, port) = (url.host(), url.port());
        let bare = (port == 443).then(|| host.clone());
        let names: Vec<String> = bare.into_iter().chain([format!("{host}:{port}")]).collect();
        let mut candidates = self
            .per_host
            .iter()
            .flat_map(|dir| names.iter().map(move |name| dir.join(name)));
        candidates.find(|dir| dir.is_dir())
    }
}

/// Reads the certificates in `dir`.
///
/// # Errors
/// [`Error::Certificates`] if a file cannot be read, is not PEM, or a `.cert` has no `.key`.
pub(crate) fn read(dir: &Path) -> Result<Certificates> {
    let mut found = Certificates::default();
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(|source| unreadable(dir, source))?;
    files.sort();
    for file in files {
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.extend(chain(&file)?),
            Some("cert") => {
                let key = key(&file.with_extension("key"))?;
                found.identity = Some(ClientCert::new_with_certs(&chain(&file)?, key));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The certificates of a PEM file, at least one.
fn chain(file: &Path) -> Result<Vec<Certificate<'static>>> {
    let pem = fs::read(file).map_err(|source| unreadable(file, source))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(unreadable(file, io::ErrorKind::InvalidData.into()));
    }
    Ok(certificates)
}

fn key(file: &Path) -> Result<PrivateKey<'static>> {
    let pem = fs::read(file).map_err(|source| unreadable(file, source))?;
    PrivateKey::from_pem(&pem).map_err(|_| unreadable(file, io::ErrorKind::InvalidData.into()))
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Certificates {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::{CertificateDirs, read};

    #[test]
    fn a_host_has_a_directory_with_or_without_its_port() {
        let root = tempfile::tempdir().unwrap();
        for name in ["a", "b:5000", "c:443"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let mut dirs = CertificateDirs {
            all_hosts: None,
            per_host: vec!["/nowhere".into(), root.path().to_owned()],
        };
        let found = |dirs: &CertificateDirs, url: &str| {
            let dir = dirs.for_url(&url.parse().unwrap())?;
            Some(dir.file_name()?.to_str()?.to_owned())
        };
        assert_eq!(found(&dirs, "https://a/v2/").as_deref(), Some("a"));
        assert_eq!(found(&dirs, "https://a:5000/v2/"), None);
        assert_eq!(found(&dirs, "https://b:5000/").as_deref(), Some("b:5000"));
        assert_eq!(found(&dirs, "https://c/").as_deref(), Some("c:443"));
        dirs.all_hosts = Some("/x".into());
        assert_eq!(found(&dirs, "https://c/").as_deref(), Some("x"));
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("notes.txt"), "x").unwrap();
        assert!(read(dir.path()).unwrap().authorities.is_empty());
        std::fs::write(dir.path().join("ca.crt"), "x").unwrap();
        assert!(read(dir.path()).is_err());
    }
}
