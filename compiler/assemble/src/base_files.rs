//! The files and folders that every appliance has, whatever it is made of: mount points, names, environment.

use std::collections::BTreeMap;

use bundle::guest::GUEST_PATH;
use spec::Appliance;
use tree::{Content, Kind, Meta, Node, TreePath};

use crate::error::AssembleError;
use crate::files::{Files, PathProblem};
use crate::inputs::Origin;

/// Folders that the runner or the guest mounts over, or that programs expect, with their modes.
const FOLDERS: [(&str, u16); 9] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/tmp", 0o1777),
];

/// Makes the folders of every root.
pub(crate) fn make_folders(files: &mut Files<'_>) -> Result<(), AssembleError> {
    for (path, mode) in FOLDERS {
        files.make_dir(path, mode).map_err(|source| problem("make the folder", path, source))?;
    }
    Ok(())
}

/// Makes the places of volumes, scratch and writable paths that nothing else brings: so it comes after users, whose homes
/// are theirs, and after the spec's own files. What is in the way of one is told by [`crate::volumes::mistakes`].
pub(crate) fn make_claimed_folders(files: &mut Files<'_>, appliance: &Appliance) -> Result<(), AssembleError> {
    let named = appliance.volumes.iter().map(|volume| volume.at.as_str());
    let named = named.chain(appliance.resources.scratch.iter().map(|(path, _)| path.as_str()));
    let named = named.chain(appliance.isolation.writable.iter().map(String::as_str));
    for path in named {
        if files.exists(path) {
            continue;
        }
        match files.make_dir(path, 0o755) {
            Ok(_) | Err(PathProblem::NotDir(_) | PathProblem::Loop) => {}
            Err(source) => return Err(problem("make the folder", path, source)),
        }
    }
    Ok(())
}

/// Whether every root has a folder at this path, whatever it is made of.
pub(crate) fn is_system_folder(path: &TreePath) -> bool {
    FOLDERS.iter().any(|(folder, _)| path.as_bytes() == folder.as_bytes())
}

/// Writes the host name, the hosts file, an empty `resolv.conf` and the environment.
pub(crate) fn write_names(files: &mut Files<'_>, appliance: &Appliance) -> Result<(), AssembleError> {
    let hostname = &appliance.hostname;
    let hosts = format!("127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    let write = |files: &mut Files<'_>, path: &str, text: String| {
        // Images link some of these to what a running system makes; where that is not there, the file stands for itself.
        if files.read_link(path).is_some() && !files.exists(path) {
            files.remove(path);
        }
        files.write(path, 0o644, text).map_err(|source| problem("write", path, source))
    };
    write(files, "etc/hostname", format!("{hostname}\n"))?;
    write(files, "etc/hosts", hosts)?;
    write(files, "etc/resolv.conf", String::new())?;
    if !appliance.env.is_empty() {
        write(files, "etc/environment", environment(&appliance.env))?;
    }
    // Empty and not absent: systemd then makes an id at first boot without taking the boot for a first one (machine-id(5)).
    write(files, "etc/machine-id", String::new())
}

/// Puts the guest binary at its fixed place.
pub(crate) fn put_guest(
    files: &mut Files<'_>,
    guest: Option<Content>,
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<(), AssembleError> {
    let Some(content) = guest else { return Ok(()) };
    let node = files.stamped(Node { kind: Kind::File(content), meta: Meta::root(0o755) });
    let place = files.put(GUEST_PATH, node).map_err(|source| problem("put", GUEST_PATH, source))?;
    origins.insert(place, Origin::Appliance);
    Ok(())
}

/// Lines for `/etc/environment` (pam_env(8)): `NAME="value"`, quotes and backslashes escaped.
fn environment(env: &BTreeMap<String, String>) -> String {
    let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ");
    env.iter().map(|(name, value)| format!("{name}=\"{}\"\n", quoted(value))).collect()
}

fn problem(doing: &'static str, path: &str, source: PathProblem) -> AssembleError {
    AssembleError::Path { doing, path: path.to_owned(), source }
}
