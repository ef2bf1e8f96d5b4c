//! A machine that runs, beside its guest channel: its outlets and its console, whether it comes up in time, and what its
//! end means.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bundle::channel::Event;
use host::{Ended, Interest, Ready};

use crate::bind::Machine;
use crate::control::MachineLost;
use crate::ports::CLOSED;

use super::balloon::Balloon;
use super::console::Console;
use super::outlets::Outlet;
use super::qmp::{Heard, Order, Qmp};
use super::qmp_words::Happened;
use super::start::Ends;

/// How long QEMU may take to end when its guest has ended.
const POWER_OFF: Duration = Duration::from_secs(5);

/// After this part of the time within which it must be heard it is told that it was not: most are up long before.
const SLOW_PART: u64 = 8;

/// How long it may take to end in order without its guest.
const QUIT: Duration = Duration::from_secs(2);

/// Signal number of Linux.
const SIGKILL: i32 = 9;

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
    /// It was ended because of that.
    gave_up: bool,
    /// How the guest ended, and when QEMU must have.
    exited: Option<(u8, Instant)>,
    /// Why QEMU said that it ends.
    ends: Option<String>,
    asked_to_quit: bool,
    boot_secs: u64,
    qmp: Qmp,
    /// What it keeps of its memory when it is up, where that is not all.
    balloon: Option<Balloon>,
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
            gave_up: false,
            exited: None,
            ends: None,
            asked_to_quit: false,
            boot_secs: machine.boot_ms / 1000,
            qmp: Qmp::new(ends.qmp),
            balloon: machine.balloon_mib.map(|mib| Balloon::new(mib << 20, machine.memory_mib << 20)),
        };
        (running, ends.channel)
    }

    /// Everything to wait for, in the order in which [`Running::advance`] takes the answers.
    pub fn interests(&self) -> Vec<Interest<'_>> {
        let told = self.told.iter().flatten().map(|socket| Interest { fd: socket.as_fd(), read: true, write: false });
        self.outlets.iter().flat_map(Outlet::interests).chain(told).chain(self.qmp.interest()).collect()
    }

    /// Goes on with what is ready; gives what QEMU said.
    pub fn advance(&mut self, ready: &[Ready], now: Instant) -> Vec<Heard> {
        for (outlet, ready) in self.outlets.iter_mut().zip(ready.chunks(2)) {
            outlet.advance(ready);
        }
        let mut rest = ready.get(2 * self.outlets.len()..).unwrap_or_default().iter();
        for told in &mut self.told {
            if told.is_some() && rest.next().is_some_and(|one| one.read) {
                self.console.take_all(told);
            }
        }
        let heard = self.qmp.advance(rest.next().copied().unwrap_or_default(), now);
        heard.iter().for_each(|one| self.note(one));
        if self.balloon.as_mut().is_some_and(|balloon| balloon.is_due(now)) {
            self.order(Order::Memory);
        }
        heard
    }

    fn note(&mut self, heard: &Heard) {
        match heard {
            Heard::Happened(Happened::Ends(why)) => self.ends = Some(why.clone()),
            Heard::Memory(Some(memory)) => {
                let target = self.balloon.as_mut().and_then(|balloon| {
                    balloon.look_later(Instant::now());
                    balloon.hear(*memory)
                });
                target.into_iter().for_each(|bytes| self.order(Order::Balloon { bytes }));
            }
            // It says nothing yet, as right after its start.
            Heard::Memory(None) => self.balloon.iter_mut().for_each(|balloon| balloon.look_later(Instant::now())),
            // Without its word nobody knows when it needs more.
            Heard::Answered(Order::WatchMemory | Order::Memory, Err(_)) => {
                let all = self.balloon.take().map(|balloon| balloon.most());
                all.into_iter().for_each(|bytes| self.order(Order::Balloon { bytes }));
            }
            _ => {}
        }
    }

    /// Orders the machine itself to do something.
    pub fn order(&mut self, order: Order) {
        self.qmp.give(order, Instant::now());
    }

    /// Whether QEMU takes orders.
    pub fn takes_orders(&self) -> bool {
        self.qmp.is_there()
    }

    /// The guest says something.
    pub fn hear(&mut self, event: &Event) {
        if let Some(balloon) = self.balloon.as_mut().filter(|_| *event == Event::Ready) {
            let bytes = balloon.target();
            balloon.look_later(Instant::now());
            self.order(Order::WatchMemory);
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
        let next = self.exited.map(|(_, at)| at).or(self.slow_at.into_iter().chain(self.heard_by).min());
        let balloon = self.balloon.as_ref().and_then(Balloon::wakes_at);
        next.into_iter().chain(self.qmp.wakes_at()).chain(balloon).min()
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
        self.gave_up |= late;
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

    /// The guest can no longer be talked to: without it the machine is no use, and it is given up. A channel that is closed
    /// was closed by QEMU, which commonly is about to end: how it does says more.
    pub fn is_lost(&mut self, reason: &str) {
        self.lost = Some(format!("its guest was lost: {reason}"));
        self.heard_by = Some(Instant::now() + if reason == CLOSED { POWER_OFF } else { Duration::ZERO });
    }

    /// How long QEMU gets to end in order, when its guest has not; none when it had that already.
    pub fn quits(&mut self) -> Option<Duration> {
        (!std::mem::replace(&mut self.asked_to_quit, true)).then_some(QUIT)
    }

    /// What was printed before the end.
    pub fn drain(&mut self) {
        self.outlets.iter_mut().for_each(Outlet::drain);
        self.told.iter_mut().for_each(|told| self.console.take_all(told));
        let last = self.qmp.advance(Ready { read: true, write: false }, Instant::now());
        last.iter().for_each(|one| self.note(one));
    }

    /// What the end of QEMU means: the guest's own end where it told one, and that of a stop; else the machine was lost, as
    /// if its power had been cut.
    ///
    /// # Errors
    /// It never came up; why, with what stood on the console.
    pub fn meaning(&self, ended: Ended, stopped: bool) -> Result<(Ended, Option<MachineLost>), String> {
        match (self.exited, stopped) {
            (Some((status, _)), _) if self.is_up || stopped => Ok((Ended::Exit(status.into()), None)),
            (_, true) => Ok((if ended == Ended::Signal(SIGKILL) { ended } else { Ended::Signal(15) }, None)),
            // A guest that does not do what it is there for was never up, whatever it started.
            _ if self.is_up && self.failed.is_none() => {
                let lost = MachineLost { why: self.why(ended), console: self.console.last_lines() };
                Ok((if let Ended::Signal(_) = ended { ended } else { Ended::Signal(SIGKILL) }, Some(lost)))
            }
            _ => Err(self.failure(ended)),
        }
    }

    fn why(&self, ended: Ended) -> String {
        let how = match ended {
            Ended::Exit(0) => self.ends.as_deref().map_or("it ended by itself", in_words).to_owned(),
            Ended::Exit(status) => format!("QEMU ended with status {status}"),
            Ended::Signal(signal) => format!("QEMU was ended by signal {signal}"),
        };
        // A guest is lost too when the machine ends by itself.
        let lost = self.lost.clone().filter(|_| self.gave_up);
        self.failed.clone().or(lost).unwrap_or(how)
    }

    fn failure(&self, ended: Ended) -> String {
        let why = self.why(ended);
        match self.console.last_lines().as_slice() {
            [] => format!("bring the machine up: {why}; its console is empty"),
            lines => format!("bring the machine up: {why}; the last lines of its console:\n  {}", lines.join("\n  ")),
        }
    }
}

/// Why a machine ended, by QEMU's word for it (`ShutdownCause` of `qapi/run-state.json`).
fn in_words(cause: &str) -> &str {
    match cause {
        "guest-reset" => "it started anew from inside, as after a panic of its kernel",
        "guest-shutdown" => "it was switched off from inside",
        "guest-panic" => "its kernel panicked",
        "host-signal" => "QEMU was asked to end by a signal from outside",
        "host-qmp-quit" => "QEMU was asked to end",
        "host-error" => "QEMU met an error",
        _ => "it ended by itself",
    }
}
