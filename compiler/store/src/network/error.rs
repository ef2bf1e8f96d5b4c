//! What goes wrong with downloads, in words that name the configured host and what to do.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::{ArchiveError, DiskError};

use super::{Job, is_on_this_machine};

/// Why one place did not give a file.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The URL cannot be used.
    #[error("`{0}` is no URL of a mirror; http:, https:, file: and absolute paths are")]
    Url(String),
    /// No connection, or it broke.
    #[error("talk to {host}")]
    Connection {
        /// Host as configured.
        host: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// The certificate authorities of this machine are missing.
    #[error(
        "talk to {host} over https: this machine has no certificate authorities; install `ca-certificates`, correct SSL_CERT_FILE where it is set, or use an http: mirror (packages are signed)"
    )]
    NoAuthorities {
        /// Host as configured.
        host: String,
    },
    /// Nothing came for too long.
    #[error("{host} sent nothing for {secs} seconds")]
    Stalled {
        /// Host as configured.
        host: String,
        /// How long was waited.
        secs: u64,
    },
    /// An answer that is no file.
    #[error("{host} answered {status}{}{}", asked_to_wait(*retry_secs), advice(*status))]
    Status {
        /// Host as configured.
        host: String,
        /// HTTP status.
        status: u16,
        /// How long it asks to wait before the next try, where it says so.
        retry_secs: Option<u64>,
    },
    /// There is no such file on a local mirror.
    #[error("there is no such file")]
    Missing,
    /// A web page came.
    #[error(
        "{host} answered with a web page: a login page or a proxy stands before it; log in with a browser, or name another mirror with `--mirror`"
    )]
    WebPage {
        /// Host as configured.
        host: String,
    },
    /// Redirected in circles, or from https to http.
    #[error("{host} redirects too often or to an unsafe place; name another mirror with `--mirror`")]
    Redirects {
        /// Host as configured.
        host: String,
    },
    /// The connection ended early.
    #[error("{host} sent only {found} of {expected} bytes")]
    CutOff {
        /// Host as configured.
        host: String,
        /// Bytes that came.
        found: u64,
        /// Bytes that were announced.
        expected: u64,
    },
    /// Another size than the signed index says.
    #[error(
        "{host} has a file of {found} bytes where the signed index says {expected}: the mirror is out of date or damaged; try again later or name another with `--mirror`"
    )]
    Size {
        /// Host as configured.
        host: String,
        /// Its size there.
        found: u64,
        /// Its signed size.
        expected: u64,
    },
    /// More bytes than such a file may have.
    #[error("{host} sends more than {limit} bytes")]
    TooLarge {
        /// Host as configured.
        host: String,
        /// The limit.
        limit: u64,
    },
    /// Other bytes than the signed index says.
    #[error(
        "{host} sent other bytes than the signed index says (SHA-256 {found}, not {expected}): the mirror is out of date or damaged; try again later or name another with `--mirror`"
    )]
    Digest {
        /// Host as configured.
        host: String,
        /// What came.
        found: String,
        /// What should have come.
        expected: String,
    },
    /// Another archive than the signed index says.
    #[error(
        "{host} sent an archive that is not the one of the signed index: the mirror is out of date or damaged; try again later or name another with `--mirror`"
    )]
    Refused {
        /// Host as configured.
        host: String,
        /// What is wrong with it.
        #[source]
        source: Box<ArchiveError>,
    },
    /// This machine cannot do network work.
    #[error("set up the network")]
    System(#[source] io::Error),
    /// The file cannot be kept.
    #[error("keep what was fetched")]
    Disk(#[from] DiskError),
}

/// What a server said about its next answer, as part of a sentence.
pub(crate) fn asked_to_wait(retry_secs: Option<u64>) -> String {
    retry_secs.map(|secs| format!(" and asks to wait {secs} seconds")).unwrap_or_default()
}

fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 | 407 => ": it refuses access; check the mirror's address and the proxy settings",
        404 | 410 => {
            ": it does not have this file; the mirror may be out of date (`appliance lock --update`) or be no mirror of this archive"
        }
        408 | 429 | 500.. => ": it is in trouble; try again later or name another mirror with `--mirror`",
        _ => "",
    }
}

/// What to do where nobody who is known vouches for a server.
pub(crate) const UNTRUSTED: &str = "is the address right? where a certificate authority of your own vouches for it, name its certificates in PEM: \
     SSL_CERT_FILE=FILE, which then counts in place of this machine's";

