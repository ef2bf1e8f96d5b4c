//! Whether a bundle is there already: the digest of everything that a build depends on, and what it made of it.
//!
//! A record says which digest of inputs gave which bundle, with a stamp of each file of it, so that asking again
//! reads no artifact. A record that is lost or damaged costs one build.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bundle::manifest::{self, Manifest};
use packages::Lock;
use store::Store;
use tree::Digest;

use crate::cli::Build;
use crate::manifest_file::LOCK_NAME;
use crate::materials::Materials;
use crate::replace_file::replace_file;
use crate::spec_file::SpecFile;

/// The digest of everything that shapes a bundle.
pub fn digest(spec: &SpecFile, lock: &Lock, materials: &Materials, args: &Build) -> Digest {
    let mut text = format!("{} {:?} {}\n", this_program(), args.scripts, args.strict);
    let _ = writeln!(text, "{:?}\n{}", spec.appliance(), packages::lock::render(lock));
    for (from, source) in &materials.files.sources {
        let content = match source {
            assemble::Source::File(node) => format!("{node:?}"),
            assemble::Source::Folder(tree) => tree::dump(tree),
        };
        let _ = writeln!(text, "{from:?} {content}");
    }
    for (arch, guest) in &materials.guests {
        let _ = writeln!(text, "{} {}", arch.name(), guest.digest());
    }
    let _ = writeln!(text, "{:?}", materials.seccomp_profile);
    if let Some(signer) = &materials.signer {
        let _ = writeln!(text, "signed {}", Digest::of(signer.certificate()));
    }
    Digest::of(text.as_bytes())
}

/// Names this very program: two builds of one version may differ while it is worked on.
fn this_program() -> String {
    let meta = std::env::current_exe().and_then(fs::metadata);
    let stamp = meta.map(|meta| format!("{} {}.{}", meta.len(), meta.mtime(), meta.mtime_nsec())).unwrap_or_default();
    format!("appliance {} {stamp}", env!("CARGO_PKG_VERSION"))
}

/// The bundle in this folder with its lock, if these inputs made it and nobody touched it since.
pub fn find(store: &Store, inputs: &Digest, folder: &Path) -> Option<(Manifest, Lock)> {
    let known = fs::read_to_string(record_path(store, folder)?).ok()?;
    if known != record(inputs, folder)? {
        return None;
    }
    let manifest = serde_json::from_slice(&fs::read(folder.join(manifest::FILE_NAME)).ok()?).ok()?;
    let lock = packages::lock::parse(&fs::read_to_string(folder.join(LOCK_NAME)).ok()?).ok()?;
    Some((manifest, lock))
}

/// Notes that these inputs made the bundle in this folder. Without the note the next build does the work again.
pub fn remember(store: &Store, inputs: &Digest, folder: &Path) {
    let Some((path, record)) = record_path(store, folder).zip(record(inputs, folder)) else { return };
    let _ =
        fs::create_dir_all(path.parent().unwrap_or(store.root())).and_then(|()| replace_file(&path, record.as_bytes()));
}

/// One record for each place that bundles are built to.
fn record_path(store: &Store, folder: &Path) -> Option<PathBuf> {
    let name = Digest::of(folder.canonicalize().ok()?.as_os_str().as_encoded_bytes());
    Some(store.root().join("builds").join(name.to_string()))
}

/// The inputs and a stamp of every file: path, size, time of last change and inode.
fn record(inputs: &Digest, folder: &Path) -> Option<String> {
    let mut text = format!("{inputs}\n");
    stamp(folder, folder, &mut text)?;
    Some(text)
}

fn stamp(root: &Path, folder: &Path, text: &mut String) -> Option<()> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().ok()?;
    paths.sort();
    for path in paths {
        let meta = fs::symlink_metadata(&path).ok()?;
        if meta.is_dir() {
            stamp(root, &path, text)?;
            continue;
        }
        let name = path.strip_prefix(root).ok()?;
        let _ = writeln!(text, "{name:?} {} {}.{} {}", meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino());
    }
    Some(())
}
