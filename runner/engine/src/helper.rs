//! The helper process: a single thread that takes the steps, supervises the container and undoes everything.
//!
//! It lives in a session of its own, so that signals of the terminal reach only the command, which passes
//! them on. When the command is gone its socket ends, and the helper stops the container and cleans up.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use host::{Child, Namespaces};

use crate::bind::{Body, Bound, CHANNEL_FD, Container, Ids, Machine};
use crate::control::{Desk, Info, OpenPort, State};
use crate::ended;
use crate::handed;
use crate::id_namespace::IdNamespace;
use crate::inside;
use crate::journal::{self, Journal, Line};
use crate::layers::{InUse, Roots};
use crate::machine::{Command, Running};
use crate::outbound::Serving;
use crate::ports::{PortError, Ports};
use crate::steps::Step;
use crate::supervise::{Given, Supervisor, Terminal};
use crate::volume_facts;
use crate::wire::{self, Report};

/// The helper's main function: `arguments` are those after [`crate::HELPER_ARG`]. Gives the exit status.
pub fn helper_main(arguments: &[String]) -> i32 {
    match arguments.first().map(String::as_str) {
        Some(crate::facts::PROBE_ARG) => crate::facts::probe_main(),
        Some(crate::facts::PROBE_MACHINE_ARG) => crate::facts::probe_machine_main(),
        Some(RUN_ARG) => run_main(),
        Some(crate::unpacked::ROOTS_ARG) => crate::unpacked::roots_main(arguments.get(1..).unwrap_or_default()),
        Some(crate::volumes::VOLUMES_ARG) => crate::volumes::volumes_main(arguments.get(1..).unwrap_or_default()),
        _ => 64,
    }
}

/// The helper's second argument for a run.
pub const RUN_ARG: &str = "run";

/// What went wrong on the way, with its causes.
pub type Failure = Box<dyn std::error::Error>;

fn run_main() -> i32 {
    let Ok(socket) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else { return 64 };
    // It fails only for a process that leads a session already.
    let _ = host::start_new_session();
    let (bound, stdio) = match wire::receive_order(&socket) {
        Ok(order) => order,
        Err(error) => {
            let reason = format!("read the order: {error}");
            wire::report(&socket, &Report::Failed { reason, remedy: None, left: Vec::new() });
            return 1;
        }
    };
    // Its short name; one that cannot be set is that of the file that was started.
    let _ = std::fs::write("/proc/self/comm", format!("appliance: {}", bound.instance));
    let mut run = Run {
        bound: &bound,
        socket: &socket,
        taken: Vec::new(),
        layers: Vec::new(),
        journal: None,
        desk: None,
        made: Vec::new(),
    };
    let result = run.steps(stdio);
    let (removed, left) = run.end(&result);
    let last = match result {
        Ok(host::Ended::Exit(status)) => Report::Ended { status: Some(status), signal: None, removed, left },
        Ok(host::Ended::Signal(signal)) => Report::Ended { status: None, signal: Some(signal), removed, left },
        Err(failure) if failure.is::<NameTaken>() => Report::NameTaken,
        Err(failure) => {
            let holder = |port: u16| journal::holder_of_port(&bound.state_folder, port);
            let remedy = failure.downcast_ref::<PortError>().map(|error| error.remedy(holder));
            Report::Failed { reason: causes(failure.as_ref()), remedy, left }
        }
    };
    wire::report(&socket, &last);
    0
}

/// A run under way.
pub struct Run<'a> {
    /// What to do.
    pub bound: &'a Bound,
    /// The command that started it.
    pub socket: &'a UnixStream,
    /// Steps to undo.
    pub taken: Vec<Step>,
    /// Kept from removal as long as this process lives.
    pub layers: Vec<InUse>,
    /// Where they are written down.
    pub journal: Option<Journal>,
    /// Where commands come.
    pub desk: Option<Desk>,
    /// What was made on the host, in words.
    pub made: Vec<String>,
}

/// The name is taken by an instance that runs, or is being started.
#[derive(Debug, thiserror::Error)]
#[error("make the instance: there is one of this name")]
struct NameTaken;

