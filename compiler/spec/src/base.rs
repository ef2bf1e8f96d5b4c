//! A base image: an operating system described as data. It is read by the same parser as a spec.

use std::collections::BTreeMap;

use crate::appliance::Arch;

/// A base operating system at one release.
///
/// Made from `base-images/NAME/base.kdl`, in the form that the spec's `base` selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// Name of the base (`debian`).
    pub name: String,
    /// Package family.
    pub family: Family,
    /// Codename of the release (`bookworm`).
    pub release: String,
    /// Version of the release for people (`12`).
    pub version: String,
    /// Whether a spec that names no release gets this one.
    pub is_default: bool,
    /// Architectures it exists for.
    pub arches: Vec<Arch>,
    /// Where packages come from.
    pub archives: Vec<Archive>,
    /// Package names that every root has, beside the family's own essential set.
    pub packages: Vec<String>,
    /// Whether packages of priority `required` belong to every root (Debian).
    pub with_required: bool,
    /// The default kernel package, by architecture.
    pub kernels: Vec<(Arch, String)>,
    /// The package of systemd's EFI stub, where it is not that of the family.
    pub efi_stub: Option<String>,
    /// Users that every root of it has.
    pub users: Vec<String>,
    /// Groups that every root of it has.
    pub groups: Vec<String>,
    /// Environment that a spec's `env` comes on top of.
    pub env: BTreeMap<String, String>,
    /// BLAKE3 of the files it was read from, 64 hexadecimal digits, for the lock.
    pub digest: String,
}

impl BaseImage {
    /// Its kernel package for an architecture, where it names one.
    pub fn kernel(&self, arch: Arch) -> Option<&str> {
        self.kernels.iter().find(|(own, _)| *own == arch).map(|(_, package)| package.as_str())
    }
}

/// The package families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian packages.
    Deb,
    /// Alpine packages.
    Apk,
    /// RPM packages.
    Rpm,
}

impl Family {
    /// Whether its distributions have systemd.
    pub fn has_systemd(self) -> bool {
        self != Self::Apk
    }
}

/// One archive of a base: a place with mirrors, suites and keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its name (`debian`, `debian-security`), by which mirrors are found.
    pub name: String,
    /// Architectures that it holds; others have an archive of their own (Ubuntu's ports).
    pub arches: Vec<Arch>,
    /// Mirrors, used last, in this order. No host that needs an account or is private.
    pub mirrors: Vec<String>,
    /// Suites to read: as in `dists/SUITE` (Debian), or the branch (Alpine).
    pub suites: Vec<Suite>,
    /// Keys that may sign it, with their file names: OpenPGP, binary or armoured (Debian); RSA in PEM (Alpine).
    pub keys: Vec<(String, Vec<u8>)>,
}

impl Archive {
    /// Its mirrors that can be reached from inside what is built too: no folders of the machine that builds.
    pub fn mirrors_inside(&self) -> impl Iterator<Item = &str> {
        let is_web = |url: &&str| url.starts_with("http://") || url.starts_with("https://");
        self.mirrors.iter().map(String::as_str).filter(is_web)
    }
}

/// One suite of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// Path below `dists/` (`bookworm`, `bookworm-security`); on Alpine below the mirror, and empty where there is none.
    pub path: String,
    /// The codename that its release must state beside its suite, where the base says one.
    pub codename: Option<String>,
    /// Components to read; none where the suite has no such parts (Alpine).
    pub components: Vec<String>,
}
