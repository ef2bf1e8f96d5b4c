//! The loop of PID 1: waits for whatever happens, asks the supervisor what it means, and does that.
//!
//! It decides nothing. One thread, one `poll`, no file descriptor that blocks.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use bundle::channel::{Event, Request, Response};
use bundle::guest::{Service, User};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::channel::{Channel, Wish};
use crate::environment;
use crate::exec::End;
use crate::identity;
use crate::link::Link;
use crate::logs::{Logs, Target};
use crate::memory::Memory;
use crate::probe::{Prober, Progress};
use crate::signals::{self, Signals};
use crate::spawn::{self, Launch, SpawnError};
use crate::supervisor::{Action, Input, Supervisor};
use crate::systemd::Units;

/// Milliseconds that processes outside all services get to end by themselves.
const ORPHAN_GRACE_MS: u64 = 300;

/// Milliseconds without any being taken after which the last lines and events are lost.
const FLUSH_MS: u64 = 1_000;

/// Milliseconds after which the last lines and events are lost in any case.
const MAX_FLUSH_MS: u64 = 10_000;

/// Everything that PID 1 holds.
pub struct Guest {
    /// Decides about the services.
    pub supervisor: Supervisor,
    /// Signals that arrive.
    pub signals: Signals,
    /// The connection to the host, while there is one.
    pub channel: Option<Channel>,
    /// Environment from the image's settings.
    pub image_env: BTreeMap<String, String>,
    /// The only programs that the host may run beside the services; empty for any.
    pub tools: Vec<String>,
    /// Tells when memory ran out.
    pub memory: Memory,
    /// The units of the services, where systemd is process 1.
    pub units: Option<Units>,
    /// The way to the host where it can come and go: in a machine.
    pub link: Option<Link>,
    /// Capabilities that services and the command keep, one bit each.
    pub capabilities: u64,
    /// The guest's own environment.
    pub engine_env: BTreeMap<String, String>,
    /// What is printed.
    pub logs: Logs,
    /// Services that are being probed.
    pub probers: Vec<Prober>,
    /// The zero of the supervisor's time.
    pub started: Instant,
    /// The only service is a command in the foreground: it has standard input, and signals are its own affair.
    pub is_command: bool,
    /// The command keeps the working folder.
    pub keeps_folder: bool,
    /// Where a user does not exist in this namespace, its processes go on without switching to it.
    pub single_id: bool,
    /// The host asks for one command in place of the services.
    pub holds: bool,
    /// The host may have joined or left.
    pub is_called: bool,
    /// The end of the channel is a request to stop.
    pub stops_with_channel: bool,
}

/// What `poll` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Memory,
    Signals,
    Units,
    Channel,
    Port(u32),
    Log(usize),
    Write(Target),
    Probe(usize),
    Files,
    Exec(u32, End),
}

impl Guest {
    /// Runs until everything has ended and gives the exit status of the appliance.
    pub fn run(mut self) -> u8 {
        self.join();
        self.feed(Input::Tick);
        loop {
            if let Some(status) = self.supervisor.outcome() {
                self.end(status);
                return status;
            }
            let deadline = self.deadline();
            for (token, ready) in self.wait(deadline) {
                self.dispatch(token, ready);
            }
            self.logs.sweep();
            self.advance_probers();
            self.look_at_memory();
            self.channel.iter_mut().for_each(Channel::look_at_terminals);
            self.join();
            self.feed(Input::Tick);
            self.direct_units();
        }
    }

