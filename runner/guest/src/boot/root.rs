//! The root of the appliance: the disk, never written, above it memory for what is written, sealed but for the paths
//! that are writable, as the engine does it for containers; or the disk itself, where it is kept, grown to its size.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use bundle::boot::{BOOT_PATH, Boot, INIT_PATH, MODULES_FOLDER};
use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::unistd::{chdir, chroot};

use super::{first, grow, volumes};

/// Where the disk is mounted.
const DISK: &str = "/disk";
/// Where memory for writes is mounted.
const MEMORY: &str = "/memory";
/// Where the root is put together.
const ROOT: &str = "/root";

/// The file systems that a root may have, the likeliest first.
const TYPES: [&str; 3] = ["ext4", "erofs", "squashfs"];

/// Mounts that every root has beside the kernel's own: type, where, flags beside `nosuid`, options.
const EXTRA: [(&str, &str, MsFlags, &str); 3] = [
    ("devpts", "dev/pts", MsFlags::MS_NOEXEC, "ptmxmode=0666,mode=0620,gid=5"),
    ("tmpfs", "dev/shm", MsFlags::MS_NODEV, "mode=1777"),
    ("mqueue", "dev/mqueue", MsFlags::MS_NODEV, ""),
];

/// What programs expect in `/dev` beside devices.
const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "dev/fd"),
    ("/proc/self/fd/0", "dev/stdin"),
    ("/proc/self/fd/1", "dev/stdout"),
    ("/proc/self/fd/2", "dev/stderr"),
];

/// Mounts everything below [`ROOT`]. What is written to a root that `keeps` is still there at the next start. An init of
/// the base's own `runs_on_memory`: its `/run` is memory also where nothing else is.
pub fn mount(device: &Path, boot: &Boot, keeps: bool, runs_on_memory: bool) -> Result<(), String> {
    let wanted = &boot.root;
    let sealed = wanted.read_only && wanted.writable.is_empty();
    make_folder(ROOT)?;
    if keeps {
        mount_disk(device, ROOT, MsFlags::empty())?;
        if let Err(problem) = grow::file_system(device, ROOT) {
            eprintln!("appliance: failed to {problem}");
        }
    } else if sealed {
        mount_disk(device, ROOT, MsFlags::MS_RDONLY)?;
    } else {
        make_folder(DISK)?;
        mount_disk(device, DISK, MsFlags::MS_RDONLY)?;
        mount_overlay()?;
    }
    first::make_machine_id(ROOT);
    volumes::mount(&boot.volumes, ROOT)?;
    for (from, to) in [("/dev", "dev"), ("/proc", "proc"), ("/sys", "sys")] {
        call(&format!("move {from} to the root"), mount_at(from, &place(to), "", MsFlags::MS_MOVE, ""))?;
    }
    if keeps || runs_on_memory {
        // What the last start left there speaks of processes that are gone.
        let _ = mount_at("tmpfs", &place("run"), "tmpfs", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=0755");
    }
    for (kind, to, flags, options) in EXTRA {
        // What a kernel does not have is not worth a word: the services that need it say so.
        let _ = make_folder(&place(to));
        let _ = mount_at(kind, &place(to), kind, flags | MsFlags::MS_NOSUID, options);
    }
    for (target, link) in LINKS {
        let _ = std::os::unix::fs::symlink(target, place(link));
    }
    let plain = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    for scratch in &wanted.scratch {
        let options = format!("mode=1777,size={}", scratch.size_bytes);
        let mounted = mount_at("tmpfs", &place(&scratch.path), "tmpfs", plain, &options);
        call(&format!("mount the scratch folder {}", scratch.path), mounted)?;
    }
    if wanted.read_only && !sealed {
        seal(&wanted.writable)?;
    }
    Ok(())
}

/// Makes [`ROOT`] the root of everything and gives back the memory of the initial file system.
pub fn switch() -> Result<(), String> {
    call("enter the root", chdir(ROOT))?;
    // This program runs on, and its file is there as long as it does.
    for path in [BOOT_PATH, INIT_PATH] {
        let _ = fs::remove_file(path);
    }
    let _ = fs::remove_dir_all(MODULES_FOLDER);
    call("make the root the root", mount_at(".", "/", "", MsFlags::MS_MOVE, ""))?;
    call("enter the root", chroot("."))?;
    call("enter the root", chdir("/"))
}

fn mount_disk(device: &Path, to: &str, flags: MsFlags) -> Result<(), String> {
    let flags = flags | MsFlags::MS_NODEV;
    let mut reasons = Vec::new();
    for kind in TYPES {
        match mount_at(&device.display().to_string(), to, kind, flags, "") {
            Ok(()) => return Ok(()),
            Err(errno) => reasons.push(format!("{kind}: {}", errno.desc())),
        }
    }
    Err(format!("mount the root from {}: {}", device.display(), reasons.join("; ")))
}

fn mount_overlay() -> Result<(), String> {
    make_folder(MEMORY)?;
    let memory = mount_at("tmpfs", MEMORY, "tmpfs", MsFlags::MS_NODEV, "mode=0755");
    call("mount the memory for writes", memory)?;
    let (upper, work) = (format!("{MEMORY}/upper"), format!("{MEMORY}/work"));
    make_folder(&upper)?;
    make_folder(&work)?;
    // The root folder of an overlay is described by its uppermost layer.
    let described = fs::metadata(DISK).and_then(|meta| {
        chown(&upper, Some(meta.uid()), Some(meta.gid()))?;
        fs::set_permissions(&upper, Permissions::from_mode(meta.mode() & 0o7777))
    });
    described.map_err(|error| format!("describe the root: {error}"))?;
    let options = format!("lowerdir={DISK},upperdir={upper},workdir={work}");
    let overlay = mount_at("overlay", ROOT, "overlay", MsFlags::MS_NODEV, &options);
    call("lay memory for writes over the root", overlay)
}

/// Keeps the writable paths writable and the rest of the root read-only.
fn seal(writable: &[String]) -> Result<(), String> {
    let restless = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    for path in writable {
        let to = place(path);
        let _ = make_folder(&to);
        let bound = mount_at(&to, &to, "", MsFlags::MS_BIND | MsFlags::MS_REC, "")
            .and_then(|()| mount_at("", &to, "", MsFlags::MS_REMOUNT | MsFlags::MS_BIND | restless, ""));
        call(&format!("make {path} writable"), bound)?;
    }
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NODEV;
    call("make the root read-only", mount_at("", ROOT, "", flags, ""))
}

fn place(path: &str) -> String {
    format!("{ROOT}/{}", path.trim_start_matches('/'))
}

fn make_folder(path: &str) -> Result<(), String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(|error| format!("make the folder {path}: {error}"))
}

fn mount_at(source: &str, to: &str, kind: &str, flags: MsFlags, options: &str) -> Result<(), Errno> {
    nix::mount::mount(Some(source), to, Some(kind), flags, Some(options))
}

fn call(doing: &str, result: Result<(), Errno>) -> Result<(), String> {
    result.map_err(|errno| format!("{doing}: {}", errno.desc()))
}
