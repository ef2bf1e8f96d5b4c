//! Images of others: the layers of one, its documents, and references to it.

use std::io::{self, Read};

use formats::deb::ContentSink;
use formats::oci::{Layering, read_archive_manifest, read_config, read_document};
use formats::tar::Limits;
use spec::ImageReference;
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
