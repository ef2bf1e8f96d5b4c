//! Tree to artifacts: an OCI image layout and bare file systems.
//!
//! [`plan`] is pure and decides everything: which entry goes into which layer, every offset of a
//! file system, every id. [`write`] carries a plan out through [`Outputs`], hashing while it writes.

mod above;
mod artifact;
mod compress;
mod digests;
mod disk;
mod ext4;
mod layers;
mod machine_disk;
mod machine_files;
mod oci;
mod outputs;
mod plan;
mod threads;
mod volumes;
mod write;
mod wsl;

use std::collections::BTreeMap;

use spec::appliance::Output;

pub use above::{BaseLayer, BaseLayers};
pub use artifact::{FileDigests, HashingWriter};
pub use compress::{Codec, ENCODER, FRAME_BYTES, compress_frames};
pub use disk::write_disk;
pub use layers::{Layer, LayerKey, Part};
pub use machine_disk::{
    Container, DiskError, DiskPlan, DiskSize, EfiProgram, Ext4Source, FatSource, Format, Partition, PartitionKind,
    Proof, Storage, partition_id, write_containers,
};
pub use machine_files::{BootPrograms, DISKS};
pub use outputs::{LayerCache, Outputs, WrittenLayer};
pub use plan::{Identity, ImagePlan, PlanError, RootInput, plan};
pub use volumes::volume_id;
pub use write::{WriteError, Written, write};

/// The version of each encoder that shapes the bytes of these outputs, for the lock.
pub fn encoders(outputs: &[Output]) -> BTreeMap<String, u32> {
    let base = [("ext4", EXT4_VERSION), ("oci", OCI_VERSION)];
    let disk = if outputs.iter().any(|output| DISKS.contains(output)) { Some(("disk", DISK_VERSION)) } else { None };
    let boots = outputs.contains(&Output::Microvm) || disk.is_some();
    let proof = boots.then_some(("verity", formats::verity::VERSION));
    let one = |output: &Output| match output {
        Output::Qcow2 => Some(("qcow2", QCOW2_VERSION)),
        Output::Vhdx => Some(("vhdx", VHDX_VERSION)),
        Output::Vmdk => Some(("vmdk", VMDK_VERSION)),
        Output::Ova => Some(("ova", OVA_VERSION)),
        Output::Wsl => Some(("wsl", WSL_VERSION)),
        Output::Oci | Output::Ext4 | Output::Raw | Output::Microvm => None,
    };
    let all = base.into_iter().chain(disk).chain(proof).chain(outputs.iter().filter_map(one));
    all.map(|(name, version)| (name.to_owned(), version)).collect()
}

/// Moves with [`formats::ext4::PROFILE`] and with what [`plan`] asks of it.
const EXT4_VERSION: u32 = 1;

/// Moves with [`ENCODER`], the tar writer and the documents of a layout.
const OCI_VERSION: u32 = 1;

/// Moves with the partition table, the system partition, the unified kernel image and their order.
const DISK_VERSION: u32 = 1;

/// Moves with [`formats::qcow2::PROFILE`].
const QCOW2_VERSION: u32 = 1;

/// Moves with [`formats::vhdx::PROFILE`].
const VHDX_VERSION: u32 = 1;

/// Moves with [`formats::vmdk::PROFILE`].
const VMDK_VERSION: u32 = 1;

/// Moves with [`formats::vmdk::PROFILE`] and what describes the machine.
const OVA_VERSION: u32 = 1;

/// Moves with [`formats::gzip::PROFILE`], the tar writer and WSL's two files.
const WSL_VERSION: u32 = 1;
