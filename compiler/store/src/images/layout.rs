//! Images in folders that are OCI image layouts (OCI image specification 1.1, `image-layout.md`).

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use formats::oci::{Descriptor, Document, MAX_DOCUMENT_BYTES, read_document};
use packages::{ArchiveDigest, Sha256};

use super::{ImageError, ImageRequest, Wanted, check_size, digest_of};
use crate::network::{Job, in_one_line};
use crate::{FetchError, Store, TransferError};

/// The file that names the images of a layout.
pub(super) const INDEX: &str = "index.json";

impl Store {
    /// The digest of the one image of this name, or of the whole index where there are several.
    pub(super) fn resolve_layout(
        &self,
        reference: &str,
        folder: &Path,
        name: Option<&str>,
    ) -> Result<Sha256, ImageError> {
        if folder.is_file() {
            return Err(ImageError::NoFolder { reference: reference.to_owned() });
        }
        let path = folder.join(INDEX);
        let bytes = read_small(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => no_layout(reference, folder.is_dir()),
            _ => ImageError::Local { path: path.clone(), source },
        })?;
        self.resolve_index(reference, &bytes, name, |stated| {
            read_small(&folder.join("blobs/sha256").join(&stated.sha256)).unwrap_or_default()
        })
    }

    /// The same by the bytes of the index; `blob` gives a document of the layout, or nothing.
    pub(super) fn resolve_index(
        &self,
        reference: &str,
        bytes: &[u8],
        name: Option<&str>,
        blob: impl FnOnce(&Descriptor) -> Vec<u8>,
    ) -> Result<Sha256, ImageError> {
        let wrong = |what: String| ImageError::Wrong { reference: reference.to_owned(), what };
        let index = match read_document(bytes, None) {
            Ok(Document::Index(index)) => index,
            Ok(Document::Manifest(_)) => return Err(wrong(format!("its {INDEX} is no index"))),
            Err(source) => return Err(ImageError::Document { reference: reference.to_owned(), source }),
        };
        let named: Vec<&Descriptor> =
            index.iter().filter(|one| name.is_none_or(|name| one.name.as_deref() == Some(name))).collect();
        match (&named[..], name) {
            ([], None) => Err(wrong("there is no image in it".to_owned())),
            ([], Some(name)) => {
                let name = name.escape_debug();
                Err(wrong(format!("it has no image of the name \"{name}\"; it has {}", names(&index))))
            }
            ([one], _) => {
                is_what_it_is_announced_as(reference, one, &blob(one))?;
                digest_of(&one.sha256)
            }
            _ => Ok(self.place_document(bytes)?),
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
                Err(error) => return Err(not_taken(&request.reference.to_string(), wanted, error)),
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

/// What to say of a place that should be a layout and has no index.
pub(super) fn no_layout(reference: &str, exists: bool) -> ImageError {
    let what = if exists { "it is no OCI image layout: it has no index.json" } else { "there is no such folder" };
    ImageError::Wrong { reference: reference.to_owned(), what: what.to_owned() }
}

/// Why a blob of a local image was not taken, without words of mirrors.
fn not_taken(reference: &str, wanted: &Wanted, error: FetchError) -> ImageError {
    let problem = match error.tried.into_iter().next_back() {
        Some((_, TransferError::Disk(error))) => return error.into(),
        Some((_, TransferError::Missing)) => "is not there".to_owned(),
        Some((_, TransferError::Size { found, expected, .. })) => other_size(found, expected),
        Some((_, TransferError::Digest { found, .. })) => other_bytes(&found),
        Some((_, other)) => in_one_line(&other),
        None => "cannot be read".to_owned(),
    };
    ImageError::LocalBlob { reference: reference.to_owned(), sha256: wanted.sha256, problem }
}

/// What is wrong with a blob of this size, in words that follow its name.
pub(super) fn other_size(found: u64, expected: u64) -> String {
    format!("has {found} bytes where the document that names it says {expected}")
}

/// What is wrong with a blob of this SHA-256, in words that follow its name.
pub(super) fn other_bytes(found: &str) -> String {
    format!("holds other bytes than the digest says: their SHA-256 is {found}")
}

/// Compares a manifest with what its index says of it. One that is not there or is damaged is told when it is taken.
fn is_what_it_is_announced_as(reference: &str, stated: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
    if Sha256::of(bytes).to_string() != stated.sha256 {
        return Ok(());
    }
    check_size(reference, stated, bytes.len() as u64)?;
    let read = read_document(bytes, Some(&stated.media_type));
    read.map(drop).map_err(|source| ImageError::Document { reference: reference.to_owned(), source })
}

fn names(index: &[Descriptor]) -> String {
    let mut names: Vec<String> =
        index.iter().filter_map(|one| Some(format!("\"{}\"", one.name.as_deref()?.escape_debug()))).collect();
    names.dedup();
    if names.is_empty() { "none with a name".to_owned() } else { names.join(", ") }
}

/// A document's bytes, and a few more of one that is too large, which its reader tells.
fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
