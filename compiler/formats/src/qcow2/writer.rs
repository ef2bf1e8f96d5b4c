//! Puts encoded clusters into a file, and tables and header around them.
//!
//! ```text
//! header │ clusters, compressed ones packed byte by byte │ L2 tables │ L1 table │ refcount blocks │ refcount table
//! ```

use std::io::{self, Seek, Write};

use super::header::Header;
use super::{
    CLUSTER_BYTES, COMPRESSED, COMPRESSED_OFFSET_BITS, COPIED, Compression, Encoded, L2_ENTRIES, REFCOUNTS_PER_BLOCK,
    SECTOR_BYTES,
};
use crate::region::{RegionSink, SeekSink};

const CLUSTER: u64 = CLUSTER_BYTES as u64;

/// Writes one image to an output that reads as zeros where nothing was written: a fresh, empty file.
pub struct Writer<W: Write + Seek> {
    output: SeekSink<W>,
    size_bytes: u64,
    compression: Compression,
    /// The tables that are not empty, by their place in the L1 table.
    l2_tables: Vec<Option<Vec<u64>>>,
    /// By cluster of the file.
    refcounts: Vec<u16>,
    /// Where the next compressed cluster may begin; a multiple of a cluster when none is begun.
    free: u64,
    /// No cluster before this one is free, but for the rest of the one that `free` points into.
    end: u64,
    next_index: u64,
}

impl<W: Write + Seek> Writer<W> {
    /// Begins an image of a disk of `size_bytes`, rounded up to a sector.
    pub fn new(output: W, size_bytes: u64, compression: Compression) -> Self {
        let tables = size_bytes.div_ceil(CLUSTER * L2_ENTRIES);
        Self {
            output: SeekSink::new(output),
            size_bytes: size_bytes.next_multiple_of(SECTOR_BYTES),
            compression,
            l2_tables: vec![None; tables as usize],
            refcounts: vec![1],
            free: CLUSTER,
            end: CLUSTER,
            next_index: 0,
        }
    }

    /// Takes the cluster of this index, after all before it that are not zero; `plain` are its own bytes.
    ///
    /// # Errors
    /// What the output reports, and when clusters are out of order or beyond the end of the disk.
    pub fn put(&mut self, index: u64, plain: &[u8], encoded: &Encoded) -> io::Result<()> {
        if index < self.next_index || index >= self.size_bytes.div_ceil(CLUSTER) {
            return Err(io::Error::other(format!("cluster {index} is out of order or beyond the end of the disk")));
        }
        self.next_index = index + 1;
        let entry = match encoded {
            Encoded::Zero => return Ok(()),
            Encoded::Plain => self.put_plain(plain)?,
            Encoded::Compressed(bytes) => self.put_compressed(bytes)?,
        };
        let table = self.l2_tables[(index / L2_ENTRIES) as usize].get_or_insert_with(|| vec![0; L2_ENTRIES as usize]);
        table[(index % L2_ENTRIES) as usize] = entry;
        Ok(())
    }

    /// Writes tables and header and gives the output back, not flushed. Its length is a number of clusters.
    ///
    /// # Errors
    /// What the output reports.
    pub fn finish(mut self) -> io::Result<W> {
        let mut l1 = Vec::with_capacity(self.l2_tables.len());
        for table in std::mem::take(&mut self.l2_tables) {
            l1.push(match table {
                Some(table) => {
                    self.append(&table.iter().flat_map(|entry| entry.to_be_bytes()).collect::<Vec<_>>())? | COPIED
                }
                None => 0,
            });
        }
        let l1_offset = self.append(&l1.iter().flat_map(|entry| entry.to_be_bytes()).collect::<Vec<_>>())?;
        let (refcount_table_offset, refcount_table_clusters) = self.append_refcounts()?;
        let header = Header {
            size_bytes: self.size_bytes,
            compression: self.compression,
            l1_entries: l1.len() as u32,
            l1_offset,
            refcount_table_offset,
            refcount_table_clusters,
        };
        self.output.data(0, &header.bytes())?;
        Ok(self.output.into_inner())
    }

    fn put_plain(&mut self, plain: &[u8]) -> io::Result<u64> {
        let offset = self.take(1);
        self.refcounts[(offset / CLUSTER) as usize] += 1;
        self.output.data(offset, plain)?;
        Ok(offset | COPIED)
    }

    /// Packs compressed bytes behind the last ones. They may cross into a new cluster only where it follows.
    fn put_compressed(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let length = bytes.len() as u64;
        let rest = self.free.next_multiple_of(CLUSTER) - self.free;
        let follows = self.free + rest == self.end;
        if length > rest {
            let new = self.take(if follows { (length - rest).div_ceil(CLUSTER) } else { length.div_ceil(CLUSTER) });
            if !follows {
                self.free = new;
            }
        }
        let offset = self.free;
        self.output.data(offset, bytes)?;
        self.free += length;
        for cluster in offset / CLUSTER..=(self.free - 1) / CLUSTER {
            self.refcounts[cluster as usize] += 1;
        }
        let further_sectors = (self.free - 1) / SECTOR_BYTES - offset / SECTOR_BYTES;
        Ok(COMPRESSED | further_sectors << COMPRESSED_OFFSET_BITS | offset)
    }

    /// Takes new clusters at the end of the file, whose refcounts are still to be counted.
    fn take(&mut self, clusters: u64) -> u64 {
        let offset = self.end;
        self.end += clusters * CLUSTER;
        self.refcounts.resize((self.end / CLUSTER) as usize, 0);
        offset
    }

    /// Writes a table in whole clusters at the end.
    fn append(&mut self, table: &[u8]) -> io::Result<u64> {
        let clusters = (table.len() as u64).div_ceil(CLUSTER).max(1);
        let offset = self.take(clusters);
        let first = (offset / CLUSTER) as usize;
        self.refcounts[first..].fill(1);
        let mut padded = table.to_vec();
        padded.resize((clusters * CLUSTER) as usize, 0);
        self.output.data(offset, &padded)?;
        Ok(offset)
    }

    /// Writes refcount blocks, which also count themselves and their table, and then the table.
    fn append_refcounts(&mut self) -> io::Result<(u64, u32)> {
        let used = self.end / CLUSTER;
        let (mut blocks, mut table_clusters) = (1, 1);
        loop {
            let needed = (used + blocks + table_clusters).div_ceil(REFCOUNTS_PER_BLOCK);
            if needed <= blocks {
                break;
            }
            blocks = needed;
            table_clusters = (blocks * 8).div_ceil(CLUSTER);
        }
        let mut counts = self.refcounts.clone();
        counts.resize((used + blocks + table_clusters) as usize, 1);
        let mut bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        bytes.resize((blocks * CLUSTER) as usize, 0);
        let first = self.append(&bytes)?;
        let table: Vec<u8> = (0..blocks).flat_map(|block| (first + block * CLUSTER).to_be_bytes()).collect();
        Ok((self.append(&table)?, table_clusters as u32))
    }
}
