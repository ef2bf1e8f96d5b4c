//! The Open Virtualization Format (DMTF DSP0243, version 1.1): a machine described for VMware and VirtualBox, and the
//! `.ova` archive that holds it with its disk.
//!
//! ```text
//! NAME.ovf │ NAME-disk.vmdk │ NAME.mf          a ustar archive, the descriptor first (DSP0243, section 5.3)
//! ```

mod archive;
mod descriptor;

pub use archive::{Archive, ArchiveError, manifest};
pub use descriptor::{Machine, descriptor};
