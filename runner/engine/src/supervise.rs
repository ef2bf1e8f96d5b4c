//! Watching a running container: its end, signals from the command, the channel, the terminal.
//!
//! ```text
//! running --signal--> stopping --second signal, grace over--> killed
//!    |                    |                                      |
//!    +------- the first process ends: the result --------+-------+
//! ```
//! The end of the command's socket counts as a signal to kill at once.

mod machine;
mod network;
mod terminal;

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bundle::channel::{Event as GuestEvent, Happening};
use host::{Child, Ended, Interest, Ready};

use crate::bind::Bound;
use crate::control::{Desk, Stop, Wanted};
use crate::machine::{Command, Order, Running};
use crate::outbound::Serving;
use crate::ports::{Channel, Ports};
use crate::stopping::{OwnStop, Services, Stopping};
use crate::wire::{self, Report};

pub use self::terminal::Terminal;

/// Signal numbers of Linux that mean something here.
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;
const SIGWINCH: i32 = 28;

/// How long a machine gets to end in order when its command was killed.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// Why a machine does not run a command.
const OLD_GUEST: &str =
    "its guest is older than this program and starts the services in place of the command; build the appliance again";

/// A container that runs.
#[derive(Debug)]
pub struct Supervisor<'a> {
    socket: &'a UnixStream,
    child: Child,
    channel: Option<Channel>,
    /// Held open where there is no guest to carry connections.
    _ports: Option<Ports>,
    terminal: Option<Terminal>,
    machine: Option<Running>,
    command: Option<Command>,
    network: Option<Serving>,
    desk: &'a mut Desk,
    /// The instance outlives the command that started it.
    detached: bool,
    grace: Duration,
    services: Services,
    stopping: Option<Stopping>,
    own_stop: OwnStop,
    command_gone: bool,
    /// The machine's command has ended, and its guest was asked to.
    command_done: bool,
    /// A command asked for the kill.
    is_killed: bool,
    /// The guest said goodbye: that its channel ends is no loss.
    guest_done: bool,
}

/// What was just started, and what joins it to its supervisor.
#[derive(Debug)]
pub struct Given {
    /// The container's first process, or the machine.
    pub child: Child,
    /// Listeners for its ports.
    pub ports: Ports,
    /// The guest channel, where there is a guest.
    pub channel: Option<UnixStream>,
    /// The terminal of a command.
    pub terminal: Option<Terminal>,
    /// What a machine has beside that.
    pub machine: Option<Running>,
    /// What it runs in place of its services.
    pub command: Option<Command>,
    /// Its network, where it has one.
    pub network: Option<Serving>,
}

impl<'a> Supervisor<'a> {
    /// Takes over what was just started.
    pub fn new(bound: &Bound, socket: &'a UnixStream, given: Given, desk: &'a mut Desk) -> io::Result<Self> {
        let Given { child, ports, channel, terminal, machine, command, network } = given;
        let (channel, ports) = match channel {
            Some(transport) => (Some(Channel::new(transport, ports)?), None),
            None => (None, Some(ports)),
        };
        let grace = Duration::from_millis(bound.grace_ms);
        Ok(Self {
            socket,
            child,
            channel,
            _ports: ports,
            terminal,
            machine,
            command,
            network,
            desk,
            detached: bound.about.detached,
            grace,
            services: Services::default(),
            stopping: None,
            own_stop: OwnStop::default(),
            command_gone: false,
            command_done: false,
            is_killed: false,
            guest_done: false,
        })
    }

    /// Watches until the first process ended.
    pub fn run(mut self) -> io::Result<Ended> {
        loop {
            let (fixed, [ready, asked, told, typed, reached]) = self.wait()?;
            if fixed.child {
                return self.ended();
            }
            if fixed.command {
                self.command_says()?;
            }
            self.terminal_ready(fixed);
            self.channel_ready(&ready);
            self.desk_ready(&asked)?;
            self.watch_command(&typed)?;
            self.watch_stop()?;
            self.watch_machine(&told)?;
            self.network_ready(&reached);
        }
    }

