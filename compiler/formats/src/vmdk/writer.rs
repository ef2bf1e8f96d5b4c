//! Appends grains, their tables, the directory and the footer to a stream.
//!
//! ```text
//! header │ descriptor │ (grains │ their table)… │ directory │ footer │ end
//! ```

use std::io::{self, Write};

use super::header::{self, AT_END, Marker, OVERHEAD_SECTORS};
use super::{GRAIN_BYTES, Options, SECTOR_BYTES, TABLE_ENTRIES};

/// Writes one image.
pub struct Writer<W> {
    output: W,
    options: Options,
    /// Sectors that were written.
    sectors: u64,
    /// Where each grain table stands, 0 for one that is not there.
    directory: Vec<u32>,
    /// The grain table that is being filled, and its number.
    table: Vec<u32>,
    table_number: u64,
    next_index: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an image with its header and its descriptor.
    ///
    /// # Errors
    /// What the output reports.
    pub fn new(mut output: W, options: Options) -> io::Result<Self> {
        let descriptor = header::descriptor(&options);
        let mut head = [header::header(&options, AT_END), descriptor.into_bytes()].concat();
        head.resize((OVERHEAD_SECTORS * SECTOR_BYTES) as usize, 0);
        output.write_all(&head)?;
        let tables = options.size_bytes.div_ceil(TABLE_ENTRIES * GRAIN_BYTES as u64);
        Ok(Self {
            output,
            options,
            sectors: OVERHEAD_SECTORS,
            directory: vec![0; tables as usize],
            table: Vec::new(),
            table_number: 0,
            next_index: 0,
        })
    }

    /// Appends the compressed grain of this index, after all before it that are not zero.
    ///
    /// # Errors
    /// What the output reports; when grains are out of order or beyond the end, and when the file gets too large.
    pub fn put(&mut self, index: u64, compressed: &[u8]) -> io::Result<()> {
        if index < self.next_index || index >= self.options.size_bytes.div_ceil(GRAIN_BYTES as u64) {
            return Err(io::Error::other(format!("grain {index} is out of order or beyond the end of the disk")));
        }
        self.next_index = index + 1;
        if index / TABLE_ENTRIES != self.table_number {
            self.end_table()?;
            self.table_number = index / TABLE_ENTRIES;
        }
        self.table.resize(TABLE_ENTRIES as usize, 0);
        self.table[(index % TABLE_ENTRIES) as usize] = self.sector()?;
        let first_sector = index * (GRAIN_BYTES as u64 / SECTOR_BYTES);
        let mut grain = first_sector.to_le_bytes().to_vec();
        grain.extend((compressed.len() as u32).to_le_bytes());
        grain.extend(compressed);
        self.append(grain)
    }

    /// Writes what follows the last grain and gives the output back, not flushed.
    ///
    /// # Errors
    /// What the output reports.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_table()?;
        let directory: Vec<u8> = self.directory.iter().flat_map(|sector| sector.to_le_bytes()).collect();
        self.append(header::marker(Marker::GrainDirectory, (directory.len() as u64).div_ceil(SECTOR_BYTES)))?;
        let place = self.sectors;
        self.append(directory)?;
        self.append(header::marker(Marker::Footer, 1))?;
        self.append(header::header(&self.options, place))?;
        self.append(header::marker(Marker::EndOfStream, 0))?;
        Ok(self.output)
    }

    fn end_table(&mut self) -> io::Result<()> {
        if self.table.is_empty() {
            return Ok(());
        }
        let table: Vec<u8> = std::mem::take(&mut self.table).iter().flat_map(|sector| sector.to_le_bytes()).collect();
        self.append(header::marker(Marker::GrainTable, table.len() as u64 / SECTOR_BYTES))?;
        self.directory[self.table_number as usize] = self.sector()?;
        self.append(table)
    }

    /// The next sector as tables hold it.
    fn sector(&self) -> io::Result<u32> {
        u32::try_from(self.sectors).map_err(|_| io::Error::other("a VMDK image cannot be larger than 2 TiB"))
    }

    fn append(&mut self, mut bytes: Vec<u8>) -> io::Result<()> {
        bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES as usize), 0);
        self.sectors += bytes.len() as u64 / SECTOR_BYTES;
        self.output.write_all(&bytes)
    }
}
