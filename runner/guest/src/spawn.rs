//! Starts one process: own session, own user, clean signals and file descriptors, and a reason when it fails.
//!
//! The child tells through a pipe at which step it failed; the pipe closes by itself when the program runs.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use bundle::guest::{DEFAULT_PATH, STATUS_NOT_EXECUTABLE, STATUS_NOT_FOUND, User};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat};
use nix::sys::wait::waitpid;
use nix::unistd::{self, ForkResult, Gid, Pid, Uid};

use crate::{capabilities, program};

/// How much likelier a victim than PID 1 everything is that it starts, and the most that there is.
const SCORE_ABOVE_INIT: i32 = 200;
const MAX_SCORE: i32 = 1_000;

/// What to start, and how.
pub struct Launch<'a> {
    /// Program and arguments; never empty.
    pub args: &'a [String],
    /// The whole environment.
    pub env: &'a [(String, String)],
    /// Who it runs as; `None` for no switch.
    pub user: Option<&'a User>,
    /// Capabilities that it keeps, one bit each.
    pub capabilities: u64,
    /// Go on when further groups cannot be set.
    pub tolerate_groups: bool,
    /// The working folder.
    pub folder: Option<&'a str>,
    /// A working folder that cannot be entered is an error; otherwise it starts in `/`, as a login without its home does.
    pub must_enter: bool,
    /// Standard input is a terminal that becomes the program's own.
    pub is_terminal: bool,
    /// Standard input; `None` to inherit it, and the terminal with it.
    pub stdin: Option<OwnedFd>,
    /// Standard output and standard error; `None` to inherit both.
    pub output: Option<(OwnedFd, OwnedFd)>,
}

/// Why a process could not be started: a sentence without its end, and the exit status that goes with it.
#[derive(Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// The sentence.
    pub reason: String,
    /// The exit status.
    pub status: u8,
}

/// Starts the process and gives its id, which is also that of its session and process group.
pub fn spawn(launch: &Launch<'_>) -> Result<Pid, SpawnError> {
    let prepared = Prepared::new(launch)?;
    let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC).map_err(|errno| failed("make a pipe", errno))?;
    // SAFETY: this program has one thread, so no lock can be held by a thread that the child lacks.
    match unsafe { unistd::fork() }.map_err(|errno| failed("make a process", errno))? {
        ForkResult::Child => {
            let Err((step, errno)) = prepared.become_program(launch);
            let _ = unistd::write(&writer, &[step as u8, (errno as i32).min(255) as u8]);
            // SAFETY: `_exit` ends the child without running anything that belongs to the parent.
            unsafe { libc::_exit(127) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            match failure(reader) {
                None => Ok(child),
                Some((step, errno)) => {
                    let _ = waitpid(child, None);
                    Err(prepared.explain(launch, step, errno))
                }
            }
        }
    }
}

/// Makes this process the program; comes back only when that fails.
pub fn become_it(launch: &Launch<'_>) -> SpawnError {
    let prepared = match Prepared::new(launch) {
        Ok(prepared) => prepared,
        Err(error) => return error,
    };
    let Err((step, errno)) = prepared.become_program(launch);
    prepared.explain(launch, step, errno)
}

