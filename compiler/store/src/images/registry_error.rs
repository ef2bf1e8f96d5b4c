//! Why a registry did not give an image, and what to do about it.

use std::path::PathBuf;

use spec::nearest;

use crate::TransferError;
use crate::network::{UNTRUSTED, asked_to_wait, is_on_this_machine};

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
    /// It is this machine, and nobody answers there.
    #[error("talk to {host}: nothing listens there")]
    Nobody {
        /// The host.
        host: String,
    },
    /// There is no such repository.
    #[error(
        "{host} has no image {repository}:{tag}: it has no repository {repository}, or does not show it without logging in"
    )]
    NoRepository {
        /// The host.
        host: String,
        /// The repository.
        repository: String,
        /// The tag that was asked for.
        tag: String,
    },
    /// The repository is there, and has other tags.
    #[error("{host} has no image {repository}:{tag}: the repository is there, {}", shown(tags, *more))]
    NoTag {
        /// The host.
        host: String,
        /// The repository.
        repository: String,
        /// The tag that was asked for.
        tag: String,
        /// Tags that it has.
        tags: Vec<String>,
        /// Whether it may have others.
        more: bool,
    },
    /// A file of certificate authorities for it.
    #[error("trust {host} by {}: {what}", path.display())]
    Certificates {
        /// The host.
        host: String,
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
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
            Self::NoRepository { host, tag, .. } => format!(
                "check the name; for what is not public, log in with `podman login {host}`{}",
                said_by_nobody(tag)
            ),
            Self::NoTag { tag, tags, .. } => {
                let near = nearest(tag, tags.iter().map(String::as_str));
                let other = if tags.is_empty() { "name another image" } else { "name one of its tags" };
                let near = near.map_or_else(|| other.to_owned(), |near| format!("did you mean `{near}`?"));
                format!("{near}{}", said_by_nobody(tag))
            }
            Self::Nobody { .. } => {
                "start the registry, or correct the port: the reference is HOST:PORT/NAME:TAG".to_owned()
            }
            Self::Certificates { .. } => "correct the file, or take it away".to_owned(),
            Self::Refused { host, .. } => format!("log in with `podman login {host}` or `docker login {host}`"),
            Self::Challenge { .. } => {
                "copy the image with a tool that knows it: skopeo copy docker://… oci:FOLDER, and name \"oci:FOLDER\"".to_owned()
            }
            Self::Status { host, status: 429, .. } => format!(
                "try again later, log in with `podman login {host}`, which often allows more, or name a mirror with `--mirror {host}=URL`"
            ),
            Self::Transfer(error) if error.is_untrusted() => {
                let host = error.host().unwrap_or("HOST:PORT");
                format!("{UNTRUSTED}; or put them where podman looks: ~/.config/containers/certs.d/{host}/ca.crt")
            }
            Self::Transfer(error) if error.wants_client_certificate() => {
                let host = error.host().unwrap_or("HOST:PORT");
                format!(
                    "it asks who speaks: put a certificate for you where podman looks, as client.cert with its key as client.key \
                     in ~/.config/containers/certs.d/{host}"
                )
            }
            Self::Transfer(error) if error.is_without_tls() => {
                "it does not speak TLS: where the network to it can be trusted, write http:// in front of the reference"
                    .to_owned()
            }
            Self::NoAuthorities { .. } => {
                "install `ca-certificates`, or name a file of authorities with SSL_CERT_FILE: a file that is there and in PEM".to_owned()
            }
            Self::WebPage { host } if is_on_this_machine(host) => NO_REGISTRY_HERE.to_owned(),
            Self::WebPage { host } => {
                format!("log in with a browser, check https_proxy and no_proxy, or name a mirror: `--mirror {host}=URL`")
            }
            Self::Credentials { host, .. } => format!("correct it, or log in anew: `podman login {host}`"),
            Self::Token { .. } | Self::Digest { .. } | Self::Size { .. } => {
                "try again later; if it stays so, tell who runs the registry".to_owned()
            }
            Self::Status { host, .. } | Self::Redirects { host } if is_on_this_machine(host) => NO_REGISTRY_HERE.to_owned(),
            Self::Transfer(error) if error.host().is_some_and(is_on_this_machine) => NO_REGISTRY_HERE.to_owned(),
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
            TransferError::Connection { ref host, .. } if error.is_nobody_here() => Self::Nobody { host: host.clone() },
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

/// What to do where a registry on this machine is in trouble: no proxy and no mirror has to do with it.
const NO_REGISTRY_HERE: &str = "look at what listens there: is it the registry, and is it well?";

/// What is to be said of a tag that may not have been written.
fn said_by_nobody(tag: &str) -> &'static str {
    if tag == "latest" { "; where a reference has no tag, `latest` is meant" } else { "" }
}

/// Some of the tags that there are.
fn shown(tags: &[String], more: bool) -> String {
    let first: Vec<&str> = tags.iter().take(MAX_SHOWN).map(String::as_str).collect();
    let rest = if more || tags.len() > MAX_SHOWN { " and others" } else { "" };
    if tags.is_empty() { "without any tag".to_owned() } else { format!("its tags are {}{rest}", first.join(", ")) }
}

/// Tags that are named in an error.
const MAX_SHOWN: usize = 8;

fn meaning(status: u16) -> &'static str {
    match status {
        429 => ": it limits how much it gives at a time",
        408 | 500.. => ": it is in trouble",
        _ => "",
    }
}
