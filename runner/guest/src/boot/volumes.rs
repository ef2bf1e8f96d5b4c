//! Storage that outlives an instance: each volume is a disk of its own, found by the id of its file system.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use bundle::boot::Volume;
use nix::mount::MsFlags;

use super::{devices, grow};

/// Mounts all of them below the root that is put together here.
pub fn mount(volumes: &[Volume], root: &str) -> Result<(), String> {
    volumes.iter().try_for_each(|volume| mount_one(volume, root))
}

fn mount_one(volume: &Volume, root: &str) -> Result<(), String> {
    let Volume { name, at, uuid } = volume;
    let device = devices::wait_for_file_system(uuid).ok_or_else(|| {
        format!(
            "find the volume {name}: no disk of this machine holds it; give it a copy of the bundle's volumes/{name}"
        )
    })?;
    let to = format!("{root}/{}", at.trim_start_matches('/'));
    let problem = |error: &dyn std::fmt::Display| format!("mount the volume {name} at {at}: {error}");
    // Without a folder for it the mount says so.
    let _ = fs::create_dir_all(&to);
    let place = fs::metadata(&to).map_err(|error| problem(&error))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    nix::mount::mount(Some(&device), to.as_str(), Some("ext4"), flags, None::<&str>)
        .map_err(|errno| problem(&errno.desc()))?;
    if let Err(reason) = grow::file_system(&device, &to) {
        eprintln!("appliance: failed to {reason}");
    }
    if is_fresh(&to) {
        // It begins as the folder that it covers, so that a service can write where the spec says that it may.
        chown(&to, Some(place.uid()), Some(place.gid())).map_err(|error| problem(&error))?;
        fs::set_permissions(&to, Permissions::from_mode(place.mode() & 0o7777)).map_err(|error| problem(&error))?;
    }
    Ok(())
}

/// Whether nothing but the folder of its checks is in it.
fn is_fresh(folder: &str) -> bool {
    let own = |name: &Path| name == Path::new("lost+found");
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().all(|entry| own(Path::new(&entry.file_name()))))
}
