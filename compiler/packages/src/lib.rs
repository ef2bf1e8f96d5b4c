//! Package indexes, version order, the solver and the lock.
//!
//! Signed index bytes become a [`Catalog`], requests and a catalogue become a [`Lock`]: exactly which bytes an
//! appliance is made of. What belongs to one package family lives in its own folder ([`deb`], [`apk`]); nothing outside
//! asks which family it is. This crate does no input or output: bytes, keys and the clock are arguments.

pub mod apk;
mod archive_digest;
mod catalog;
mod date;
pub mod deb;
mod installed;
pub mod lock;
mod requests;
mod rules;
mod sha256;
mod solve;
mod unpacked;

pub use archive_digest::{ArchiveDigest, Sha1};
pub use catalog::{Catalog, CatalogError, Field, IndexReadError, Origin, Package, PackageId};
pub use installed::{Database, Installed, InstalledError, InstalledPackage, databases, other_manager};
pub use lock::{
    AllocatedId, IdKind, LedgerLine, Lock, LockError, LockedBase, LockedBootBase, LockedIndex, LockedPackage,
    LockedRoot, ScriptClass,
};
pub use requests::{RequestedBase, RequestedRepository, Requests};
pub use rules::{Constraint, Provided, Rules, rules_of};
pub use sha256::{Sha256, Sha256ParseError};
pub use solve::{Pins, ResolveError, Update, resolve, resolve_boot, resolve_root, unknown_excluded};
pub use unpacked::{ArchiveFacts, Unpacked};
