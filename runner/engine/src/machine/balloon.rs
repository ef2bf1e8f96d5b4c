//! How much of its memory a machine keeps: what it asked for, and more, up to all of it, as long as it is short of it.
//!
//! Input: what the machine's kernel says each second that it could still give to programs. Output: a new target for the
//! balloon, where one is due. The kernel itself takes memory back from the balloon only right before it would kill
//! something, and never gives it back.

use std::time::{Duration, Instant};

use super::qmp_words::GuestMemory;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// With less than this part of its memory to give, or less than so many bytes, a machine is short of it.
const SHORT: (u64, u64) = (8, 32 << 20);

/// The least that is worth an order.
const STEP_BYTES: u64 = 64 << 20;

/// So many looks in a row must find that much lying idle before it is taken back.
const IDLE_LOOKS: u32 = 10;

/// The balloon of one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balloon {
    /// What it keeps at least, in bytes.
    kept: u64,
    /// What it has, in bytes.
    most: u64,
    target: u64,
    /// When to look next; none while a look is under way.
    next_look: Option<Instant>,
    idle_looks: u32,
    /// When the kernel last said something, by QEMU's clock.
    updated: u64,
}

impl Balloon {
    /// Of a machine that has `most` bytes and asked for `kept` of them.
    pub fn new(kept: u64, most: u64) -> Self {
        Self { kept, most, target: kept, next_look: None, idle_looks: 0, updated: 0 }
    }

    /// What the machine is left now.
    pub fn target(&self) -> u64 {
        self.target
    }

    /// All that it has.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// The looks begin, or go on.
    pub fn look_later(&mut self, now: Instant) {
        self.next_look = Some(now + PAUSE);
    }

    /// When to look next.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.next_look
    }

    /// Whether it is time for a look; true once.
    pub fn is_due(&mut self, now: Instant) -> bool {
        self.next_look.take_if(|at| *at <= now).is_some()
    }

    /// Takes up what the kernel says; the new target, where there is one.
    pub fn hear(&mut self, memory: GuestMemory) -> Option<u64> {
        let GuestMemory { available, updated } = memory;
        if updated == self.updated {
            // It stands still, or has not answered yet.
            return None;
        }
        self.updated = updated;
        let short = (self.target / SHORT.0).max(SHORT.1);
        let idle = available.saturating_sub(2 * short);
        self.idle_looks = if idle >= STEP_BYTES { self.idle_looks + 1 } else { 0 };
        let target = if available < short {
            self.target.saturating_add((self.target / 2).max(STEP_BYTES)).min(self.most)
        } else if self.idle_looks >= IDLE_LOOKS {
            self.idle_looks = 0;
            self.target.saturating_sub(idle / 2).max(self.kept)
        } else {
            self.target
        };
        (target != std::mem::replace(&mut self.target, target)).then_some(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_machine_that_is_short_of_memory_gets_all_it_may_have_and_gives_it_back_slowly() {
        let mut balloon = Balloon::new(256 * MIB, 1024 * MIB);
        let mut updated = 0;
        let mut hear = |balloon: &mut Balloon, available: u64| {
            updated += 1;
            balloon.hear(GuestMemory { available: available * MIB, updated }).map(|bytes| bytes / MIB)
        };
        // Enough, and nothing that could be taken back.
        assert_eq!([200, 40, 32].map(|available| hear(&mut balloon, available)), [None; 3]);
        assert_eq!(
            [10, 0, 0, 0, 0].map(|available| hear(&mut balloon, available)),
            [Some(384), Some(576), Some(864), Some(1024), None]
        );
        let idle: Vec<Option<u64>> = (0..20).map(|_| hear(&mut balloon, 900)).collect();
        assert_eq!(idle.iter().flatten().copied().collect::<Vec<_>>(), [702, 339]);
        assert!(idle[..9].iter().all(Option::is_none), "{idle:?}");
        assert_eq!((0..10).filter_map(|_| hear(&mut balloon, 900)).collect::<Vec<_>>(), [256]);
        // One that uses it now and then keeps it.
        hear(&mut balloon, 0);
        assert!((0..40).all(|look| hear(&mut balloon, if look % 9 == 0 { 60 } else { 300 }).is_none()));
    }

    #[test]
    fn what_was_said_once_counts_once() {
        let mut balloon = Balloon::new(256 * MIB, 1024 * MIB);
        let short = GuestMemory { available: 0, updated: 7 };
        assert_eq!((balloon.hear(short), balloon.hear(short)), (Some(384 * MIB), None));
        let now = Instant::now();
        balloon.look_later(now);
        assert_eq!(
            (balloon.is_due(now), balloon.is_due(now + PAUSE), balloon.is_due(now + PAUSE)),
            (false, true, false)
        );
    }
}
