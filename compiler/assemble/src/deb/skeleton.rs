//! What must stand before the first package is unpacked: the links that make `/usr` merged.

use spec::appliance::Arch;
use tree::Node;

use crate::files::{Files, PathProblem};

/// Makes `/bin`, `/sbin`, `/lib` and, where the dynamic linker's path needs it, `/lib64` links into `/usr`.
///
/// Every supported release is merged: Debian since 12 and Ubuntu since 20.04 install no other way. Packages of these
/// releases still name the old paths, so the links come first, as the distributions' own installers make them.
pub(crate) fn make(files: &mut Files<'_>, arch: Arch) -> Result<(), PathProblem> {
    let folders: &[&str] = match arch {
        Arch::Amd64 => &["bin", "lib", "lib64", "sbin"],
        Arch::Arm64 => &["bin", "lib", "sbin"],
    };
    for name in folders {
        files.make_dir(format!("/usr/{name}"), 0o755)?;
        files.put(format!("/{name}"), files.stamped(Node::symlink(format!("usr/{name}"))))?;
    }
    Ok(())
}
