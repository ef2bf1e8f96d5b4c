//! Debian's cloud kernel, fetched once for all tests of this program, and the initial file system for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use assemble::kernel::{Initramfs, KernelPackage, Machines, Platform, RootType, initramfs, plan_modules};
use bundle::plan::Root;
use formats::{cpio, deb};
use tree::{Content, Kind, NoBlobs, Tree, TreePath};

use crate::package::{Package, Packing};

/// Everything that Debian's cloud kernel has the drivers for.
const PLATFORMS: [Platform; 7] = [
    Platform::QemuMicrovm,
    Platform::Qemu,
    Platform::Firecracker,
    Platform::CloudHypervisor,
    Platform::HyperV,
    Platform::Vmware,
    Platform::VirtualBox,
];

/// Debian's kernel package.
struct Debian {
    kernel: KernelPackage,
    tree: Tree,
}

/// The kernel's package taken apart, or why it cannot be had.
pub fn debian() -> Result<&'static KernelPackage, String> {
    fetched().map(|debian| &debian.kernel)
}

fn fetched() -> Result<&'static Debian, String> {
    static KERNEL: OnceLock<Result<Debian, String>> = OnceLock::new();
    KERNEL.get_or_init(fetch).as_ref().map_err(Clone::clone)
}

/// A package of the toy archive that brings this kernel, with as many of its modules as machines without disks of their
/// own need, and with needs of its own that nothing follows.
pub fn package() -> Package {
    package_of("nothing", "")
}

/// The same without a module.
pub fn package_without(module: &str) -> Package {
    package_of(module, "")
}

/// The same that says of further modules, one a line, that they are built in.
pub fn package_with_builtin(lines: &str) -> Package {
    package_of("nothing", lines)
}

fn package_of(module: &str, builtin: &str) -> Package {
    let debian = fetched().unwrap();
    let plan = |platforms| plan_modules(&debian.kernel, machines(platforms), &NoBlobs).unwrap().load;
    let all = [plan(&PLATFORMS), plan(&PLATFORMS[..5])].concat();
    let loaded: Vec<_> = all.iter().filter(|planned| planned.name != module).map(|module| &module.path).collect();
    let is_wanted = |path: &TreePath| {
        let text = path.display();
        text.starts_with("/boot/vmlinuz") || text.contains("/modules.builtin") || loaded.contains(&path)
    };
    let package =
        Package::new("linux-image-real", "1.0").field("Depends", "kmod, initramfs-tools").packed(Packing::Gzip);
    debian.tree.iter().filter(|(path, ..)| is_wanted(path)).fold(package, |package, (path, _, node)| match &node.kind {
        Kind::File(Content::Inline(bytes)) => {
            let more = if path.name() == b"modules.builtin" { builtin } else { "" };
            package.file(path.display().trim_start_matches('/'), 0o644, [bytes, more.as_bytes()].concat())
        }
        _ => package,
    })
}

/// With a network where the kernel has drivers for it: Debian's cloud kernel has none for VMware's cards.
fn machines(platforms: &[Platform]) -> Machines<'_> {
    Machines { platforms, root: RootType::Ext4, network: !platforms.contains(&Platform::Vmware) }
}

fn fetch() -> Result<Debian, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-kernel");
    fs::create_dir_all(&folder).unwrap();
    let archive = match archive_in(&folder) {
        Some(archive) => archive,
        None => download(&folder)?,
    };
    let bytes = fs::read(archive).unwrap();
    let deb = deb::decode(&bytes[..], deb::Limits::default(), &mut deb::Inline).unwrap();
    let kernel = KernelPackage::find(&[&deb.tree], &NoBlobs).unwrap();
    Ok(Debian { kernel, tree: deb.tree })
}

/// systemd's stub from its package, fetched once, or why it cannot be had.
pub fn stub() -> Result<&'static [u8], String> {
    static STUB: OnceLock<Result<Vec<u8>, String>> = OnceLock::new();
    STUB.get_or_init(fetch_stub).as_deref().map_err(Clone::clone)
}

fn fetch_stub() -> Result<Vec<u8>, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-stub");
    fs::create_dir_all(&folder).unwrap();
    let archive = match archive_in(&folder) {
        Some(archive) => archive,
        None => download_package(&folder, "systemd-boot-efi")?,
    };
    let bytes = fs::read(archive).unwrap();
    let deb = deb::decode(&bytes[..], deb::Limits::default(), &mut deb::Inline).unwrap();
    let node = deb.tree.get(&TreePath::new("usr/lib/systemd/boot/efi/linuxx64.efi.stub").unwrap()).unwrap();
    let Kind::File(Content::Inline(stub)) = &node.kind else { panic!("the stub is no file") };
    Ok(stub.to_vec())
}

/// A package of the toy archive that brings systemd's stub.
pub fn stub_package() -> Package {
    let package = Package::new("systemd-boot-efi", "252.1").packed(Packing::Gzip);
    package.file("usr/lib/systemd/boot/efi/linuxx64.efi.stub", 0o644, stub().unwrap())
}

fn download_package(folder: &Path, name: &str) -> Result<PathBuf, String> {
    let status = Command::new("apt-get").args(["download", "-qq", name]).current_dir(folder).status();
    let status = status.map_err(|error| format!("apt-get cannot be started: {error}"))?;
    archive_in(folder).filter(|_| status.success()).ok_or_else(|| format!("apt-get download {name}: {status}"))
}

fn download(folder: &Path) -> Result<PathBuf, String> {
    let run = |program: &str, args: &[&str]| -> Result<String, String> {
        let output = Command::new(program).args(args).current_dir(folder).output();
        let output = output.map_err(|error| format!("{program} cannot be started: {error}"))?;
        let text = output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned());
        text.ok_or_else(|| format!("{program} {}: {}", args.join(" "), output.status))
    };
    let depends = run("apt-cache", &["depends", "--important", "linux-image-cloud-amd64"])?;
    let name = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    download_package(folder, name.ok_or("apt knows no linux-image-cloud-amd64")?)
}

fn archive_in(folder: &Path) -> Option<PathBuf> {
    let mut names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    names.find(|path| path.extension().is_some_and(|end| end == "deb"))
}

/// The initial file system for these platforms, as the kernel takes it.
pub fn initrd(kernel: &KernelPackage, guest: &Path, platforms: &[Platform], root: Root) -> Vec<u8> {
    let modules = plan_modules(kernel, machines(platforms), &NoBlobs).unwrap();
    let guest = Content::inline(fs::read(guest).unwrap());
    let tree = initramfs(Initramfs { guest, modules: &modules, root, volumes: Vec::new(), epoch_secs: 1_700_000_000 });
    cpio::write_tree(&tree, &NoBlobs, Vec::new()).unwrap()
}
