//! The lock: exactly which bytes an appliance is made of, as a value.

mod nodes;
mod parse;
mod render;
mod staleness;

use std::collections::BTreeMap;

use spec::appliance::Arch;
use tree::Digest;

use crate::{ArchiveDigest, Origin, Requests, Sha256};

pub use parse::{LockError, parse};
pub use render::render;

/// Exactly which bytes an appliance is made of, and what was decided about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Digest of the requests it was made for.
    pub spec: Digest,
    /// The base image it was made with.
    pub base: LockedBase,
    /// What was asked for, in words, so that a stale lock can say what changed: kind and text, sorted.
    pub requests: Vec<(String, String)>,
    /// The signed releases that the packages were found in, sorted by archive and suite.
    pub indexes: Vec<LockedIndex>,
    /// The other base that what boots was taken from.
    pub boot_base: Option<LockedBootBase>,
    /// One root for each architecture, sorted.
    pub roots: Vec<LockedRoot>,
    /// The time that files of the appliance carry: the newest date of the releases that packages were taken from, or
    /// where those carry none, the newest time at which a package was built; 0 for an empty root; in seconds since 1970.
    pub epoch_secs: i64,
    /// Version of each encoder and layout profile that shapes bytes.
    pub encoders: BTreeMap<String, u32>,
}

/// The base of a lock: a base image, or another thing to stand on (`scratch`), whose other fields may then be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBase {
    /// Its name (`debian`).
    pub name: String,
    /// Codename of its release (`bookworm`).
    pub release: String,
    /// BLAKE3 of its files, 64 hexadecimal digits.
    pub digest: String,
}

/// Another base that kernels and boot programs were taken from. Nothing of the roots depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedBootBase {
    /// The base.
    pub base: LockedBase,
    /// The newest date of the releases that those packages were taken from, found as [`Lock::epoch_secs`] is; in seconds
    /// since 1970.
    pub epoch_secs: i64,
    /// The signed releases that they were found in, sorted by archive and suite.
    pub indexes: Vec<LockedIndex>,
}

/// A signed release that packages were found in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedIndex {
    /// Name of the archive.
    pub archive: String,
    /// Suite, as in `dists/SUITE`; where each component and architecture has a signed index of its own, the folder that
    /// it lies in (`v3.20/main/x86_64`).
    pub suite: String,
    /// When the archive made it, in seconds since 1970; where it does not say, the newest time at which a package in it
    /// was built, 0 where that is not said either.
    pub date_secs: i64,
    /// SHA-256 of the signed bytes with their signature (`InRelease`, `APKINDEX.tar.gz`).
    pub sha256: Sha256,
    /// Fingerprint of the primary key that vouches for it, upper-case hexadecimal; with the key's name before it where
    /// the family finds keys by name.
    pub key: String,
}

/// The packages of one architecture and what was decided about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedRoot {
    /// The architecture.
    pub arch: Arch,
    /// Its packages, sorted by name.
    pub packages: Vec<LockedPackage>,
    /// Packages of the kernel that machines boot from, sorted by name; nothing of them is in the root.
    pub boot: Vec<LockedPackage>,
    /// What happens with each script of each package, sorted by package and script.
    pub ledger: Vec<LedgerLine>,
    /// Users and groups that packages made, and derived ids, sorted.
    pub ids: Vec<AllocatedId>,
}

/// One package of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture by the family's name (`amd64`, `all`).
    pub arch: String,
    /// Where it was found.
    pub origin: Origin,
    /// Path of the archive below the repository's root.
    pub path: String,
    /// Size of the archive.
    pub size_bytes: u64,
    /// What the repository vouches for the archive by.
    pub digest: ArchiveDigest,
    /// BLAKE3 of the archive, once it has been fetched.
    pub blake3: Option<Digest>,
}

/// What happens with one script of one package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerLine {
    /// Package name.
    pub package: String,
    /// Which script (`postinst`, `triggers:ldconfig`).
    pub script: String,
    /// What happens with it.
    pub class: ScriptClass,
    /// How it is emulated, or why it is not.
    pub reason: String,
    /// BLAKE3 of the script's bytes.
    pub digest: Digest,
}

/// What happens with a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ScriptClass {
    /// Its effect is done natively.
    Emulated,
    /// It runs in the sandbox.
    Run,
    /// It runs when the appliance first starts.
    FirstBoot,
    /// It is not run, and the build says so.
    Refused,
}

/// An id that was given out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AllocatedId {
    /// What it is for.
    pub kind: IdKind,
    /// Name of the user, group or role.
    pub name: String,
    /// The id: a number for users and groups, a UUID otherwise.
    pub value: String,
}

/// What an allocated id is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdKind {
    /// A user.
    User,
    /// A group.
    Group,
    /// A derived UUID.
    Uuid,
}

impl LockedRoot {
    /// A root without packages.
    pub fn empty(arch: Arch) -> Self {
        Self { arch, packages: Vec::new(), boot: Vec::new(), ledger: Vec::new(), ids: Vec::new() }
    }
}

impl Lock {
    /// The root for this architecture.
    pub fn root(&self, arch: Arch) -> Option<&LockedRoot> {
        self.roots.iter().find(|root| root.arch == arch)
    }

    /// All its packages: those of the roots and those that machines boot from.
    pub fn packages(&self) -> impl Iterator<Item = &LockedPackage> {
        self.roots.iter().flat_map(|root| root.packages.iter().chain(&root.boot))
    }

    /// The time that what boots carries: that of the releases it comes from.
    pub fn boot_epoch_secs(&self) -> i64 {
        self.boot_base.as_ref().map_or(self.epoch_secs, |boot| boot.epoch_secs)
    }

    /// Every signed release that packages were found in.
    pub fn all_indexes(&self) -> impl Iterator<Item = &LockedIndex> {
        self.indexes.iter().chain(self.boot_base.iter().flat_map(|boot| &boot.indexes))
    }

    /// A lock whose roots have no packages, for these requests.
    pub fn without_packages(requests: &Requests, encoders: BTreeMap<String, u32>, epoch_secs: i64) -> Self {
        let roots = requests.arches.iter().copied().map(LockedRoot::empty).collect();
        Self { roots, encoders, epoch_secs, ..Self::for_requests(requests) }
    }

    /// A lock without indexes and roots, for these requests.
    pub fn for_requests(requests: &Requests) -> Self {
        Self {
            spec: requests.digest(),
            base: LockedBase {
                name: requests.base.clone(),
                release: requests.release.clone(),
                digest: requests.base_digest.clone(),
            },
            requests: requests.lines(),
            indexes: Vec::new(),
            boot_base: None,
            roots: Vec::new(),
            epoch_secs: 0,
            encoders: BTreeMap::new(),
        }
    }
}
