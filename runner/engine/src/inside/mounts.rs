//! The root of a container: an overlay of the layers with all writes in memory, sealed but for the writable paths.
//!
//! One overlay serves the whole root, so that links, whiteouts and owners are right everywhere. Each
//! writable path is bound onto itself while the overlay is writable; then the overlay's own mount is
//! made read-only, which leaves those other mounts as they are.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use host::{FileKind, MountFlags, RootDir, fd_path};

use super::{InsideError, at, devices};
use crate::bind::Container;
use crate::oci::Mount;

/// The new root while it is being built.
#[derive(Debug)]
pub struct NewRoot {
    folder: RootDir,
    path: PathBuf,
}

impl NewRoot {
    /// The file at this path, made where it is missing.
    pub fn file(&self, path: &Path) -> io::Result<std::os::fd::OwnedFd> {
        self.folder.ensure_file(path)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

/// Mounts the overlay below the stage folder.
pub fn root(container: &Container, stage: &Path) -> Result<NewRoot, InsideError> {
    let size = format!("mode=0755,size={}", container.upper_bytes);
    host::mount_fs(
        "tmpfs",
        "appliance",
        stage,
        MountFlags { no_dev: true, no_suid: true, ..MountFlags::default() },
        &size,
    )
    .map_err(at("mount the memory for writes"))?;
    for name in ["upper", "work", "root"] {
        DirBuilder::new().mode(0o755).create(stage.join(name)).map_err(at("make the folders for writes"))?;
    }
    like_top_layer(container, &stage.join("upper")).map_err(at("describe the root"))?;
    // Relative names keep the options short: they must fit one page.
    std::env::set_current_dir(&container.roots_folder).map_err(at("enter the layer cache"))?;
    let path = stage.join("root");
    host::mount_overlay(&path, &overlay_options(container, stage)).map_err(at("mount the overlay"))?;
    let folder = RootDir::open(&path).map_err(at("open the root"))?;
    Ok(NewRoot { folder, path })
}

/// The root folder of an overlay is described by its uppermost layer.
fn like_top_layer(container: &Container, upper: &Path) -> io::Result<()> {
    let Some(top) = container.layers.first() else { return Ok(()) };
    let meta = std::fs::metadata(container.roots_folder.join(&top.chain_id))?;
    chown(upper, Some(meta.uid()), Some(meta.gid()))?;
    std::fs::set_permissions(upper, PermissionsExt::from_mode(meta.mode() & 0o7777))
}

/// The uppermost of the lower layers comes first (kernel documentation, `overlayfs`).
fn overlay_options(container: &Container, stage: &Path) -> OsString {
    let lower: Vec<&str> = container.layers.iter().rev().map(|layer| layer.chain_id.as_str()).collect();
    let mut options = OsString::from(format!("userxattr,lowerdir={},upperdir=", lower.join(":")));
    options.push(stage.join("upper"));
    options.push(",workdir=");
    options.push(stage.join("work"));
    options
}

/// Mounts everything that the configuration lists.
pub fn all(container: &Container, root: &NewRoot) -> Result<(), InsideError> {
    for mount in &container.config.mounts {
        let failed = format!("mount {}", mount.destination);
        one(mount, root).map_err(at(&failed))?;
        if mount.destination == "/dev" {
            devices::fill(
                root.folder.ensure_folder(Path::new("/dev"), 0o755).map_err(at("open /dev"))?,
                &container.ids,
            )?;
        }
    }
    Ok(())
}

fn one(mount: &Mount, root: &NewRoot) -> io::Result<()> {
    let destination = Path::new(&mount.destination);
    let target = root.folder.ensure_folder(destination, 0o755)?;
    let (flags, data) = options(mount);
    if mount.kind == "bind" {
        let source = Path::new(&mount.source);
        like_image(source, &target)?;
        host::bind(source, &fd_path(&target), false)?;
        // The descriptor still means what is below the new mount.
        return host::remount_bind(&fd_path(&root.folder.resolve(destination)?), flags);
    }
    match host::mount_fs(&mount.kind, &mount.source, &fd_path(&target), flags, &data) {
        // A host that is itself a container may forbid a new sysfs; its own one, read-only, tells no more.
        Err(error) if mount.kind == "sysfs" && error.kind() == io::ErrorKind::PermissionDenied => {
            host::bind(Path::new("/sys"), &fd_path(&target), true)?;
            host::remount_bind(&fd_path(&root.folder.resolve(destination)?), flags)
        }
        other => other,
    }
}

/// A volume that is used for the first time gets the owner and the permissions of the image's folder.
fn like_image(volume: &Path, target: &impl AsFd) -> io::Result<()> {
    let own = std::fs::metadata(volume)?;
    // One that may not be looked into belongs to somebody else, and was used.
    let is_used = || std::fs::read_dir(volume).map_or(true, |mut entries| entries.next().is_some());
    if own.nlink() > 2 || is_used() {
        return Ok(());
    }
    let image = std::fs::metadata(fd_path(target))?;
    if (own.uid(), own.gid()) != (image.uid(), image.gid()) {
        chown(volume, Some(image.uid()), Some(image.gid()))?;
    }
    std::fs::set_permissions(volume, PermissionsExt::from_mode(image.mode() & 0o7777))
}

/// Splits options into flags and what the file system itself understands.
fn options(mount: &Mount) -> (MountFlags, String) {
    let mut flags = MountFlags::default();
    let mut data = Vec::new();
    for option in &mount.options {
        match option.as_str() {
            "ro" => flags.read_only = true,
            "nosuid" => flags.no_suid = true,
            "nodev" => flags.no_dev = true,
            "noexec" => flags.no_exec = true,
            "bind" => {}
            other => data.push(other),
        }
    }
    (flags, data.join(","))
}

/// Keeps the writable paths writable and the rest of the root read-only.
pub fn seal(container: &Container, root: &NewRoot) -> Result<(), InsideError> {
    let restless = MountFlags { no_suid: true, no_dev: true, ..MountFlags::default() };
    for path in &container.writable {
        keep_writable(root, Path::new(path), restless).map_err(at(&format!("make {path} writable")))?;
    }
    if container.config.root.readonly {
        let flags = MountFlags { read_only: true, no_dev: true, ..MountFlags::default() };
        let folder = RootDir::open(&root.path).map_err(at("open the root"))?;
        host::remount_bind(&fd_path(&folder), flags).map_err(at("make the root read-only"))?;
        let dev = root.folder.resolve(Path::new("/dev")).map_err(at("open /dev"))?;
        host::remount_bind(&fd_path(&dev), MountFlags { read_only: true, ..MountFlags::default() })
            .map_err(at("make /dev read-only"))?;
    }
    Ok(())
}

fn keep_writable(root: &NewRoot, path: &Path, flags: MountFlags) -> io::Result<()> {
    let target = root.folder.ensure_folder(path, 0o755)?;
    host::bind(&fd_path(&target), &fd_path(&target), true)?;
    host::remount_bind(&fd_path(&root.folder.resolve(path)?), flags)
}

/// Covers what must show nothing, and seals what must not be written.
pub fn hide(masked: &[String], read_only: &[String], root: &NewRoot) -> Result<(), InsideError> {
    for path in masked {
        mask(root, Path::new(path)).map_err(at(&format!("mask {path}")))?;
    }
    for path in read_only {
        seal_path(root, Path::new(path)).map_err(at(&format!("make {path} read-only")))?;
    }
    Ok(())
}

fn mask(root: &NewRoot, path: &Path) -> io::Result<()> {
    let Some(target) = existing(root, path)? else { return Ok(()) };
    if FileKind::of(&target)? == FileKind::Folder {
        let flags = MountFlags { read_only: true, no_suid: true, no_dev: true, no_exec: true };
        return host::mount_fs("tmpfs", "masked", &fd_path(&target), flags, "size=0k,nr_inodes=2,mode=0555");
    }
    let null = root.folder.resolve(Path::new("/dev/null"))?;
    host::bind(&fd_path(&null), &fd_path(&target), false)
}

fn seal_path(root: &NewRoot, path: &Path) -> io::Result<()> {
    let Some(target) = existing(root, path)? else { return Ok(()) };
    host::bind(&fd_path(&target), &fd_path(&target), true)?;
    let flags = MountFlags { read_only: true, no_suid: true, no_dev: true, no_exec: true };
    host::remount_bind(&fd_path(&root.folder.resolve(path)?), flags)
}

/// What a kernel does not have needs no cover.
fn existing(root: &NewRoot, path: &Path) -> io::Result<Option<std::os::fd::OwnedFd>> {
    match root.folder.resolve(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
