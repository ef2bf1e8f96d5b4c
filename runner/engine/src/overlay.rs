//! Files of disks that a run makes: an empty layer over a disk that must not change, and the disk of a volume.
//!
//! The layer is a qcow2 file of version 3 (QEMU's `docs/interop/qcow2.txt`): header, reference counts and an empty first
//! table; all else is read from the disk below until it is written.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Bytes of a cluster: what QEMU takes too.
const CLUSTER_BYTES: u64 = 1 << 16;

/// Bytes that one entry of the first table covers: a cluster of entries of eight bytes, each for a cluster.
const ENTRY_BYTES: u64 = CLUSTER_BYTES / 8 * CLUSTER_BYTES;

/// The largest disk: the first table then fills 64 clusters, and one cluster of counts is enough.
const MAX_BYTES: u64 = ENTRY_BYTES * CLUSTER_BYTES / 8 * 64;

/// What a qcow2 file begins with.
const MAGIC: [u8; 4] = *b"QFI\xfb";

/// The extension of the header that names the format of the disk below.
const BACKING_FORMAT: u32 = 0xe279_2aca;

/// Makes a layer over a disk in this format. It is at least as large as that, and as `least_bytes`.
pub fn make(layer: &Path, backing: &Path, format: &str, least_bytes: u64, room_bytes: u64) -> io::Result<()> {
    let below = disk_bytes(backing, format)?;
    let size = below.saturating_add(room_bytes).max(least_bytes).next_multiple_of(512);
    let bytes = layer_bytes(backing, format, size)?;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(layer)?;
    file.write_all(&bytes)
}

/// The size of the disk in a file.
fn disk_bytes(path: &Path, format: &str) -> io::Result<u64> {
    let mut file = File::open(path)?;
    if format != "qcow2" {
        return Ok(file.metadata()?.len());
    }
    let mut header = [0; 32];
    file.read_exact(&mut header)?;
    let size = header.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    if header.starts_with(&MAGIC) { Ok(size) } else { Err(bad("it is no qcow2 file")) }
}

fn layer_bytes(backing: &Path, format: &str, size: u64) -> io::Result<Vec<u8>> {
    let name = backing.as_os_str().as_bytes();
    if size > MAX_BYTES || name.len() > 1023 {
        return Err(bad("the disk is too large, or its path too long"));
    }
    let entries = size.div_ceil(ENTRY_BYTES);
    let table_clusters = (entries * 8).div_ceil(CLUSTER_BYTES).max(1);
    let mut bytes = header(name, format, size, entries);
    let mut at = |offset: u64, field: &[u8]| {
        bytes.resize(bytes.len().max(usize::try_from(offset).unwrap_or(0) + field.len()), 0);
        let place = bytes.iter_mut().skip(usize::try_from(offset).unwrap_or(0));
        place.zip(field).for_each(|(place, byte)| *place = *byte);
    };
    // The table of counts leads to one cluster of them: one for each cluster of this file.
    at(CLUSTER_BYTES, &(2 * CLUSTER_BYTES).to_be_bytes());
    let used = usize::try_from(3 + table_clusters).unwrap_or(0);
    at(2 * CLUSTER_BYTES, &[0, 1].repeat(used));
    at((3 + table_clusters) * CLUSTER_BYTES - 1, &[0]);
    Ok(bytes)
}

fn header(name: &[u8], format: &str, size: u64, entries: u64) -> Vec<u8> {
    let padded = format.len().next_multiple_of(8);
    let name_at = 104 + 8 + padded + 8;
    let mut bytes = MAGIC.to_vec();
    let wide = |number: usize| (number as u64).to_be_bytes();
    let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend(short(3));
    bytes.extend(wide(name_at));
    bytes.extend(short(name.len() as u64));
    bytes.extend(short(16));
    bytes.extend(size.to_be_bytes());
    bytes.extend(short(0));
    bytes.extend(short(entries));
    bytes.extend((3 * CLUSTER_BYTES).to_be_bytes());
    bytes.extend(CLUSTER_BYTES.to_be_bytes());
    bytes.extend(short(1));
    // No snapshots, no features.
    bytes.extend([0; 4 + 8 + 24]);
    // Counts of 16 bits; the header's own length.
    bytes.extend(short(4));
    bytes.extend(short(104));
    bytes.extend(BACKING_FORMAT.to_be_bytes());
    bytes.extend(short(format.len() as u64));
    bytes.extend(format.bytes());
    bytes.resize(name_at, 0);
    bytes.extend(name);
    bytes
}

