//! The container's first process, between its birth in new namespaces and the start of the program.
//!
//! It builds the root, gives up its rights and becomes the program. Everything is decided: it obeys the
//! configuration. Whatever fails is told over the socket to the supervisor, which undoes everything.

mod devices;
mod mounts;
mod process;
mod wire;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::bind::{Container, Ids};

/// What the process gets from the supervisor beside the plan.
#[derive(Debug)]
pub struct Given {
    /// Standard input, output and error.
    pub stdio: Vec<OwnedFd>,
    /// The guest's end of the channel.
    pub channel: Option<OwnedFd>,
    /// Open files of its control groups that the guest may read, each with its place after the channel.
    pub told_files: Vec<(i32, File)>,
    /// The socket to the supervisor.
    pub sync: UnixStream,
    /// Open `tasks` files of the groups to enter.
    pub groups: Vec<File>,
    /// A folder that is there to be mounted on.
    pub stage: PathBuf,
}

impl Given {
    fn descriptors(&self) -> Vec<RawFd> {
        let streams = self.stdio.iter().map(AsRawFd::as_raw_fd);
        let groups = self.groups.iter().map(AsRawFd::as_raw_fd);
        let channel = self.channel.iter().map(AsRawFd::as_raw_fd);
        let told = self.told_files.iter().map(|(_, file)| file.as_raw_fd());
        streams.chain(groups).chain(told).chain(channel).chain([self.sync.as_raw_fd()]).collect()
    }
}

/// What failed on the way to the program.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub struct InsideError {
    /// What was tried.
    pub what: String,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Runs until the program takes over; gives an exit status only when something failed.
pub fn become_program(container: &Container, given: Given) -> i32 {
    if host::die_with_parent().and_then(|()| host::close_all_but(&given.descriptors())).is_err() {
        return FAILED;
    }
    let Ok(mut sync) = given.sync.try_clone() else { return FAILED };
    let mut go = [0u8; 1];
    if sync.read_exact(&mut go).is_err() {
        // The supervisor is gone before the start: so are we, and nothing was made.
        return FAILED;
    }
    let Err(error) = all_steps(container, given);
    let _ = sync.write_all(error.to_string().as_bytes());
    // Closing with something unread would throw the message away at the other end.
    let _ = sync.shutdown(std::net::Shutdown::Write);
    let _ = sync.read_to_end(&mut Vec::new());
    FAILED
}

/// The status of a process whose set-up failed, as shells use it for a program that cannot be started.
const FAILED: i32 = 126;

fn all_steps(container: &Container, given: Given) -> Result<std::convert::Infallible, InsideError> {
    let config = &container.config;
    let linux = &config.linux;
    if container.ids != Ids::Host {
        host::become_root_inside(container.ids != Ids::Single).map_err(at("become root in the user namespace"))?;
    }
    for group in &given.groups {
        (&*group).write_all(b"0").map_err(at("enter the control groups"))?;
    }
    host::start_new_session().map_err(at("start a session"))?;
    host::set_host_name(&config.hostname).map_err(at("set the host name"))?;
    host::loopback_up().map_err(at("set the loopback device up"))?;
    if container.wire {
        wire::join(&given.sync)?;
    }
    host::make_all_private().map_err(at("make mounts private"))?;
    let root = mounts::root(container, &given.stage)?;
    mounts::all(container, &root)?;
    if container.wire {
        wire::name_server(&given.stage, &root)?;
    }
    mounts::seal(container, &root)?;
    mounts::hide(&linux.masked_paths, &linux.readonly_paths, &root)?;
    host::pivot_into(&root.path()).map_err(at("make the new root the root"))?;
    drop(root);
    let terminal = process::standard_streams(&config.process, &given)?;
    let mut placed = [0u8; 1];
    (&given.sync).read_exact(&mut placed).map_err(at("hear from the supervisor"))?;
    host::unshare_cgroups().map_err(at("make a cgroup namespace"))?;
    process::limits(&config.process)?;
    process::give_up_rights(&config.process)?;
    process::still_supervised(&given.sync)?;
    process::filter(linux.seccomp.as_ref())?;
    drop(terminal);
    process::execute(&config.process)
}

/// Names what was tried beside the error of the system.
fn at(what: &str) -> impl FnOnce(io::Error) -> InsideError {
    let what = what.to_owned();
    move |source| InsideError { what, source }
}

/// Sends the supervisor its end of the terminal.
fn hand_over(sync: &UnixStream, fd: &impl AsFd) -> io::Result<()> {
    host::send_with_fds(sync, TERMINAL_MARK, &[fd.as_fd().as_raw_fd()]).map(drop)
}

/// Goes along with the end of the wire.
pub const WIRE_MARK: &[u8] = b"\x01";

/// Goes along with the terminal; an error message starts with neither.
pub const TERMINAL_MARK: &[u8] = b"\0";
