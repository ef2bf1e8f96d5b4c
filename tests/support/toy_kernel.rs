//! Packages of kernels that never run: an image, what is built in, and modules, enough for everything but a boot.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use super::kernel_support::{arm64, bz_image, module, stub};
use super::package::Package;

/// The release that the kernels call themselves by.
pub const RELEASE: &str = "6.1.0-9-toy";

/// Everything that machines with disks need.
const BUILTIN: &str = "virtio_mmio virtio_pci virtio_blk virtio_console virtio_net vmw_vsock_virtio_transport hv_vmbus \
    hv_storvsc hv_netvsc sd_mod ahci nvme e1000 ext4 overlay dm-verity";

/// A kernel to be.
pub struct ToyKernel {
    pub name: &'static str,
    pub version: &'static str,
    pub image: Vec<u8>,
    /// Drivers that are built in.
    pub builtin: Vec<&'static str>,
    /// A module that is none, for the kernel of this release.
    pub module_for: &'static str,
}

impl ToyKernel {
    /// One for amd64 with every driver.
    pub fn good() -> Self {
        Self {
            name: "linux-image-toy",
            version: "1.0",
            image: bz_image(&gzip(b"\x7fELF a kernel"), &format!("{RELEASE} (who@where) #1")),
            builtin: BUILTIN.split_ascii_whitespace().collect(),
            module_for: RELEASE,
        }
    }

    /// One for arm64.
    pub fn arm64() -> Self {
        Self { name: "linux-image-toy-arm64", image: arm64(100_000), ..Self::good() }
    }

    /// The same without a driver.
    pub fn without(mut self, driver: &str) -> Self {
        self.builtin.retain(|name| *name != driver);
        self
    }

    pub fn package(&self) -> Package {
        let folder = format!("lib/modules/{RELEASE}");
        let builtin: String = self.builtin.iter().map(|name| format!("kernel/{name}.ko\n")).collect();
        let info = format!("name=virtio_balloon\0vermagic={} SMP mod_unload \0depends=\0", self.module_for);
        let package = Package::new(self.name, self.version)
            .needs("initramfs-tools, kmod")
            .file(&format!("{folder}/modules.builtin"), 0o644, builtin)
            .file(&format!("{folder}/kernel/virtio_balloon.ko"), 0o644, module(info.as_bytes()));
        match self.image.is_empty() {
            true => package,
            false => package.file(&format!("boot/vmlinuz-{RELEASE}"), 0o644, self.image.clone()),
        }
    }
}

/// The package of what firmware starts, for both architectures.
pub fn stub_package() -> Package {
    let place = |cpu: &str| format!("usr/lib/systemd/boot/efi/linux{cpu}.efi.stub");
    let package = Package::new("systemd-boot-efi", "252.1");
    package.file(&place("x64"), 0o644, stub(5)).file(&place("aa64"), 0o644, stub(5))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    super::package::pack(bytes, super::package::Packing::Gzip)
}
