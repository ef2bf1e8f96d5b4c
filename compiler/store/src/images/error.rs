//! What goes wrong with images, in words that name the reference and what to do.

use std::io;
use std::path::PathBuf;

use formats::oci::{DocumentError, LayerError};
use packages::Sha256;

use super::RegistryError;
use crate::DiskError;
use crate::network::{in_one_line, listed};

/// Why an image is not at hand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It would have to be fetched, and that was ruled out.
    #[error("find the image {reference} in the store: it is not there; build without `--offline` to pull it")]
    Offline {
        /// The reference.
        reference: String,
    },
    /// No registry gave it.
    #[error("pull the image {reference}{}", places(tried))]
    Pull {
        /// The reference.
        reference: String,
        /// The places that were asked, with what each said.
        tried: Vec<(String, RegistryError)>,
    },
    /// There is no image for an architecture.
    #[error("find an image for linux/{arch} in {reference}: there is {}", platforms(found))]
    NoPlatform {
        /// The reference.
        reference: String,
        /// The architecture.
        arch: &'static str,
        /// What there is.
        found: Vec<String>,
    },
    /// A document is not one.
    #[error("use the image {reference}")]
    Document {
        /// The reference.
        reference: String,
        /// What is wrong with it.
        #[source]
        source: DocumentError,
    },
    /// Indexes name indexes without end.
    #[error("use the image {reference}: its indexes nest too deep")]
    TooDeep {
        /// The reference.
        reference: String,
    },
    /// What a local image holds is not what it says.
    #[error("use the image {reference}: {what}")]
    Wrong {
        /// The reference or path.
        reference: String,
        /// What is wrong.
        what: String,
    },
    /// A blob of a local image is not there, or is another one.
    #[error("use the image {reference}: its blob sha256:{sha256} {problem}")]
    LocalBlob {
        /// The reference.
        reference: String,
        /// The blob.
        sha256: Sha256,
        /// What is wrong, in words that follow its name.
        problem: String,
    },
    /// An image layout that is a file.
    #[error("use the image {reference}: it is a file, and `oci:` names a folder that is an image layout")]
    NoFolder {
        /// The reference.
        reference: String,
    },
    /// A tar file that is a folder.
    #[error("use the image {reference}: it is a folder, and the reference names a tar file")]
    NoFile {
        /// The reference.
        reference: String,
    },
    /// A tar file that holds images of the other kind, or none.
    #[error("use the image {reference}: {}", other_archive(*is_docker))]
    OtherArchive {
        /// The reference.
        reference: String,
        /// Whether it was taken for a layout and is none; else it was taken for none and is one.
        is_docker: bool,
    },
    /// A local image cannot be read.
    #[error("read the image {}", path.display())]
    Local {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A layer is what its digest says, and is refused all the same.
    #[error("unpack the layer sha256:{layer}")]
    Layer {
        /// Its digest.
        layer: String,
        /// What is wrong with it.
        #[source]
        source: Box<LayerError>,
    },
    /// A layer does not hold what the configuration says.
    #[error(
        "unpack the layer sha256:{layer}: as plain tar its SHA-256 is {found}, the image's configuration says {expected}"
    )]
    DiffId {
        /// Its digest.
        layer: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: String,
    },
    /// A layer was never fetched, or was removed since.
    #[error("unpack the layer sha256:{layer}: it is not in the store; build without `--offline` to pull it")]
    NotFetched {
        /// Its digest.
        layer: String,
    },
    /// The store's disk.
    #[error("keep an image")]
    Disk(#[from] DiskError),
}

/// What each place said; of a single one it says itself which it was.
fn places(tried: &[(String, RegistryError)]) -> String {
    match tried {
        [(_, only)] => format!(": {}", in_one_line(only)),
        several => listed(several),
    }
}

fn other_archive(is_docker: bool) -> &'static str {
    match is_docker {
        true => "there is no image layout in it; it is a docker-archive",
        false => "there is an image layout in it; it is no docker-archive",
    }
}

fn platforms(found: &[String]) -> String {
    match found {
        [] => "none".to_owned(),
        all => all.join(", "),
    }
}