    fn dispatch(&mut self, token: Token, ready: PollFlags) {
        match token {
            Token::Memory => {
                let now = self.now();
                self.memory.look(now);
            }
            Token::Signals => self.signals.read().into_iter().for_each(|signal| self.receive(signal)),
            Token::Units => self.hear_units(),
            Token::Channel => {
                let wishes = self.channel.as_mut().map(|channel| channel.advance(ready)).unwrap_or_default();
                wishes.into_iter().for_each(|wish| self.grant(wish));
            }
            Token::Port(stream) => {
                if let Some(channel) = &mut self.channel {
                    channel.advance_port(stream, ready);
                }
            }
            Token::Log(place) => drop(self.logs.read(place)),
            Token::Write(target) => self.logs.write(target),
            Token::Probe(service) => self.advance_prober(service),
            Token::Files => {
                if let Some(channel) = &mut self.channel {
                    channel.advance_files();
                }
            }
            Token::Exec(stream, end) => {
                if let Some(channel) = &mut self.channel {
                    channel.advance_exec(stream, end);
                }
            }
        }
    }

    /// Takes a signal, wherever it comes from.
    pub fn receive(&mut self, signal: Signal) {
        match signal {
            Signal::SIGCHLD => self.reap(),
            // The loop looks for the host after every happening.
            Signal::SIGIO => self.is_called = true,
            Signal::SIGTERM if self.supervisor.is_stopping() => self.feed(Input::Kill),
            Signal::SIGTERM => self.feed(Input::Stop { within_ms: None }),
            Signal::SIGINT | Signal::SIGQUIT if !self.is_command => self.receive(Signal::SIGTERM),
            signal => {
                let pids: Vec<u32> =
                    (0..self.supervisor.len()).filter_map(|service| self.supervisor.pid(service)).collect();
                pids.into_iter().for_each(|pid| signals::send_to_group(pid, signal));
            }
        }
    }

    fn reap(&mut self) {
        while let Some((pid, status)) = signals::reap() {
            let now = self.now();
            self.memory.hear(now, status);
            if let Some(service) = self.supervisor.service_of(pid) {
                self.service_ended(service, status);
            } else if let Some(prober) = self.probers.iter_mut().find(|prober| prober.pid() == Some(pid)) {
                let (service, progress) = (prober.service, prober.program_ended(now, status));
                self.progress(service, progress);
            } else if let Some(channel) = &mut self.channel {
                channel.ended(pid, status);
            }
        }
    }

    /// A service's process has ended.
    pub fn service_ended(&mut self, service: usize, status: u8) {
        // Its last lines come before what others print because it ended.
        self.logs.drain();
        if status == 0 && self.probers.iter().any(|prober| prober.service == service && prober.is_met()) {
            self.progress(service, Progress::Ready);
        }
        let shortage = self.memory.explains(self.now(), status);
        self.feed(Input::Ended { service, status, shortage });
    }

    fn grant(&mut self, wish: Wish) {
        let (stream, response) = match wish {
            Wish::Request(stream, Request::Exec(wanted)) => match self.exec(&wanted) {
                Ok((pid, ends)) => {
                    if let Some(channel) = &mut self.channel {
                        channel.runs(stream, pid, ends);
                    }
                    return;
                }
                Err(SpawnError { reason, status }) => (stream, Response::NotStarted { reason, status }),
            },
            Wish::Request(stream, request) => (stream, self.answer(request)),
            Wish::Gone(reason) => {
                if let Some(channel) = self.channel.take() {
                    channel.close();
                }
                if let Some(reason) = reason {
                    self.logs.say(&format!("failed to {reason}"));
                }
                if self.stops_with_channel {
                    self.feed(Input::Stop { within_ms: None });
                }
                return;
            }
        };
        if let Some(channel) = &mut self.channel {
            channel.respond(stream, &response);
        }
    }

