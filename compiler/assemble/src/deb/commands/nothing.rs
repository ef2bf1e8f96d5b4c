//! Commands without a lasting effect on a file system that nobody runs, and those whose work is left out on purpose.

use super::{Call, Unknown};

/// Nothing runs, so nothing is started, stopped or asked.
pub(super) fn no_init(_: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    Ok(0)
}

/// `systemctl`: talking to the manager does nothing here; of what changes unit files only enabling is understood.
pub(super) fn systemctl(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let verb = call.args.iter().find(|arg| !arg.starts_with('-')).map(String::as_str);
    match verb {
        Some(
            "daemon-reload" | "daemon-reexec" | "start" | "stop" | "restart" | "try-restart" | "reload"
            | "reload-or-restart" | "kill" | "condrestart",
        ) => Ok(0),
        Some("is-active" | "is-system-running" | "status") => Ok(3),
        Some("enable") => match call.args {
            [verb, units @ ..] if verb == "enable" && !units.iter().any(|unit| unit.starts_with('-')) => {
                super::systemd_helper::systemctl_enable(call, units)
            }
            _ => call.unknown("this use is not understood"),
        },
        _ => call.unknown("this verb is not understood"),
    }
}

/// `invoke-rc.d`: policy forbids every action in an image (status 101 shows as success, invoke-rc.d(8)); nothing runs.
pub(super) fn invoke_rc(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    Ok(if call.args.iter().any(|arg| arg == "status") { 3 } else { 0 })
}

/// No daemon answers and no socket listens.
pub(super) fn no_daemon(_: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    Ok(0)
}

/// No process is found.
pub(super) fn no_process(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    Ok(i32::from(call.name != "who"))
}

/// An image is no running system: as in a chroot.
pub(super) fn in_chroot(_: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    Ok(0)
}

/// Machine ids are made at first boot, never in an image; what stands for one has the mode that the program gives it.
pub(super) fn machine_id(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    call.system.note("the machine id is left to the first start");
    if !call.files.exists("/etc/machine-id") {
        let mode = if call.name == "systemd-machine-id-setup" { 0o444 } else { 0o644 };
        call.files.write("/etc/machine-id", mode, "")?;
    }
    Ok(0)
}

/// Bytecode differs from build to build and Python makes it when it can, so none is kept.
pub(super) fn no_bytecode(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    call.system.note("no Python bytecode is kept");
    Ok(0)
}

/// A cache that the first boot makes.
pub(super) fn left_to_first_boot(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    call.system.note(&format!("`{} {}` is left to the first boot", call.name, call.args.join(" ")));
    call.system.first_boot = true;
    Ok(0)
}

/// `dpkg-realpath` (dpkg-realpath(1)): the path with links followed, as seen from the root.
pub(super) fn realpath(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let words: Vec<&String> =
        call.args.iter().filter(|arg| !arg.is_empty() && *arg != "--root" && *arg != "/").collect();
    let [path] = words.as_slice() else { return call.unknown("this use is not understood") };
    if path.starts_with('-') {
        return call.unknown_option(path);
    }
    match call.files.resolve(path, true) {
        Ok(place) => call.say(&place.display()),
        Err(_) => return call.fail(1, &format!("error: cannot resolve {path}")),
    }
    Ok(0)
}

/// `getcap` (getcap(8)): prints nothing for a file without capabilities; how it shows others is not understood.
pub(super) fn getcap(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    for path in call.args {
        if path.starts_with('-')
            || call.files.stat(path).is_none_or(|node| node.meta.xattrs.contains_key(&b"security.capability"[..]))
        {
            return call.unknown("only files without capabilities are understood");
        }
    }
    Ok(0)
}

/// Never understood.
pub(super) fn refuse(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    call.unknown("it is not emulated")
}
