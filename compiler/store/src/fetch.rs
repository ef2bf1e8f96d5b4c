//! Fetches the archives of locked packages, each verified against what the signed index says of it.

use std::collections::BTreeMap;

use packages::LockedPackage;
use tree::Digest;

use crate::network::{Fetched, Job};
use crate::{DiskError, FetchError, Progress, Store, Unit, disk};

/// Root URLs of the mirrors of each archive by its name, in the order to ask; see [`crate::mirrors::find`].
pub type Mirrors = BTreeMap<String, Vec<String>>;

/// Packages that are locked at once, each by an open file, of which a process may usually have 1024.
const BATCH: usize = 128;

/// Why packages are not at hand.
#[derive(Debug, thiserror::Error)]
pub enum FetchPackagesError {
    /// They would have to be fetched, and that was ruled out.
    #[error("find {} in the store, which `--offline` does not let it fetch", counted(missing))]
    Offline {
        /// Names and versions.
        missing: Vec<String>,
    },
    /// A download failed.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The lock names another BLAKE3 than the archive has that the repository signed.
    #[error(
        "fetch {package}: its BLAKE3 is {found}, the lock says {expected}; the lock was changed by hand or is damaged"
    )]
    Lock {
        /// Name and version.
        package: String,
        /// What was fetched.
        found: Digest,
        /// What the lock says.
        expected: Digest,
    },
    /// The store's disk.
    #[error("fetch packages")]
    Disk(#[from] DiskError),
}

/// Most packages that are named: a list of all would hide what to do about it.
const MAX_NAMED: usize = 5;

/// How many there are, and the first of them.
fn counted(missing: &[String]) -> String {
    let named = missing.get(..missing.len().min(MAX_NAMED)).unwrap_or_default().join(", ");
    match missing.len() {
        1 => format!("the package {named}"),
        count if count > MAX_NAMED => format!("{count} packages ({named} and {} more)", count - MAX_NAMED),
        count => format!("{count} packages ({named})"),
    }
}

impl Store {
    /// Makes sure that every package is at hand, decoded or as archive, and gives the BLAKE3 of each archive
    /// in the order of `packages`. Archives that came are kept also when others fail.
    ///
    /// # Errors
    /// The first failure in the order of `packages`.
    pub fn fetch(
        &self,
        packages: &[LockedPackage],
        mirrors: &Mirrors,
        offline: bool,
        progress: &dyn Progress,
    ) -> Result<Vec<Digest>, FetchPackagesError> {
        let missing: Vec<&LockedPackage> = {
            let _guard = self.folders.looking_up()?;
            packages.iter().filter(|package| !self.is_at_hand(package)).collect()
        };
        if offline && !missing.is_empty() {
            let missing = missing.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
            return Err(FetchPackagesError::Offline { missing });
        }
        if !missing.is_empty() {
            self.download(&missing, mirrors, progress)?;
        }
        packages.iter().map(|package| self.confirmed(package)).collect()
    }

    fn is_at_hand(&self, package: &LockedPackage) -> bool {
        // The archive first: the question marks it as used.
        self.has_archive(&package.digest, package.size_bytes) && self.known_blake3(&package.digest).is_some()
            || self.is_decoded(package)
    }

    fn download(
        &self,
        missing: &[&LockedPackage],
        mirrors: &Mirrors,
        progress: &dyn Progress,
    ) -> Result<(), FetchPackagesError> {
        let mut missing = missing.to_vec();
        missing.sort_by_key(|package| package.digest);
        missing.dedup_by_key(|package| package.digest);
        progress.begin("download packages", Unit::Bytes, missing.iter().map(|package| package.size_bytes).sum());
        let failures = missing.chunks(BATCH).map(|batch| self.download_batch(batch, mirrors, progress));
        match failures.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().next() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Downloads some packages; gives the first download that failed.
    fn download_batch(
        &self,
        batch: &[&LockedPackage],
        mirrors: &Mirrors,
        progress: &dyn Progress,
    ) -> Result<Option<FetchError>, DiskError> {
        // Locks are taken in one order by everyone, so that two builds never wait for each other in a circle.
        let locks = batch.iter().map(|package| self.folders.lock_key("archives", &package.digest.to_string()));
        let _locks = locks.collect::<Result<Vec<_>, _>>()?;
        let missing: Vec<_> = batch.iter().filter(|package| !self.is_at_hand(package)).collect();
        let jobs: Vec<_> = missing.iter().map(|package| self.job(package, mirrors)).collect();
        let mut failure = None;
        for ((package, job), result) in missing.iter().zip(&jobs).zip(self.network.fetch(&jobs, progress)) {
            match result {
                Ok(Fetched { blake3, .. }) => self.place_archive(&job.partial, &package.digest, blake3)?,
                Err(error) => _ = failure.get_or_insert(error),
            }
        }
        Ok(failure)
    }

    fn job(&self, package: &LockedPackage, mirrors: &Mirrors) -> Job {
        let roots = mirrors.get(&package.origin.archive).map_or(&[][..], Vec::as_slice);
        Job {
            what: format!("{} {}", package.name, package.version),
            urls: roots.iter().map(|root| place(root, &package.path)).collect(),
            partial: self.folders.path("partial", package.digest.to_string()),
            size_bytes: Some(package.size_bytes),
            limit_bytes: package.size_bytes,
            digest: Some(package.digest),
            headers: Vec::new(),
            copy: None,
        }
    }

    fn confirmed(&self, package: &LockedPackage) -> Result<Digest, FetchPackagesError> {
        let found = self.known_blake3(&package.digest).or(package.blake3);
        match (found, package.blake3) {
            (Some(found), Some(expected)) if found != expected => {
                let package = format!("{} {}", package.name, package.version);
                Err(FetchPackagesError::Lock { package, found, expected })
            }
            (Some(found), _) => Ok(found),
            (None, _) => {
                let path = self.archive_path(&package.digest);
                let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
                Err(FetchPackagesError::Disk(disk::at("find", &path)(missing)))
            }
        }
    }
}

/// Where a mirror has this path. A folder has its files under the names that the index says, as apt has it: only what
/// is a URL is quoted.
fn place(root: &str, path: &str) -> String {
    if root.starts_with('/') { format!("{root}/{path}") } else { format!("{root}/{}", escaped(path)) }
}

/// A path as part of a URL. Debian's names hold `+`, `~` and `:`, which stand for themselves there; `%` does not.
fn escaped(path: &str) -> String {
    path.replace('%', "%25").replace(' ', "%20").replace('#', "%23").replace('?', "%3f")
}