impl Run<'_> {
    /// Takes the steps; the last one starts the container, whose end is the result.
    fn steps(&mut self, stdio: Vec<OwnedFd>) -> Result<host::Ended, Failure> {
        let bound = self.bound;
        // A name that is taken is worth more words than a port that its owner has taken too.
        let journal = Journal::create(&bound.state_folder, &bound.instance, &bound.about);
        self.journal = Some(journal.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Failure::from(NameTaken),
            _ => error.into(),
        })?);
        self.set_earlier_aside()?;
        let ports = Ports::listen(&bound.ports)?;
        let mut opened = Vec::new();
        for (inside, address, moved) in ports.addresses() {
            let holder = moved.as_ref().and_then(|moved| journal::holder_of_port(&bound.state_folder, moved.wanted));
            let moved = moved.map(|moved| moved.by(holder));
            wire::report(self.socket, &Report::PortOpen { inside, address, moved });
            opened.push(OpenPort { inside, address });
        }
        self.note(&Line::Ports(opened.clone()))?;
        let (stdio, printed) = if bound.about.detached { detached_streams()? } else { (stdio, None) };
        let mut stdio = Some(stdio);
        self.open_desk(opened, printed)?;
        for step in &bound.steps {
            self.note(&Line::Step(step.clone()))?;
            self.taken.push(step.clone());
            match step {
                Step::Unpack(layer) => self.unpack(layer)?,
                Step::MakeVolume { folder } => self.volume(folder, step)?,
                Step::MakeVolumeDisk { file, .. } => {
                    volume_facts::is_free(bound, file)?;
                    step.take()?;
                }
                Step::Start => return self.start(ports, stdio.take().unwrap_or_default()),
                other => other.take()?,
            }
        }
        Err("the plan never starts anything".into())
    }

    /// What an earlier one of this name left to be read goes with this one's folder, once this one has run.
    fn set_earlier_aside(&self) -> Result<(), Failure> {
        let (bound, Some(journal)) = (self.bound, &self.journal) else { return Ok(()) };
        let earlier = ended::of(&bound.state_folder, &bound.instance).ok().flatten();
        ended::set_aside(&bound.state_folder, &bound.instance, journal.folder())?;
        if let Some(earlier) = earlier {
            wire::report(self.socket, &Report::Replaces { status: earlier.status });
        }
        Ok(())
    }

    /// The instance can be talked to from here on.
    fn open_desk(&mut self, ports: Vec<OpenPort>, printed: Option<[File; 2]>) -> Result<(), Failure> {
        let (bound, Some(journal)) = (self.bound, &self.journal) else { return Ok(()) };
        let folder = journal.folder();
        self.made = vec![format!("folder {}", folder.display())];
        self.made.extend(ports.iter().map(|port| format!("listener at {}", port.address)));
        let groups: Vec<_> = bound.steps.iter().filter_map(Step::group).map(Path::to_owned).collect();
        self.made.extend(groups.iter().map(|group| format!("control group {}", group.display())));
        let info = Info {
            name: bound.instance.clone(),
            about: bound.about.clone(),
            state: State::Starting,
            pid: 0,
            start_time: 0,
            supervisor: std::process::id(),
            ports,
            groups,
            out_of_memory: None,
            machine: bound.machine().is_some(),
            stop: None,
        };
        let desk = Desk::open(folder, info, printed).map_err(|error| format!("open the instance's socket: {error}"))?;
        self.desk = Some(desk);
        Ok(())
    }

    fn note(&mut self, line: &Line) -> io::Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.append(line))
    }

    /// In the user namespace that the container will have, so that owners come out right.
    fn unpack(&mut self, layer: &crate::Layer) -> Result<(), Failure> {
        let Some(container) = self.bound.container() else { return Ok(()) };
        let roots = Roots::new(container.roots_folder.clone());
        self.layers.push(roots.mark_used(layer)?);
        if !roots.has(layer) {
            let one_owner = container.ids == Ids::Single;
            let layers = container.layers.as_slice();
            let below = layers.iter().position(|one| one == layer).and_then(|at| layers.get(..at)).unwrap_or_default();
            id_namespace(container).inside(|| Ok(roots.ensure(layer, below, one_owner).map(|()| Vec::new())?))?;
        }
        Ok(())
    }

    /// One that is unusual is told. An empty one of somebody else's is made anew.
    fn volume(&self, folder: &Path, step: &Step) -> Result<(), Failure> {
        let Some(container) = self.bound.container() else { return Ok(()) };
        let unusual = volume_facts::unusual(self.bound, container, folder);
        if unusual.iter().any(|report| matches!(report, Report::SharedVolume { .. })) || unusual.is_empty() {
            step.take()?;
        } else if std::fs::remove_dir(folder).is_ok() {
            // What was said of its owner is no longer true.
            return Ok(step.take()?);
        }
        unusual.iter().for_each(|report| wire::report(self.socket, report));
        Ok(())
    }

    fn start(&mut self, ports: Ports, stdio: Vec<OwnedFd>) -> Result<host::Ended, Failure> {
        match &self.bound.body {
            Body::Container(container) => self.start_container(container, ports, stdio),
            Body::Machine(machine) => self.start_machine(machine, ports, stdio),
        }
    }

    fn start_machine(&mut self, machine: &Machine, ports: Ports, stdio: Vec<OwnedFd>) -> Result<host::Ended, Failure> {
        let bound = self.bound;
        let (child, mut ends) = crate::machine::start(machine)?;
        let mut leash = Leash(Some(child));
        let Some(child) = leash.0.as_ref() else { return Err("the machine is gone".into()) };
        let start_time = host::start_time(child.pid)?;
        self.note(&Line::Init { pid: child.pid, start_time })?;
        for group in bound.steps.iter().filter_map(Step::group) {
            enter_group(group, child.pid)?;
        }
        wire::report(self.socket, &Report::Started { pid: child.pid, start_time });
        self.made.push(format!("process {}, the machine", child.pid));
        let Some(desk) = &mut self.desk else { return Err("nobody could talk to it".into()) };
        desk.started(child.pid, start_time);
        let wire = ends.wire.take().map(|end| network::Wire::Stream(end.into()));
        let network = serve(bound, wire)?;
        let command = machine.command.as_ref().map(|command| Command::new(command, &stdio)).transpose()?;
        let (running, channel) = Running::new(machine, ends, stdio);
        let Some(child) = leash.0.take() else { return Err("the machine is gone".into()) };
        let channel = Some(channel);
        let given = Given { child, ports, channel, terminal: None, machine: Some(running), command, network };
        Ok(Supervisor::new(bound, self.socket, given, desk)?.run()?)
    }

    fn start_container(
        &mut self,
        container: &Container,
        ports: Ports,
        stdio: Vec<OwnedFd>,
    ) -> Result<host::Ended, Failure> {
        let bound = self.bound;
        let stage = self.journal.as_ref().map(|journal| journal.folder().join("stage")).unwrap_or_default();
        std::fs::create_dir(&stage)?;
        let (mut sync, sync_inside) = UnixStream::pair()?;
        let (channel, channel_inside) =
            if bound.guest { UnixStream::pair().map(|(a, b)| (Some(a), Some(b)))? } else { (None, None) };
        let terminal_in = if bound.terminal { stdio.first().map(OwnedFd::try_clone).transpose()? } else { None };
        let terminal_out = if bound.terminal { stdio.get(1).map(OwnedFd::try_clone).transpose()? } else { None };
        let mut given = Some(inside::Given {
            stdio,
            channel: channel_inside.map(OwnedFd::from),
            sync: sync_inside,
            stage,
            groups: open_groups(bound)?,
            told_files: open_told_files(container),
        });
        let child = host::clone_child(namespaces(container), || {
            given.take().map_or(1, |given| inside::become_program(container, given))
        })?;
        drop(given);
        // From here on the child must not outlive an error.
        let mut leash = Leash(Some(child));
        let Some(child) = leash.0.as_ref() else { return Err("the child is gone".into()) };
        let start_time = host::start_time(child.pid)?;
        self.note(&Line::Init { pid: child.pid, start_time })?;
        id_namespace(container).map(child)?;
        sync.write_all(b"g")?;
        // While the child builds its root: entering a group can take the kernel milliseconds.
        enter_groups(bound, container, child.pid)?;
        sync.write_all(b"g")?;
        let handed = handed::wait(&sync)?;
        wire::report(self.socket, &Report::Started { pid: child.pid, start_time });
        self.made.push(format!("process {}, with all that it started", child.pid));
        let Some(desk) = &mut self.desk else { return Err("nobody could talk to it".into()) };
        desk.started(child.pid, start_time);
        let Some(child) = leash.0.take() else { return Err("the child is gone".into()) };
        let network = serve(bound, handed.wire.map(network::Wire::Packets))?;
        let terminal = match (handed.terminal, terminal_in, terminal_out) {
            (Some(supervisor), Some(input), Some(output)) => Some(Terminal::new(supervisor, input, output)?),
            _ => None,
        };
        let given = Given { child, ports, channel, terminal, machine: None, command: None, network };
        Ok(Supervisor::new(bound, self.socket, given, desk)?.run()?)
    }
}

