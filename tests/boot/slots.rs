//! How many machines run at a time: as many as the host has processors, and as its memory holds.

use std::fs;
use std::sync::{Condvar, Mutex, OnceLock};

/// What a machine takes of the host's memory, with QEMU around it and what a build beside it needs.
const MACHINE_KIB: usize = 1 << 20;

/// The right to run a machine, given back when it is dropped. A test that waits for a second one must have dropped the first.
pub struct Slot(());

impl Slot {
    /// Waits until one more machine may run.
    pub fn take() -> Self {
        let mut running = RUNNING.lock().unwrap();
        while *running >= most() {
            running = ENDED.wait(running).unwrap();
        }
        *running += 1;
        Self(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap() -= 1;
        ENDED.notify_one();
    }
}

static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

fn most() -> usize {
    static MOST: OnceLock<usize> = OnceLock::new();
    *MOST.get_or_init(|| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        processors.min(free_kib().map_or(1, |free| free / MACHINE_KIB)).max(1)
    })
}

/// Memory of this host that can be had (proc(5), `MemAvailable`).
fn free_kib() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    text.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse().ok())
}