    /// Tells the supervisor what happened, does what it says, and tells it what came of that, until nothing is left.
    pub fn feed(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let now = self.now();
            for action in self.supervisor.handle(now, input) {
                inputs.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Start(service) => return self.start(service),
            Action::Probe(service) => {
                let ready = self.supervisor.service(service).and_then(|service| service.ready.clone());
                let now = self.now();
                self.probers.extend(ready.map(|ready| Prober::new(service, ready.probe, now)));
            }
            Action::EndProbe(service) => {
                let ended = self.probers.extract_if(.., |prober| prober.service == service);
                ended.filter_map(|prober| prober.pid()).for_each(|pid| signals::send_to_group(pid, Signal::SIGKILL));
            }
            Action::Terminate(pid) => signals::send_to_group(pid, Signal::SIGTERM),
            Action::Kill(pid) => signals::send_to_group(pid, Signal::SIGKILL),
            Action::Say(text) => self.logs.say(&text),
            Action::SayUnready { service, text } => {
                let prober = self.probers.iter().find(|prober| prober.service == service);
                let seen = prober.map(|prober| format!(": {}", prober.last_seen())).unwrap_or_default();
                self.logs.say(&format!("{text}{seen}"));
            }
            Action::Tell(event) => {
                self.tell_systemd(&event);
                self.tell(&event);
            }
        }
        None
    }

    fn start(&mut self, service: usize) -> Option<Input> {
        if let Some(units) = &mut self.units {
            units.want(service);
            return None;
        }
        let declared = self.supervisor.service(service)?.clone();
        Some(match self.spawn(service, &declared) {
            Ok(pid) => Input::Started { service, pid },
            Err(SpawnError { reason, status }) => {
                let reason = self.why_not(service, &reason);
                Input::NotStarted { service, reason, status }
            }
        })
    }

    /// A sentence about a service that could not be started.
    pub fn why_not(&self, service: usize, reason: &str) -> String {
        let name = self.supervisor.service(service).map(|service| service.name.as_str()).unwrap_or_default();
        let what = if self.is_command { "the command".to_owned() } else { format!("service {name:?}") };
        format!("start {what}: {reason}")
    }

    fn spawn(&mut self, place: usize, service: &Service) -> Result<u32, SpawnError> {
        let streams =
            |error: String| SpawnError { reason: format!("failed to make its standard streams: {error}"), status: 126 };
        let stdin = (!self.is_command).then(spawn::null).transpose().map_err(|error| streams(error.to_string()))?;
        let output = self.streams_of(place).map_err(|errno| streams(errno.desc().to_owned()))?;
        let folder = (!self.keeps_folder).then_some(service.user.home.as_str());
        self.launch(service, &service.args, folder, stdin, output)
    }

    fn spawn_probe(&self, service: usize, args: &[String]) -> Option<u32> {
        let service = self.supervisor.service(service)?;
        let output = (spawn::null().ok()?, spawn::null().ok()?);
        self.launch(service, args, Some("/"), spawn::null().ok(), Some(output)).ok()
    }

    fn launch(
        &self,
        service: &Service,
        args: &[String],
        folder: Option<&str>,
        stdin: Option<OwnedFd>,
        output: Option<(OwnedFd, OwnedFd)>,
    ) -> Result<u32, SpawnError> {
        let env = environment::compose(&self.image_env, &self.engine_env, &service.user, &service.env);
        let user = self.can_become(&service.user).then_some(&service.user);
        let (capabilities, tolerate_groups) = (self.capabilities, self.single_id);
        let pid = spawn::spawn(&Launch {
            args,
            env: &env,
            user,
            capabilities,
            tolerate_groups,
            folder,
            must_enter: false,
            is_terminal: false,
            stdin,
            output,
        })?;
        Ok(pid.as_raw().unsigned_abs())
    }

    pub fn can_become(&self, user: &User) -> bool {
        !self.single_id || identity::is_mapped(user)
    }

    /// The streams for what a service prints; none where it is the only one and prints where the guest does. In a machine
    /// that is a port, which no program could open a second time.
    pub fn streams_of(&mut self, service: usize) -> nix::Result<Option<(OwnedFd, OwnedFd)>> {
        let is_only = self.supervisor.len() == 1;
        let Some(service) = self.supervisor.service(service).filter(|_| !is_only || self.link.is_some()) else {
            return Ok(None);
        };
        let name = service.name.clone();
        self.pipes((!is_only).then_some(name.as_str())).map(Some)
    }