/// Serves the wire of what was just started, if it has one.
fn serve(bound: &Bound, wire: Option<network::Wire>) -> Result<Option<Serving>, Failure> {
    let (Some(wire), Some(reach)) = (wire, &bound.reach) else { return Ok(None) };
    let serving = Serving::start(wire, reach.rules()?);
    Ok(Some(serving.map_err(|error| format!("serve the network: {error}"))?))
}

/// Undoes steps, last first; says what was removed and what could not be.
pub fn undo_steps(steps: &[Step]) -> (Vec<String>, Vec<String>) {
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    for step in steps.iter().rev() {
        match step.undo() {
            Ok(what) => removed.extend(what),
            Err(error) => left.push(causes(&error)),
        }
    }
    (removed, left)
}

/// Streams of an instance that nobody watches: nothing to read, and pipes whose other ends are kept.
fn detached_streams() -> io::Result<(Vec<OwnedFd>, Option<[File; 2]>)> {
    let input = File::open("/dev/null")?;
    let ((out, out_writer), (err, err_writer)) = (io::pipe()?, io::pipe()?);
    let stdio = vec![input.into(), out_writer.into(), err_writer.into()];
    Ok((stdio, Some([out, err].map(|reader| File::from(OwnedFd::from(reader))))))
}

/// Kills a child that is given up; the kernel then ends its whole pid namespace.
struct Leash(Option<Child>);

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(child) = &self.0 {
            let _ = child.handle.signal(9);
            let _ = child.wait();
        }
    }
}

