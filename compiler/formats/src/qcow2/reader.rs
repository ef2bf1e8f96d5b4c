//! Reads images back, for tests and for people: the kind that [`super::Writer`] makes and `qemu-img convert -c` too.
//!
//! Everything is checked against the length of the file before it is used.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read;

use flate2::read::DeflateDecoder;

use super::header::{COMPRESSION_FEATURE, HEADER_BYTES, REFCOUNT_ORDER};
use super::{
    CLUSTER_BITS, CLUSTER_BYTES, COMPRESSED, COMPRESSED_OFFSET_BITS, COPIED, Compression, L2_ENTRIES,
    REFCOUNTS_PER_BLOCK, SECTOR_BYTES,
};

/// Bits of a table entry that hold an offset.
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;

/// The plain cluster reads as zeros, whatever stands at its offset.
const ZERO: u64 = 1;

/// Largest L1 table that is read: QEMU's own limit.
const L1_BYTES_MOST: u64 = 32 << 20;

/// Why an image cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Not such a file.
    #[error("this is no qcow2 image of version 3")]
    Magic,
    /// Something that is not read here.
    #[error("the image has {0}, which is not read here; convert it with `qemu-img convert -O qcow2`")]
    Unsupported(&'static str),
    /// A table or a cluster that is not where it must be.
    #[error("the image is damaged: {what} at {offset_bytes} is not within its {size_bytes} bytes or not aligned")]
    Outside {
        /// What is there.
        what: &'static str,
        /// Where.
        offset_bytes: u64,
        /// Length of the file.
        size_bytes: u64,
    },
    /// A table that stands for two parts of the disk, which only images with snapshots have.
    #[error("the image is damaged: the table at {0} is used twice")]
    Twice(u64),
    /// A cluster that cannot be decompressed to its full length.
    #[error("the image is damaged: cluster {0} does not decompress to {CLUSTER_BYTES} bytes")]
    Compressed(u64),
}

/// What an image holds for one cluster of its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// Zeros.
    Zero,
    /// Its bytes, at this offset.
    Plain(u64),
    /// Compressed bytes at this offset, in so many bytes at most.
    Compressed(u64, u64),
}

/// An image whose header and first-level table were checked.
#[derive(Debug)]
pub struct Image<'a> {
    file: &'a [u8],
    size_bytes: u64,
    compression: Compression,
    l1: Vec<u64>,
    refcount_table: (u64, u64),
}

