//! Which drivers each platform needs: one table.

use std::fmt;

/// A platform that an appliance boots on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Platform {
    /// QEMU's `microvm` machine: devices on virtio-mmio.
    QemuMicrovm,
    /// QEMU's `q35` and `virt` machines: devices on PCI.
    Qemu,
    /// Firecracker.
    Firecracker,
    /// Cloud Hypervisor.
    CloudHypervisor,
    /// Hyper-V, generation 2.
    HyperV,
    /// VMware's hypervisors.
    Vmware,
    /// VirtualBox.
    VirtualBox,
    /// The machine that an `.ova` archive describes, whichever hypervisor takes it: a SATA disk and an Intel network card.
    Ova,
}

/// What an appliance boots on.
#[derive(Debug, Clone, Copy)]
pub struct Machines<'a> {
    /// The platforms.
    pub platforms: &'a [Platform],
    /// The file system of its root.
    pub root: RootType,
    /// Whether it has a network device. Without one no driver of any is loaded.
    pub network: bool,
}

/// The file system of a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootType {
    /// ext4
    Ext4,
    /// EROFS
    Erofs,
    /// squashfs
    Squashfs,
}

/// What a driver is for, and the modules that make it: any one of several sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Driver {
    pub purpose: &'static str,
    pub any_of: &'static [&'static [&'static str]],
    /// Whether the platform cannot do without.
    pub is_needed: bool,
    /// Whether it drives a network card.
    pub is_network: bool,
}

const fn needed(purpose: &'static str, any_of: &'static [&'static [&'static str]]) -> Driver {
    Driver { purpose, any_of, is_needed: true, is_network: false }
}

const fn network(purpose: &'static str, any_of: &'static [&'static [&'static str]]) -> Driver {
    Driver { is_network: true, ..needed(purpose, any_of) }
}

const fn useful(purpose: &'static str, any_of: &'static [&'static [&'static str]]) -> Driver {
    Driver { is_needed: false, ..needed(purpose, any_of) }
}

const VIRTIO_MMIO: Driver = needed("virtio devices", &[&["virtio_mmio"]]);
const VIRTIO_PCI: Driver = needed("virtio devices on PCI", &[&["virtio_pci"]]);
const VIRTIO_DISK: Driver = needed("virtio disks", &[&["virtio_blk"]]);
const VIRTIO_NETWORK: Driver = network("virtio network cards", &[&["virtio_net"]]);
const VIRTIO_CONSOLE: Driver = needed("virtio consoles", &[&["virtio_console"]]);
const VIRTIO_SOCKET: Driver = needed("vsock", &[&["vmw_vsock_virtio_transport"]]);
const VIRTIO_BALLOON: Driver = useful("virtio memory balloons", &[&["virtio_balloon"]]);
const VIRTIO_RANDOM: Driver = useful("virtio random numbers", &[&["virtio_rng"]]);
const VIRTIO_SCSI: Driver = useful("virtio SCSI disks", &[&["virtio_scsi", "sd_mod"]]);
const NVME: Driver = useful("NVMe disks", &[&["nvme"]]);
const AHCI: Driver = useful("SATA disks", &[&["ahci", "sd_mod"]]);
const MAY_SOCKET: Driver = Driver { is_needed: false, ..VIRTIO_SOCKET };

const QEMU_MICROVM: &[Driver] =
    &[VIRTIO_MMIO, VIRTIO_DISK, VIRTIO_CONSOLE, VIRTIO_NETWORK, MAY_SOCKET, VIRTIO_BALLOON, VIRTIO_RANDOM];

const QEMU: &[Driver] = &[
    VIRTIO_PCI,
    VIRTIO_DISK,
    VIRTIO_CONSOLE,
    VIRTIO_NETWORK,
    VIRTIO_SCSI,
    NVME,
    AHCI,
    MAY_SOCKET,
    VIRTIO_BALLOON,
    VIRTIO_RANDOM,
];

const FIRECRACKER: &[Driver] =
    &[VIRTIO_MMIO, VIRTIO_DISK, VIRTIO_SOCKET, VIRTIO_NETWORK, VIRTIO_BALLOON, VIRTIO_RANDOM];

