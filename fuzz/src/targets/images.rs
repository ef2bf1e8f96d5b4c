//! Images of others: the layers of one, its documents, and references to it.

use std::io::{self, Read};

use formats::deb::ContentSink;
use formats::oci::{Layering, read_archive_manifest, read_config, read_document};
use formats::tar::Limits;
use packages::{Catalog, databases};
use spec::ImageReference;
use spec::appliance::Arch;
use store::{Challenge, read_auth_file, read_challenge, read_tags};
use tree::{Content, Digest};

use super::archives::sealed;

/// Names contents and keeps none.
struct Digests;

impl ContentSink for Digests {
    fn take(&mut self, size_bytes: u64, content: &mut dyn Read) -> io::Result<Content> {
        let mut bytes = Vec::new();
        content.take(size_bytes + 1).read_to_end(&mut bytes)?;
        Ok(Content::Blob { digest: Digest::of(&bytes), size_bytes })
    }
}

/// The input as the lower layer and again as the upper one: no whiteout is left in what they make.
pub fn image_layers(data: &[u8]) -> bool {
    let layer = sealed(data);
    let limits = Limits { entries: 2000, content_bytes: 1 << 20, ..Limits::default() };
    let mut layering = Layering::default();
    let applied = (0..2).try_for_each(|_| layering.apply(&layer[..], limits, &mut Digests));
    let tree = layering.into_tree();
    assert!(tree.iter().all(|(path, ..)| path.parts().all(|part| !part.starts_with(b".wh."))), "a whiteout is left");
    applied.is_ok()
}

/// Each document; one that says two things is none.
pub fn image_documents(data: &[u8]) -> bool {
    let document = read_document(data, None);
    let layers = data.len() % 4;
    let config = read_config(data, layers);
    if let Ok(config) = &config {
        assert_eq!(config.diff_ids.len(), layers);
    }
    document.is_ok() || config.is_ok() || read_archive_manifest(data).is_ok()
}

/// What is read is written so that it is read as the same.
pub fn image_reference(data: &[u8]) -> bool {
    let Ok(reference) = ImageReference::parse(&String::from_utf8_lossy(data)) else { return false };
    assert_eq!(ImageReference::parse(&reference.to_string()), Ok(reference));
    true
}

/// What a registry says of access and of its tags, and the files with credentials for it.
pub fn registry_texts(data: &[u8]) -> bool {
    let challenge = read_challenge(&String::from_utf8_lossy(data));
    !matches!(challenge, Challenge::Other(_)) || read_auth_file(data).is_some() || read_tags(data).is_some()
}

/// The package database of an image, of whichever family: what is read of it is an index that the catalogue takes or
/// refuses in words.
pub fn installed(data: &[u8]) -> bool {
    let understood = |database: &packages::Database| {
        let Ok(installed) = database.read(data, Arch::Amd64) else { return false };
        let Ok(mut catalog) = Catalog::new(database.family, Arch::Amd64) else { return false };
        if installed.add_to(&mut catalog).is_ok() {
            assert_eq!(catalog.len(), installed.packages.len());
        }
        !installed.packages.is_empty()
    };
    databases(|_| true).iter().filter(|database| understood(database)).count() > 0
}
