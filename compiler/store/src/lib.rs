//! Network and disk: fetches what a lock names, verifies it, and keeps it where builds find it again.
//!
//! A [`Store`] is a folder that any number of processes use at once. It holds archives as downloaded, packages
//! taken apart, and files that other stages keep under keys. Every entry appears complete or not at all,
//! also when a process is killed. It decides nothing about what an appliance is made of.

mod archives;
mod blobs;
mod catalog;
mod decoded;
mod disk;
mod family;
mod fetch;
mod folders;
mod housekeeping;
mod images;
mod layers;
pub mod mirrors;
mod network;
mod parallel;
mod progress;

use std::path::Path;

pub use catalog::{CatalogFetchError, CatalogRequest, Catalogs, Distrust, Misfit, Source, check_key};
pub use decoded::{MetaError, UnpackError, read_meta};
pub use disk::DiskError;
pub use family::ArchiveError;
pub use fetch::{FetchPackagesError, Mirrors};
pub use housekeeping::{Collected, Damage, Garbage, Usage, names_of};
pub use images::{
    AuthFile, Challenge, Image, ImageError, ImageLayer, ImageRequest, RegistryError, read_auth_file, read_challenge,
    read_tags,
};
pub use layers::PutError;
pub use network::{FetchError, Patience, TransferError, in_one_line};
pub use progress::{Progress, Silent, Unit};

/// An open store. While it is open, nothing that was used through it is collected as garbage.
#[derive(Debug)]
pub struct Store {
    folders: folders::Folders,
    packs: blobs::Packs,
    network: network::Network,
}

impl Store {
    /// Opens the store in this folder, which is made if it is missing, and removes what dead processes left behind.
    ///
    /// # Errors
    /// When the folder cannot be made or used.
    pub fn open(root: &Path) -> Result<Self, DiskError> {
        Self::open_with(root, Patience::default())
    }

    /// Opens the store with another patience for the network.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(root: &Path, patience: Patience) -> Result<Self, DiskError> {
        let network = network::Network::new(patience);
        Ok(Self { folders: folders::Folders::open(root)?, packs: blobs::Packs::default(), network })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.folders.root()
    }
}
