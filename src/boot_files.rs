//! What an appliance boots from beside its root: kernel, initial file system and command line, from the locked packages.
//!
//! Only for outputs that boot; everything is made in memory, since nothing of it is large. The command line names what
//! the root must hash to, so the last of it is made when the root was written.

use std::collections::BTreeMap;
use std::io;

use assemble::kernel::{
    Initramfs, KernelPackage, Machines, ModulePlan, Platform, RootType, efi_stub, initramfs, plan_modules,
};
use bundle::boot::{CommandLine, Selector, Verity, Volume};
use bundle::guest::GUEST_PATH;
use bundle::manifest::{Artifact, ArtifactKind};
use bundle::plan::Plan;
use formats::pe::{Signer, Unified, unified};
use formats::{cpio, gpt};
use image::{BootPrograms, FileDigests, Identity, Outputs, partition_id};
use packages::{Lock, LockedRoot};
use spec::Appliance;
use spec::appliance::{Arch, NetworkMode, Output};
use tree::{Content, Tree};

use crate::boot_mistakes;
use crate::boot_platforms::platforms;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::materials::Materials;
use crate::roots;
use crate::spec_file::SpecFile;
use crate::workshop::Workshop;

/// What boots the root of one architecture.
pub struct BootParts {
    arch: Arch,
    kernel: KernelPackage,
    /// The program in the root that takes over.
    init: String,
    /// What direct boot takes.
    microvm: Option<Direct>,
    /// What firmware starts.
    disk: Option<Firmware>,
}

struct Direct {
    initrd: Vec<u8>,
    vmlinux: Vec<u8>,
}

struct Firmware {
    stub: Vec<u8>,
    initrd: Vec<u8>,
}

/// Gathers what boots each architecture; nothing where no output boots.
///
/// # Errors
/// When there is no kernel, or it lacks what a platform needs.
pub fn gather(
    spec: &SpecFile,
    lock: &Lock,
    plan: &Plan,
    identity: &Identity,
    materials: &Materials,
    shop: &Workshop<'_>,
) -> Result<Vec<BootParts>, Failure> {
    let boots = |output: &Output| *output == Output::Microvm || image::DISKS.contains(output);
    if !spec.appliance().outputs.iter().any(boots) {
        return Ok(Vec::new());
    }
    let one = |root| {
        let trees = unpack(spec, root, shop)?;
        let no_guest = || Failure::new(Exit::Build, "find the guest");
        let guest = materials.guests.get(&root.arch).cloned().ok_or_else(no_guest)?;
        let maker = Maker { spec, lock, plan, identity, shop, arch: root.arch, trees, guest };
        maker.parts()
    };
    lock.roots.iter().map(one).collect()
}

fn unpack(spec: &SpecFile, root: &LockedRoot, shop: &Workshop<'_>) -> Result<Vec<Tree>, Failure> {
    if root.boot.is_empty() {
        let arch = root.arch.name();
        let failure = Failure::new(Exit::Build, format!("find a kernel for {arch}: the base has none"));
        return Err(failure.help("a distribution as base brings one, and `kernel \"PACKAGE\"` names another"));
    }
    let unpacked = shop.store.unpack(&root.boot, &shop.bar).map_err(|error| Failure::new(Exit::Build, error))?;
    shop.bar.clear();
    roots::are_what_they_are_called(spec.boot_base(), &root.boot, &unpacked)?;
    Ok(unpacked.into_iter().map(|package| package.tree).collect())
}

/// Makes the parts of one architecture.
struct Maker<'a> {
    spec: &'a SpecFile,
    lock: &'a Lock,
    plan: &'a Plan,
    identity: &'a Identity,
    shop: &'a Workshop<'a>,
    arch: Arch,
    trees: Vec<Tree>,
    guest: Content,
}

