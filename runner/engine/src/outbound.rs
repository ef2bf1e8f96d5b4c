//! An instance's network: a thread that serves its wire, what that tells, and its end.
//!
//! It is started when the instance was: a process with two threads clones no children.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use host::Interest;
use network::{Counts, Event, Rules, Wire, serve};

use crate::wire::{Refused, Report};

/// What the thread tells.
enum Told {
    Event(Event),
    Ended(io::Result<Counts>),
}

/// The thread. Without an order to end it ends with the wire.
pub struct Serving {
    told: Receiver<Told>,
    /// Readable when something was told.
    bell: UnixStream,
    /// Its closing ends the thread.
    stop: UnixStream,
    thread: JoinHandle<()>,
}

/// The thread's way to its supervisor.
struct Teller {
    to: Sender<Told>,
    bell: UnixStream,
}

impl Teller {
    /// Says it. A supervisor that is gone hears nothing; a bell that is full has been heard or will be.
    fn tell(&mut self, what: Told) {
        if self.to.send(what).is_ok() {
            let _ = self.bell.write(b"!");
        }
    }
}

impl Serving {
    /// Serves the wire by these rules.
    ///
    /// # Errors
    /// What the system says about sockets and threads.
    pub fn start(wire: Wire, rules: Rules) -> io::Result<Self> {
        let (to, told) = channel();
        let (bell, rope) = UnixStream::pair()?;
        let (stop, stopped) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rope.set_nonblocking(true)?;
        let mut teller = Teller { to, bell: rope };
        let work = move || {
            let ended = serve(wire, rules, |event| teller.tell(Told::Event(event)), OwnedFd::from(stopped));
            teller.tell(Told::Ended(ended));
        };
        let thread = std::thread::Builder::new().name("network".to_owned()).spawn(work)?;
        Ok(Self { told, bell, stop, thread })
    }

    /// What to wait for.
    pub fn interest(&self) -> Interest<'_> {
        Interest { fd: self.bell.as_fd(), read: true, write: false }
    }

    /// What has been told since.
    pub fn hear(&mut self) -> Vec<Report> {
        let mut rung = [0; 256];
        while matches!((&self.bell).read(&mut rung), Ok(1..)) {}
        self.told.try_iter().filter_map(report).collect()
    }

    /// Ends the thread; what it told before.
    pub fn end(self) -> Vec<Report> {
        drop(self.stop);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        // That the wire is gone is no loss: so is the instance.
        self.told.try_iter().filter(|told| matches!(told, Told::Event(_))).filter_map(report).collect()
    }
}

fn report(told: Told) -> Option<Report> {
    match told {
        Told::Event(Event::Allowed { .. }) | Told::Ended(Ok(_)) => None,
        Told::Event(Event::LookupFailed { name, why }) => Some(Report::LookupFailed { name, why }),
        Told::Event(event) => {
            let (text, (destination, protocol, name)) = (event.to_string(), place(event));
            Some(Report::Refused(Refused { text, destination, protocol, name }))
        }
        Told::Ended(Err(error)) => Some(Report::NetworkLost(error.to_string())),
    }
}

/// Where to, by what and under which name something was refused.
fn place(event: Event) -> (Option<std::net::SocketAddr>, Option<String>, Option<String>) {
    match event {
        Event::Allowed { destination, protocol, name, .. } | Event::Denied { destination, protocol, name, .. } => {
            (Some(destination), Some(protocol.to_string()), name)
        }
        Event::UnlistedName { name } | Event::Misled { name, .. } | Event::LookupFailed { name, .. } => {
            (None, None, Some(name))
        }
        Event::Enough { .. } => (None, None, None),
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("thread", &self.thread).finish_non_exhaustive()
    }
}
