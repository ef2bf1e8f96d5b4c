//! Decides a disk: which partitions it has, where they stand, and their ids.

use std::io;
use std::ops::Range;

use formats::gpt::{self, Size, types};
use formats::region::{OffsetSink, RegionSink, RegionSource};
use formats::{fat, vhdx};
use spec::appliance::Arch;
use thiserror::Error;

use super::FatSource;
use crate::Identity;

/// The label of every system partition; firmware shows it to people.
const ESP_LABEL: &str = "ESP";

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionKind {
    /// The EFI system partition.
    Esp,
    /// The root.
    Root,
    /// The dm-verity hash tree of the root.
    RootVerity,
    /// Data without a special meaning.
    Data,
}

/// A partition with its contents.
pub struct Partition<'a> {
    /// What it is for.
    pub kind: PartitionKind,
    /// Its name in the table, unlike all others.
    pub name: String,
    /// Its id; derived from its name where there is none.
    pub id: Option<gpt::Guid>,
    /// Whether the table says that it is not to be written to.
    pub read_only: bool,
    /// What is in it.
    pub source: Box<dyn RegionSource + 'a>,
}

/// Why a disk cannot be planned.
#[derive(Debug, Error)]
pub enum DiskError {
    /// The partitions do not fit.
    #[error("lay out the partitions of the disk for {arch}")]
    Table {
        /// The architecture.
        arch: &'static str,
        /// What does not fit.
        #[source]
        source: gpt::PlanError,
    },
    /// The system partition cannot be made.
    #[error("lay out the system partition of the disk for {arch}")]
    Esp {
        /// The architecture.
        arch: &'static str,
        /// What does not fit.
        #[source]
        source: fat::PlanError,
    },
}

/// A decided disk: every offset and every id. It is itself a source of regions.
pub struct DiskPlan<'a> {
    arch: Arch,
    table: gpt::Layout,
    partitions: Vec<Partition<'a>>,
}

impl<'a> Partition<'a> {
    /// A system partition with these files, by path; it must be the first of its disk.
    ///
    /// # Errors
    /// When FAT32 cannot hold the files.
    pub fn esp(arch: Arch, files: Vec<(String, Vec<u8>)>, identity: &Identity) -> Result<Self, DiskError> {
        let serial = identity.uuid(&format!("disk/{}/esp/serial", arch.name()));
        let options = fat::Options {
            size: fat::Size::Minimal { free_bytes: 0 },
            serial: u32::from_be_bytes(std::array::from_fn(|byte| serial[byte])),
            label: ESP_LABEL.to_owned(),
            epoch_secs: identity.epoch_secs,
            sectors_before: (gpt::ALIGNMENT_BYTES / gpt::SECTOR_BYTES) as u32,
        };
        let planned: Vec<_> = files
            .iter()
            .map(|(path, bytes)| fat::File { path: path.clone(), size_bytes: bytes.len() as u64 })
            .collect();
        let layout = fat::plan(&planned, &options).map_err(|source| DiskError::Esp { arch: arch.name(), source })?;
        let contents = files.into_iter().map(|(_, bytes)| bytes).collect();
        let source = Box::new(FatSource { layout, contents });
        Ok(Self { kind: PartitionKind::Esp, name: "esp".to_owned(), id: None, read_only: false, source })
    }

    /// A root of any kind.
    pub fn root(source: impl RegionSource + 'a, read_only: bool) -> Self {
        Self { kind: PartitionKind::Root, name: "root".to_owned(), id: None, read_only, source: Box::new(source) }
    }
}

impl<'a> DiskPlan<'a> {
    /// Plans a disk of these partitions, in this order. Of a given size, the last partition reaches to its end; what
    /// is in it stays as large as it is.
    ///
    /// # Errors
    /// When the partitions do not fit the size: with what would.
    pub fn new(
        arch: Arch,
        size_bytes: Option<u64>,
        partitions: Vec<Partition<'a>>,
        identity: &Identity,
    ) -> Result<Self, DiskError> {
        let id = |role: &str| identity.uuid(&format!("disk/{}/{role}", arch.name()));
        let partition = |part: &Partition<'_>| gpt::Partition {
            type_id: type_id(part.kind, arch),
            id: part.id.unwrap_or_else(|| id(&format!("partition/{}", part.name))),
            name: part.name.clone(),
            attributes: if part.read_only { types::READ_ONLY } else { 0 },
            size_bytes: part.source.size_bytes(),
        };
        let options = gpt::Options {
            disk_id: id("table"),
            size: size_bytes.map_or(Size::Minimal, Size::Fixed),
            partitions: partitions.iter().map(partition).collect(),
            grow_last: size_bytes.is_some(),
        };
        let table = gpt::plan(&options).map_err(|source| DiskError::Table { arch: arch.name(), source })?;
        Ok(Self { arch, table, partitions })
    }

    /// The ids that a VHDX file of this disk has.
    pub fn vhdx_ids(&self, identity: &Identity) -> vhdx::Ids {
        let id = |role: &str| identity.uuid(&format!("disk/{}/vhdx/{role}", self.arch.name()));
        vhdx::Ids { file_write: id("file"), data_write: id("data"), disk: id("disk") }
    }

    /// The id of the contents that a VMDK file of this disk has.
    pub fn vmdk_content_id(&self, identity: &Identity) -> [u8; 16] {
        identity.uuid(&format!("disk/{}/vmdk/content", self.arch.name()))
    }

    /// The disk as text, for people and for tests.
    pub fn dump(&self) -> String {
        let data: u64 = self.data_ranges().iter().map(|range| range.end - range.start).sum();
        format!("{}data {data} bytes at most\n", self.table.dump())
    }
}

impl RegionSource for DiskPlan<'_> {
    fn size_bytes(&self) -> u64 {
        self.table.size_bytes()
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        let (head, (tail_offset, tail)) = self.table.regions();
        let mut ranges = Vec::with_capacity(2 + self.partitions.len());
        ranges.push(0..head.len() as u64);
        for (place, part) in self.table.places().iter().zip(&self.partitions) {
            let offset = place.offset_bytes();
            ranges.extend(part.source.data_ranges().iter().map(|range| range.start + offset..range.end + offset));
        }
        ranges.push(tail_offset..tail_offset + tail.len() as u64);
        ranges
    }

    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        let (head, (tail_offset, tail)) = self.table.regions();
        sink.data(0, &head)?;
        for (place, part) in self.table.places().iter().zip(&self.partitions) {
            part.source.write(&mut OffsetSink::new(sink, place.offset_bytes(), place.size_bytes()))?;
        }
        sink.data(tail_offset, &tail)
    }
}

fn type_id(kind: PartitionKind, arch: Arch) -> gpt::Guid {
    match (kind, arch) {
        (PartitionKind::Esp, _) => types::ESP,
        (PartitionKind::Root, Arch::Amd64) => types::ROOT_X86_64,
        (PartitionKind::Root, Arch::Arm64) => types::ROOT_ARM64,
        (PartitionKind::RootVerity, Arch::Amd64) => types::ROOT_VERITY_X86_64,
        (PartitionKind::RootVerity, Arch::Arm64) => types::ROOT_VERITY_ARM64,
        (PartitionKind::Data, _) => types::LINUX_DATA,
    }
}