impl TransferError {
    /// Whether another try at the same place makes sense.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { .. } => {
                !self.is_untrusted()
                    && !self.is_without_tls()
                    && !self.is_nobody_here()
                    && !self.wants_client_certificate()
            }
            Self::Stalled { .. } | Self::CutOff { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Whether there is no such file at that place, which says nothing about others.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Missing | Self::Status { status: 404 | 410, .. })
    }

    /// Whether the other side showed a certificate of nobody who is trusted here. The library tells it as a text alone.
    pub fn is_untrusted(&self) -> bool {
        matches!(self, Self::Connection { .. }) && in_one_line(self).contains("certificate")
    }

    /// Whether the other side answered something else than TLS where that was spoken. The library tells it as a text alone.
    pub fn is_without_tls(&self) -> bool {
        matches!(self, Self::Connection { .. }) && in_one_line(self).contains("InvalidContentType")
    }

    /// Whether the other side asks for a certificate of who speaks, and got none that it takes. The library tells it as a
    /// text alone (RFC 8446, section 6.2).
    pub(crate) fn wants_client_certificate(&self) -> bool {
        let text = in_one_line(self);
        let alerts = ["fatal alert: BadCertificate", "fatal alert: CertificateRequired"];
        matches!(self, Self::Connection { .. }) && alerts.iter().any(|alert| text.contains(alert))
    }

    /// Whether it is this machine that was asked, and nothing listens there.
    pub(crate) fn is_nobody_here(&self) -> bool {
        let Self::Connection { host, source } = self else { return false };
        let mut cause: Option<&(dyn Error + 'static)> = Some(source);
        let mut refused = false;
        while let Some(error) = cause {
            let io = error.downcast_ref::<io::Error>();
            refused |= io.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            cause = error.source();
        }
        refused && is_on_this_machine(host)
    }

    /// The host that was asked, where it is about one.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Connection { host, .. }
            | Self::NoAuthorities { host }
            | Self::Stalled { host, .. }
            | Self::Status { host, .. }
            | Self::WebPage { host }
            | Self::Redirects { host }
            | Self::CutOff { host, .. }
            | Self::Size { host, .. }
            | Self::TooLarge { host, .. }
            | Self::Digest { host, .. }
            | Self::Refused { host, .. } => Some(host),
            Self::Url(_) | Self::Missing | Self::System(_) | Self::Disk(_) => None,
        }
    }

    /// How long the server asks to wait.
    pub(super) fn asked_wait(&self) -> Duration {
        match self {
            Self::Status { retry_secs: Some(secs), .. } => Duration::from_secs(*secs),
            _ => Duration::ZERO,
        }
    }
}

/// Why a file could not be fetched from anywhere.
#[derive(Debug, thiserror::Error)]
#[error("fetch {what}{}", listed(tried))]
pub struct FetchError {
    /// What it is.
    pub what: String,
    /// The places that were asked, with the last answer of each.
    pub tried: Vec<(String, TransferError)>,
    /// What stopped all places at once.
    #[source]
    pub source: Option<io::Error>,
}

impl FetchError {
    /// Whether a place that was asked has no such file; others may not have answered.
    pub fn is_absence(&self) -> bool {
        self.tried.iter().any(|(_, error)| error.is_absence())
    }

    /// What to do where it is plain from what the places said.
    pub fn help(&self) -> Option<&'static str> {
        self.tried.iter().any(|(_, error)| error.is_untrusted()).then_some(UNTRUSTED)
    }

    pub(super) fn new(job: &Job, tried: Vec<(String, TransferError)>) -> Self {
        if tried.is_empty() {
            return Self::no_mirror(job.what.clone());
        }
        Self { what: job.what.clone(), tried, source: None }
    }

    pub(crate) fn no_mirror(what: String) -> Self {
        let source = io::Error::new(io::ErrorKind::NotFound, "no mirror of it is known; name one with `--mirror`");
        Self { what, tried: Vec::new(), source: Some(source) }
    }

    pub(super) fn runtime(job: &Job, error: &io::Error) -> Self {
        Self {
            what: job.what.clone(),
            tried: Vec::new(),
            source: Some(io::Error::new(error.kind(), error.to_string())),
        }
    }
}

/// One line for each place with all its causes: there is no single chain of sources to follow.
pub(crate) fn listed<E: std::error::Error>(tried: &[(String, E)]) -> String {
    tried.iter().map(|(place, error)| format!("\n  {place}: {}", in_one_line(error))).collect()
}

/// An error with all its causes.
pub fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
