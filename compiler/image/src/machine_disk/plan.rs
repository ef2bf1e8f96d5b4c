//! Decides a disk: which partitions it has, where they stand, and their ids.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use formats::gpt::{self, Size, types};
use formats::region::{OffsetSink, RegionSink, RegionSource};
use formats::verity::VerityError;
use formats::{fat, verity, vhdx};
use spec::appliance::Arch;
use thiserror::Error;

use super::proven::{EfiProgram, EspSource, HashTreeSource, Proof, ProvenSource};
use super::{Ext4Source, FatSource};
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

/// How large a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskSize {
    /// As large as its partitions.
    Minimal,
    /// The same, but no more than this.
    AtMost(u64),
    /// This, rounded up to a MiB; the last partition reaches to the end, and what is in it stays as large as it is.
    Exactly(u64),
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
    /// What firmware starts cannot be made.
    #[error("make the boot program of the disk for {arch}")]
    Program {
        /// The architecture.
        arch: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The root cannot be hashed.
    #[error("make the root for {arch} prove itself")]
    Proof {
        /// The architecture.
        arch: &'static str,
        /// Why.
        #[source]
        source: VerityError,
    },
}

/// Where firmware looks for what to start on a disk that it does not know (UEFI specification 2.10, section 3.5.1.1).
fn removable_path(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "EFI/BOOT/BOOTX64.EFI",
        Arch::Arm64 => "EFI/BOOT/BOOTAA64.EFI",
    }
}

/// The id of a partition of a disk, by the partition's name.
pub fn partition_id(arch: Arch, name: &str, identity: &Identity) -> gpt::Guid {
    identity.uuid(&format!("disk/{}/partition/{name}", arch.name()))
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
        let planned: Vec<_> = files
            .iter()
            .map(|(path, bytes)| fat::File { path: path.clone(), size_bytes: bytes.len() as u64 })
            .collect();
        let layout = esp_layout(arch, &planned, &[], identity)?;
        let contents = files.into_iter().map(|(_, bytes)| bytes).collect();
        Ok(Self::plain(PartitionKind::Esp, "esp", Box::new(FatSource { layout, contents })))
    }

    /// A system partition behind these, with a program that firmware starts by itself.
    ///
    /// # Errors
    /// When FAT32 cannot hold the program, or the program cannot be made.
    pub fn boot(
        arch: Arch,
        before: &[Self],
        program: &'a EfiProgram<'a>,
        proof: Option<Arc<Proof>>,
        identity: &Identity,
    ) -> Result<Self, DiskError> {
        let any_hash = "0".repeat(2 * verity::DIGEST_BYTES);
        let made = program(proof.as_ref().map(|_| any_hash.as_str()));
        let size_bytes = made.map_err(|source| DiskError::Program { arch: arch.name(), source })?.len() as u64;
        let file = fat::File { path: removable_path(arch).to_owned(), size_bytes };
        let layout = esp_layout(arch, &[file], before, identity)?;
        Ok(Self::plain(PartitionKind::Esp, "esp", Box::new(EspSource { layout, program, proof })))
    }

    /// A root that is only read, with the hash tree behind it that proves it.
    ///
    /// # Errors
    /// When it is no whole number of blocks.
    pub fn proven(
        arch: Arch,
        source: Ext4Source<'a>,
        identity: &Identity,
    ) -> Result<([Self; 2], Arc<Proof>), DiskError> {
        let id = |role: &str| identity.uuid(&format!("verity/{}/{role}", arch.name()));
        let options = verity::Options { uuid: id("uuid"), salt: id("salt").to_vec() };
        let proof = Proof::new(options, source.size_bytes())
            .map_err(|source| DiskError::Proof { arch: arch.name(), source })?;
        let tree = Box::new(HashTreeSource(proof.clone()));
        let root = Self::root(ProvenSource { source, proof: proof.clone() }, true);
        let hashes = Self { read_only: true, ..Self::plain(PartitionKind::RootVerity, "root-verity", tree) };
        Ok(([root, hashes], proof))
    }

    /// A root of any kind.
    pub fn root(source: impl RegionSource + 'a, read_only: bool) -> Self {
        Self { read_only, ..Self::plain(PartitionKind::Root, "root", Box::new(source)) }
    }

    fn plain(kind: PartitionKind, name: &str, source: Box<dyn RegionSource + 'a>) -> Self {
        Self { kind, name: name.to_owned(), id: None, read_only: false, source }
    }

    /// What it takes on a disk, to where the next one can begin.
    pub fn size_on_disk(&self) -> u64 {
        self.source.size_bytes().next_multiple_of(gpt::ALIGNMENT_BYTES)
    }
}

/// Plans a system partition behind these partitions.
fn esp_layout(
    arch: Arch,
    files: &[fat::File],
    before: &[Partition<'_>],
    identity: &Identity,
) -> Result<fat::Layout, DiskError> {
    let serial = identity.uuid(&format!("disk/{}/esp/serial", arch.name()));
    let offset_bytes = gpt::ALIGNMENT_BYTES + before.iter().map(Partition::size_on_disk).sum::<u64>();
    let options = fat::Options {
        size: fat::Size::Minimal { free_bytes: 0 },
        serial: u32::from_be_bytes(std::array::from_fn(|byte| serial[byte])),
        label: ESP_LABEL.to_owned(),
        epoch_secs: identity.epoch_secs,
        // Beyond 2 TiB the number has no room; nothing that boots by GPT reads it.
        sectors_before: u32::try_from(offset_bytes / gpt::SECTOR_BYTES).unwrap_or(u32::MAX),
    };
    fat::plan(files, &options).map_err(|source| DiskError::Esp { arch: arch.name(), source })
}

impl<'a> DiskPlan<'a> {
    /// Plans a disk of these partitions, in this order.
    ///
    /// # Errors
    /// When the partitions do not fit the size: with what would.
    pub fn new(
        arch: Arch,
        size: DiskSize,
        partitions: Vec<Partition<'a>>,
        identity: &Identity,
    ) -> Result<Self, DiskError> {
        let id = |role: &str| identity.uuid(&format!("disk/{}/{role}", arch.name()));
        let partition = |part: &Partition<'_>| gpt::Partition {
            type_id: type_id(part.kind, arch),
            id: part.id.unwrap_or_else(|| partition_id(arch, &part.name, identity)),
            name: part.name.clone(),
            attributes: if part.read_only { types::READ_ONLY } else { 0 },
            size_bytes: part.source.size_bytes(),
        };
        let table = |size, grow_last| {
            let partitions = partitions.iter().map(partition).collect();
            gpt::plan(&gpt::Options { disk_id: id("table"), size, partitions, grow_last })
        };
        let fixed = |bytes: u64| Size::Fixed(bytes.next_multiple_of(gpt::ALIGNMENT_BYTES));
        let table = match size {
            DiskSize::Minimal => table(Size::Minimal, false),
            DiskSize::AtMost(bytes) => table(fixed(bytes), false).and_then(|_| table(Size::Minimal, false)),
            DiskSize::Exactly(bytes) => table(fixed(bytes), true),
        };
        let table = table.map_err(|source| DiskError::Table { arch: arch.name(), source })?;
        Ok(Self { arch, table, partitions })
    }

    /// Where the bytes of the first partition of this kind are on the disk.
    pub fn part(&self, kind: PartitionKind) -> Option<Range<u64>> {
        let at = self.partitions.iter().position(|part| part.kind == kind)?;
        let start = self.table.places().get(at)?.offset_bytes();
        Some(start..start + self.partitions.get(at)?.source.size_bytes())
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