impl<'a> Image<'a> {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// When it is not an image, damaged, or of a kind that is not read here.
    pub fn parse(file: &'a [u8]) -> Result<Self, ReadError> {
        let header = file.get(..HEADER_BYTES).ok_or(ReadError::Magic)?;
        let u32_at = |at: usize| u32::from_be_bytes(std::array::from_fn(|byte| header[at + byte]));
        let u64_at = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| header[at + byte]));
        if !header.starts_with(b"QFI\xfb") || u32_at(4) != 3 {
            return Err(ReadError::Magic);
        }
        let zstd = u64_at(72) & COMPRESSION_FEATURE != 0;
        let unsupported = [
            (u64_at(8) != 0, "a backing file"),
            (u32_at(20) != CLUSTER_BITS, "clusters of another size than 64 KiB"),
            (u32_at(32) != 0, "encryption"),
            (u32_at(60) != 0, "snapshots"),
            (u64_at(72) & !COMPRESSION_FEATURE != 0, "further features"),
            (u32_at(96) != REFCOUNT_ORDER, "refcounts of another size than 16 bits"),
            (u32_at(100) > 104 && header[104] != u8::from(zstd), "another compression"),
        ];
        if let Some((_, what)) = unsupported.into_iter().find(|(is, _)| *is) {
            return Err(ReadError::Unsupported(what));
        }
        let mut image = Self {
            file,
            size_bytes: u64_at(24),
            compression: if zstd { Compression::Zstd } else { Compression::Zlib },
            l1: Vec::new(),
            refcount_table: (u64_at(48), u64::from(u32_at(56)) * CLUSTER_BYTES as u64),
        };
        let (offset, bytes) = (u64_at(40), u64::from(u32_at(36)) * 8);
        if bytes > L1_BYTES_MOST {
            return Err(image.outside("the L1 table", offset));
        }
        image.l1 = image.table("the L1 table", offset, bytes)?;
        if (image.l1.len() as u64) < image.size_bytes.div_ceil(CLUSTER_BYTES as u64 * L2_ENTRIES) {
            return Err(ReadError::Unsupported("an L1 table that does not cover the disk"));
        }
        image.table("the refcount table", image.refcount_table.0, image.refcount_table.1)?;
        Ok(image)
    }

    /// Length of the disk.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// How clusters are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Clusters that are not zero, ascending, with their index.
    ///
    /// # Errors
    /// When a table or a cluster is not within the file.
    pub fn clusters(&self) -> Result<Vec<(u64, Cluster)>, ReadError> {
        let mut clusters = Vec::new();
        let count = self.size_bytes.div_ceil(CLUSTER_BYTES as u64);
        let mut seen = BTreeSet::new();
        for (at, entry) in (0..).zip(&self.l1).filter(|(_, entry)| *entry & OFFSET_MASK != 0) {
            let offset = entry & OFFSET_MASK;
            let table = self.table("an L2 table", offset, CLUSTER_BYTES as u64)?;
            // So the clusters are never more than the file's bytes allow.
            if !seen.insert(offset) {
                return Err(ReadError::Twice(offset));
            }
            for (index, entry) in (at * L2_ENTRIES..count).zip(table) {
                match self.cluster(entry)? {
                    Cluster::Zero => {}
                    cluster => clusters.push((index, cluster)),
                }
            }
        }
        Ok(clusters)
    }

    /// The bytes of a cluster; all of [`super::CLUSTER_BYTES`], even at the end of the disk.
    ///
    /// # Errors
    /// When it cannot be decompressed.
    pub fn read(&self, index: u64, cluster: Cluster) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; CLUSTER_BYTES];
        match cluster {
            Cluster::Zero => {}
            Cluster::Plain(offset) => bytes.copy_from_slice(self.bytes("a cluster", offset, CLUSTER_BYTES as u64)?),
            Cluster::Compressed(offset, length) => {
                let packed = self.bytes("a compressed cluster", offset, length)?;
                let done = match self.compression {
                    Compression::Zlib => DeflateDecoder::new(packed).read_exact(&mut bytes),
                    Compression::Zstd => zstd::stream::read::Decoder::with_buffer(packed)
                        .and_then(|decoder| decoder.single_frame().read_exact(&mut bytes)),
                };
                done.map_err(|_| ReadError::Compressed(index))?;
            }
        }
        Ok(bytes)
    }

    /// How often each cluster of the file is used, as the image itself says.
    ///
    /// # Errors
    /// When a block is not within the file.
    pub fn refcounts(&self) -> Result<Vec<u16>, ReadError> {
        let clusters = self.file.len().div_ceil(CLUSTER_BYTES);
        let table = self.table("the refcount table", self.refcount_table.0, self.refcount_table.1)?;
        let mut counts = vec![0; clusters];
        for (block, counts) in table.iter().zip(counts.chunks_mut(REFCOUNTS_PER_BLOCK as usize)) {
            if *block != 0 {
                let bytes = self.bytes("a refcount block", *block, CLUSTER_BYTES as u64)?;
                counts
                    .iter_mut()
                    .zip(bytes.as_chunks::<2>().0)
                    .for_each(|(count, two)| *count = u16::from_be_bytes(*two));
            }
        }
        Ok(counts)
    }

    /// The image as text, one line a cluster that is not zero.
    ///
    /// # Errors
    /// When a table or a cluster is not within the file.
    pub fn dump(&self) -> Result<String, ReadError> {
        let mut out =
            format!("qcow2 {:?}, disk {} bytes, file {} bytes\n", self.compression, self.size_bytes, self.file.len());
        for (at, entry) in self.l1.iter().enumerate().filter(|(_, entry)| **entry != 0) {
            let copied = if entry & COPIED != 0 { " copied" } else { "" };
            let _ = writeln!(out, "table {at} at {}{copied}", entry & OFFSET_MASK);
        }
        for (index, cluster) in self.clusters()? {
            let _ = match cluster {
                Cluster::Compressed(offset, length) => {
                    writeln!(out, "{index}: compressed at {offset}, within {length}")
                }
                Cluster::Plain(offset) => writeln!(out, "{index}: plain at {offset}"),
                Cluster::Zero => Ok(()),
            };
        }
        let _ = writeln!(out, "refcounts {:?}", self.refcounts()?);
        Ok(out)
    }

    fn cluster(&self, entry: u64) -> Result<Cluster, ReadError> {
        if entry & COMPRESSED != 0 {
            let offset = entry & ((1 << COMPRESSED_OFFSET_BITS) - 1);
            let further = (entry & !(COMPRESSED | COPIED)) >> COMPRESSED_OFFSET_BITS;
            let end = (offset / SECTOR_BYTES + 1 + further) * SECTOR_BYTES;
            // The last sector may reach beyond the end of the file.
            let length = end.min(self.file.len() as u64).saturating_sub(offset);
            self.bytes("a compressed cluster", offset, length.max(1))?;
            return Ok(Cluster::Compressed(offset, length));
        }
        let offset = entry & OFFSET_MASK;
        if entry & ZERO != 0 || offset == 0 {
            return Ok(Cluster::Zero);
        }
        self.aligned("a cluster", offset, CLUSTER_BYTES as u64)?;
        Ok(Cluster::Plain(offset))
    }

    fn table(&self, what: &'static str, offset: u64, length: u64) -> Result<Vec<u64>, ReadError> {
        let bytes = self.aligned(what, offset, length)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|entry| u64::from_be_bytes(*entry)).collect())
    }

    fn aligned(&self, what: &'static str, offset: u64, length: u64) -> Result<&'a [u8], ReadError> {
        if offset == 0 || !offset.is_multiple_of(CLUSTER_BYTES as u64) {
            return Err(self.outside(what, offset));
        }
        self.bytes(what, offset, length)
    }

    fn bytes(&self, what: &'static str, offset: u64, length: u64) -> Result<&'a [u8], ReadError> {
        let start = usize::try_from(offset).ok();
        let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
        start.zip(end).and_then(|(start, end)| self.file.get(start..end)).ok_or_else(|| self.outside(what, offset))
    }

    fn outside(&self, what: &'static str, offset_bytes: u64) -> ReadError {
        ReadError::Outside { what, offset_bytes, size_bytes: self.file.len() as u64 }
    }
}
