//! Certificates of single registries, in the files that podman, skopeo and docker share (containers-certs.d(5)).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// No true file of certificates is larger.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// No true folder has more of them.
const MAX_FILES: usize = 256;

/// A file of certificates that cannot be used.
#[derive(Debug)]
pub(crate) struct BadCertificates {
    /// The file or folder.
    pub(crate) path: PathBuf,
    /// What is wrong, in words that follow its name.
    pub(crate) what: String,
}

impl BadCertificates {
    pub(super) fn new(path: &Path, what: impl ToString) -> Self {
        Self { path: path.to_owned(), what: what.to_string() }
    }
}

/// The folder of a registry (`HOST[:PORT]`, as references name it): of these folders the first that has one counts alone.
/// One that this user may not look into has none.
pub(super) fn folder(folders: &[PathBuf], registry: &str) -> Option<PathBuf> {
    let is_name = !registry.contains('/') && !matches!(registry, "." | "..");
    folders.iter().filter(|_| is_name).map(|folder| folder.join(registry)).find(|folder| folder.is_dir())
}

/// What the folder of a registry holds.
#[derive(Debug)]
pub(super) struct Certificates {
    /// Who vouches for it: every file `*.crt`, in PEM.
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// Who asks: the first file `*.cert`, with its key in the file `*.key` of the same name.
    pub(super) client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Certificates {
    /// Reads a folder; `None` where there is nothing of that kind in it.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, BadCertificates> {
        let bad = |error: io::Error| BadCertificates::new(folder, error);
        let entries = fs::read_dir(folder).map_err(bad)?.take(MAX_FILES);
        let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
        let mut paths = paths.map_err(bad)?;
        paths.sort();
        let of = |kind: &'static str| {
            paths.iter().filter(move |path| path.extension().is_some_and(|extension| extension == kind))
        };
        let authorities: Result<Vec<_>, _> = of("crt").map(|path| certificates(path)).collect();
        let authorities: Vec<_> = authorities?.into_iter().flatten().collect();
        let client = of("cert").next().map(|path| Ok((certificates(path)?, key(&path.with_extension("key"))?)));
        let client = client.transpose()?;
        Ok((!authorities.is_empty() || client.is_some()).then_some(Self { authorities, client }))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadCertificates> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(path)?).collect();
    let found = found.unwrap_or_default();
    if found.is_empty() { Err(BadCertificates::new(path, "it holds no certificate in PEM")) } else { Ok(found) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, BadCertificates> {
    PrivateKeyDer::from_pem_slice(&bytes(path)?).map_err(|_| BadCertificates::new(path, "it holds no key in PEM"))
}

fn bytes(path: &Path) -> Result<Vec<u8>, BadCertificates> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| BadCertificates::new(path, error))
}
