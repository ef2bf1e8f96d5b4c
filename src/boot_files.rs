//! What an appliance boots from beside its root: kernel, initial file system and command line, from the locked packages.
//!
//! Only for outputs that boot directly; everything is made in memory, since nothing of it is large.

use std::io;

use assemble::kernel::{Initramfs, KernelPackage, Platform, RootType, initramfs, plan_modules};
use bundle::boot::{CommandLine, Selector};
use bundle::manifest::{Artifact, ArtifactKind};
use bundle::plan::Plan;
use formats::cpio;
use formats::kernel::{Kernel, MAX_KERNEL_BYTES};
use image::{FileDigests, Outputs};
use packages::{Lock, LockedRoot};
use spec::appliance::{Arch, Output};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::materials::Materials;
use crate::roots;
use crate::spec_file::SpecFile;
use crate::workshop::Workshop;

/// Where direct boot is offered: devices on virtio, found through memory or through PCI.
const PLATFORMS: [Platform; 3] = [Platform::QemuMicrovm, Platform::Firecracker, Platform::CloudHypervisor];

/// What the kernel itself is told: the first serial line is the console, and a kernel that stops ends the machine.
const KERNEL_WORDS: &str = "console=ttyS0 panic=-1 reboot=t quiet";

/// The first disk holds the root: not every machine can give a disk a name.
const ROOT_DEVICE: &str = "vda";

/// A file of a bundle, ready to be written.
pub struct BootFile {
    kind: ArtifactKind,
    arch: Arch,
    path: String,
    bytes: Vec<u8>,
}

impl BootFile {
    /// Writes it into the bundle.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn write(self, outputs: &dyn Outputs) -> io::Result<Artifact> {
        outputs.file(&self.path, &mut |file| file.write_all(&self.bytes))?;
        let FileDigests { size_bytes, blake3, sha256 } = FileDigests::of(&self.bytes);
        let arch = Some(self.arch.name().to_owned());
        Ok(Artifact { kind: self.kind, arch, path: self.path, size_bytes, blake3, sha256 })
    }
}

/// Makes the files of `microvm`, or of `microvm-ARCH` for several architectures; none where no output boots directly.
///
/// # Errors
/// When there is no kernel, or it lacks what a platform needs.
pub fn make(
    spec: &SpecFile,
    lock: &Lock,
    plan: &Plan,
    materials: &Materials,
    shop: &Workshop<'_>,
) -> Result<Vec<BootFile>, Failure> {
    if !spec.appliance().outputs.contains(&Output::Microvm) {
        return Ok(Vec::new());
    }
    let several = lock.roots.len() > 1;
    let mut files = Vec::new();
    for root in &lock.roots {
        let folder = if several { format!("microvm-{}", root.arch.name()) } else { "microvm".to_owned() };
        for (kind, name, bytes) in make_one(spec, lock, root, plan, materials, shop)? {
            files.push(BootFile { kind, arch: root.arch, path: format!("{folder}/{name}"), bytes });
        }
    }
    Ok(files)
}

type Made = (ArtifactKind, &'static str, Vec<u8>);

fn make_one(
    spec: &SpecFile,
    lock: &Lock,
    root: &LockedRoot,
    plan: &Plan,
    materials: &Materials,
    shop: &Workshop<'_>,
) -> Result<[Made; 4], Failure> {
    let failed =
        |error: Box<dyn std::error::Error + Send + Sync>| Failure::doing(Exit::Build, "make what boots", error);
    let guest = materials.guests.get(&root.arch).cloned().ok_or_else(|| Failure::new(Exit::Build, "find the guest"))?;
    if root.boot.is_empty() {
        let arch = root.arch.name();
        let failure = Failure::new(Exit::Build, format!("find a kernel for {arch}: the base has none"));
        return Err(failure.help("a distribution as base brings one, and `kernel \"PACKAGE\"` names another"));
    }
    let unpacked = shop.store.unpack(&root.boot, &shop.bar).map_err(|error| Failure::new(Exit::Build, error))?;
    shop.bar.clear();
    roots::are_what_they_are_called(spec, &root.boot, &unpacked)?;
    let trees: Vec<_> = unpacked.iter().map(|package| &package.tree).collect();
    let kernel = KernelPackage::find(&trees, &shop.store).map_err(|error| failed(error.into()))?;
    let modules =
        plan_modules(&kernel, &PLATFORMS, RootType::Ext4, &shop.store).map_err(|error| failed(error.into()))?;
    let parts = Initramfs { guest, modules: &modules, root: plan.root.clone(), epoch_secs: lock.epoch_secs };
    let initrd = cpio::write_tree(&initramfs(parts), &shop.store, Vec::new()).map_err(|error| failed(error.into()))?;
    let unpack = Kernel::recognise(&kernel.image).and_then(|kernel| kernel.unpack(MAX_KERNEL_BYTES));
    let vmlinux = unpack.map_err(|error| failed(error.into()))?;
    let line = format!("{KERNEL_WORDS} {}", CommandLine::new(Selector::Device(ROOT_DEVICE.to_owned())));
    Ok([
        (ArtifactKind::Kernel, "kernel", kernel.image),
        (ArtifactKind::Vmlinux, "vmlinux", vmlinux),
        (ArtifactKind::Initrd, "initrd", initrd),
        (ArtifactKind::CommandLine, "cmdline", line.into_bytes()),
    ])
}
