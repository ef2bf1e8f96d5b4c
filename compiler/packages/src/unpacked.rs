//! One decoded package. Decoding is done elsewhere; this is only its shape.

use std::collections::BTreeMap;

use tree::Tree;

/// A package archive taken apart: its control files and the files it installs.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// The control files by name (`control`, `postinst`, `conffiles`, `md5sums`, …).
    pub control_files: BTreeMap<String, Vec<u8>>,
    /// What it installs, with paths relative to the root; contents are named by digest or inline.
    pub tree: Tree,
}