/// Copies an empty disk, leaving out what is zero, and lets it be as large as is asked; one that is there stays, and grows.
pub fn make_volume(file: &Path, empty: &Path, size_bytes: Option<u64>) -> io::Result<()> {
    if !file.exists() {
        let mut unfinished = file.as_os_str().to_owned();
        unfinished.push(".new");
        let mut copy = File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        copy_sparse(&mut File::open(empty)?, &mut copy)?;
        copy.sync_all()?;
        std::fs::rename(&unfinished, file)?;
    }
    let disk = File::options().write(true).open(file)?;
    match size_bytes {
        Some(size) if disk.metadata()?.len() < size => disk.set_len(size),
        _ => Ok(()),
    }
}

fn copy_sparse(from: &mut File, to: &mut File) -> io::Result<()> {
    let mut chunk = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let count = from.read(&mut chunk)?;
        let bytes = chunk.get(..count).unwrap_or_default();
        length += count as u64;
        match count {
            0 => return to.set_len(length),
            _ if bytes.iter().all(|byte| *byte == 0) => drop(to.seek(SeekFrom::Start(length))?),
            _ => to.write_all(bytes)?,
        }
    }
}

fn bad(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_layer_shows_the_disk_below_and_is_sound() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, layer, second) = (folder.path().join("a,disk"), folder.path().join("l"), folder.path().join("m"));
        std::fs::write(&disk, [7; 100_000]).unwrap();
        make(&layer, &disk, "raw", 5 << 30, 0).unwrap();
        make(&second, &layer, "qcow2", 0, 1 << 20).unwrap();
        assert_eq!(disk_bytes(&second, "qcow2").unwrap(), (5 << 30) + (1 << 20));
        assert!(disk_bytes(&disk, "qcow2").is_err());
        assert!(make(&layer, &disk, "raw", 0, 0).is_err());
        let Ok(checked) = Command::new("qemu-img").arg("check").arg(&second).output() else {
            eprintln!("SKIP a_layer_shows_the_disk_below_and_is_sound: there is no qemu-img (package qemu-utils)");
            return;
        };
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
        let info = Command::new("qemu-img").args(["info", "--backing-chain"]).arg(&second).output().unwrap();
        let info = String::from_utf8_lossy(&info.stdout).into_owned();
        assert!(info.contains("5.001 GiB") || info.contains("(5369757696 bytes)"), "{info}");
        assert!(info.contains("backing file format: raw"), "{info}");
    }

    #[test]
    fn a_volume_is_copied_without_its_zeros_and_grows_but_never_shrinks() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, file) = (folder.path().join("empty"), folder.path().join("disk"));
        let bytes = [vec![0; 1 << 20], vec![5; 1 << 16], vec![0; 1 << 20]].concat();
        std::fs::write(&empty, &bytes).unwrap();
        make_volume(&file, &empty, Some(1 << 24)).unwrap();
        let meta = std::fs::metadata(&file).unwrap();
        assert!(meta.len() == 1 << 24 && meta.blocks() * 512 < 1 << 20, "{}", meta.blocks());
        assert!(std::fs::read(&file).unwrap().starts_with(&bytes));
        std::fs::write(&empty, "other").unwrap();
        make_volume(&file, &empty, Some(1 << 20)).unwrap();
        assert!(std::fs::read(&file).unwrap().starts_with(&bytes) && file.metadata().unwrap().len() == 1 << 24);
    }
}