impl Maker<'_> {
    fn parts(self) -> Result<BootParts, Failure> {
        let trees: Vec<&Tree> = self.trees.iter().collect();
        let appliance = self.spec.appliance();
        let unfit = |problem| boot_mistakes::of_kernel(self.spec, self.arch, &problem);
        let kernel = KernelPackage::find(&trees, &self.shop.store).map_err(unfit)?;
        let microvm = match platforms(appliance, |output| output == Output::Microvm) {
            none if none.is_empty() => None,
            platforms => {
                let vmlinux = kernel.uncompressed().map_err(unfit)?;
                // Nothing that starts a kernel directly has Secure Boot, which alone makes it refuse what is not signed.
                let modules = self.modules(&kernel, &platforms)?.without_signatures();
                Some(Direct { initrd: self.initrd(&modules)?, vmlinux })
            }
        };
        let disk = match platforms(appliance, |output| image::DISKS.contains(&output)) {
            none if none.is_empty() => None,
            platforms => {
                let stub = efi_stub(&trees, self.arch, &self.shop.store).map_err(unfit)?;
                Some(Firmware { stub, initrd: self.initrd(&self.modules(&kernel, &platforms)?)? })
            }
        };
        let init = self.plan.process.args.first().cloned().unwrap_or_else(|| GUEST_PATH.to_owned());
        Ok(BootParts { arch: self.arch, kernel, init, microvm, disk })
    }

    fn modules(&self, kernel: &KernelPackage, platforms: &[Platform]) -> Result<ModulePlan, Failure> {
        let network = self.spec.appliance().network.mode != NetworkMode::None;
        let machines = Machines { platforms, root: RootType::Ext4, network };
        plan_modules(kernel, machines, &self.shop.store)
            .map_err(|problem| boot_mistakes::of_kernel(self.spec, self.arch, &problem))
    }

    fn initrd(&self, modules: &ModulePlan) -> Result<Vec<u8>, Failure> {
        let (guest, root, epoch_secs) = (self.guest.clone(), self.plan.root.clone(), self.lock.boot_epoch_secs());
        let volumes = self.plan.volumes.iter().map(|volume| self.volume(volume)).collect();
        let tree = initramfs(Initramfs { guest, modules, root, volumes, epoch_secs });
        cpio::write_tree(&tree, &self.shop.store, Vec::new())
            .map_err(|error| Failure::doing(Exit::Build, "make the initial file system", error))
    }

    fn volume(&self, volume: &bundle::plan::Volume) -> Volume {
        let id = image::volume_id(&volume.name, self.identity);
        let uuid = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Volume { name: volume.name.clone(), at: volume.at.clone(), uuid }
    }
}

/// The programs that firmware starts from the disks, signed where there is a key.
pub fn programs<'a>(
    parts: &'a [BootParts],
    appliance: &'a Appliance,
    signer: Option<&'a Signer>,
    identity: &'a Identity,
) -> BootPrograms<'a> {
    let programs = parts.iter().filter_map(|boot| Some((boot, boot.disk.as_ref()?)));
    let program = |(boot, disk): (&'a BootParts, &'a Firmware)| {
        let make = move |root_hash: Option<&str>| {
            let line = format!("{} {}", firmware_words(boot.arch), disk_line(boot, root_hash, identity));
            let os_release = os_release(appliance);
            let parts = Unified {
                stub: &disk.stub,
                os_release: os_release.as_bytes(),
                command_line: &line,
                release: &boot.kernel.release,
                initrd: &disk.initrd,
                kernel: &boot.kernel.image,
            };
            let program = unified(parts).map_err(io::Error::other)?;
            match signer {
                Some(signer) => signer.sign(program).map_err(io::Error::other),
                None => Ok(program),
            }
        };
        (boot.arch, Box::new(make) as Box<image::EfiProgram<'a>>)
    };
    programs.map(program).collect()
}

/// Ciphers and digests are not tried out at each start. Distributions build their kernels so that they are, which takes more
/// than half of the instructions of a start; the kernel's own default was not to, for most of its life.
const EVERYWHERE: &str = "cryptomgr.notests";

