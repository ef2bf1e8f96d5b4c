//! Disks for machines: a partition table with a system partition and a root, as any set of container files.
//!
//! [`DiskPlan::new`] decides every partition; [`write_containers`] reads every content once and feeds all containers
//! with it side by side. No raw image stands between them. Nothing here knows a file name or a spec.

mod chunks;
mod compressed;
mod containers;
mod digest;
mod pass;
mod plan;
mod proven;
mod sources;

pub use containers::{Container, Format, Storage};
pub use pass::write_containers;
pub use plan::{DiskError, DiskPlan, DiskSize, Partition, PartitionKind, partition_id};
pub use proven::{EfiProgram, Proof};
pub use sources::{Ext4Source, FatSource, Roomy};