    fn pipes(&mut self, name: Option<&str>) -> nix::Result<(OwnedFd, OwnedFd)> {
        let ((out, out_writer), (err, err_writer)) = (spawn::output_pipe()?, spawn::output_pipe()?);
        self.logs.add(out, name, Target::Out);
        self.logs.add(err, name, Target::Err);
        Ok((out_writer, err_writer))
    }

    fn advance_probers(&mut self) {
        let now = self.now();
        let due: Vec<usize> =
            self.probers.iter().filter(|prober| prober.deadline() <= now).map(|prober| prober.service).collect();
        due.into_iter().for_each(|service| self.advance_prober(service));
    }

    fn advance_prober(&mut self, service: usize) {
        let now = self.now();
        if let Some(prober) = self.probers.iter_mut().find(|prober| prober.service == service) {
            let progress = prober.advance(now);
            self.progress(service, progress);
        }
    }

    fn progress(&mut self, service: usize, progress: Progress) {
        match progress {
            Progress::Wait => {}
            Progress::Kill(pid) => signals::send_to_group(pid, Signal::SIGKILL),
            Progress::Ready => {
                self.probers.retain(|prober| prober.service != service);
                self.feed(Input::Probed { service });
            }
            Progress::Run(args) => {
                let (pid, now) = (self.spawn_probe(service, &args), self.now());
                if let Some(prober) = self.probers.iter_mut().find(|prober| prober.service == service) {
                    match pid {
                        Some(pid) => prober.runs(now, pid),
                        None => drop(prober.failed(now, "cannot be started".to_owned())),
                    }
                }
            }
        }
    }

    /// Says when the kernel killed something that is no service's own process, such as one that a service started.
    fn look_at_memory(&mut self) {
        let now = self.now();
        self.memory.glance(now);
        let Some((count, shortage)) = self.memory.others(now) else { return };
        let times = if count == 1 { String::new() } else { format!("{count} times ") };
        self.logs.say(&format!("{times}a process inside {}", shortage.how()));
        for _ in 0..count {
            self.tell(&Event::OutOfMemory { name: None, limit_bytes: shortage.limit_bytes });
        }
    }

    /// Makes the channel when the host has come, and tells it how things stand.
    fn join(&mut self) {
        let (now, is_called) = (self.now(), std::mem::take(&mut self.is_called));
        let Some(link) = self.link.as_mut().filter(|link| is_called || link.deadline() <= now) else { return };
        if self.channel.is_some() {
            return;
        }
        self.channel = link.try_now(now);
        if self.channel.is_none() {
            return;
        }
        let status = self.supervisor.status();
        for service in status.services {
            self.tell(&Event::Service { name: service.name, state: service.state });
        }
        if status.ready {
            self.tell(&Event::Ready);
        }
    }

