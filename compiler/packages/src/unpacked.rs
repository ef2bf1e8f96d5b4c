//! One decoded package. Decoding is done elsewhere; this is only its shape.

use std::collections::BTreeMap;

use tree::{Tree, TreePath};

use crate::{ArchiveDigest, Sha1};

/// A package archive taken apart: its control files and the files it installs.
#[derive(Debug, Clone, Default)]
pub struct Unpacked {
    /// The control files by name (`control`, `postinst`, `conffiles`, `md5sums`, …; `.PKGINFO`, `.post-install`, …).
    pub control_files: BTreeMap<String, Vec<u8>>,
    /// What it installs, with paths relative to the root; contents are named by digest or inline.
    pub tree: Tree,
    /// SHA-1 of the content of each file and of the target of each symbolic link, where the family's database has them.
    pub checksums: BTreeMap<TreePath, Sha1>,
    /// Names of the user and the group of a path, where the family goes by them and not by the numbers of the tree.
    pub owner_names: BTreeMap<TreePath, [String; 2]>,
    /// The archive that it was, where that is known; a family's database may record it.
    pub archive: Option<ArchiveFacts>,
}

/// What a signed index says of a package's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveFacts {
    /// Architecture by the family's name.
    pub arch: String,
    /// What the repository vouches for it by.
    pub digest: ArchiveDigest,
    /// Its size.
    pub size_bytes: u64,
}
