//! The two last steps before a script: one process that makes the PID and mount namespaces, and the first
//! process inside them, which mounts the overlay, changes into it and becomes the script.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{chdir, chroot, sethostname};

use crate::HELPER_ARG;

/// Where the script stands when its own place in the package database does not hold it.
const SCRIPT_PLACE: &str = "run/maintainer-script";

/// Enters new namespaces and waits for the first process inside; gives its status.
pub(crate) fn enter(work: &Path) -> u8 {
    let outcome = (|| {
        set_pdeathsig(Signal::SIGKILL)?;
        chdir(work)?;
        unshare(CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWCGROUP)?;
        Command::new("/proc/self/exe").args([HELPER_ARG, "init"]).status()
    })();
    match outcome {
        Ok(status) => status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)) as u8,
        Err(error) => report("cannot enter the script's namespaces", error),
    }
}

/// As the first process inside, in the working folder: prepares the root and becomes the script.
pub(crate) fn init() -> u8 {
    let prepared = (|| -> io::Result<Command> {
        set_pdeathsig(Signal::SIGKILL)?;
        let command = script_command()?;
        mount_root().map_err(|error| io::Error::other(format!("mount an overlay of the tree: {error}")))?;
        mount_kernel_folders()?;
        place_script(&command)?;
        Ok(command)
    })();
    // The file is opened before the root changes, so that a failure after it can still be told.
    let error_file = File::options().write(true).open("error");
    match prepared.and_then(become_script) {
        Ok(never) => match never {},
        Err(error) => {
            match error_file.and_then(|mut file| io::Write::write_all(&mut file, error.to_string().as_bytes())) {
                Ok(()) => 1,
                Err(_) => report("cannot start the script", error),
            }
        }
    }
}

fn script_command() -> io::Result<Command> {
    let list = |file| -> io::Result<Vec<Vec<u8>>> {
        let text = fs::read(file)?;
        Ok(text.split_inclusive(|&byte| byte == 0).map(|item| item[..item.len() - 1].to_vec()).collect())
    };
    let mut command = Command::new(format!("/{}", own_place()?.unwrap_or_else(|| SCRIPT_PLACE.to_owned())));
    command.args(list("args")?.into_iter().map(OsString::from_vec)).env_clear();
    for pair in list("env")? {
        let at = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        let value = pair.get(at + 1..).unwrap_or_default().to_vec();
        command.env(OsString::from_vec(pair[..at].to_vec()), OsString::from_vec(value));
    }
    Ok(command)
}

/// The script's own file in dpkg's database, where it stands there unchanged: some tools look at `$0`.
fn own_place() -> io::Result<Option<String>> {
    let name = fs::read_to_string("name")?;
    let Some((package, script)) = name.split_once(' ') else { return Ok(None) };
    let place = format!("var/lib/dpkg/info/{package}.{script}");
    let same = fs::read(Path::new("base").join(&place))
        .is_ok_and(|bytes| fs::read("script").is_ok_and(|script| script == bytes));
    Ok(same.then_some(place))
}

/// Names are relative to the working folder, so that no byte of its path can be taken for an option.
fn mount_root() -> nix::Result<()> {
    let options = "lowerdir=base,upperdir=upper,workdir=overlay,userxattr";
    mount(Some("overlay"), "root", Some("overlay"), MsFlags::empty(), Some(options))
}

fn mount_kernel_folders() -> io::Result<()> {
    let root = Path::new("root");
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    for folder in ["dev", "proc", "run", "sys", "tmp"] {
        if !root.join(folder).is_dir() {
            fs::create_dir(root.join(folder))?;
        }
    }
    for (folder, mode) in [("dev", "mode=755"), ("run", "mode=755"), ("sys", "mode=755"), ("tmp", "mode=1777")] {
        mount(Some("tmpfs"), &root.join(folder), Some("tmpfs"), quiet, Some(mode))?;
    }
    // A host that masks parts of its own /proc refuses a fresh one to a user namespace; scripts get by without.
    let _ = mount(Some("proc"), &root.join("proc"), Some("proc"), quiet | MsFlags::MS_NOEXEC, None::<&str>);
    for device in ["full", "null", "random", "tty", "urandom", "zero"] {
        let inside = root.join("dev").join(device);
        File::create(&inside)?;
        mount(Some(&Path::new("/dev").join(device)), &inside, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    for (name, target) in [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
        symlink(target, root.join("dev").join(name))?;
    }
    Ok(())
}

fn place_script(command: &Command) -> io::Result<()> {
    let place = Path::new("root").join(SCRIPT_PLACE);
    if command.get_program() == Path::new("/").join(SCRIPT_PLACE) {
        fs::copy("script", &place)?;
        fs::set_permissions(&place, Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn become_script(mut command: Command) -> io::Result<std::convert::Infallible> {
    chroot("root")?;
    chdir("/")?;
    sethostname("localhost")?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    set_no_new_privs()?;
    let error = command.exec();
    Err(io::Error::new(error.kind(), format!("{}: {error}", command.get_program().display())))
}

fn report(what: &str, error: io::Error) -> u8 {
    let text = format!("{what}: {error}");
    if fs::write("error", &text).is_err() {
        eprintln!("{text}");
    }
    1
}
