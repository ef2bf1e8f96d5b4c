//! `bundle.json`: the list of what a build made, with the digests that let anyone check it.

use serde::{Deserialize, Serialize};

/// The file name of the manifest inside a bundle folder.
pub const FILE_NAME: &str = "bundle.json";

/// The schema number that this code writes and the highest that it reads.
pub const SCHEMA: u32 = 1;

/// What a bundle is and what it holds; the content of `bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Schema number of this file.
    pub schema: u32,
    /// The appliance's name.
    pub name: String,
    /// The appliance's version.
    pub version: String,
    /// The architectures built, in Debian's names (`amd64`, `arm64`), sorted.
    pub arch: Vec<String>,
    /// Everything the bundle holds, sorted by path.
    pub artifacts: Vec<Artifact>,
    /// BLAKE3 of the lock file, 64 hexadecimal digits.
    pub lock_blake3: String,
    /// The version of the program that built the bundle.
    pub tool_version: String,
}

/// One artifact of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// The architecture it is for; absent where it serves all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub arch: Option<String>,
    /// Path below the bundle folder, with `/`.
    pub path: String,
    /// Size in bytes; for `oci-layout` the sum of its files.
    pub size_bytes: u64,
    /// BLAKE3 of the file, 64 hexadecimal digits; for `oci-layout` of its `index.json`.
    pub blake3: String,
    /// SHA-256 of the file, 64 hexadecimal digits; for `oci-layout` of its `index.json`.
    pub sha256: String,
}

/// The kinds of artifacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// An OCI image layout folder (`oci/`).
    OciLayout,
    /// A bare ext4 file system (`root.ext4`).
    Ext4,
    /// The dm-verity hash tree of a bare root (`root.verity`).
    Verity,
    /// A raw disk (`disk.raw`).
    Raw,
    /// A disk for QEMU (`disk.qcow2`).
    Qcow2,
    /// A disk for Hyper-V (`disk.vhdx`).
    Vhdx,
    /// A disk for VMware and VirtualBox (`disk.vmdk`).
    Vmdk,
    /// A machine with its disk for VMware and VirtualBox (`appliance.ova`).
    Ova,
    /// The empty disk of a volume (`volumes/NAME.raw`, `.qcow2`, `.vhdx`, `.vmdk`).
    Volume,
    /// A distribution for WSL (`appliance.wsl`).
    Wsl,
    /// A kernel with its own loader, as its package brings it (`microvm/kernel`).
    Kernel,
    /// The same kernel uncompressed: an ELF file for amd64, a flat image for arm64 (`microvm/vmlinux`).
    Vmlinux,
    /// The initial file system (`microvm/initrd`).
    Initrd,
    /// The kernel's command line, without a line end (`microvm/cmdline`).
    CommandLine,
    /// A launch plan (`plan.json`).
    Plan,
    /// The lock the bundle was built from (`appliance.lock`).
    Lock,
}