    /// What is ready: the fixed descriptors, then those of the channel, of the desk, of the machine, of its command and of its
    /// network.
    fn wait(&self) -> io::Result<(Fixed, [Vec<Ready>; 5])> {
        let read = |fd, wanted| Interest { fd, read: wanted, write: false };
        let mut interests = vec![read(self.child.handle.as_fd(), true), read(self.socket.as_fd(), !self.command_gone)];
        // Absent ones stand in as the child's handle, not asked for anything.
        let none = self.child.handle.as_fd();
        let terminal = self.terminal.as_ref();
        interests.push(terminal.map_or(read(none, false), |terminal| read(terminal.supervisor.as_fd(), true)));
        let input = terminal.and_then(|terminal| terminal.input.as_ref());
        interests.push(input.map_or(read(none, false), |input| read(input.as_fd(), true)));
        interests.extend(self.channel.as_ref().map(Channel::interests).unwrap_or_default());
        let desk_place = interests.len();
        interests.extend(self.desk.interests());
        let machine_place = interests.len();
        interests.extend(self.machine.as_ref().map(Running::interests).unwrap_or_default());
        let command_place = interests.len();
        interests.extend(self.command.as_ref().map(Command::interests).unwrap_or_default());
        let network_place = interests.len();
        interests.extend(self.network.as_ref().map(Serving::interest));
        let ready = host::poll(&interests, self.timeout_ms())?;
        let of = |index: usize| ready.get(index).is_some_and(|one| one.read);
        let fixed = Fixed { child: of(0), command: of(1), program: of(2), user: of(3) };
        let part = |from: usize, to: usize| ready.get(from..to).unwrap_or_default().to_vec();
        let more = [
            part(4, desk_place),
            part(desk_place, machine_place),
            part(machine_place, command_place),
            part(command_place, network_place),
            part(network_place, ready.len()),
        ];
        Ok((fixed, more))
    }