    fn tell(&mut self, event: &Event) {
        if let Some(channel) = &mut self.channel {
            channel.tell(event);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn deadline(&self) -> Option<u64> {
        let link = self.link.as_ref().filter(|_| self.channel.is_none()).map(Link::deadline);
        let others = self.supervisor.deadline().into_iter().chain(self.memory.deadline()).chain(link);
        let look = self.channel.as_ref().and_then(Channel::next_look_ms).map(|left| self.now() + left);
        self.probers.iter().map(Prober::deadline).chain(others).chain(look).min()
    }

    fn wait(&self, deadline: Option<u64>) -> Vec<(Token, PollFlags)> {
        let stdout = std::io::stdout();
        let stderr = std::io::stderr();
        let mut waits: Vec<(Token, BorrowedFd<'_>, PollFlags)> =
            vec![(Token::Signals, self.signals.as_fd(), PollFlags::POLLIN)];
        waits.extend(self.memory.waits_for().map(|fd| (Token::Memory, fd, PollFlags::POLLPRI)));
        let units = self.units.iter().flat_map(Units::waits_for);
        waits.extend(units.map(|fd| (Token::Units, fd, PollFlags::POLLIN)));
        if let Some(channel) = &self.channel {
            let (fd, flags) = channel.waits_for();
            waits.push((Token::Channel, fd, flags));
            waits.extend(channel.files().map(|fd| (Token::Files, fd, PollFlags::POLLIN)));
            waits.extend(channel.ports().map(|(stream, fd, flags)| (Token::Port(stream), fd, flags)));
            let execs = channel.execs().into_iter();
            waits.extend(execs.map(|(stream, end, fd, flags)| (Token::Exec(stream, end), fd, flags)));
        }
        waits.extend(self.logs.readable().map(|(place, fd)| (Token::Log(place), fd, PollFlags::POLLIN)));
        for (target, fd) in [(Target::Out, stdout.as_fd()), (Target::Err, stderr.as_fd())] {
            if self.logs.has_output(target) {
                waits.push((Token::Write(target), fd, PollFlags::POLLOUT));
            }
        }
        let probes =
            self.probers.iter().filter_map(|prober| prober.waits_for().map(|(fd, flags)| (prober.service, fd, flags)));
        waits.extend(probes.map(|(service, fd, flags)| (Token::Probe(service), fd, flags)));
        self.poll(waits, deadline)
    }

    fn poll(&self, waits: Vec<(Token, BorrowedFd<'_>, PollFlags)>, deadline: Option<u64>) -> Vec<(Token, PollFlags)> {
        let timeout = deadline.map_or(PollTimeout::NONE, |at| {
            let left_ms = at.saturating_sub(self.now()).min(60_000);
            PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::ZERO)
        });
        let mut fds: Vec<PollFd<'_>> = waits.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
        if poll(&mut fds, timeout).is_err() {
            return Vec::new();
        }
        let ready =
            waits.iter().zip(&fds).map(|((token, ..), fd)| (*token, fd.revents().unwrap_or(PollFlags::POLLERR)));
        ready.filter(|(_, flags)| !flags.is_empty()).collect()
    }

    /// Ends what is left, then lets the last words out.
    fn end(&mut self, status: u8) {
        self.tell(&Event::Exited { status });
        if Pid::this().as_raw() == 1 {
            self.end_orphans();
        }
        let (mut deadline, last) = (self.now() + FLUSH_MS, self.now() + MAX_FLUSH_MS);
        while (!self.logs.finish() || self.has_unwritten()) && self.now() < deadline {
            for (token, ready) in self.wait(Some(deadline)) {
                match token {
                    Token::Write(target) => {
                        self.logs.write(target);
                        deadline = last.min(self.now() + FLUSH_MS);
                    }
                    Token::Channel if ready == PollFlags::POLLOUT => {
                        drop(self.channel.as_mut().and_then(Channel::flush))
                    }
                    Token::Channel => self.channel = None,
                    _ => drop(self.signals.read()),
                }
            }
        }
    }

    fn has_unwritten(&self) -> bool {
        let channel_has = self.channel.as_ref().is_some_and(|channel| !channel.is_flushed());
        channel_has || self.logs.has_output(Target::Out) || self.logs.has_output(Target::Err)
    }

    /// Asks processes that belong to no service to end, then ends them.
    fn end_orphans(&mut self) {
        let deadline = self.now() + ORPHAN_GRACE_MS;
        let everyone = Pid::from_raw(-1);
        while signals::reap().is_some() {}
        if signals::has_children() {
            let _ = kill(everyone, Signal::SIGTERM);
        }
        while signals::has_children() && self.now() < deadline {
            self.poll(vec![(Token::Signals, self.signals.as_fd(), PollFlags::POLLIN)], Some(deadline));
            self.signals.read();
            while signals::reap().is_some() {}
        }
        let _ = kill(everyone, Signal::SIGKILL);
    }
}