const CLOUD_HYPERVISOR: &[Driver] =
    &[VIRTIO_PCI, VIRTIO_DISK, VIRTIO_SOCKET, VIRTIO_NETWORK, VIRTIO_BALLOON, VIRTIO_RANDOM];

const HYPER_V: &[Driver] = &[
    needed("Hyper-V's bus", &[&["hv_vmbus"]]),
    needed("Hyper-V's disks", &[&["hv_storvsc", "sd_mod"]]),
    network("Hyper-V's network cards", &[&["hv_netvsc"]]),
    useful("Hyper-V's sockets", &[&["hv_sock"]]),
    useful("Hyper-V's memory balloons", &[&["hv_balloon"]]),
    useful("Hyper-V's shutdown and clock", &[&["hv_utils"]]),
];

const VMWARE: &[Driver] = &[
    needed("VMware's disks", &[&["vmw_pvscsi", "sd_mod"], &["nvme"], &["mptspi", "sd_mod"]]),
    network("VMware's network cards", &[&["vmxnet3"], &["e1000"]]),
    useful("VMware's sockets", &[&["vmw_vsock_vmci_transport"]]),
    useful("VMware's memory balloons", &[&["vmw_balloon"]]),
];

const VIRTUAL_BOX: &[Driver] = &[
    needed("VirtualBox's disks", &[&["virtio_pci", "virtio_scsi", "sd_mod"], &["ahci", "sd_mod"], &["nvme"]]),
    network("VirtualBox's network cards", &[&["virtio_pci", "virtio_net"], &["e1000"]]),
    AHCI,
];

const OVA: &[Driver] = &[
    needed("the SATA disk of an .ova", &[&["ahci", "sd_mod"]]),
    network("the network card of an .ova", &[&["e1000"]]),
    useful("VMware's sockets", &[&["vmw_vsock_vmci_transport"]]),
    useful("VMware's memory balloons", &[&["vmw_balloon"]]),
];

/// What every platform needs to make the root.
const EVERYWHERE: &[Driver] = &[
    needed("memory laid over the root", &[&["overlay"]]),
    needed("a root that proves itself", &[&["dm_verity"]]),
    useful("SHA-256", &[&["sha256_generic"], &["sha256"]]),
    // File systems ask for it by what it does, not by a module's name, when they are mounted. New kernels have it always.
    useful("CRC-32C", &[&["crc32c_generic"], &["crc32c"]]),
];

impl Platform {
    /// Every platform.
    pub const ALL: [Self; 8] = [
        Self::QemuMicrovm,
        Self::Qemu,
        Self::Firecracker,
        Self::CloudHypervisor,
        Self::HyperV,
        Self::Vmware,
        Self::VirtualBox,
        Self::Ova,
    ];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::QemuMicrovm => "QEMU's microvm",
            Self::Qemu => "QEMU",
            Self::Firecracker => "Firecracker",
            Self::CloudHypervisor => "Cloud Hypervisor",
            Self::HyperV => "Hyper-V",
            Self::Vmware => "VMware",
            Self::VirtualBox => "VirtualBox",
            Self::Ova => "what takes an .ova",
        }
    }

    /// The drivers in the order in which they should come up: the bus, the disk, all else.
    pub(super) fn drivers(self, machines: Machines<'_>) -> impl Iterator<Item = Driver> {
        let own = match self {
            Self::QemuMicrovm => QEMU_MICROVM,
            Self::Qemu => QEMU,
            Self::Firecracker => FIRECRACKER,
            Self::CloudHypervisor => CLOUD_HYPERVISOR,
            Self::HyperV => HYPER_V,
            Self::Vmware => VMWARE,
            Self::VirtualBox => VIRTUAL_BOX,
            Self::Ova => OVA,
        };
        let own = own.iter().copied().filter(move |driver| machines.network || !driver.is_network);
        own.chain([machines.root.driver()]).chain(EVERYWHERE.iter().copied())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl RootType {
    fn driver(self) -> Driver {
        match self {
            Self::Ext4 => needed("ext4", &[&["ext4"]]),
            Self::Erofs => needed("EROFS", &[&["erofs"]]),
            Self::Squashfs => needed("squashfs", &[&["squashfs"]]),
        }
    }
}
