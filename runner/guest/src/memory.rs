//! Whether memory ran out: what the kernel counts of the processes that it killed for want of it.
//!
//! In a container that is a file of its control group, which the engine hands in open; in a machine it is a line of
//! `/proc/vmstat`. What the kernel tells nobody is who it was, so that is found by when they end.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;

use bundle::guest::{GROUP_FILES_ENV, MEMORY_LIMIT_ENV};

use crate::inherited;

/// The status of what the kernel killed: 128 and the number of SIGKILL, as shells have it.
const STATUS_KILLED: u8 = 137;

/// Milliseconds that a killed process gets to be noticed as a service's before it counts as another one.
const PATIENCE_MS: u64 = 1_000;

/// Milliseconds between two looks for which there is no reason.
const PAUSE_MS: u64 = 1_000;

/// Where the count of killed processes stands in the unified hierarchy, and in the older one.
const UNIFIED_COUNTER: &str = "memory.events";
const OLDER_COUNTER: &str = "memory.oom_control";

/// What is known of the appliance's memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// Files of its control group, by name.
    files: Vec<(String, File)>,
    is_machine: bool,
    limit_bytes: Option<u64>,
    /// Kills that were counted when it was last looked.
    counted: u64,
    /// Those of them that belong to no service yet, and since when.
    unexplained: u64,
    since_ms: u64,
    /// When a glance is worth a look again.
    next_ms: u64,
}

/// Memory ran out, and the kernel killed something for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes of memory that there may be used, where that is limited.
    pub limit_bytes: Option<u64>,
}

impl Memory {
    /// From what the engine hands in. To be called before this program has opened anything.
    pub fn inherit(env: &BTreeMap<String, String>, is_machine: bool) -> Self {
        let files = env.get(GROUP_FILES_ENV).map(String::as_str).unwrap_or_default().split(' ').filter_map(file);
        let limit_bytes = env.get(MEMORY_LIMIT_ENV).and_then(|bytes| bytes.parse().ok());
        let mut memory = Self { files: files.collect(), is_machine, limit_bytes, ..Self::default() };
        memory.counted = memory.count();
        memory
    }

    /// The descriptors that must stay open.
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.files.iter().map(|(_, file)| file.as_raw_fd())
    }

    /// What becomes urgent to read when a count changes (kernel documentation, `cgroup-v2`, "Basic Operations"). The
    /// older hierarchy has nothing like it: there a kill is seen when something else happens.
    pub fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        self.files.iter().find(|(name, _)| name == UNIFIED_COUNTER).map(|(_, file)| file.as_fd())
    }

    /// Looks now and then, for whoever comes by often: in a machine the kernel counts everything else too for an answer.
    pub fn glance(&mut self, now: u64) {
        if now >= self.next_ms {
            self.look(now);
        }
    }

    /// Looks whether there are more kills than are known of.
    pub fn look(&mut self, now: u64) {
        self.next_ms = now + PAUSE_MS;
        let more = self.count().saturating_sub(self.counted);
        if more > 0 {
            self.counted += more;
            self.since_ms = if self.unexplained == 0 { now } else { self.since_ms };
            self.unexplained += more;
        }
    }

    /// Hears that some process ended with this status; one that was killed is worth a look.
    pub fn hear(&mut self, now: u64, status: u8) {
        if status == STATUS_KILLED {
            self.look(now);
        }
    }

    /// Whether a service that ended with this status did so because memory ran out.
    pub fn explains(&mut self, now: u64, status: u8) -> Option<Shortage> {
        self.hear(now, status);
        let explains = status == STATUS_KILLED && self.unexplained > 0;
        explains.then(|| {
            self.unexplained -= 1;
            self.shortage()
        })
    }

    /// When [`Memory::others`] has something to say.
    pub fn deadline(&self) -> Option<u64> {
        (self.unexplained > 0).then_some(self.since_ms + PATIENCE_MS)
    }

    /// How many processes were killed that are no services' own.
    pub fn others(&mut self, now: u64) -> Option<(u64, Shortage)> {
        self.deadline().filter(|at| *at <= now)?;
        Some((std::mem::take(&mut self.unexplained), self.shortage()))
    }

    /// Bytes of memory that there are: the limit, else all of the machine's.
    pub fn total_bytes(&self) -> Option<u64> {
        self.limit_bytes.or_else(|| {
            let text = fs::read_to_string("/proc/meminfo").ok()?;
            let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            total.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
        })
    }

    /// The text of a file that tells about this appliance alone: of its control group, or of its machine.
    pub fn text(&self, of_group: &str, of_machine: &str) -> Option<String> {
        if self.is_machine {
            return fs::read_to_string(of_machine).ok();
        }
        let (_, file) = self.files.iter().find(|(name, _)| name == of_group)?;
        let mut text = [0; 1024];
        let count = file.read_at(&mut text, 0).ok()?;
        String::from_utf8(text.get(..count)?.to_vec()).ok()
    }

    fn shortage(&self) -> Shortage {
        Shortage { limit_bytes: self.limit_bytes }
    }

    fn count(&self) -> u64 {
        let text = [UNIFIED_COUNTER, OLDER_COUNTER].iter().find_map(|name| self.text(name, "/proc/vmstat"));
        text.as_deref().and_then(killed).unwrap_or(0)
    }
}

/// The line `oom_kill N` (kernel documentation, `cgroup-v1/memory` and `cgroup-v2`; `/proc/vmstat` has it too).
fn killed(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok())
}

/// A file that is open under the number in `NAME=NUMBER`.
fn file(word: &str) -> Option<(String, File)> {
    let (name, number) = word.split_once('=')?;
    Some((name.to_owned(), File::from(inherited::take(number).ok()?)))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn counts_are_found_in_every_form() {
        assert_eq!(killed("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(killed("low 0\nhigh 0\nmax 9\noom 4\noom_kill 2\noom_group_kill 0\n"), Some(2));
        assert_eq!(killed("pgfault 7\noom_kill 0\ndrop_pagecache 1\n"), Some(0));
        assert_eq!(killed("oom_kill x"), None);
        assert_eq!(killed(""), None);
    }

    #[test]
    fn a_kill_belongs_to_the_service_that_ends_of_it_and_else_to_another_process() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"oom_kill 1\n").unwrap();
        let set = |count: &str| file.write_all_at(format!("oom_kill {count}\n").as_bytes(), 0).unwrap();
        let files = vec![("memory.events".to_owned(), file.try_clone().unwrap())];
        let mut memory = Memory { files, counted: 1, limit_bytes: Some(64), ..Memory::default() };
        let shortage = Shortage { limit_bytes: Some(64) };
        assert_eq!(memory.explains(0, 137), None);
        set("3");
        memory.glance(4);
        assert_eq!((memory.explains(4, 1), memory.deadline()), (None, None), "nothing was killed, and it just looked");
        memory.hear(5, 137);
        assert_eq!(memory.deadline(), Some(1_005));
        assert_eq!((memory.explains(9, 137), memory.others(1_004)), (Some(shortage), None));
        assert_eq!((memory.others(1_005), memory.others(9_999), memory.deadline()), (Some((1, shortage)), None, None));
        assert_eq!(memory.total_bytes(), Some(64));
        assert!(Memory::default().total_bytes() > Some(1 << 20));
    }
}