    fn timeout_ms(&self) -> Option<u64> {
        let stop = self.stopping.as_ref().map(Stopping::wakes_at).or(self.own_stop.wakes_at());
        let wakes_at = stop.into_iter().chain(self.machine.as_ref().and_then(Running::wakes_at)).min()?;
        let left = wakes_at.saturating_duration_since(Instant::now());
        // One more than left, so that the time has come on waking.
        Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1).max(20))
    }

    fn command_says(&mut self) -> io::Result<()> {
        let mut signal = [0u8; 1];
        if !matches!((&*self.socket).read(&mut signal), Ok(1)) {
            self.command_gone = true;
            if self.detached {
                return Ok(());
            }
            return self.child.handle.signal(SIGKILL);
        }
        match i32::from(signal[0]) {
            SIGWINCH => {
                self.terminal.iter().for_each(Terminal::follow_size);
                self.with_command(|command, session| command.follow_size(session));
            }
            signal => return self.stop(signal),
        }
        Ok(())
    }

    /// The first request asks, the second kills.
    fn stop(&mut self, signal: i32) -> io::Result<()> {
        if self.stopping.is_some() {
            return self.kill(None);
        }
        if self.desk.stands_still() {
            self.pause(false);
        }
        let grace_ms = self.grace_ms();
        // The end of a machine's command is followed by that of its guest.
        let asked = self.with_command(|command, session| command.signal(SIGTERM, session)).unwrap_or(false)
            || self.channel.as_mut().is_some_and(|channel| channel.ask_to_stop(grace_ms));
        let sent = if self.channel.is_some() { SIGTERM } else { signal };
        // The kernel keeps signals without a handler from the first process of a pid namespace: nothing would ever happen.
        let deaf = !asked && !catches(self.child.pid, sent);
        self.stopping = Some(Stopping::new(signal, deaf.then_some(sent), Instant::now(), self.grace, asked));
        match (asked, deaf) {
            (true, _) => Ok(()),
            (false, true) => self.child.handle.signal(SIGKILL),
            (false, false) => self.child.handle.signal(sent),
        }
    }

    /// Says what a stop waits for when it takes long, and kills what is left at its deadline.
    fn watch_stop(&mut self) -> io::Result<()> {
        let (now, within_ms) = (Instant::now(), self.grace_ms());
        if self.stopping.as_ref().is_some_and(|stopping| now >= stopping.deadline) && self.kills_command() {
            return Ok(());
        }
        let Some(stopping) = &mut self.stopping else {
            if self.own_stop.takes_long(now) {
                let services = self.services.waited_for();
                wire::report(self.socket, &Report::Waiting { services, signal: None, within_ms });
            }
            return Ok(());
        };
        if now >= stopping.deadline {
            // QEMU writes its disks back when it is asked to end; a container's first process has been asked already.
            if let Some(machine) = &mut self.machine
                && let Some(more) = machine.quits()
            {
                stopping.deadline = now + more;
                return self.quit();
            }
            return self.kill(Some(within_ms));
        }
        if stopping.takes_long(now) {
            let (services, signal) = (self.services.waited_for(), Some(stopping.signal));
            wire::report(self.socket, &Report::Waiting { services, signal, within_ms });
        }
        Ok(())
    }

    /// What commands want, and what they and the guest say to each other.
    fn desk_ready(&mut self, ready: &[Ready]) -> io::Result<()> {
        if self.stopping.is_some() {
            let (services, within_ms) = (self.services.waited_for(), Some(self.grace_ms()));
            self.desk.stopping(Stop { services, within_ms });
        }
        let others = self.hear_others();
        self.desk.hear_streams(others);
        let wanted = self.desk.advance(ready, self.channel.as_mut().map(Channel::session));
        // What cannot be written is found out when the channel is next looked at.
        self.channel.as_mut().map_or(Ok(()), Channel::flush).unwrap_or_default();
        for one in wanted {
            match one {
                Wanted::Signal(signal) => self.signal(signal)?,
                Wanted::Pause(pause) => self.pause(pause),
                Wanted::Stop { within_ms } => self.asked_to_stop(within_ms)?,
            }
        }
        Ok(())
    }

    /// What came on streams that are no ports, of which one may be the command's.
    fn hear_others(&mut self) -> Vec<Happening> {
        let others = self.channel.as_mut().map(Channel::others).unwrap_or_default();
        self.with_command(|command, session| others.iter().for_each(|one| command.hear_stream(one, session)));
        others
    }

    /// Lets a machine stand still with its kernel and its clock, which is set when it goes on.
    fn pause(&mut self, pause: bool) {
        let order = if pause { Order::Stop } else { Order::Cont };
        self.machine.iter_mut().for_each(|machine| machine.order(order));
    }

    /// Sends PID 1 a signal: that of a machine is told by its guest. The guest takes SIGTERM as a request to stop, which
    /// each service has its own time for.
    fn signal(&mut self, signal: i32) -> io::Result<()> {
        if self.channel.is_some() && signal == SIGTERM {
            self.desk.stopping(Stop { services: self.services.left(), within_ms: None });
        }
        if signal != SIGKILL && self.with_command(|command, session| command.signal(signal, session)) == Some(true) {
            return Ok(());
        }
        let guest = self.channel.as_mut().filter(|_| self.machine.is_some() && signal != SIGKILL);
        match guest {
            Some(channel) => channel.send_signal(signal),
            None => {
                self.is_killed |= signal == SIGKILL;
                return self.child.handle.signal(signal);
            }
        }
        Ok(())
    }

    fn kill(&mut self, within_ms: Option<u64>) -> io::Result<()> {
        if self.stopping.as_mut().is_some_and(Stopping::kill) {
            self.desk.killed(self.services.left(), within_ms);
            wire::report(self.socket, &Report::Killed { services: self.services.left(), within_ms });
        }
        self.child.handle.signal(SIGKILL)
    }

    fn grace_ms(&self) -> u64 {
        u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX)
    }

    /// To ask twice is not to insist: only less time is.
    fn asked_to_stop(&mut self, within_ms: Option<u64>) -> io::Result<()> {
        self.grace = within_ms.map_or(self.grace, Duration::from_millis);
        let deadline = Instant::now() + self.grace;
        match &mut self.stopping {
            Some(stopping) => {
                stopping.deadline = stopping.deadline.min(deadline);
                Ok(())
            }
            None => self.stop(SIGTERM),
        }
    }

    fn terminal_ready(&mut self, fixed: Fixed) {
        let Some(terminal) = &mut self.terminal else { return };
        if fixed.user {
            terminal.pass_input();
        }
        if fixed.program && !terminal.pass_output() {
            self.terminal = None;
        }
    }

    fn channel_ready(&mut self, ready: &[Ready]) {
        let Some(channel) = &mut self.channel else { return };
        match channel.advance(ready) {
            Ok(events) => {
                self.guest_done |= events.iter().any(|event| matches!(event, GuestEvent::Exited { .. }));
                for event in events {
                    self.desk.hear(&event);
                    self.services.hear(&event);
                    self.machine.iter_mut().for_each(|machine| machine.hear(&event));
                    if let Some(command) = self.command.as_mut().filter(|_| self.stopping.is_none()) {
                        command.hear(&event, channel.session());
                        let ignored = self.machine.as_mut().filter(|_| command.is_ignored(&event));
                        ignored.into_iter().for_each(|machine| machine.fails(OLD_GUEST));
                    }
                    wire::report(self.socket, &Report::Guest(event));
                }
                self.own_stop.follow(self.services.is_stopping(), Instant::now());
            }
            Err(reason) => {
                if let Some(machine) = self.machine.as_mut().filter(|_| !self.guest_done) {
                    machine.is_lost(&reason);
                }
                if !self.guest_done {
                    wire::report(self.socket, &Report::ChannelLost(reason));
                }
                self.channel = None;
            }
        }
    }

    /// What the guest said before its end: its last words and its end can arrive together.
    fn drain_channel(&mut self) {
        while let Some(channel) = &self.channel {
            let Ok(ready) = host::poll(&channel.interests(), Some(0)) else { return };
            if !ready.first().is_some_and(|transport| transport.read) {
                return;
            }
            // It ends with the channel, which a guest that is gone has closed.
            self.channel_ready(&ready);
        }
    }

    fn ended(mut self) -> io::Result<Ended> {
        self.drain_channel();
        let others = self.hear_others();
        self.desk.hear_streams(others);
        self.desk.pump(self.channel.as_mut().map(Channel::session));
        self.desk.drain();
        if let Some(terminal) = &mut self.terminal {
            terminal.drain();
        }
        let ended = self.child.wait()?;
        let last = self.network.take().map(Serving::end).unwrap_or_default();
        self.tell_of_network(last);
        if let Some(mut machine) = self.machine {
            machine.drain();
            self.desk.drain();
            // What the machine does after its command is no matter.
            if let Some(status) = self.command.as_ref().and_then(Command::status) {
                return Ok(Ended::Exit(status.into()));
            }
            if self.command.is_some() && self.stopping.is_some() {
                return Ok(Ended::Signal(SIGTERM));
            }
            let wanted = self.stopping.is_some() || self.is_killed || (self.command_gone && !self.detached);
            let (ended, lost) = machine.meaning(ended, wanted).map_err(io::Error::other)?;
            if let Some(lost) = lost {
                wire::report(self.socket, &Report::MachineLost(lost.clone()));
                self.desk.machine_lost(lost);
            }
            return Ok(ended);
        }
        match self.stopping.and_then(|stopping| stopping.in_place_of) {
            Some(signal) if ended == Ended::Signal(SIGKILL) => Ok(Ended::Signal(signal)),
            _ => Ok(ended),
        }
    }
}

/// Whether the process has a handler for the signal (`SigCgt` of proc_pid_status(5)).
fn catches(pid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    signal >= 1 && mask.checked_shr(signal.unsigned_abs() - 1).unwrap_or(0) & 1 == 1
}

/// What is ready beside the channel.
#[derive(Debug, Clone, Copy)]
struct Fixed {
    child: bool,
    command: bool,
    program: bool,
    user: bool,
}
