//! What goes wrong with images, in words that name the reference and what to do.

use std::io;
use std::path::PathBuf;

use formats::oci::{DocumentError, LayerError};
use packages::Sha256;

use crate::network::{UNTRUSTED, asked_to_wait, in_one_line, listed};
use crate::{DiskError, TransferError};

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

/// Why one place did not give an image.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The network.
    #[error(transparent)]
    Transfer(TransferError),
    /// There is no such thing.
    #[error("{host} has no {what}, or does not show it without logging in")]
    Missing {
        /// The host.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// Access is refused.
    #[error("{host} refuses access{}", if *with_credentials { " with the credentials it was given" } else { "" })]
    Refused {
        /// The host.
        host: String,
        /// Whether credentials were sent.
        with_credentials: bool,
    },
    /// It asks for authentication of an unknown kind.
    #[error("{host} asks for authentication of the kind `{kind}`; Basic and Bearer are known")]
    Challenge {
        /// The host.
        host: String,
        /// The kind, escaped and cut.
        kind: String,
    },
    /// The place that gives tokens does not.
    #[error("{host} wants a token from {realm}, which {what}")]
    Token {
        /// The registry.
        host: String,
        /// Where tokens come from.
        realm: String,
        /// What went wrong there.
        what: String,
    },
    /// A status that is none of these.
    #[error("{host} answered {status}{}{}", asked_to_wait(*retry_secs), meaning(*status))]
    Status {
        /// The host.
        host: String,
        /// HTTP status.
        status: u16,
        /// How long it asks to wait before the next try, where it says so.
        retry_secs: Option<u64>,
    },
    /// A page for people came.
    #[error("{host} answered with a web page: it is no registry, or a login page or proxy stands before it")]
    WebPage {
        /// The host.
        host: String,
    },
    /// Redirected in circles, or from https to http.
    #[error("{host} redirects too often or to an unsafe place")]
    Redirects {
        /// The host.
        host: String,
    },
    /// The certificate authorities of this machine are missing.
    #[error("talk to {host} over https: this machine has no certificate authorities")]
    NoAuthorities {
        /// The host.
        host: String,
    },
    /// Other bytes than the digest says.
    #[error("{host} sent other bytes than the digest says ({found}, not {expected})")]
    Digest {
        /// The host.
        host: String,
        /// What came.
        found: String,
        /// What should have come.
        expected: String,
    },
    /// A blob of another size than the manifest says.
    #[error("{host} has a blob of {found} bytes where the manifest says {expected}")]
    Size {
        /// The host.
        host: String,
        /// Its size there.
        found: u64,
        /// Its size by the manifest.
        expected: u64,
    },
    /// A file of credentials, or a helper that it names.
    #[error("look up the credentials for {host}: {what}")]
    Credentials {
        /// The host.
        host: String,
        /// What went wrong.
        what: String,
    },
}

impl RegistryError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Missing { what, .. } if what.contains("sha256:") => {
                "a digest names one image for ever, and registries remove images: name another one, and move what the lock \
                 has of a tag with: appliance lock --update"
                    .to_owned()
            }
            Self::Missing { host, .. } => {
                format!("check the name and the tag; for what is not public, log in with `podman login {host}`")
            }
            Self::Refused { host, .. } => format!("log in with `podman login {host}` or `docker login {host}`"),
            Self::Challenge { .. } => {
                "copy the image with a tool that knows it: skopeo copy docker://… oci:FOLDER, and name \"oci:FOLDER\"".to_owned()
            }
            Self::Status { host, status: 429, .. } => format!(
                "try again later, log in with `podman login {host}`, which often allows more, or name a mirror with `--mirror {host}=URL`"
            ),
            Self::Transfer(error) if error.is_untrusted() => UNTRUSTED.to_owned(),
            Self::Transfer(error) if error.is_without_tls() => {
                "it does not speak TLS: where the network to it can be trusted, write http:// in front of the reference"
                    .to_owned()
            }
            Self::NoAuthorities { .. } => {
                "install `ca-certificates`, or name a file of authorities with SSL_CERT_FILE: a file that is there and in PEM".to_owned()
            }
            Self::WebPage { host } => {
                format!("log in with a browser, check https_proxy and no_proxy, or name a mirror: `--mirror {host}=URL`")
            }
            Self::Credentials { host, .. } => format!("correct it, or log in anew: `podman login {host}`"),
            Self::Token { .. } | Self::Digest { .. } | Self::Size { .. } => {
                "try again later; if it stays so, tell who runs the registry".to_owned()
            }
            Self::Transfer(_) | Self::Status { .. } | Self::Redirects { .. } => {
                "check the name of the registry, the network, and https_proxy and no_proxy; or try again later, or name a \
                 mirror: `--mirror REGISTRY=URL`"
                    .to_owned()
            }
        }
    }

    /// The words for images where the network has words for packages.
    pub(super) fn of(error: TransferError, what: &str) -> Self {
        match error {
            TransferError::Status { host, status: 404 | 410, .. } => Self::Missing { host, what: what.to_owned() },
            TransferError::Status { host, status: 401 | 403, .. } => Self::Refused { host, with_credentials: false },
            TransferError::Status { host, status, retry_secs } => Self::Status { host, status, retry_secs },
            TransferError::WebPage { host } => Self::WebPage { host },
            TransferError::Redirects { host } => Self::Redirects { host },
            TransferError::NoAuthorities { host } => Self::NoAuthorities { host },
            TransferError::Digest { host, found, expected } => Self::Digest { host, found, expected },
            TransferError::Size { host, found, expected } => Self::Size { host, found, expected },
            other => Self::Transfer(other),
        }
    }
}

impl From<TransferError> for RegistryError {
    fn from(error: TransferError) -> Self {
        Self::of(error, "such image")
    }
}

fn meaning(status: u16) -> &'static str {
    match status {
        429 => ": it limits how much it gives at a time",
        408 | 500.. => ": it is in trouble",
        _ => "",
    }
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
