//! Certificate authorities of single registries, in the files that podman, skopeo and docker share
//! (containers-certs.d(5)).

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use reqwest::Certificate;

/// No true file of authorities is larger.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// No true folder has more of them.
const MAX_FILES: usize = 256;

/// A file of authorities that cannot be used.
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

/// The authorities in a folder: every file `*.crt`, in PEM.
pub(super) fn authorities(folder: &Path) -> Result<Vec<Certificate>, BadCertificates> {
    let bad = |error: io::Error| BadCertificates::new(folder, error);
    let entries = fs::read_dir(folder).map_err(bad)?.take(MAX_FILES);
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths.map_err(bad)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "crt"));
    paths.sort();
    let all: Result<Vec<_>, _> = paths.iter().map(|path| read(path)).collect();
    Ok(all?.into_iter().flatten().collect())
}

fn read(path: &Path) -> Result<Vec<Certificate>, BadCertificates> {
    let mut bytes = Vec::new();
    let opened = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_end(&mut bytes));
    opened.map_err(|error| BadCertificates::new(path, error))?;
    match Certificate::from_pem_bundle(&bytes) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(BadCertificates::new(path, "it holds no certificate in PEM")),
    }
}
