//! What a container file can be, and the two formats that take a disk's bytes as they are: raw and VHDX.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use formats::region::RegionSink;
use formats::vhdx::{self, BlockSink};
use formats::{ovf, qcow2, vmdk};

use super::chunks::Chunk;
use crate::{FileDigests, write_disk};

/// A file that is written and, where its digest needs it, read back. It must be fresh and empty.
pub trait Storage: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> Storage for T {}

/// The format of a container.
#[derive(Debug, Clone)]
pub enum Format {
    /// The disk itself, sparse.
    Raw,
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
    sparse(output, disk.size_bytes, &mut |file| all(chunks, file))
}

/// Writes a VHDX file.
pub fn vhdx(
    disk: &Disk,
    ids: vhdx::Ids,
    chunks: &Receiver<Arc<Chunk>>,
    output: &mut dyn Storage,
) -> io::Result<FileDigests> {
    let layout = vhdx::Layout::new(ids, disk.size_bytes, &disk.data_ranges).map_err(io::Error::other)?;
    sparse(output, layout.file_bytes(), &mut |file| all(chunks, &mut BlockSink::new(&layout, file)?))
}

fn all(chunks: &Receiver<Arc<Chunk>>, sink: &mut dyn RegionSink) -> io::Result<()> {
    chunks.iter().try_for_each(|chunk| chunk.regions().try_for_each(|(offset, bytes)| sink.data(offset, bytes)))
}

/// Writes a sparse file in ascending order, digests it on the way, and gives it its length.
fn sparse(
    output: &mut dyn Storage,
    size_bytes: u64,
    fill: &mut dyn FnMut(&mut dyn RegionSink) -> io::Result<()>,
) -> io::Result<FileDigests> {
    let digests = write_disk(&mut *output, size_bytes, fill)?;
    if output.seek(SeekFrom::End(0))? < size_bytes {
        output.seek(SeekFrom::Start(size_bytes - 1))?;
        output.write_all(&[0])?;
    }
    output.flush()?;
    Ok(digests)
}
