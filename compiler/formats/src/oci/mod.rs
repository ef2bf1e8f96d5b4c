//! OCI images as they are read: documents, and layers to the file system that they make together.
//!
//! Docker's older documents (image manifest version 2, schema 2) say the same under other media types and are read alike.

mod date;
mod documents;
mod layers;

pub use documents::{
    ArchivedImage, Config, Descriptor, Document, DocumentError, MAX_DOCUMENT_BYTES, Manifest, NoPlatform, Platform,
    choose, is_layer, read_archive_manifest, read_config, read_document,
};
pub use layers::{LayerError, Layering};
