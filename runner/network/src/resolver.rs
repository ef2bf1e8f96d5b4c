//! Looks names up beside the wire: the system's resolver blocks, so each lookup has a thread, of which there are few.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::world::Resolve;

/// Lookups at a time.
const MAX_THREADS: usize = 4;

/// Lookups that wait for their turn.
const MAX_WAITING: usize = 64;

/// Bytes of a lookup's stack: what the system's resolver needs with room to spare.
const STACK_BYTES: usize = 256 * 1024;

/// What a lookup found.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) addresses: io::Result<Vec<IpAddr>>,
}

/// Lookups on their way.
pub(crate) struct Resolver {
    resolve: Arc<Resolve>,
    running: usize,
    waiting: VecDeque<String>,
    sender: Sender<Found>,
    found: Receiver<Found>,
    ring: Arc<UnixStream>,
    bell: UnixStream,
}

impl Resolver {
    pub(crate) fn new(resolve: Arc<Resolve>) -> io::Result<Self> {
        let (sender, found) = channel();
        let (ring, bell) = UnixStream::pair()?;
        ring.set_nonblocking(true)?;
        bell.set_nonblocking(true)?;
        Ok(Self { resolve, running: 0, waiting: VecDeque::new(), sender, found, ring: Arc::new(ring), bell })
    }

    /// Readable when something was found.
    pub(crate) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Asks for a name. False if there are too many questions already.
    pub(crate) fn ask(&mut self, name: &str) -> bool {
        if self.running < MAX_THREADS {
            return self.start(name.to_owned());
        }
        let fits = self.waiting.len() < MAX_WAITING;
        if fits {
            self.waiting.push_back(name.to_owned());
        }
        fits
    }

    /// What was found since it was last asked.
    pub(crate) fn take(&mut self) -> Vec<Found> {
        // The bell only wakes; what it rang for comes from the channel.
        while (&self.bell).read(&mut [0; 64]).is_ok_and(|rings| rings > 0) {}
        let mut all: Vec<Found> = self.found.try_iter().collect();
        self.running -= all.len();
        while self.running < MAX_THREADS {
            let Some(name) = self.waiting.pop_front() else { break };
            if !self.start(name.clone()) {
                all.push(Found { name, addresses: Err(io::Error::from(io::ErrorKind::OutOfMemory)) });
            }
        }
        all
    }

    fn start(&mut self, name: String) -> bool {
        let (resolve, sender, ring) = (self.resolve.clone(), self.sender.clone(), self.ring.clone());
        let lookup = move || {
            let addresses = resolve(&name);
            // The wire may have ended meanwhile: then nobody waits.
            drop(sender.send(Found { name, addresses }));
            drop((&*ring).write(&[1]));
        };
        let started = thread::Builder::new().name("lookup".to_owned()).stack_size(STACK_BYTES).spawn(lookup);
        self.running += usize::from(started.is_ok());
        started.is_ok()
    }
}
