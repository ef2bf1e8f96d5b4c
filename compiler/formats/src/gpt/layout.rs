//! Places partitions on a disk, one behind the other, and says what would fit when they do not.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::bytes::{self, HeaderPlace};
use super::{ALIGNMENT_BYTES, Guid, SECTOR_BYTES, text};

/// Entries of a table: what firmware reserves room for (UEFI 2.10, section 5.3.1), and what all tools write.
pub const ENTRY_COUNT: usize = 128;

/// Sectors of the entries.
const ENTRY_SECTORS: u64 = 32;

/// The first sector behind MBR, header and entries.
const FIRST_USABLE: u64 = 2 + ENTRY_SECTORS;

/// Sectors behind the last usable one: entries and backup header.
const TAIL_SECTORS: u64 = ENTRY_SECTORS + 1;

/// Length of a name in UTF-16 units (UEFI 2.10, table 5-6).
const NAME_UNITS: usize = 36;

/// How large a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As large as its partitions and tables need, rounded up to a MiB.
    Minimal,
    /// This many bytes, a multiple of a sector.
    Fixed(u64),
}

/// One partition to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its type, see [`super::types`].
    pub type_id: Guid,
    /// Its own id.
    pub id: Guid,
    /// Its name, of at most 36 UTF-16 units.
    pub name: String,
    /// Flags, see [`super::types`].
    pub attributes: u64,
    /// Its length; rounded up to a MiB on disk.
    pub size_bytes: u64,
}

/// A disk to plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The disk's id.
    pub disk_id: Guid,
    /// The disk's size.
    pub size: Size,
    /// The partitions, in the order in which they stand on disk.
    pub partitions: Vec<Partition>,
    /// Whether the last partition reaches to the end of the disk.
    pub grow_last: bool,
}

/// Why a disk cannot be planned.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The disk is smaller than its partitions.
    #[error(
        "a disk of {size_bytes} bytes is too small: its partitions ({partitions}) and tables need {needed_bytes} bytes; \
         ask for a disk of {} MiB or more",
        needed_bytes.div_ceil(1 << 20)
    )]
    NoSpace {
        /// What was asked for.
        size_bytes: u64,
        /// What would fit.
        needed_bytes: u64,
        /// Names and sizes of the partitions, in words.
        partitions: String,
    },
    /// The size is not a number of sectors.
    #[error("a disk of {0} bytes is not a number of sectors of {SECTOR_BYTES} bytes; round its size to a MiB")]
    Sectors(u64),
    /// More partitions than entries.
    #[error("{0} partitions are more than the {ENTRY_COUNT} that a partition table holds")]
    Count(usize),
    /// A name is too long.
    #[error("the name of the partition `{0}` is longer than {NAME_UNITS} characters")]
    Name(String),
    /// Nothing can be in it.
    #[error("the partition `{0}` is empty")]
    Empty(String),
    /// Two ids are equal.
    #[error("the partition `{0}` has the id of another partition, or of the disk")]
    Id(String),
    /// Sizes beyond all numbers.
    #[error("the partitions are larger than any disk")]
    TooLarge,
}

/// A partition at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub(super) partition: Partition,
    pub(super) first_sector: u64,
    pub(super) sectors: u64,
}

impl Place {
    pub(super) fn last_sector(&self) -> u64 {
        self.first_sector + self.sectors - 1
    }

    /// Where the partition begins on the disk.
    pub fn offset_bytes(&self) -> u64 {
        self.first_sector * SECTOR_BYTES
    }

    /// Length of the partition on disk, not less than was asked for.
    pub fn size_bytes(&self) -> u64 {
        self.sectors * SECTOR_BYTES
    }
}

/// A decided partition table. Partitions ascend, do not overlap and lie between the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    disk_id: Guid,
    sectors: u64,
    places: Vec<Place>,
}

