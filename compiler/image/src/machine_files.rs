//! The files of machines: the disks of each container format, the bare root and its hash tree, all from one pass.
//!
//! [`plan`] says which files an appliance's outputs are; [`write`] plans the disk that all of them show and writes it
//! once. A root that is only read comes first and proves itself, and the system partition stands behind it, since the
//! program in it names the root hash. A root that is written to comes last, so that it can grow.

use std::collections::BTreeMap;
use std::io;

use bundle::manifest::ArtifactKind;
use formats::qcow2::Compression;
use formats::region::RegionSource as _;
use formats::{gpt, ovf};
use spec::appliance::{Appliance, Arch, NetworkMode, Output, Qcow2Compression};
use tree::Blobs;

use crate::machine_disk::{
    Container, DiskError, DiskPlan, DiskSize, EfiProgram, Ext4Source, Format, Partition, PartitionKind, Proof, Roomy,
    Storage, write_containers,
};
use crate::plan::{Identity, RootPlan};
use crate::{FileDigests, Outputs};

/// The outputs that are a disk with a boot program of its own.
pub const DISKS: [Output; 5] = [Output::Raw, Output::Qcow2, Output::Vhdx, Output::Vmdk, Output::Ova];

/// Memory of a machine whose appliance asks for none, in MiB.
const DEFAULT_MEMORY_MIB: u64 = 512;

/// The program that boots the disks of each architecture.
pub type BootPrograms<'a> = BTreeMap<Arch, Box<EfiProgram<'a>>>;

/// What a machine needs of the files of one root.
#[derive(Debug, Clone)]
pub(crate) struct MachinePlan {
    /// The files.
    pub files: Vec<MachineFile>,
    /// Whether the root is read-only, and so proves itself.
    pub proves: bool,
    /// Size of a disk whose root is written to; the most for any other.
    pub disk_bytes: Option<u64>,
    /// Whether a machine takes the root as a disk of its own.
    pub direct: bool,
}

/// One file of a machine.
#[derive(Debug, Clone)]
pub(crate) struct MachineFile {
    pub kind: ArtifactKind,
    pub path: String,
    shows: Shows,
}

/// What a file shows of the disk.
#[derive(Debug, Clone)]
enum Shows {
    Part(PartitionKind),
    Raw,
    Qcow2(Compression),
    Vhdx,
    Vmdk,
    Ova(Box<ovf::Machine>),
}

/// A finished file.
pub(crate) struct Written {
    pub files: Vec<(MachineFile, FileDigests)>,
    pub root_hash: Option<String>,
}

/// Decides the files of one root; `None` where nothing boots.
pub(crate) fn plan(appliance: &Appliance, arch: Arch, several: bool) -> Option<MachinePlan> {
    let asked = |output: Output| appliance.outputs.contains(&output);
    let suffix = if several { format!("-{}", arch.name()) } else { String::new() };
    let file = |kind, name: &str, end: &str, shows| MachineFile { kind, path: format!("{name}{suffix}.{end}"), shows };
    let proves = appliance.isolation.read_only_root;
    let mut files = Vec::new();
    if !asked(Output::Microvm) && !DISKS.into_iter().any(asked) {
        return None;
    }
    if asked(Output::Ext4) || asked(Output::Microvm) {
        files.push(file(ArtifactKind::Ext4, "root", "ext4", Shows::Part(PartitionKind::Root)));
    }
    if asked(Output::Microvm) && proves {
        files.push(file(ArtifactKind::Verity, "root", "verity", Shows::Part(PartitionKind::RootVerity)));
    }
    let disks = [
        (Output::Raw, ArtifactKind::Raw, "raw", Shows::Raw),
        (Output::Qcow2, ArtifactKind::Qcow2, "qcow2", Shows::Qcow2(compression(appliance))),
        (Output::Vhdx, ArtifactKind::Vhdx, "vhdx", Shows::Vhdx),
        (Output::Vmdk, ArtifactKind::Vmdk, "vmdk", Shows::Vmdk),
    ];
    let disks = disks.into_iter().filter(|(output, ..)| asked(*output));
    files.extend(disks.map(|(_, kind, end, shows)| file(kind, "disk", end, shows)));
    if asked(Output::Ova) {
        files.push(file(ArtifactKind::Ova, "appliance", "ova", Shows::Ova(Box::new(machine(appliance)))));
    }
    Some(MachinePlan { files, proves, disk_bytes: appliance.resources.disk_bytes, direct: asked(Output::Microvm) })
}

/// How the clusters of qcow2 disks are compressed.
pub(crate) fn compression(appliance: &Appliance) -> Compression {
    match appliance.qcow2_compression {
        Qcow2Compression::Zstd => Compression::Zstd,
        Qcow2Compression::Zlib => Compression::Zlib,
    }
}

/// The machine that an archive describes.
fn machine(appliance: &Appliance) -> ovf::Machine {
    let resources = &appliance.resources;
    ovf::Machine {
        name: appliance.name.clone(),
        product: appliance.summary.clone(),
        version: appliance.version.clone(),
        cpus: u32::try_from(resources.cpus_milli.map_or(1, |milli| milli.div_ceil(1000))).unwrap_or(1).max(1),
        memory_mib: resources.memory_bytes.map_or(DEFAULT_MEMORY_MIB, |bytes| bytes.div_ceil(1 << 20)),
        disk_bytes: 0,
        disk_file: String::new(),
        network: appliance.network.mode != NetworkMode::None,
    }
}

