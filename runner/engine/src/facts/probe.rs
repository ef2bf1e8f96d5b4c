//! Trying what an ordinary user needs: a user namespace with mounts and an overlay in it, made by a short-lived helper process.

use std::path::Path;
use std::process::Command;

use host::{MountFlags, Namespaces};

use super::Probe;

/// The helper's second argument for this.
pub const PROBE_ARG: &str = "probe";

/// Whether it works, tried by the helper program.
pub fn user_namespaces(helper: &Path) -> Probe {
    match Command::new(helper).args([crate::HELPER_ARG, PROBE_ARG]).output() {
        Ok(output) if output.status.success() => Probe::Works,
        Ok(output) => Probe::Fails(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Probe::Fails(format!("the helper process does not start: {error}")),
    }
}

/// The helper's side: prints the reason and gives 1 when it does not work.
pub fn probe_main() -> i32 {
    let namespaces = Namespaces { user: true, mount: true, pid: true, ..Namespaces::default() };
    let (uid, gid) = (host::effective_uid(), host::effective_gid());
    let inside = || match map_self(uid, gid).and_then(|()| try_overlay()) {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("{reason}");
            1
        }
    };
    let ended = host::clone_child(namespaces, inside).and_then(|child| child.wait());
    match ended {
        Ok(host::Ended::Exit(code)) => code,
        Ok(host::Ended::Signal(signal)) => {
            eprintln!("the process in a user namespace was killed by signal {signal}");
            1
        }
        Err(error) => {
            eprintln!("the kernel lets this user make no user namespaces: {error}");
            1
        }
    }
}

/// Makes the user root inside; without any mapped id no file can be made (user_namespaces(7)).
fn map_self(uid: u32, gid: u32) -> Result<(), String> {
    let write = |file: &str, text: String| {
        std::fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| format!("mapping ids fails: {file}: {error}"))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("0 {uid} 1"))?;
    write("gid_map", format!("0 {gid} 1"))
}

/// The mounts that a container needs, over a folder that every machine has.
fn try_overlay() -> Result<(), String> {
    let said = |what: &'static str| move |error: std::io::Error| format!("in a user namespace, {what} fails: {error}");
    host::make_all_private().map_err(said("making mounts private"))?;
    let at = Path::new("/proc");
    host::mount_fs("tmpfs", "tmpfs", at, MountFlags::default(), "mode=0755").map_err(said("mounting a tmpfs"))?;
    for name in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir(at.join(name)).map_err(said("making a folder"))?;
    }
    let data = "lowerdir=/proc/lower,upperdir=/proc/upper,workdir=/proc/work,userxattr";
    host::mount_overlay(Path::new("/proc/merged"), data.as_ref()).map_err(said("mounting an overlay"))
}
