//! Processes: cloning into namespaces, handles that cannot be confused with a reused number, limits.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// The namespaces that a child gets for its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Namespaces {
    /// User and group ids.
    pub user: bool,
    /// Mount points.
    pub mount: bool,
    /// Process ids; the child is number 1.
    pub pid: bool,
    /// Network devices and sockets.
    pub network: bool,
    /// System V and POSIX message queues.
    pub ipc: bool,
    /// Host name.
    pub uts: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It called exit with this status.
    Exit(i32),
    /// This signal killed it.
    Signal(i32),
}

/// A handle on a process that never means another one, also after its number was given away again.
#[derive(Debug)]
pub struct ProcessHandle(OwnedFd);

/// A child of this process.
#[derive(Debug)]
pub struct Child {
    /// Its number in this process's pid namespace.
    pub pid: i32,
    /// The handle that signals and waits go through.
    pub handle: ProcessHandle,
}

/// A resource limit that can be lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// Open descriptors.
    OpenFiles,
    /// Processes of the real user id.
    Processes,
    /// Size of a core file in bytes.
    CoreBytes,
}

/// What became of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The limit now in force.
    pub value: u64,
    /// Whether it is lower than asked because the caller may not raise it.
    pub clamped: bool,
}

/// Starts `child` in a new process with namespaces of its own; its result is the exit status.
///
/// # Errors
/// Fails when this process has more than one thread, because a copy of one thread of many may find
/// locks taken for ever; and with whatever the kernel says.
pub fn clone_child(namespaces: Namespaces, child: impl FnOnce() -> i32) -> io::Result<Child> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("only a process with a single thread can be cloned"));
    }
    let mut pidfd: libc::c_int = -1;
    let flags = namespaces.flags() | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: without CLONE_VM and with no stack given this is fork: the child has its own copy of
    // memory, and as there is one thread no lock is held by anybody else. `pidfd` outlives the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags as libc::c_ulong, 0, &raw mut pidfd, 0, 0) };
    if check(pid)? == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(70);
        // SAFETY: _exit has no preconditions; it keeps the child from running the parent's destructors.
        unsafe { libc::_exit(code) }
    }
    // SAFETY: the kernel has just made this descriptor for us and nobody else knows it.
    let handle = ProcessHandle(unsafe { OwnedFd::from_raw_fd(pidfd) });
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Ok(Child { pid, handle })
}

impl Namespaces {
    fn flags(self) -> libc::c_int {
        let of = |wanted: bool, flag: libc::c_int| if wanted { flag } else { 0 };
        of(self.user, libc::CLONE_NEWUSER)
            | of(self.mount, libc::CLONE_NEWNS)
            | of(self.pid, libc::CLONE_NEWPID)
            | of(self.network, libc::CLONE_NEWNET)
            | of(self.ipc, libc::CLONE_NEWIPC)
            | of(self.uts, libc::CLONE_NEWUTS)
    }
}

impl ProcessHandle {
    /// A handle on the running process with this number, if its start time is still the expected one.
    ///
    /// # Errors
    /// `NotFound` when there is no such process or another one has the number now.
    pub fn open(pid: i32, expected_start_time: u64) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two integers and gives a new descriptor.
        let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
        let raw = i32::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the kernel has just made this descriptor for us.
        let handle = Self(unsafe { OwnedFd::from_raw_fd(raw) });
        if start_time(pid)? != expected_start_time {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another process has this number now"));
        }
        Ok(handle)
    }

    /// Sends a signal; success too when the process has ended and not yet been waited for.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: a descriptor, a number and a null information pointer, which the kernel fills in itself.
        let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, self.0.as_raw_fd(), signal, 0, 0) };
        check(sent).map(drop)
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Child {
    /// Waits for the end and takes up the status. Ask once.
    pub fn wait(&self) -> io::Result<Ended> {
        loop {
            // SAFETY: an all-zero siginfo_t is valid; the kernel writes into it.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            let id = self.handle.0.as_raw_fd() as libc::id_t;
            // SAFETY: `info` outlives the call.
            let waited = unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, libc::WEXITED) };
            match check(waited.into()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(_) => {
                    // SAFETY: after waitid with WEXITED the status field is the valid one.
                    let status = unsafe { info.si_status() };
                    let exited = info.si_code == libc::CLD_EXITED;
                    return Ok(if exited { Ended::Exit(status) } else { Ended::Signal(status) });
                }
            }
        }
    }
}

/// When a process was started, in clock ticks since the machine's start: with the number it names one process for ever.
pub fn start_time(pid: i32) -> io::Result<u64> {
    state_and_start_time(pid).map(|(_, time)| time)
}

/// State letter and start time (the third and the twenty-second field of proc_pid_stat(5)).
fn state_and_start_time(pid: i32) -> io::Result<(char, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, "no such process"))?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next().and_then(|text| text.chars().next());
    let time = fields.nth(18).and_then(|text| text.parse().ok());
    state.zip(time).ok_or_else(|| io::Error::other("unreadable process status"))
}

/// Whether the process with this number and start time still runs; one that only waits to be waited for does not.
pub fn process_exists(pid: i32, expected_start_time: u64) -> bool {
    state_and_start_time(pid).is_ok_and(|(state, time)| time == expected_start_time && !matches!(state, 'Z' | 'X'))
}

/// Has the kernel kill this process when its parent ends. Call it last: a change of rights takes it back.
pub fn die_with_parent() -> io::Result<()> {
    // SAFETY: prctl with integers only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) }.into()).map(drop)
}

/// From here on no program that is started can gain rights by its file's bits.
pub fn forbid_new_privileges() -> io::Result<()> {
    // SAFETY: prctl with integers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into()).map(drop)
}

/// Makes this process the leader of a session of its own, without a terminal.
pub fn start_new_session() -> io::Result<()> {
    // SAFETY: setsid takes nothing.
    check(unsafe { libc::setsid() }.into()).map(drop)
}

/// Gives this process a cgroup namespace rooted at the cgroup it is in.
pub fn unshare_cgroups() -> io::Result<()> {
    // SAFETY: unshare with one flag; it changes this process only.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into()).map(drop)
}

/// Sets the host name of this UTS namespace.
pub fn set_host_name(name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: pointer and length describe the same live buffer.
    check(unsafe { libc::sethostname(name.as_ptr(), name.as_bytes().len()) }.into()).map(drop)
}

/// Lowers or raises a limit as far as allowed; never fails for wanting too much.
pub fn set_limit(kind: LimitKind, wanted: u64) -> io::Result<Limit> {
    let resource = match kind {
        LimitKind::OpenFiles => libc::RLIMIT_NOFILE,
        LimitKind::Processes => libc::RLIMIT_NPROC,
        LimitKind::CoreBytes => libc::RLIMIT_CORE,
    };
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `now` outlives the call.
    check(unsafe { libc::getrlimit(resource, &raw mut now) }.into())?;
    let value = wanted.min(now.rlim_max);
    let new = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: `new` outlives the call.
    check(unsafe { libc::setrlimit(resource, &raw const new) }.into())?;
    Ok(Limit { value, clamped: value < wanted })
}
