//! The last steps before the program: its streams and limits, then fewer and fewer rights, then the program itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bundle::capability::set_of;
use host::{CapabilitySets, Interest, LimitKind, RootDir};

use super::{Given, InsideError, at, hand_over};
use crate::bind::CHANNEL_FD;
use crate::oci::{Process, Seccomp};

/// Puts the standard streams and the channel at their numbers; all else is closed when the program starts.
///
/// With a terminal the streams are a new one of the container's own, whose other end the supervisor gets.
pub fn standard_streams(process: &Process, given: &Given) -> Result<Option<OwnedFd>, InsideError> {
    let program_end = if process.terminal { Some(terminal(given).map_err(at("open a terminal"))?) } else { None };
    let place = |fd: BorrowedFd<'_>, number: i32| host::place_at(&fd, number).map_err(at("place the standard streams"));
    // The channel moves last, to a number that none of the streams is waiting at.
    let lifted = given.channel.as_ref().map(lift).transpose().map_err(at("place the channel"))?;
    let streams: Vec<OwnedFd> =
        given.stdio.iter().map(lift).collect::<io::Result<_>>().map_err(at("place the standard streams"))?;
    for (number, stream) in (0..3).zip(&streams) {
        place(program_end.as_ref().unwrap_or(stream).as_fd(), number)?;
    }
    let told: Vec<(i32, OwnedFd)> = given
        .told_files
        .iter()
        .map(|(number, file)| Ok((*number, lift(file)?)))
        .collect::<io::Result<_>>()
        .map_err(at("place the files of the control groups"))?;
    host::close_on_exec_from(CHANNEL_FD).map_err(at("mark descriptors to be closed"))?;
    if let Some(channel) = &lifted {
        place(channel.as_fd(), CHANNEL_FD)?;
    }
    for (number, file) in &told {
        place(file.as_fd(), *number)?;
    }
    Ok(program_end)
}

/// A copy above the numbers that are about to be filled.
fn lift(fd: &impl AsFd) -> io::Result<OwnedFd> {
    host::duplicate_from(fd, 10)
}

fn terminal(given: &Given) -> io::Result<OwnedFd> {
    let multiplexer = std::fs::File::options().read(true).write(true).open("/dev/pts/ptmx")?;
    let pty = host::open_pty(OwnedFd::from(multiplexer))?;
    host::make_controlling(&pty.program)?;
    hand_over(&given.sync, &pty.supervisor)?;
    Ok(pty.program)
}

/// Sets limits; one that cannot be raised so far is set as high as it can be.
pub fn limits(process: &Process) -> Result<(), InsideError> {
    for limit in &process.rlimits {
        let kind = match limit.kind.as_str() {
            "RLIMIT_NOFILE" => LimitKind::OpenFiles,
            "RLIMIT_NPROC" => LimitKind::Processes,
            "RLIMIT_CORE" => LimitKind::CoreBytes,
            _ => continue,
        };
        host::set_limit(kind, limit.hard).map_err(at(&format!("set {}", limit.kind)))?;
    }
    Ok(())
}

/// Drops capabilities and the way back to them. The order matters: each step needs rights that the next one takes.
pub fn give_up_rights(process: &Process) -> Result<(), InsideError> {
    let held = &process.capabilities;
    let sets = CapabilitySets {
        bounding: set_of(&held.bounding),
        permitted: set_of(&held.permitted),
        ambient: set_of(&held.ambient),
    };
    host::set_capabilities(&sets).map_err(at("drop capabilities"))?;
    if process.no_new_privileges {
        host::forbid_new_privileges().map_err(at("forbid new privileges"))?;
    }
    host::die_with_parent().map_err(at("tie this process to its supervisor"))
}

/// Whether the supervisor lived until this process was tied to it: afterwards the kernel sees to that.
pub fn still_supervised(sync: &UnixStream) -> Result<(), InsideError> {
    let failed = at("find the supervisor alive");
    // It says nothing more, so that there is something to read only when its end is closed.
    match host::poll(&[Interest { fd: sync.as_fd(), read: true, write: false }], Some(0)) {
        Ok(ready) if ready.iter().all(|one| !one.read) => Ok(()),
        Ok(_) => Err(failed(io::ErrorKind::BrokenPipe.into())),
        Err(error) => Err(failed(error)),
    }
}

/// Installs the system call filter.
pub fn filter(seccomp: Option<&Seccomp>) -> Result<(), InsideError> {
    let Some(profile) = seccomp else { return Ok(()) };
    let failed = |reason: String| at("install the system call filter")(io::Error::other(reason));
    let arch = crate::seccomp::native_arch().map_err(failed)?;
    for program in crate::seccomp::programs(profile, arch).map_err(failed)? {
        seccompiler::apply_filter(&program).map_err(|error| failed(error.to_string()))?;
    }
    Ok(())
}

/// Becomes the program; comes back only with an error.
pub fn execute(process: &Process) -> Result<std::convert::Infallible, InsideError> {
    let Some((name, arguments)) = process.args.split_first() else {
        return Err(at("start the program")(io::ErrorKind::InvalidInput.into()));
    };
    let variable = |entry: &String| entry.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env: Vec<(String, String)> = process.env.iter().filter_map(variable).collect();
    let path = env.iter().find(|(name, _)| name == "PATH").map_or("", |(_, value)| value);
    let program = find(name, path).ok_or_else(|| at(&format!("start {name}"))(io::ErrorKind::NotFound.into()))?;
    let mut command = Command::new(program);
    command.arg0(name).args(arguments).env_clear().envs(env).current_dir(&process.cwd);
    Err(at(&format!("start {name}"))(command.exec()))
}

/// The file of a program: a path as it is, a name by the search path of the container.
fn find(name: &str, search: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let root = RootDir::open(Path::new("/")).ok()?;
    let folders = search.split(':').filter(|folder| folder.starts_with('/'));
    folders.map(|folder| Path::new(folder).join(name)).find(|path| root.resolve(path).is_ok())
}
