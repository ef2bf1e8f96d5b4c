//! A machine that runs, beside its guest channel: its outlets and its console, whether it comes up in time, and what its
//! end means.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bundle::channel::Event;
use host::{Ended, Interest, Ready};

use crate::bind::Machine;

use super::console::Console;
use super::outlets::Outlet;
use super::qmp::{Order, Qmp};
use super::start::Ends;

/// How long QEMU may take to end when its guest has ended.
const POWER_OFF: Duration = Duration::from_secs(5);

/// After this part of the time within which it must be heard it is told that it was not: most are up long before.
const SLOW_PART: u64 = 8;

/// How long it may take to end in order without its guest.
const QUIT: Duration = Duration::from_secs(2);

/// The machine, as its supervisor sees it.
#[derive(Debug)]
pub struct Running {
    outlets: Vec<Outlet>,
    /// The console, and QEMU's own words.
    told: [Option<UnixStream>; 2],
    console: Console,
    /// When it must have been heard, until it was.
    heard_by: Option<Instant>,
    /// When it is worth a word that it was not heard yet.
    slow_at: Option<Instant>,
    /// The services have begun: from here on what goes wrong is theirs.
    is_up: bool,
    /// What the guest said went wrong.
    failed: Option<String>,
    /// Why it can no longer be talked to.
    lost: Option<String>,
    /// How the guest ended, and when QEMU must have.
    exited: Option<(u8, Instant)>,
    asked_to_quit: bool,
    boot_secs: u64,
    qmp: Qmp,
    /// What is left of its memory when it is up, in bytes, where that is not all.
    balloon_bytes: Option<u64>,
}

impl Running {
    /// Takes over the ends of a machine that was just started; the guest's output goes to these streams.
    pub fn new(machine: &Machine, ends: Ends, stdio: Vec<OwnedFd>) -> (Self, UnixStream) {
        let mut streams = stdio.into_iter().skip(1);
        let mut outlets = Vec::new();
        for from in [ends.output, ends.error] {
            outlets.extend(streams.next().map(|to| Outlet::new(from, to)));
        }
        let running = Self {
            outlets,
            told: [Some(ends.console), Some(ends.words)],
            console: Console::default(),
            heard_by: Some(Instant::now() + Duration::from_millis(machine.boot_ms)),
            slow_at: Some(Instant::now() + Duration::from_millis(machine.boot_ms / SLOW_PART)),
            is_up: false,
            failed: None,
            lost: None,
            exited: None,
            asked_to_quit: false,
            boot_secs: machine.boot_ms / 1000,
            qmp: Qmp::new(ends.qmp),
            balloon_bytes: machine.balloon_mib.map(|mib| mib << 20),
        };
        (running, ends.channel)
    }

    /// Everything to wait for, in the order in which [`Running::advance`] takes the answers.
    pub fn interests(&self) -> Vec<Interest<'_>> {
        let told = self.told.iter().flatten().map(|socket| Interest { fd: socket.as_fd(), read: true, write: false });
        self.outlets.iter().flat_map(Outlet::interests).chain(told).chain(self.qmp.interest()).collect()
    }

    /// Goes on with what is ready.
    pub fn advance(&mut self, ready: &[Ready]) {
        for (outlet, ready) in self.outlets.iter_mut().zip(ready.chunks(2)) {
            outlet.advance(ready);
        }
        let mut rest = ready.get(2 * self.outlets.len()..).unwrap_or_default().iter();
        for told in &mut self.told {
            if told.is_some() && rest.next().is_some_and(|one| one.read) {
                self.console.take_all(told);
            }
        }
        self.qmp.advance(rest.next().copied().unwrap_or_default());
    }

    /// Orders the machine itself to do something.
    pub fn order(&mut self, order: Order) {
        self.qmp.give(order);
    }

    /// The guest says something.
    pub fn hear(&mut self, event: &Event) {
        if let Some(bytes) = self.balloon_bytes.take_if(|_| *event == Event::Ready) {
            self.order(Order::Balloon { bytes });
        }
        match event {
            Event::Service { .. } | Event::Ready => {
                (self.heard_by, self.slow_at, self.is_up) = (None, None, true);
            }
            Event::Failed { reason } => self.failed = Some(reason.clone()),
            Event::Exited { status } => self.exited = Some((*status, Instant::now() + POWER_OFF)),
            _ => {}
        }
    }

    /// When to look at it next.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.exited.map(|(_, at)| at).or(self.slow_at.into_iter().chain(self.heard_by).min())
    }

    /// Within how many milliseconds it must be heard, where it is time to say that it was not; once.
    pub fn is_slow(&mut self, now: Instant) -> Option<u64> {
        self.slow_at.take_if(|at| *at <= now).map(|_| self.boot_secs * 1000)
    }

    /// Whether it has to be ended now: it did not come up in time, or did not go down.
    pub fn is_late(&mut self, now: Instant) -> bool {
        if self.exited.is_some_and(|(_, at)| at <= now) {
            return true;
        }
        let late = self.heard_by.take_if(|at| *at <= now).is_some();
        if late && self.lost.is_none() {
            let boot_secs = self.boot_secs;
            self.failed.get_or_insert_with(|| format!("its guest said nothing for {boot_secs} s"));
        }
        late
    }

    /// It was asked to end, and gets this long for it.
    pub fn ends_within(&mut self, grace: Duration) {
        self.exited = Some((0, Instant::now() + grace + POWER_OFF));
    }

    /// Its guest does not do what it is there for.
    pub fn fails(&mut self, reason: &str) {
        self.failed = Some(reason.to_owned());
        self.heard_by = Some(Instant::now());
    }

    /// The guest can no longer be talked to: without it the machine is no use, and it is given up.
    pub fn is_lost(&mut self, reason: &str) {
        self.lost = Some(format!("its guest was lost: {reason}"));
        self.heard_by = Some(Instant::now());
    }

    /// How long QEMU gets to end in order, when its guest has not; none when it had that already.
    pub fn quits(&mut self) -> Option<Duration> {
        (!std::mem::replace(&mut self.asked_to_quit, true)).then_some(QUIT)
    }

    /// What was printed before the end.
    pub fn drain(&mut self) {
        self.outlets.iter_mut().for_each(Outlet::drain);
        self.told.iter_mut().for_each(|told| self.console.take_all(told));
    }

    /// What the end of QEMU means: the guest's own end where it told one; that of a stop; else that something went wrong,
    /// with what stood on the console.
    pub fn meaning(&self, ended: Ended, stopped: bool) -> Result<Ended, String> {
        match (self.exited, stopped) {
            (Some((status, _)), _) if self.is_up || stopped => Ok(Ended::Exit(status.into())),
            (_, true) => Ok(if ended == Ended::Signal(9) { ended } else { Ended::Signal(15) }),
            _ => Err(self.failure(ended)),
        }
    }

    fn failure(&self, ended: Ended) -> String {
        let how = match ended {
            Ended::Exit(0) => "it ended by itself".to_owned(),
            Ended::Exit(status) => format!("QEMU ended with status {status}"),
            Ended::Signal(signal) => format!("QEMU was ended by signal {signal}"),
        };
        let what = if self.is_up { "keep the machine running" } else { "bring the machine up" };
        // A guest is lost too when the machine ends by itself.
        let lost = self.lost.clone().filter(|_| ended == Ended::Signal(9));
        let why = self.failed.clone().or(lost).unwrap_or(how);
        match self.console.last_lines().as_slice() {
            [] => format!("{what}: {why}; its console is empty"),
            lines => format!("{what}: {why}; the last lines of its console:\n  {}", lines.join("\n  ")),
        }
    }
}
