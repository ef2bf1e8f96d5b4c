//! What is installed in a file system already, by the databases that package managers keep there: which families they are
//! of, and what a spec asks for on top of them.

use std::error::Error;

use spec::appliance::{Arch, PackageRequest};
use spec::base::Family;

use crate::rules::{Constraint, rules_of};
use crate::{Catalog, CatalogError, Origin, Requests};

/// The archive that a lock never names: what comes from there is there.
pub(crate) const INSTALLED: &str = "image";

/// Every family there is.
const FAMILIES: [Family; 3] = [Family::Deb, Family::Apk, Family::Rpm];

/// A database of installed packages that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Database {
    /// The family whose package manager keeps it.
    pub family: Family,
    /// Its path from the root of the file system, with a slash before it.
    pub path: &'static str,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstalledPackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The installed packages of one architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// They, sorted by name.
    pub packages: Vec<InstalledPackage>,
    /// The same in the form of the family's index. Archives of them exist nowhere: sizes and digests mean nothing.
    pub index: String,
}

/// Why a database of installed packages cannot be built on.
#[derive(Debug, thiserror::Error)]
pub enum InstalledError {
    /// It is not of the form that it must have.
    #[error("read what is installed by {path}")]
    Syntax {
        /// The database.
        path: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// Of a kind that is known and not read.
    #[error("read what is installed by {path}: {what}")]
    Unread {
        /// The database.
        path: &'static str,
        /// What it is, in words.
        what: &'static str,
    },
    /// A package that is neither there nor gone.
    #[error("build on what is installed: {package} is in the state `{state}`; mend it in the image first")]
    State {
        /// The package.
        package: String,
        /// Its state in the family's own words.
        state: String,
    },
}

/// Where package managers keep their database that are known and not read: the manager, and the place.
const OTHERS: [(&str, &str); 5] = [
    ("rpm", "/var/lib/rpm"),
    ("rpm", "/usr/lib/sysimage/rpm"),
    ("pacman", "/var/lib/pacman/local"),
    ("Gentoo", "/var/db/pkg"),
    ("Nix", "/nix/var/nix/db"),
];

/// The package manager of a file system, of which `exists` says what is there, where it is one that is not read.
pub fn other_manager(exists: impl Fn(&str) -> bool) -> Option<&'static str> {
    OTHERS.iter().find(|(_, path)| exists(path)).map(|(manager, _)| *manager)
}

/// The databases of a file system, of which `exists` says what is there.
pub fn databases(exists: impl Fn(&str) -> bool) -> Vec<Database> {
    let of = |family: Family| {
        let paths = rules_of(family).map(|rules| rules.databases()).unwrap_or_default();
        // A package manager keeps one; where the older place is a link to the newer one, both are there.
        paths.iter().copied().find(|path| exists(path)).map(|path| Database { family, path })
    };
    FAMILIES.into_iter().filter_map(of).collect()
}

impl Database {
    /// Reads the installed packages of an architecture, and those for all architectures.
    ///
    /// # Errors
    /// When the bytes are no such database, or a package is half installed.
    pub fn read(&self, bytes: &[u8], arch: Arch) -> Result<Installed, InstalledError> {
        match rules_of(self.family) {
            Some(rules) => rules.read_installed(self.path, bytes, arch),
            None => Ok(Installed::default()),
        }
    }
}

impl Installed {
    /// Puts what is installed beside what is on offer.
    ///
    /// # Errors
    /// When a package of the database is none that an index could have.
    pub fn add_to(&self, catalog: &mut Catalog) -> Result<(), CatalogError> {
        let origin = Origin { archive: INSTALLED.to_owned(), suite: String::new(), component: String::new() };
        catalog.add_index(origin, self.index.as_bytes())
    }

    /// The version of a package that is there.
    pub fn version_of(&self, name: &str) -> Option<&str> {
        self.packages.iter().find(|package| package.name == name).map(|package| package.version.as_str())
    }

    /// What is asked of the solver for one architecture: what the spec asks for and is not there, on top of what is.
    ///
    /// `catalog` holds what is on offer and, by [`Installed::add_to`], what is there.
    pub fn requests(&self, requests: &Requests, catalog: &Catalog) -> Requests {
        let is_new = |one: &&PackageRequest| !self.fulfils(one, catalog);
        let packages = requests.packages.iter().filter(is_new).cloned().collect();
        Requests { arches: vec![catalog.arch()], packages, installed: self.packages.clone(), ..requests.clone() }
    }

    /// Whether what is there fulfils a request already, by its own name or one that it provides.
    fn fulfils(&self, request: &PackageRequest, catalog: &Catalog) -> bool {
        let rules = catalog.rules();
        let name = rules.split_request(&request.name).0;
        let constraint = Constraint { name: name.to_owned(), rule: request.rule.clone() };
        let fits = |version: &str| request.rule.as_ref().is_none_or(|rule| rules.fulfils(version, rule));
        let mut there = catalog.packages().filter(|(_, package)| package.origin().archive == INSTALLED);
        there.any(|(_, package)| {
            let provides = || rules.provides(package).unwrap_or_default();
            package.name() == name && fits(package.version())
                || provides().iter().any(|one| one.name == name && rules.provider_fulfils(&constraint, one.version))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(there: &[&str], want: &[(Family, &'static str)]) {
        let found = databases(|path| there.contains(&path));
        assert_eq!(found, want.iter().map(|(family, path)| Database { family: *family, path }).collect::<Vec<_>>());
    }

    #[test]
    fn other_managers_are_known_by_name() {
        assert_eq!(other_manager(|path| path == "/usr/lib/sysimage/rpm"), Some("rpm"));
        assert_eq!(other_manager(|path| path == "/var/lib/dpkg/status"), None);
    }

    #[test]
    fn a_file_system_shows_its_families() {
        let (dpkg, apk) = ("/var/lib/dpkg/status", "/lib/apk/db/installed");
        check(&[], &[]);
        check(&[dpkg], &[(Family::Deb, dpkg)]);
        check(&[apk, "/usr/lib/apk/db/installed"], &[(Family::Apk, apk)]);
        check(&[dpkg, apk], &[(Family::Deb, dpkg), (Family::Apk, apk)]);
    }
}
