//! Images in tar files that hold an OCI image layout, as `skopeo copy … oci-archive:FILE` and `podman save --format
//! oci-archive` write them: the index is read, and of the blobs those are taken that the image needs, each verified.

use std::collections::BTreeMap;
use std::path::Path;

use formats::tar::EntryKind;
use packages::Sha256;
use tree::TreePath;

use super::archive::{LIST, damaged, open, read_member};
use super::layout::{INDEX, other_bytes, other_size};
use super::{ImageError, ImageRequest, Store, Wanted};

impl Store {
    /// The digest of the one image of this name, or of the whole index where there are several.
    pub(super) fn resolve_oci_archive(
        &self,
        reference: &str,
        path: &Path,
        name: Option<&str>,
    ) -> Result<Sha256, ImageError> {
        let Some(index) = document(reference, path, INDEX)? else {
            let (reference, is_docker) = (reference.to_owned(), document(reference, path, LIST)?.is_some());
            let what = "there is no image layout in it".to_owned();
            return Err(match is_docker {
                true => ImageError::OtherArchive { reference, is_docker },
                false => ImageError::Wrong { reference, what },
            });
        };
        self.resolve_index(reference, &index, name, |stated| {
            let blob = document(reference, path, &format!("blobs/sha256/{}", stated.sha256));
            blob.ok().flatten().unwrap_or_default()
        })
    }

    /// Copies blobs out of an archive, each verified.
    pub(super) fn take_from_oci_archive(
        &self,
        request: &ImageRequest<'_>,
        path: &Path,
        missing: &[Wanted],
    ) -> Result<(), ImageError> {
        let reference = request.reference.to_string();
        let mut wanted: BTreeMap<String, Wanted> =
            missing.iter().map(|wanted| (wanted.sha256.to_string(), *wanted)).collect();
        let mut reader = open(&reference, path)?;
        while let Some(entry) = reader.next_entry().map_err(|error| damaged(path, error))? {
            if entry.kind != EntryKind::File {
                continue;
            }
            let Some(one) = blob_name(&entry.name).and_then(|name| wanted.remove(&name)) else { continue };
            let (sha256, size) = self.take_member(path, &mut reader)?;
            let problem = match one.size_bytes {
                _ if sha256 != one.sha256 => other_bytes(&sha256.to_string()),
                Some(expected) if expected != size => other_size(size, expected),
                _ => continue,
            };
            return Err(ImageError::LocalBlob { reference, sha256: one.sha256, problem });
        }
        match wanted.into_values().next() {
            Some(lost) => {
                let problem = "is not there".to_owned();
                Err(ImageError::LocalBlob { reference, sha256: lost.sha256, problem })
            }
            None => Ok(()),
        }
    }
}

/// The digest that a member of a layout is named by.
fn blob_name(name: &[u8]) -> Option<String> {
    let path = TreePath::new(name).ok()?;
    let parts: Vec<&[u8]> = path.parts().collect();
    match parts[..] {
        [b"blobs", b"sha256", digits] => String::from_utf8(digits.to_vec()).ok(),
        _ => None,
    }
}

/// A small member of an archive, if it is there.
pub(super) fn document(reference: &str, path: &Path, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
    let mut reader = open(reference, path)?;
    while let Some(entry) = reader.next_entry().map_err(|error| damaged(path, error))? {
        let is_it = TreePath::new(&entry.name).is_ok_and(|path| path.as_bytes() == name.as_bytes());
        if entry.kind == EntryKind::File && is_it {
            return read_member(path, &mut reader).map(Some);
        }
    }
    Ok(None)
}
