//! Signed releases and package indexes: fetched, verified, and read into a catalogue for each architecture.
//!
//! In goes which suites are wanted, with which keys and from which mirrors. A release that a mirror refuses, or
//! that does not verify, is asked of the next mirror. Index files are kept by digest, so a second look is local.

mod indexes;
mod memory;
mod misfit;
mod refusal;
mod releases;
mod signed;
mod trust;

use formats::apk::IndexError;
use packages::deb::ReleaseError;
use packages::{Catalog, CatalogError, LockedIndex};
use spec::appliance::Arch;
use spec::base::Family;

pub use misfit::Misfit;
pub use trust::Distrust;

use crate::network::in_one_line;
use crate::{DiskError, FetchError, Progress, Store};

/// One suite to read.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name of the archive, as origins of packages have it.
    pub archive: String,
    /// Suite, as in `dists/SUITE`; or the branch, which may be empty.
    pub suite: String,
    /// The codename that its release must state, where one is known.
    pub codename: Option<String>,
    /// Components to read; none where the suite has no such parts.
    pub components: Vec<String>,
    /// Files of the keys that may sign it, with their names: OpenPGP for Debian, RSA in PEM for Alpine.
    pub keys: Vec<(String, Vec<u8>)>,
    /// What a request must name for a package to be taken from here; `None` for a suite like any other.
    pub tag: Option<String>,
    /// Root URLs of its mirrors, in the order to ask.
    pub mirrors: Vec<String>,
}

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct CatalogRequest<'a> {
    /// Package family.
    pub family: Family,
    /// One catalogue is made for each.
    pub arches: &'a [Arch],
    /// The suites, the preferred ones first.
    pub sources: &'a [Source],
    /// The time now, in seconds since 1970.
    pub now_secs: i64,
    /// Whether only what is in the store may be used.
    pub offline: bool,
    /// Releases that a lock names. Offline they are read again as they were then.
    pub locked: &'a [LockedIndex],
}

/// What was read.
#[derive(Debug)]
pub struct Catalogs {
    /// One for each architecture, in the order asked for.
    pub catalogs: Vec<Catalog>,
    /// The releases they were read from, sorted, as a lock records them.
    pub indexes: Vec<LockedIndex>,
}

/// Why there is no catalogue.
#[derive(Debug, thiserror::Error)]
pub enum CatalogFetchError {
    /// A release or index could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A mirror that was asked has no such release or index, and no other gave it.
    #[error("{error}")]
    Absent {
        /// Name of the archive.
        archive: String,
        /// Suite, or branch.
        suite: String,
        /// Component, where each has an index of its own.
        component: Option<String>,
        /// What the mirrors said.
        error: Box<FetchError>,
    },
    /// No mirror gave a release that is what it must be.
    #[error("verify the release of {archive} {suite}{}", from(url))]
    Release {
        /// Name of the archive.
        archive: String,
        /// Suite.
        suite: String,
        /// Where the refused release came from; empty when from the store.
        url: String,
        /// What is wrong with it.
        #[source]
        source: Box<ReleaseError>,
    },
    /// No mirror gave an index that is what it must be.
    #[error("verify {what}{}", from(url))]
    SignedIndex {
        /// Name of the archive.
        archive: String,
        /// Which index.
        what: String,
        /// Where the refused index came from; empty when from the store.
        url: String,
        /// What is wrong with it.
        #[source]
        source: Box<IndexError>,
    },
    /// What is needed is not in the store, and fetching was ruled out.
    #[error("read {what}: it is not in the store, and `--offline` does not let it be fetched")]
    Offline {
        /// What is needed.
        what: String,
    },
    /// The suite has no such index.
    #[error("read {archive} {suite}: it has no index of `{component}` for {arch}{}", only(there))]
    NoIndex {
        /// Name of the archive.
        archive: String,
        /// Suite.
        suite: String,
        /// Component.
        component: String,
        /// Architecture.
        arch: String,
        /// The components that it has such an index of.
        there: Vec<String>,
    },
    /// An index cannot be decompressed, or is another one once decompressed.
    #[error("read {what}")]
    Index {
        /// Which index.
        what: String,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// An index cannot be read.
    #[error("read the package indexes")]
    Catalog(#[from] CatalogError),
    /// The store's disk.
    #[error("read the package indexes")]
    Disk(#[from] DiskError),
}

impl CatalogFetchError {
    /// What an archive does not have, where that is what is wrong.
    pub fn misfit(&self) -> Option<Misfit> {
        misfit::misfit(self)
    }

    /// What the mirrors said, where none of them gave anything.
    pub fn not_fetched(&self) -> Option<&FetchError> {
        match self {
            Self::Fetch(error) => Some(error),
            Self::Absent { error, .. } => Some(error),
            _ => None,
        }
    }

    /// The archive that is not trusted and why, where that is what is wrong.
    pub fn distrust(&self) -> Option<(&str, Distrust)> {
        let (archive, distrust) = match self {
            Self::Release { archive, source, .. } => (archive, releases::distrust(source)),
            Self::SignedIndex { archive, source, .. } => (archive, signed::distrust(source)),
            _ => return None,
        };
        distrust.map(|distrust| (archive.as_str(), distrust))
    }
}

/// Whether a file holds a key that may sign a repository of this family.
///
/// # Errors
/// What it should hold, and what it holds.
pub fn check_key(family: Family, bytes: &[u8]) -> Result<(), String> {
    // Here too: what a key is.
    match family {
        Family::Apk => signed::check_key(bytes),
        Family::Deb | Family::Rpm => releases::check_key(bytes),
    }
}

fn only(there: &[String]) -> String {
    if there.is_empty() { String::new() } else { format!(", only of {}", there.join(", ")) }
}

fn from(url: &str) -> String {
    if url.is_empty() { String::new() } else { format!(" from {url}") }
}

impl Store {
    /// Reads the catalogues of some suites.
    ///
    /// # Errors
    /// The first failure, in the order of the sources.
    pub fn catalog(&self, request: &CatalogRequest, progress: &dyn Progress) -> Result<Catalogs, CatalogFetchError> {
        // Here this crate asks which family it is: whether a release signs the indexes, or each is signed by itself.
        match request.family {
            Family::Apk => self.signed_indexes(request, progress),
            Family::Deb | Family::Rpm => self.released_indexes(request, progress),
        }
    }

    /// Says why mirrors were passed over before one gave what was wanted.
    fn tell_passed_over(&self, error: CatalogFetchError, found: &str, progress: &dyn Progress) {
        match error {
            CatalogFetchError::Fetch(error) => {
                self.network.tell_passed_over(&error.what, &error.tried, found, progress);
            }
            refused => progress.message(&format!("failed to {}; the next mirror gave it", in_one_line(&refused))),
        }
    }

    fn released_indexes(
        &self,
        request: &CatalogRequest,
        progress: &dyn Progress,
    ) -> Result<Catalogs, CatalogFetchError> {
        let releases = self.releases(request, progress)?;
        let wanted = indexes::wanted(request, &releases)?;
        self.fetch_indexes(&wanted, request.offline, progress)?;
        let catalogs = self.read_indexes(request, &wanted)?;
        let locked = |(source, found): (&Source, &releases::Found)| LockedIndex {
            archive: source.archive.clone(),
            suite: source.suite.clone(),
            date_secs: found.release.date_secs,
            sha256: found.release.sha256,
            key: found.release.key.clone(),
        };
        let mut indexes: Vec<_> = request.sources.iter().zip(&releases).map(locked).collect();
        indexes.sort();
        Ok(Catalogs { catalogs, indexes })
    }
}
