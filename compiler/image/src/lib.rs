//! Tree to artifacts: an OCI image layout and bare file systems.
//!
//! [`plan`] is pure and decides everything: which entry goes into which layer, every offset of a
//! file system, every id. [`write`] carries a plan out through [`Outputs`], hashing while it writes.

mod above;
mod artifact;
mod compress;
mod disk;
mod ext4;
mod layers;
mod machine_disk;
mod oci;
mod outputs;
mod plan;
mod write;

pub use above::{BaseLayer, BaseLayers};
pub use artifact::{FileDigests, HashingWriter};
pub use compress::{ENCODER, FRAME_BYTES, compress_frames};
pub use disk::write_disk;
pub use layers::{Layer, LayerKey, Part};
pub use machine_disk::{
    Container, DiskError, DiskPlan, Ext4Source, FatSource, Format, Partition, PartitionKind, Storage, write_containers,
};
pub use outputs::{LayerCache, Outputs, WrittenLayer};
pub use plan::{Identity, ImagePlan, PlanError, RootInput, plan};
pub use write::{WriteError, write};

/// The version of each encoder that shapes bytes here, for the lock.
pub fn encoders() -> std::collections::BTreeMap<String, u32> {
    [("ext4", EXT4_VERSION), ("oci", OCI_VERSION)].map(|(name, version)| (name.to_owned(), version)).into()
}

/// Moves with [`formats::ext4::PROFILE`] and with what [`plan`] asks of it.
const EXT4_VERSION: u32 = 1;

/// Moves with [`ENCODER`], the tar writer and the documents of a layout.
const OCI_VERSION: u32 = 1;
