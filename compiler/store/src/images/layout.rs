//! Images in folders that are OCI image layouts (OCI image specification 1.1, `image-layout.md`).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use formats::oci::{Descriptor, Document, MAX_DOCUMENT_BYTES, read_document};
use packages::{ArchiveDigest, Sha256};

use super::{ImageError, ImageRequest, RegistryError, Wanted, check_size, digest_of};
use crate::network::Job;
use crate::{FetchError, Store, TransferError};

impl Store {
    /// The digest of the one image of this name, or of the whole index where there are several.
    pub(super) fn resolve_layout(&self, folder: &Path, name: Option<&str>) -> Result<Sha256, ImageError> {
        let path = folder.join("index.json");
        let bytes = read_small(&path).map_err(|source| ImageError::Local { path: path.clone(), source })?;
        let reference = || folder.display().to_string();
        let wrong = |what: String| ImageError::Wrong { reference: reference(), what };
        let index = match read_document(&bytes, None) {
            Ok(Document::Index(index)) => index,
            Ok(Document::Manifest(_)) => return Err(wrong("its index.json is no index".to_owned())),
            Err(source) => return Err(ImageError::Document { reference: reference(), source }),
        };
        let named: Vec<&Descriptor> =
            index.iter().filter(|one| name.is_none_or(|name| one.name.as_deref() == Some(name))).collect();
        match named[..] {
            [] => {
                let mut names: Vec<&str> = index.iter().filter_map(|one| one.name.as_deref()).collect();
                names.dedup();
                Err(wrong(format!("it has no image of that name; it has {}", listed(&names))))
            }
            [one] => {
                is_what_it_is_announced_as(folder, one)?;
                digest_of(&one.sha256)
            }
            _ => Ok(self.place_document(&bytes)?),
        }
    }

    /// Copies blobs out of a layout, each verified.
    pub(super) fn take_from_layout(
        &self,
        request: &ImageRequest<'_>,
        folder: &Path,
        missing: &[Wanted],
    ) -> Result<(), ImageError> {
        let jobs: Vec<Job> = missing.iter().map(|wanted| self.copy_job(folder, wanted)).collect();
        for (wanted, (job, result)) in missing.iter().zip(jobs.iter().zip(self.network.fetch(&jobs, &crate::Silent))) {
            match result {
                Ok(_) => self.place_blob(&job.partial, wanted.sha256)?,
                Err(FetchError { tried, .. }) => {
                    let said = |(place, error): (String, TransferError)| (place, RegistryError::of(error, &job.what));
                    let tried = tried.into_iter().map(said).collect();
                    return Err(ImageError::Pull { reference: request.reference.to_string(), tried });
                }
            }
        }
        Ok(())
    }

    fn copy_job(&self, folder: &Path, wanted: &Wanted) -> Job {
        let path = folder.join("blobs/sha256").join(wanted.sha256.to_string());
        let absolute = std::path::absolute(&path).unwrap_or(path);
        Job {
            what: format!("the blob sha256:{}", wanted.sha256),
            urls: vec![absolute.display().to_string()],
            partial: self.folders.temporary(),
            size_bytes: wanted.size_bytes,
            limit_bytes: wanted.size_bytes.unwrap_or(MAX_DOCUMENT_BYTES),
            digest: Some(ArchiveDigest::Sha256(wanted.sha256)),
            headers: Vec::new(),
            copy: None,
        }
    }
}

/// Compares a manifest with what its index says of it. One that is not there or is damaged is told when it is taken.
fn is_what_it_is_announced_as(folder: &Path, stated: &Descriptor) -> Result<(), ImageError> {
    let reference = folder.display().to_string();
    let bytes = read_small(&folder.join("blobs/sha256").join(&stated.sha256)).unwrap_or_default();
    if Sha256::of(&bytes).to_string() != stated.sha256 {
        return Ok(());
    }
    check_size(&reference, stated, bytes.len() as u64)?;
    let read = read_document(&bytes, Some(&stated.media_type));
    read.map(drop).map_err(|source| ImageError::Document { reference, source })
}

fn listed(names: &[&str]) -> String {
    match names {
        [] => "none with a name".to_owned(),
        all => all.iter().map(|name| format!("\"{}\"", name.escape_debug())).collect::<Vec<_>>().join(", "),
    }
}

/// A document's bytes, and a few more of one that is too large, which its reader tells.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
