//! A guest that runs for real as PID 1 of a pid namespace, with settings made for one test.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use bundle::channel::{Event, Happening, Request, Response, Session, Side};
use bundle::guest::{CHANNEL_FD_ENV, Probe, Ready, Restart, SCHEMA, Service, Settings, User};

/// What a guest printed, and how it ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A folder with settings, and the way to start a guest with them.
pub struct Bench {
    pub folder: Arc<tempfile::TempDir>,
    settings: Settings,
    env: Vec<(String, String)>,
    /// A file that the guest gets open, as of its control group.
    counts: Option<File>,
}

/// A guest that was started.
pub struct Running {
    child: Child,
    /// The settings must outlive the start of the guest.
    _folder: Arc<tempfile::TempDir>,
    /// The host's end of the channel.
    pub host: Option<Host>,
}

/// Why no guest can run as PID 1 here; printed once by the test that is skipped.
pub fn skip(test: &str) -> bool {
    let works =
        unshare().arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !works {
        eprintln!("SKIP {test}: `unshare` cannot make a pid namespace here");
    }
    !works
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    // SAFETY: the call has no arguments and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        command.args(["-U", "-r"]);
    }
    command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]);
    command
}

impl Bench {
    pub fn new(services: Vec<Service>) -> Self {
        let main = services.last().map(|service| service.name.clone());
        let settings = Settings {
            schema: SCHEMA,
            hostname: String::new(),
            env: Default::default(),
            services,
            main,
            tools: vec![],
            capabilities: vec![],
        };
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder can be made"));
        Self { folder, settings, env: vec![("APPLIANCE_SINGLE_ID".into(), "1".into())], counts: None }
    }

    /// The same folder with these services.
    pub fn with(self, services: Vec<Service>) -> Self {
        Self { folder: self.folder, ..Self::new(services) }
    }

    pub fn main(mut self, main: Option<&str>) -> Self {
        self.settings.main = main.map(str::to_owned);
        self
    }

