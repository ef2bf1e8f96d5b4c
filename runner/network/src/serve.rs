//! The loop that serves one wire.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::stack::{Stack, Waits};
use crate::wire::OpenWire;
use crate::world::{Host, World};
use crate::{Counts, Event, Rules, Wire};

/// Serves the wire until its other end is closed or `stop` is readable, or closed at its other end. It blocks: give it a
/// thread. Nothing but what `rules` allows is dialled.
///
/// # Errors
/// If the wire fails, or carries what are no frames.
pub fn serve(wire: Wire, rules: Rules, log: impl FnMut(Event) + Send, stop: OwnedFd) -> io::Result<Counts> {
    serve_in(Host, wire, rules, log, stop)
}

/// As [`serve`], in another world than this host.
///
/// # Errors
/// Those of [`serve`].
pub fn serve_in(
    world: impl World,
    wire: Wire,
    rules: Rules,
    mut log: impl FnMut(Event) + Send,
    stop: OwnedFd,
) -> io::Result<Counts> {
    let started = Instant::now();
    let now_ms = || started.elapsed().as_millis() as u64;
    let mut wire = OpenWire::new(wire)?;
    let mut stack = Stack::new(rules, world)?;
    loop {
        let woken = wait(&wire, &mut stack, &stop, now_ms())?;
        if woken.stop {
            return Ok(stack.counts());
        }
        for (what, flags) in woken.ready {
            stack.ready(what, flags);
        }
        let is_open = !woken.wire || wire.receive(|frame| stack.frame(frame, now_ms()))?;
        stack.work(now_ms());
        stack.events().into_iter().for_each(&mut log);
        if !is_open || !wire.send(stack.out())? {
            return Ok(stack.counts());
        }
    }
}

/// What a wait ended with.
struct Woken {
    stop: bool,
    /// There are frames, and room for their answers.
    wire: bool,
    ready: Vec<(Waits, PollFlags)>,
}

fn wait<W: World>(wire: &OpenWire, stack: &mut Stack<W>, stop: &OwnedFd, now_ms: u64) -> io::Result<Woken> {
    let timeout = stack.due_in_ms(now_ms).map_or(PollTimeout::NONE, |due_ms| {
        // A millisecond more than is due: time is counted in whole ones, and too early is in vain.
        PollTimeout::try_from(due_ms.saturating_add(u64::from(due_ms > 0)).min(60_000)).unwrap_or(PollTimeout::MAX)
    });
    let mut wire_flags = PollFlags::empty();
    wire_flags.set(PollFlags::POLLIN, stack.takes_frames());
    wire_flags.set(PollFlags::POLLOUT, !stack.waiting().is_empty());
    let mut whats = Vec::new();
    let mut descriptors = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(wire.as_fd(), wire_flags)];
    stack.waits(|what, descriptor, flags| {
        whats.push(what);
        descriptors.push(PollFd::new(descriptor, flags));
    });
    match poll(&mut descriptors, timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let came = |at: usize| descriptors[at].revents().unwrap_or(PollFlags::empty());
    let ready = whats.into_iter().zip(2..).map(|(what, at)| (what, came(at))).filter(|(_, flags)| !flags.is_empty());
    let wire_ends = PollFlags::POLLHUP | PollFlags::POLLERR;
    let wire_flags = came(1);
    Ok(Woken {
        stop: !came(0).is_empty(),
        wire: wire_flags.contains(PollFlags::POLLIN) || wire_flags.intersects(wire_ends),
        ready: ready.collect(),
    })
}