fn namespaces(container: &Container) -> Namespaces {
    let new = |kind: &str| container.config.linux.namespaces.iter().any(|namespace| namespace.kind == kind);
    Namespaces {
        user: new("user"),
        mount: new("mount"),
        pid: new("pid"),
        network: new("network"),
        ipc: new("ipc"),
        uts: new("uts"),
    }
}

fn id_namespace(container: &Container) -> IdNamespace<'_> {
    let linux = &container.config.linux;
    IdNamespace { ids: &container.ids, uid_mappings: &linux.uid_mappings, gid_mappings: &linux.gid_mappings }
}

/// Groups of the unified hierarchy; the older ones are entered by the child itself.
fn enter_groups(bound: &Bound, container: &Container, pid: i32) -> Result<(), Failure> {
    if let Some(value) = container.config.process.oom_score_adj {
        std::fs::write(format!("/proc/{pid}/oom_score_adj"), value.to_string())?;
    }
    for step in &bound.steps {
        if let Step::MakeCgroup { folder, unified: true, .. } = step {
            enter_group(folder, pid)?;
        }
    }
    Ok(())
}

fn enter_group(folder: &Path, pid: i32) -> Result<(), Failure> {
    let entered = std::fs::write(folder.join("cgroup.procs"), pid.to_string());
    Ok(entered.map_err(|error| format!("enter the control group {}: {error}", folder.display()))?)
}

/// The doors of groups of the older hierarchies.
///
/// A thread that moves itself through `tasks` needs no lock of the whole machine, which any other way
/// through the older hierarchies takes and which costs milliseconds each.
fn open_groups(bound: &Bound) -> Result<Vec<std::fs::File>, Failure> {
    let mut doors = Vec::new();
    for step in &bound.steps {
        if let Step::MakeCgroup { folder, unified: false, .. } = step {
            let opened = std::fs::File::options().write(true).open(folder.join("tasks"));
            doors.push(opened.map_err(|error| format!("enter the control group {}: {error}", folder.display()))?);
        }
    }
    Ok(doors)
}

/// Files of the groups for the guest, each with its number; what the kernel does not have is left out.
fn open_told_files(container: &Container) -> Vec<(i32, File)> {
    let numbered = (CHANNEL_FD + 1..).zip(&container.told_files);
    numbered.filter_map(|(number, path)| Some((number, File::open(path).ok()?))).collect()
}

/// An error with all its causes in one line.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}
