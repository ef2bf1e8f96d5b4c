//! The tree of an image: the layers of one architecture of an OCI layout, put one above the other without the help of root.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use formats::tar::{EntryKind, Limits, Reader};
use tree::TreePath;

/// Media type of an index (OCI image specification, `image-index.md`).
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One path: all but its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type and target.
    pub kind: EntryKind,
    /// Mode, user, group.
    pub owner: (u16, u32, u32),
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub content: Vec<u8>,
}

/// Every path of the image for an architecture.
#[track_caller]
pub fn image_tree(layout: &Path, arch: &str) -> BTreeMap<String, Entry> {
    let manifests = manifests(layout);
    let is_for = |manifest: &&serde_json::Value| manifest["platform"]["architecture"] == arch;
    let found = manifests.iter().find(is_for).unwrap_or_else(|| panic!("no {arch} in {manifests:?}"));
    let manifest = read(&blob(layout, found));
    let mut entries = BTreeMap::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let tar = zstd::decode_all(fs::File::open(blob(layout, layer)).unwrap()).unwrap();
        read_layer(&tar, &mut entries);
    }
    entries
}

/// What names the manifests of a layout: its index, or the one index that this names.
#[track_caller]
pub fn manifests(layout: &Path) -> Vec<serde_json::Value> {
    let mut index = read(&layout.join("index.json"));
    if index["manifests"][0]["mediaType"] == INDEX {
        assert_eq!(index["manifests"].as_array().unwrap().len(), 1, "{index}");
        index = read(&blob(layout, &index["manifests"][0]));
    }
    index["manifests"].as_array().unwrap().clone()
}

/// The file that a descriptor names.
pub fn blob(layout: &Path, descriptor: &serde_json::Value) -> PathBuf {
    layout.join("blobs").join(descriptor["digest"].as_str().unwrap().replace(':', "/"))
}

/// A document.
#[track_caller]
pub fn read(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn read_layer(tar: &[u8], entries: &mut BTreeMap<String, Entry>) {
    let mut reader = Reader::new(tar, Limits::default());
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = Vec::new();
        reader.read_to_end(&mut content).unwrap();
        let path = TreePath::new(&entry.name).unwrap().display();
        assert!(!path.contains("/.wh."), "{path} takes away what a lower layer has");
        let owner = (entry.meta.mode, entry.meta.uid, entry.meta.gid);
        let kind = match entry.kind {
            EntryKind::HardLink(first) => EntryKind::HardLink(TreePath::new(first).unwrap().display().into_bytes()),
            other => other,
        };
        entries.insert(path, Entry { kind, owner, xattrs: entry.meta.xattrs, content });
    }
}

/// Writes a tree below a folder, with its modes but without its owners.
#[track_caller]
pub fn lay_out(entries: &BTreeMap<String, Entry>, to: &Path) {
    let place = |path: &[u8]| to.join(std::ffi::OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
    for (path, entry) in entries {
        let at = place(path.as_bytes());
        match &entry.kind {
            EntryKind::Dir => fs::create_dir_all(&at).unwrap(),
            EntryKind::Symlink(target) => std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), &at).unwrap(),
            EntryKind::File => {
                fs::write(&at, &entry.content).unwrap();
                fs::set_permissions(&at, fs::Permissions::from_mode(u32::from(entry.owner.0 & 0o777))).unwrap();
            }
            EntryKind::HardLink(_) => {}
            other => panic!("{path}: {other:?}"),
        }
    }
    for (path, entry) in entries {
        if let EntryKind::HardLink(first) = &entry.kind {
            fs::hard_link(place(first), place(path.as_bytes())).unwrap();
        }
    }
}