/// Places the partitions.
///
/// # Errors
/// When they do not fit the disk, or a name or an id is not one that a table can hold.
pub fn plan(options: &Options) -> Result<Layout, PlanError> {
    check(options)?;
    let mut places = Vec::new();
    let mut next = ALIGNMENT_BYTES;
    for partition in &options.partitions {
        let size = partition.size_bytes.checked_next_multiple_of(ALIGNMENT_BYTES);
        let end = size.and_then(|size| next.checked_add(size)).filter(|end| *end < 1 << 60);
        let end = end.ok_or(PlanError::TooLarge)?;
        let (first_sector, sectors) = (next / SECTOR_BYTES, (end - next) / SECTOR_BYTES);
        places.push(Place { partition: partition.clone(), first_sector, sectors });
        next = end;
    }
    let needed_bytes = next + TAIL_SECTORS * SECTOR_BYTES;
    let size_bytes = match options.size {
        Size::Minimal => needed_bytes.next_multiple_of(ALIGNMENT_BYTES),
        Size::Fixed(size_bytes) if size_bytes >= needed_bytes => size_bytes,
        Size::Fixed(size_bytes) => {
            let names = places.iter().map(|place| format!("{} {} MiB", place.partition.name, place.size_bytes() >> 20));
            let partitions = names.collect::<Vec<_>>().join(", ");
            return Err(PlanError::NoSpace { size_bytes, needed_bytes, partitions });
        }
    };
    if let Some(last) = places.last_mut().filter(|_| options.grow_last) {
        let end = (size_bytes - TAIL_SECTORS * SECTOR_BYTES) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
        last.sectors = end / SECTOR_BYTES - last.first_sector;
    }
    Ok(Layout { disk_id: options.disk_id, sectors: size_bytes / SECTOR_BYTES, places })
}

fn check(options: &Options) -> Result<(), PlanError> {
    if options.partitions.len() > ENTRY_COUNT {
        return Err(PlanError::Count(options.partitions.len()));
    }
    if let Size::Fixed(size) = options.size
        && !size.is_multiple_of(SECTOR_BYTES)
    {
        return Err(PlanError::Sectors(size));
    }
    let mut ids = BTreeSet::from([options.disk_id]);
    for Partition { name, size_bytes, id, .. } in &options.partitions {
        if name.encode_utf16().count() > NAME_UNITS {
            return Err(PlanError::Name(name.clone()));
        }
        if *size_bytes == 0 {
            return Err(PlanError::Empty(name.clone()));
        }
        if !ids.insert(*id) {
            return Err(PlanError::Id(name.clone()));
        }
    }
    Ok(())
}

impl Layout {
    /// Length of the disk.
    pub fn size_bytes(&self) -> u64 {
        self.sectors * SECTOR_BYTES
    }

    /// The partitions, in the order in which they were given.
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// The tables: what stands before all partitions, and the offset and bytes of what stands behind them.
    pub fn regions(&self) -> (Vec<u8>, (u64, Vec<u8>)) {
        let entries = bytes::entries(&self.places);
        let last = self.sectors - 1;
        let (first_usable, last_usable) = (FIRST_USABLE, self.sectors - TAIL_SECTORS - 1);
        let primary = HeaderPlace { own: 1, other: last, entries: 2, first_usable, last_usable };
        let backup = HeaderPlace { own: last, other: 1, entries: last_usable + 1, first_usable, last_usable };
        let header = |place| bytes::header(&self.disk_id, place, &entries);
        let head = [bytes::protective_mbr(self.sectors), header(&primary), entries.clone()].concat();
        let tail = [&entries[..], &header(&backup)].concat();
        (head, ((last_usable + 1) * SECTOR_BYTES, tail))
    }

    /// The table as text, one line a partition.
    pub fn dump(&self) -> String {
        let mut out = format!("disk {} {} bytes\n", text(&self.disk_id), self.size_bytes());
        for place in &self.places {
            let Partition { type_id, id, name, attributes, .. } = &place.partition;
            let (first, last) = (place.first_sector, place.last_sector());
            let (type_id, id) = (text(type_id), text(id));
            let _ = writeln!(out, "{first}..{last} {type_id} {id} {name:?} flags {attributes:#x}");
        }
        out
    }
}