    pub fn keeping(mut self, capabilities: &[&str]) -> Self {
        self.settings.capabilities = capabilities.iter().map(|&name| name.to_owned()).collect();
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The file `counts` in the folder says how many processes the kernel killed because memory ran out.
    pub fn counting_kills(mut self) -> Self {
        std::fs::write(self.path("counts"), "oom_kill 0\n").expect("the folder is ours");
        self.counts = Some(File::open(self.path("counts")).expect("it was just written"));
        self.env("APPLIANCE_MEMORY_LIMIT", "33554432")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn run(&self, args: &[&str]) -> Outcome {
        self.start(args).wait()
    }

    pub fn start(&self, args: &[&str]) -> Running {
        self.spawn(args, None)
    }

    pub fn start_with_channel(&self, args: &[&str]) -> Running {
        let (host, guest) = UnixStream::pair().expect("a socket pair can be made");
        let mut running = self.spawn(args, Some(guest.as_raw_fd()));
        running.host = Some(Host::new(host));
        running
    }

    fn spawn(&self, args: &[&str], channel: Option<i32>) -> Running {
        let settings = self.path("guest.json");
        std::fs::write(&settings, serde_json::to_vec(&self.settings).expect("settings are plain data"))
            .expect("settings can be written");
        let mut command = unshare();
        command.arg(env!("CARGO_BIN_EXE_guest")).arg("--settings").arg(settings).args(args);
        command.env_remove(CHANNEL_FD_ENV).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env("D", self.folder.path()).envs(channel.map(|fd| (CHANNEL_FD_ENV, fd.to_string())));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(fd) = channel {
            hand_over(&mut command, fd);
        }
        if let Some(fd) = self.counts.as_ref().map(AsRawFd::as_raw_fd) {
            command.env("APPLIANCE_GROUP_FILES", format!("memory.pressure=9999 memory.events={fd}"));
            hand_over(&mut command, fd);
        }
        Running {
            child: command.spawn().expect("the guest can be started"),
            _folder: Arc::clone(&self.folder),
            host: None,
        }
    }
}

/// Only this child may inherit the descriptor, not those that other tests start at the same time.
fn hand_over(command: &mut Command, fd: i32) {
    // SAFETY: the closure makes one system call, on a descriptor that is open until the child exists.
    unsafe {
        command.pre_exec(move || match libc::fcntl(fd, libc::F_SETFD, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    };
}

impl Running {
    /// Sends a signal to the guest itself, which is the child of `unshare`.
    pub fn signal(&self, signal: i32) {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let child = std::fs::read_to_string(children).expect("the kernel lists children");
        let pid = child.trim().parse().expect("the guest is the only child");
        // SAFETY: the process id is that of a child of a child that was not waited for.
        unsafe { libc::kill(pid, signal) };
    }

    pub fn wait(self) -> Outcome {
        let output = self.child.wait_with_output().expect("the guest can be waited for");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Outcome { status: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub fn host(&mut self) -> &mut Host {
        self.host.as_mut().expect("the guest was started with a channel")
    }
}

/// The host's end of a channel, blocking.
pub struct Host {
    pub socket: UnixStream,
    pub session: Session,
    happened: VecDeque<Happening>,
}

impl Host {
    fn new(socket: UnixStream) -> Self {
        Self { socket, session: Session::new(Side::Host), happened: VecDeque::new() }
    }

    /// Writes what is to be written and waits for what happens next; `None` when the guest has closed.
    pub fn next(&mut self) -> Option<Happening> {
        while self.happened.is_empty() {
            let output = self.session.output().to_vec();
            self.socket.write_all(&output).expect("the guest reads");
            self.session.wrote(output.len());
            let mut buffer = [0; 4096];
            let count = self.socket.read(&mut buffer).ok().filter(|count| *count > 0)?;
            self.happened.extend(self.session.receive(&buffer[..count]).expect("the guest speaks well"));
        }
        self.happened.pop_front()
    }

    /// Waits until something of interest happens; gives what `pick` makes of it.
    pub fn until<T>(&mut self, pick: impl Fn(&Happening) -> Option<T>) -> T {
        loop {
            let happening = self.next().expect("the guest keeps the channel open");
            if let Some(found) = pick(&happening) {
                return found;
            }
        }
    }

    pub fn until_ready(&mut self) {
        self.until(|happening| (*happening == Happening::Event(Event::Ready)).then_some(()));
    }

    pub fn ask(&mut self, request: &Request) -> Response {
        self.session.request(request).expect("a stream is free");
        self.until(|happening| match happening {
            Happening::Response { response, .. } => Some(response.clone()),
            _ => None,
        })
    }

    /// Every event until the guest closes the channel.
    pub fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(happening) = self.next() {
            if let Happening::Event(event) = happening {
                events.push(event);
            }
        }
        events
    }
}

/// A service that runs a shell script.
pub fn script(name: &str, text: &str) -> Service {
    program(name, &["sh", "-c", text])
}

pub fn program(name: &str, args: &[&str]) -> Service {
    Service {
        name: name.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: Default::default(),
        user: User { name: "root".to_owned(), uid: 0, gid: 0, groups: vec![], home: "/".to_owned() },
        after: vec![],
        restart: Restart::Never,
        restart_delay_ms: 1,
        ready: None,
        stop_grace_ms: 60_000,
    }
}

pub trait With {
    fn after(self, name: &str) -> Self;
    fn ready(self, probe: Probe, within_ms: u64) -> Self;
    fn restart(self, restart: Restart) -> Self;
    fn grace(self, stop_grace_ms: u64) -> Self;
}

impl With for Service {
    fn after(mut self, name: &str) -> Self {
        self.after.push(name.to_owned());
        self
    }

    fn ready(mut self, probe: Probe, within_ms: u64) -> Self {
        self.ready = Some(Ready { probe, within_ms });
        self
    }

    fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    fn grace(mut self, stop_grace_ms: u64) -> Self {
        self.stop_grace_ms = stop_grace_ms;
        self
    }
}

/// The path as text, for probes.
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
