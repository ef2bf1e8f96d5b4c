//! Linux: namespaces, mounts, capabilities, process handles, sockets with descriptors, terminals.

mod capabilities;
mod descriptors;
mod events;
mod mount;
mod network;
mod process;
mod rootdir;
mod signals;
mod terminal;
mod user;

pub use capabilities::{CapabilitySets, has_effective, set_capabilities};
pub use descriptors::{
    close_all_but, close_on_exec_from, duplicate_from, lock_exclusive, lock_shared, place_at, receive_with_fds,
    send_with_fds, sync_file_system, try_lock_exclusive,
};
pub use events::{Interest, Ready, poll};
pub use mount::{
    FsKind, MountFlags, bind, detach, fs_kind, make_all_private, mount_fs, mount_overlay, pivot_into, read_only_exe,
    remount_bind,
};
pub use network::{TUN, ask_about_network, loopback_up, make_tap, open_tun};
pub use process::{
    Child, Ended, Limit, LimitKind, Namespaces, ProcessHandle, clone_child, die_with_parent, forbid_new_privileges,
    process_exists, set_host_name, set_limit, start_new_session, start_time, unshare_cgroups,
};
pub use rootdir::{FileKind, RootDir, fd_path};
pub use signals::{SignalPipe, reset_signals};
pub use terminal::{Pty, RawTerminal, is_terminal, make_controlling, open_pty, terminal_size};
pub use user::{become_root_inside, effective_gid, effective_uid, writable};

use std::io;

/// Always succeeds here: the kernel has namespaces. Whether this user may use them is a fact to be probed.
pub fn require_containers() -> io::Result<()> {
    Ok(())
}

/// Turns a C return value of -1 into the error that the kernel left.
fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
