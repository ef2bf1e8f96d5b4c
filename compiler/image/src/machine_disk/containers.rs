//! What a container file can be, and the two formats that take a disk's bytes as they are: raw and VHDX.

use std::io::{self, Read, Seek, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use formats::{ovf, qcow2, vhdx, vmdk};

use super::chunks::{CHUNK_BYTES, Chunk};
use super::digest::digested;
use crate::FileDigests;

/// A file that is written and, where its digest needs it, read back. It must be fresh and empty.
pub trait Storage: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> Storage for T {}

/// The format of a container.
#[derive(Debug, Clone)]
pub enum Format {
    /// The disk itself, sparse.
    Raw,
    /// A part of the disk as a file of its own, sparse: these bytes, from the start of a chunk on.
    Part(Range<u64>),
    /// QEMU's format.
    Qcow2(qcow2::Compression),
    /// Hyper-V's format.
    Vhdx(vhdx::Ids),
    /// VMware's stream-optimised format.
    Vmdk {
        /// Id of the contents.
        content_id: [u8; 16],
        /// Name of the file, which its descriptor repeats.
        file_name: String,
    },
    /// An archive of a machine's description and its VMDK disk.
    Ova {
        /// Id of the contents.
        content_id: [u8; 16],
        /// Names and time of the files in it.
        archive: ovf::Archive,
        /// The machine; its disk's file and length are filled in.
        machine: ovf::Machine,
    },
}

/// A container to write.
pub struct Container<'o> {
    /// Its format.
    pub format: Format,
    /// Its file.
    pub output: &'o mut dyn Storage,
}

/// A disk as far as every container must know it before the first byte.
pub struct Disk {
    pub size_bytes: u64,
    pub data_ranges: Vec<Range<u64>>,
}

/// The options of the VMDK file of a disk.
pub fn vmdk_options(disk: &Disk, content_id: [u8; 16], file_name: &str) -> vmdk::Options {
    vmdk::Options { size_bytes: disk.size_bytes, content_id, file_name: file_name.to_owned() }
}

/// Writes the disk as it is.
pub fn raw(disk: &Disk, chunks: &Receiver<Arc<Chunk>>, output: &mut dyn Storage) -> io::Result<FileDigests> {
    digested(output, disk.size_bytes, &mut |file| {
        chunks.iter().try_for_each(|chunk| {
            let place = chunk.offset_bytes();
            file.put(place, &chunk)
        })
    })
}

/// Writes a part of the disk, which begins with a chunk; what follows in its last chunk is left out.
pub fn part(part: &Range<u64>, chunks: &Receiver<Arc<Chunk>>, output: &mut dyn Storage) -> io::Result<FileDigests> {
    let size_bytes = part.end - part.start;
    digested(output, size_bytes, &mut |file| {
        let of_part = chunks.iter().filter(|chunk| part.contains(&chunk.offset_bytes()));
        of_part.into_iter().try_for_each(|chunk| {
            let place = chunk.offset_bytes() - part.start;
            let own = (size_bytes - place).min(CHUNK_BYTES as u64) as usize;
            match chunk.given.iter().any(|range| range.end > own) {
                true => file.put(place, &chunk.up_to(own)),
                false => file.put(place, &chunk),
            }
        })
    })
}

/// Writes a VHDX file, whose blocks are chunks.
pub fn vhdx(
    disk: &Disk,
    ids: vhdx::Ids,
    chunks: &Receiver<Arc<Chunk>>,
    output: &mut dyn Storage,
) -> io::Result<FileDigests> {
    const { assert!(CHUNK_BYTES as u64 == vhdx::BLOCK_BYTES) };
    let layout = vhdx::Layout::new(ids, disk.size_bytes, &disk.data_ranges).map_err(io::Error::other)?;
    digested(output, layout.file_bytes(), &mut |file| {
        for (offset, bytes) in layout.tables() {
            file.put(offset, &Chunk::of(bytes))?;
        }
        chunks.iter().try_for_each(|chunk| match layout.block_offset(chunk.index) {
            Some(place) => file.put(place, &chunk),
            None if chunk.bytes.iter().all(|byte| *byte == 0) => Ok(()),
            None => {
                let what = format!("the disk has data at {}, where its plan has none", chunk.offset_bytes());
                Err(io::Error::other(what))
            }
        })
    })
}