/// What the kernel is told where firmware starts it. The first serial line is the console, where there is one.
fn firmware_words(arch: Arch) -> String {
    format!("console=tty0 console={} panic=-1{} {EVERYWHERE} quiet", serial_line(arch), of_arch(arch))
}

/// What the kernel is told where it is started directly; a kernel that stops ends the machine.
fn direct_words(arch: Arch) -> String {
    format!("console={} panic=-1 reboot=t{} {EVERYWHERE} quiet", serial_line(arch), of_arch(arch))
}

fn serial_line(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "ttyS0",
        Arch::Arm64 => "ttyAMA0",
    }
}

/// A kernel for amd64 stops when it counts too few ticks of its timer while it spins, which happens on a busy host
/// without hardware help; of the hypervisors that help it knows by itself that the timer works.
fn of_arch(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => " no_timer_check",
        Arch::Arm64 => "",
    }
}

fn disk_line(boot: &BootParts, root_hash: Option<&str>, identity: &Identity) -> CommandLine {
    let partition = |name| Selector::PartUuid(gpt::text(&partition_id(boot.arch, name, identity)));
    let verity = root_hash.map(|hash| Verity { device: partition("root-verity"), root_hash: hash.to_owned() });
    CommandLine { verity, init: boot.init.clone(), ..CommandLine::new(partition("root")) }
}

/// The disks by their order, since not every machine can give a disk a name: the root, then its hash tree.
fn direct_line(init: String, root_hash: Option<&str>) -> CommandLine {
    let disk = |name: &str| Selector::Device(name.to_owned());
    let verity = root_hash.map(|hash| Verity { device: disk("vdb"), root_hash: hash.to_owned() });
    CommandLine { verity, init, ..CommandLine::new(disk("vda")) }
}

/// What boot menus show (os-release(5)).
fn os_release(appliance: &Appliance) -> String {
    let quoted = |text: &str| {
        let escaped: String =
            text.chars().flat_map(|c| ['\\'].into_iter().filter(move |_| "\\\"$`".contains(c)).chain([c])).collect();
        format!("\"{escaped}\"")
    };
    let title = format!("{} {}", appliance.name, appliance.version);
    let (name, version, title) = (quoted(&appliance.name), quoted(&appliance.version), quoted(&title));
    format!("ID=appliance\nNAME={name}\nPRETTY_NAME={title}\nVERSION_ID={version}\n")
}

/// Writes the files of `microvm`, or of `microvm-ARCH` for several architectures.
///
/// # Errors
/// What the file system reports.
pub fn write(
    parts: Vec<BootParts>,
    root_hashes: &BTreeMap<Arch, String>,
    outputs: &dyn Outputs,
) -> io::Result<Vec<Artifact>> {
    let several = parts.len() > 1;
    let mut artifacts = Vec::new();
    for BootParts { arch, kernel, init, microvm, .. } in parts {
        let Some(Direct { initrd, vmlinux }) = microvm else { continue };
        let folder = if several { format!("microvm-{}", arch.name()) } else { "microvm".to_owned() };
        let line = format!("{} {}", direct_words(arch), direct_line(init, root_hashes.get(&arch).map(String::as_str)));
        let files = [
            (ArtifactKind::Kernel, "kernel", kernel.image),
            (ArtifactKind::Vmlinux, "vmlinux", vmlinux),
            (ArtifactKind::Initrd, "initrd", initrd),
            (ArtifactKind::CommandLine, "cmdline", line.into_bytes()),
        ];
        for (kind, name, bytes) in files {
            artifacts.push(put(outputs, kind, arch, format!("{folder}/{name}"), &bytes)?);
        }
    }
    Ok(artifacts)
}

fn put(outputs: &dyn Outputs, kind: ArtifactKind, arch: Arch, path: String, bytes: &[u8]) -> io::Result<Artifact> {
    outputs.file(&path, &mut |file| file.write_all(bytes))?;
    let FileDigests { size_bytes, blake3, sha256 } = FileDigests::of(bytes);
    Ok(Artifact { kind, arch: Some(arch.name().to_owned()), path, size_bytes, blake3, sha256 })
}