/// Opens nothing in place of standard streams that are closed: what is opened later must not become one of them.
///
/// To be called before this program has opened anything.
pub fn open_standard_streams() {
    for number in 0..=2 {
        // SAFETY: asking for the flags of a number has no effect; a closed one gives an error.
        if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
            // It gets the lowest free number, which is this one. Where there are no devices yet nothing can be done.
            // SAFETY: the path is a text that ends with zero, and the number belongs to nothing.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

/// Closes all inherited file descriptors above standard error but these.
///
/// To be called before this program has opened anything.
pub fn close_inherited(but: impl Iterator<Item = RawFd>) {
    let mut kept: Vec<u32> = but.map(i32::unsigned_abs).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        close_range(first, fd.saturating_sub(1));
        first = fd + 1;
    }
    close_range(first, u32::MAX);
}

/// Closes both and all between; none where the last comes before the first.
fn close_range(first: u32, last: u32) {
    if first > last {
        return;
    }
    // SAFETY: the numbers belong to nothing in this program, which has opened nothing but what it keeps.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0_u32) } != 0 {
        for fd in first..last.min(1024) {
            // SAFETY: as above; a number that is not open gives an error and has no effect.
            unsafe { libc::close(fd.cast_signed()) };
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Step {
    Session,
    Streams,
    Capabilities,
    Groups,
    Group,
    User,
    Folder,
    Execute,
}

const STEPS: [Step; 8] = [
    Step::Session,
    Step::Streams,
    Step::Capabilities,
    Step::Groups,
    Step::Group,
    Step::User,
    Step::Folder,
    Step::Execute,
];

/// Everything that the child needs in the form that the kernel takes.
struct Prepared {
    path: PathBuf,
    search_path: String,
    program: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Prepared {
    fn new(launch: &Launch<'_>) -> Result<Self, SpawnError> {
        let name = launch.args.first().map(String::as_str).unwrap_or_default();
        let search_path = launch.env.iter().find(|(key, _)| key == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
        let path = program::find(name, search_path)
            .ok_or_else(|| SpawnError { reason: program::missing(name, search_path), status: STATUS_NOT_FOUND })?;
        Ok(Self {
            program: c_string(&path.to_string_lossy())?,
            args: launch.args.iter().map(|arg| c_string(arg)).collect::<Result<_, _>>()?,
            env: launch.env.iter().map(|(key, value)| c_string(&format!("{key}={value}"))).collect::<Result<_, _>>()?,
            path,
            search_path: search_path.to_owned(),
        })
    }

    fn become_program(&self, launch: &Launch<'_>) -> Result<Infallible, (Step, Errno)> {
        reset_signals();
        be_killed_before_others();
        // Who leads a session already, as what systemd starts, has one of its own.
        if unistd::getsid(None) != Ok(unistd::getpid()) {
            unistd::setsid().map_err(|errno| (Step::Session, errno))?;
        }
        connect_streams(launch).map_err(|errno| (Step::Streams, errno))?;
        capabilities::bound(launch.capabilities).map_err(|errno| (Step::Capabilities, errno))?;
        if let Some(user) = launch.user {
            become_user(user, launch.tolerate_groups)?;
        }
        capabilities::keep(launch.capabilities).map_err(|errno| (Step::Capabilities, errno))?;
        if let Some(folder) = launch.folder {
            let entered = unistd::chdir(folder);
            let entered = if launch.must_enter { entered } else { entered.or_else(|_| unistd::chdir("/")) };
            entered.map_err(|errno| (Step::Folder, errno))?;
        }
        unistd::execve(&self.program, &self.args, &self.env).map_err(|errno| (Step::Execute, errno))
    }

    fn explain(&self, launch: &Launch<'_>, step: Step, errno: Errno) -> SpawnError {
        let user =
            launch.user.map_or_else(String::new, |user| format!("{} (uid {}, gid {})", user.name, user.uid, user.gid));
        let reason = match step {
            Step::Execute => program::explain(&self.path, errno, &self.search_path),
            Step::Groups | Step::Group | Step::User if matches!(errno, Errno::EINVAL | Errno::EPERM) => {
                format!(
                    "failed to switch to user {user}: these ids do not exist in this appliance's user namespace, or switching is not permitted"
                )
            }
            Step::Groups | Step::Group | Step::User => format!("failed to switch to user {user}: {}", errno.desc()),
            Step::Folder => format!("failed to enter the folder {}: {}", launch.folder.unwrap_or("/"), errno.desc()),
            Step::Capabilities => format!("failed to take away capabilities: {}", errno.desc()),
            Step::Session => format!("failed to make a session: {}", errno.desc()),
            Step::Streams => format!("failed to connect standard streams: {}", errno.desc()),
        };
        let status = if step == Step::Execute { program::status_of(&self.path) } else { STATUS_NOT_EXECUTABLE };
        SpawnError { reason, status }
    }
}

fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: the default disposition installs no handler; numbers that cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// When memory is short the kernel looks for its victim here before it takes PID 1, with which all would end
/// (`/proc/PID/oom_score_adj` of proc(5)): to make oneself more likely takes no right.
fn be_killed_before_others() {
    const OWN: &str = "/proc/self/oom_score_adj";
    let inherited: i32 = fs::read_to_string(OWN).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let _ = fs::write(OWN, inherited.saturating_add(SCORE_ABOVE_INIT).min(MAX_SCORE).to_string());
}

fn connect_streams(launch: &Launch<'_>) -> nix::Result<()> {
    if let Some(stdin) = &launch.stdin {
        unistd::dup2_stdin(stdin)?;
    }
    if launch.stdin.is_none() || launch.is_terminal {
        // SAFETY: the request takes no pointer; it fails harmlessly when standard input is no terminal.
        unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    }
    if let Some((stdout, stderr)) = &launch.output {
        unistd::dup2_stdout(stdout)?;
        unistd::dup2_stderr(stderr)?;
    }
    Ok(())
}

fn become_user(user: &User, tolerate_groups: bool) -> Result<(), (Step, Errno)> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    hand_over_pipes(uid);
    // Who already is this user needs no right to switch.
    let is_already = Uid::effective() == uid && Gid::effective() == gid;
    match unistd::setgroups(&groups) {
        Err(errno) if !is_already && !tolerate_groups => return Err((Step::Groups, errno)),
        _ => {}
    }
    unistd::setresgid(gid, gid, gid).map_err(|errno| (Step::Group, errno))?;
    unistd::setresuid(uid, uid, uid).map_err(|errno| (Step::User, errno))
}

/// Gives the user the pipes, or the terminal, that are its standard streams: else it could not open `/dev/stdout` again. Without the right
/// to give files away, which a container's first process lacks, everyone inside may write to the pipes of its output.
fn hand_over_pipes(uid: Uid) {
    let everyone_writes = Mode::from_bits_truncate(0o622);
    let is_ours = |stream: BorrowedFd<'_>| {
        let is_pipe =
            fstat(stream).is_ok_and(|stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO);
        is_pipe || unistd::isatty(stream).unwrap_or(false)
    };
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for (stream, is_output) in [(input.as_fd(), false), (output.as_fd(), true), (error.as_fd(), true)] {
        if is_ours(stream) && unistd::fchown(stream, Some(uid), None).is_err() && is_output {
            // Where this fails too, the pipe belongs to somebody outside, and only opening it again is impossible.
            let _ = fchmod(stream, everyone_writes);
        }
    }
}

fn failure(reader: OwnedFd) -> Option<(Step, Errno)> {
    let mut said = Vec::new();
    let _ = File::from(reader).take(2).read_to_end(&mut said);
    match said.as_slice() {
        [step, errno] => STEPS.get(usize::from(*step)).map(|step| (*step, Errno::from_raw(i32::from(*errno)))),
        _ => None,
    }
}

fn c_string(text: &str) -> Result<CString, SpawnError> {
    CString::new(text)
        .map_err(|_| SpawnError { reason: format!("{text:?} holds a zero byte"), status: STATUS_NOT_EXECUTABLE })
}

fn failed(what: &str, errno: Errno) -> SpawnError {
    SpawnError { reason: format!("failed to {what}: {}", errno.desc()), status: STATUS_NOT_EXECUTABLE }
}

/// A pipe for the output of a service; reading from it never blocks.
pub fn output_pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = unistd::pipe2(OFlag::O_CLOEXEC)?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// Standard input or output of a process that has nothing to read and nobody who listens.
pub fn null() -> std::io::Result<OwnedFd> {
    File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from)
}
