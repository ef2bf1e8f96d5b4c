//! Counting and removing unpacked layers in one folder of the cache. Runs with the ids that the layers were unpacked with.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::stamp::Unused;

/// Unpacked layers that were counted or removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootsTally {
    /// How many.
    pub entries: u64,
    /// The space they take on the disk, in bytes.
    pub size_bytes: u64,
    /// What could not be looked at or removed, with the reason.
    pub left: Vec<String>,
}

/// Counts what the folder holds; without the rights to look into a layer it counts as smaller than it is.
pub fn usage(folder: &Path, tally: &mut RootsTally) {
    for chain_id in chain_ids(folder, tally) {
        tally.entries += u64::from(folder.join(&chain_id).is_dir());
        tally.size_bytes += parts(folder, &chain_id).iter().map(|part| size_bytes(part)).sum::<u64>();
    }
}

/// Removes the layers that no run has used for this long and none uses now, and what killed unpackers left.
pub fn collect(folder: &Path, unused_for: Duration, tally: &mut RootsTally) {
    for chain_id in chain_ids(folder, tally) {
        match remove(folder, &chain_id, unused_for) {
            Ok(None) => {}
            Ok(Some((entries, size_bytes))) => {
                tally.entries += entries;
                tally.size_bytes += size_bytes;
            }
            Err(error) => tally.left.push(format!("{}: {error}", folder.join(chain_id).display())),
        }
    }
}

/// How many layers went, with their size; none when it is in use or was not long ago.
fn remove(folder: &Path, chain_id: &str, unused_for: Duration) -> io::Result<Option<(u64, u64)>> {
    let Some(unused) = Unused::claim(folder, chain_id)? else { return Ok(None) };
    let root = folder.join(chain_id);
    let there = root.is_dir();
    if there && unused.since()? < unused_for {
        return Ok(None);
    }
    let [_, going, partial] = parts(folder, chain_id);
    let size = parts(folder, chain_id).iter().map(|part| size_bytes(part)).sum();
    // A layer under its own name is always whole, also when this is killed half-way.
    let _ = remove_folder(&going);
    if there {
        std::fs::rename(&root, &going)?;
    }
    remove_folder(&going)?;
    remove_folder(&partial)?;
    let _ = std::fs::remove_file(folder.join(format!("{chain_id}.lock")));
    unused.remove()?;
    Ok(Some((u64::from(there), size)))
}

fn remove_folder(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The layer itself, what a killed removal left of it, and what a killed unpacker left.
fn parts(folder: &Path, chain_id: &str) -> [PathBuf; 3] {
    ["", ".gone", ".partial"].map(|ending| folder.join(format!("{chain_id}{ending}")))
}

/// The layers that any entry of the folder is about. Other names are none of ours.
fn chain_ids(folder: &Path, tally: &mut RootsTally) -> BTreeSet<String> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tally.left.push(format!("{}: {error}", folder.display()));
            }
            return BTreeSet::new();
        }
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let stem = |name: String| name.split('.').next().unwrap_or_default().to_owned();
    let is_digest = |stem: &String| stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
    names.map(stem).filter(is_digest).collect()
}

/// Blocks on the disk; a file with several names counts once.
fn size_bytes(path: &Path) -> u64 {
    let (mut sum, mut seen) = (0, BTreeSet::new());
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.is_dir() {
            waiting.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        } else if meta.nlink() > 1 && !seen.insert(meta.ino()) {
            continue;
        }
        sum += meta.blocks() * 512;
    }
    sum
}
