//! Everything that is Alpine's, apk version 2: indexes, versions, dependencies, package information, install order.
//!
//! The archives themselves, with their signatures, are read by `formats::apk`; the texts in them are read here.

mod dependency;
mod index;
mod installed;
mod order;
mod package_info;
mod rules;
mod version;

pub use dependency::{Dependency, DependencyError, Rule, parse_dependencies, parse_dependency};
pub use index::{arch_name, newest_build_secs, read_index};
pub use installed::{InstalledEntry, InstalledFile, InstalledFolder, InstalledSyntax, parse_installed};
pub use order::{OrderError, install_order};
pub use package_info::{PackageInfo, PackageInfoError};
pub use rules::ApkRules;
pub use version::{begins_like, compare_versions, is_version};