impl MachinePlan {
    /// Whether any file is a whole disk.
    fn has_disk(&self) -> bool {
        self.files.iter().any(|file| !matches!(file.shows, Shows::Part(_)))
    }

    /// The size of a root that is written to, behind partitions of this size: as a disk of its own it has the room that it
    /// would have on a whole one.
    fn room_bytes(&self, before_bytes: u64) -> u64 {
        let disk_bytes =
            self.disk_bytes.filter(|_| self.direct).map(|bytes| bytes.next_multiple_of(gpt::ALIGNMENT_BYTES));
        // The tables stand in the first and the last MiB.
        let others_bytes = if self.has_disk() { before_bytes + 2 * gpt::ALIGNMENT_BYTES } else { 0 };
        disk_bytes.unwrap_or(0).saturating_sub(others_bytes)
    }

    /// Refuses a root that does not fit where no table of partitions does.
    fn check_root(&self, arch: Arch, root_bytes: u64) -> Result<(), DiskError> {
        let Some(size_bytes) = self.disk_bytes.filter(|bytes| !self.has_disk() && *bytes < root_bytes) else {
            return Ok(());
        };
        let partitions = format!("root {} MiB", root_bytes.div_ceil(1 << 20));
        let source = gpt::PlanError::NoSpace { size_bytes, needed_bytes: root_bytes, partitions };
        Err(DiskError::Table { arch: arch.name(), source })
    }
}

/// The disk of one root, decided.
pub(crate) struct Disk<'a> {
    arch: Arch,
    machine: &'a MachinePlan,
    plan: DiskPlan<'a>,
    proof: Option<std::sync::Arc<Proof>>,
}

impl<'a> Disk<'a> {
    /// Plans the disk of a root that a machine takes.
    ///
    /// # Errors
    /// When its parts do not fit the size that was asked for, with what would.
    pub fn plan(
        root: &'a RootPlan,
        machine: &'a MachinePlan,
        programs: &'a BootPrograms<'_>,
        blobs: &'a dyn Blobs,
        identity: &Identity,
    ) -> Result<Option<Self>, DiskError> {
        let Some(ext4) = &root.ext4 else { return Ok(None) };
        let arch = root.arch;
        let source = Ext4Source { layout: &ext4.layout, tree: &root.tree, blobs };
        let program = programs.get(&arch).filter(|_| machine.has_disk());
        machine.check_root(arch, ext4.layout.size_bytes())?;
        let (mut partitions, mut proof) = (Vec::new(), None);
        if machine.proves {
            let (parts, made) = Partition::proven(arch, source, identity)?;
            partitions.extend(parts);
            proof = Some(made);
        }
        if let Some(program) = program {
            partitions.push(Partition::boot(arch, &partitions, &**program, proof.clone(), identity)?);
        }
        if !machine.proves {
            let source = Ext4Source { layout: &ext4.layout, tree: &root.tree, blobs };
            let before_bytes = partitions.iter().map(Partition::size_on_disk).sum();
            let size_bytes = machine.room_bytes(before_bytes).max(source.size_bytes());
            partitions.push(Partition::root(Roomy { source, size_bytes }, false));
        }
        let size = match machine.disk_bytes.filter(|_| machine.has_disk()) {
            None => DiskSize::Minimal,
            Some(bytes) if machine.proves => DiskSize::AtMost(bytes),
            Some(bytes) => DiskSize::Exactly(bytes),
        };
        let plan = DiskPlan::new(arch, size, partitions, identity)?;
        Ok(Some(Self { arch, machine, plan, proof }))
    }

    /// Writes all files of the disk.
    ///
    /// # Errors
    /// What contents or outputs report.
    pub fn write(&self, identity: &Identity, outputs: &dyn Outputs, workers: usize) -> io::Result<Written> {
        let files = &self.machine.files;
        let mut storages = files.iter().map(|file| outputs.storage(&file.path)).collect::<io::Result<Vec<_>>>()?;
        let containers = files.iter().zip(&mut storages).map(|(file, storage)| {
            let output: &mut dyn Storage = storage;
            Ok(Container { format: self.format(file, identity)?, output })
        });
        let digests = write_containers(&self.plan, containers.collect::<io::Result<_>>()?, workers)?;
        let root_hash = self.proof.as_ref().and_then(|proof| proof.root_hash());
        Ok(Written { files: files.iter().cloned().zip(digests).collect(), root_hash })
    }

    /// The architecture.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    fn format(&self, file: &MachineFile, identity: &Identity) -> io::Result<Format> {
        let content_id = self.plan.vmdk_content_id(identity);
        Ok(match &file.shows {
            Shows::Part(kind) => {
                Format::Part(self.plan.part(*kind).ok_or_else(|| io::Error::other("the disk has no such part"))?)
            }
            Shows::Raw => Format::Raw,
            Shows::Qcow2(compression) => Format::Qcow2(*compression),
            Shows::Vhdx => Format::Vhdx(self.plan.vhdx_ids(identity)),
            Shows::Vmdk => Format::Vmdk { content_id, file_name: file.path.clone() },
            Shows::Ova(machine) => {
                let archive = ovf::Archive { name: machine.name.clone(), epoch_secs: identity.epoch_secs };
                Format::Ova { content_id, archive, machine: (**machine).clone() }
            }
        })
    }
}
