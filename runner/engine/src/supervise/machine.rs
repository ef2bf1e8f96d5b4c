//! What a machine has beside a container: its command, its own happenings, and QEMU's answers.

use std::io;
use std::time::Instant;

use bundle::channel::Session;
use host::Ready;

use super::{AFTER_KILL, SIGINT, SIGKILL, SIGTERM, Supervisor};
use crate::machine::{Command, Happened, Heard, Order};
use crate::ports::Channel;
use crate::wire::{self, Report};

impl Supervisor<'_> {
    /// A machine's command that did not end in time is killed, once, and the machine gets a moment to end in order.
    pub(super) fn kills_command(&mut self) -> bool {
        if self.is_killed || self.with_command(|command, session| command.signal(SIGKILL, session)) != Some(true) {
            return false;
        }
        self.is_killed = true;
        let within_ms = Some(self.grace_ms());
        self.desk.killed(Vec::new(), within_ms);
        wire::report(self.socket, &Report::Killed { services: Vec::new(), within_ms });
        self.stopping.iter_mut().for_each(|stopping| stopping.deadline = Instant::now() + AFTER_KILL);
        true
    }

    /// Does something with the machine's command and the session that it is carried by, where there are both.
    pub(super) fn with_command<T>(&mut self, act: impl FnOnce(&mut Command, &mut Session) -> T) -> Option<T> {
        let (command, channel) = (self.command.as_mut()?, self.channel.as_mut()?);
        let done = act(command, channel.session());
        // What cannot be written is found out when the channel is next looked at.
        let _ = channel.flush();
        Some(done)
    }

    /// Carries the streams of a machine's command; when it has ended, the machine is asked to.
    pub(super) fn watch_command(&mut self, ready: &[Ready]) -> io::Result<()> {
        let Some(command) = &mut self.command else { return Ok(()) };
        let wants_end = command.advance(ready, self.channel.as_mut().map(Channel::session));
        let ended = command.status().is_some() && !std::mem::replace(&mut self.command_done, true);
        let grace_ms = self.grace_ms();
        if let Some(channel) = &mut self.channel {
            if ended {
                self.machine.iter_mut().for_each(|machine| machine.ends_within(self.grace));
                channel.ask_to_stop(grace_ms);
            }
            let _ = channel.flush();
        }
        if wants_end && self.stopping.is_none() { self.stop(SIGINT) } else { Ok(()) }
    }

    pub(super) fn watch_machine(&mut self, ready: &[Ready]) -> io::Result<()> {
        let Some(machine) = &mut self.machine else { return Ok(()) };
        let now = Instant::now();
        let heard = machine.advance(ready, now);
        if let Some(within_ms) = machine.is_slow(now) {
            wire::report(self.socket, &Report::Booting { within_ms });
        }
        let is_late = machine.is_late(now);
        for one in heard {
            match one {
                Heard::Answered(order, result) => self.ordered(order, result)?,
                Heard::Happened(Happened::Stopped) => self.desk.stands(true),
                Heard::Happened(Happened::Resumed) => self.desk.stands(false),
                Heard::Happened(Happened::DiskFailed(why)) => self.tell(&format!(
                    "a disk of the machine failed, and the machine stands still: {why}; when that is mended, let it go on \
                     with: appliance resume {}",
                    self.desk.name()
                )),
                Heard::Happened(Happened::Ends(_)) | Heard::Memory(_) => {}
            }
        }
        if is_late { self.child.handle.signal(SIGKILL) } else { Ok(()) }
    }

    /// QEMU took an order, or did not.
    pub(super) fn ordered(&mut self, order: Order, result: Result<(), String>) -> io::Result<()> {
        match (order, &result) {
            (Order::Stop | Order::Cont, _) => {
                let is_pause = order == Order::Stop;
                self.desk.paused(is_pause, &result);
                if let Some(channel) = self.channel.as_mut().filter(|_| !is_pause && result.is_ok()) {
                    channel.set_time();
                }
            }
            (Order::Balloon { .. } | Order::WatchMemory | Order::Memory, Err(why)) => {
                self.tell(&format!("the machine keeps all of its memory: {why}"));
            }
            (Order::Quit, Err(_)) => return self.child.handle.signal(SIGTERM),
            _ => {}
        }
        Ok(())
    }

    /// Something that nobody asked, but that is worth a word.
    pub(super) fn tell(&mut self, words: &str) {
        self.desk.say(words);
        wire::report(self.socket, &Report::Notice(words.to_owned()));
    }

    /// QEMU writes its disks back when it is asked to end; a signal means the same to it.
    pub(super) fn quit(&mut self) -> io::Result<()> {
        match self.machine.as_mut().filter(|machine| machine.takes_orders()) {
            Some(machine) => {
                machine.order(Order::Quit);
                Ok(())
            }
            None => self.child.handle.signal(SIGTERM),
        }
    }
}
