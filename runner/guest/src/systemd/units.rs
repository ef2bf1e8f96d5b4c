//! The units at the agent's door: who has come, who may go, what they tell.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use super::door::{self, Heard, Word};
use super::notify;

/// What the units told.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The service's process is there.
    Started { service: usize, pid: u32 },
    /// Its program could not be started.
    NotStarted { service: usize, reason: String, status: u8 },
    /// Its process ended.
    Ended { service: usize, status: u8 },
}

/// The door and who stands at it.
#[derive(Debug)]
pub struct Units {
    listener: OwnedFd,
    visitors: Vec<Visitor>,
    /// Services that are to start.
    wanted: Vec<usize>,
    /// No service is to start: a command runs in their place.
    holds: bool,
}

#[derive(Debug)]
struct Visitor {
    connection: OwnedFd,
    pid: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has not said who it is.
    Unknown,
    /// It waits until this service is to start.
    Waits(usize),
    /// It was told to become this service, and either does so or says why not.
    Goes(usize),
    /// Nothing more is to be expected of it.
    Done,
}

impl Visitor {
    /// Its service does not start.
    fn send_away(&self) {
        // A unit that was never ready has failed, in systemd's eyes.
        notify::ready(Some(self.pid));
        let _ = door::say(self.connection.as_fd(), &Word::Over, &[]);
    }
}

impl Units {
    /// Opens the door; who comes is sent away where the services are held back.
    pub fn open(holds: bool) -> Result<Self, String> {
        Ok(Self { listener: door::open()?, visitors: Vec::new(), wanted: Vec::new(), holds })
    }

    /// What to wait for until it can be read.
    pub fn waits_for(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.visitors.iter().map(|visitor| visitor.connection.as_fd()))
    }

    /// Takes all that came, in order. `find` gives the place of the service with a name.
    pub fn advance(&mut self, find: impl Fn(&str) -> Option<usize>) -> Vec<News> {
        while let Some((connection, pid)) = door::admit(&self.listener) {
            self.visitors.push(Visitor { connection, pid, stage: Stage::Unknown });
        }
        let mut news = Vec::new();
        for place in 0..self.visitors.len() {
            self.hear(place, &find, &mut news);
        }
        self.visitors.retain(|visitor| visitor.stage != Stage::Done);
        news
    }

    fn hear(&mut self, place: usize, find: &impl Fn(&str) -> Option<usize>, news: &mut Vec<News>) {
        let Some(visitor) = self.visitors.get_mut(place) else { return };
        let heard = match visitor.stage {
            Stage::Done => return,
            _ => door::hear(visitor.connection.as_fd()),
        };
        visitor.stage = match (heard, visitor.stage) {
            (Heard::Silence, stage) => stage,
            (Heard::Word(Word::Unit(_), _), Stage::Unknown) if self.holds => {
                visitor.send_away();
                Stage::Done
            }
            (Heard::Word(Word::Unit(name), _), Stage::Unknown) => find(&name).map_or(Stage::Done, Stage::Waits),
            (Heard::Word(Word::Failed { status, reason }, _), Stage::Goes(service)) => {
                news.push(News::NotStarted { service, reason, status });
                Stage::Done
            }
            // The connection closes by itself when the program runs.
            (Heard::Gone, Stage::Goes(service)) => {
                news.push(News::Started { service, pid: visitor.pid });
                Stage::Done
            }
            (Heard::Word(Word::Ended { status, name }, _), Stage::Unknown) => {
                visitor.stage = Stage::Done;
                if let Some(service) = find(&name) {
                    // Whoever has ended has started, which may not have been heard yet.
                    self.hear_who_goes(service, find, news);
                    news.push(News::Ended { service, status });
                }
                return;
            }
            _ => Stage::Done,
        };
    }

    fn hear_who_goes(&mut self, service: usize, find: &impl Fn(&str) -> Option<usize>, news: &mut Vec<News>) {
        if let Some(place) = self.visitors.iter().position(|visitor| visitor.stage == Stage::Goes(service)) {
            self.hear(place, find, news);
        }
    }

    /// This service is to start as soon as its unit has come.
    pub fn want(&mut self, service: usize) {
        self.wanted.push(service);
    }

    /// The services whose units have not come; they are no longer to start.
    pub fn withdraw(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.wanted)
    }

    /// A service that is to start and whose unit has come.
    pub fn next_to_go(&self) -> Option<usize> {
        self.wanted.iter().copied().find(|service| self.waiting(*service).is_some())
    }

    /// Lets the unit of this service become its program with these streams.
    pub fn go(&mut self, service: usize, out: BorrowedFd<'_>, err: BorrowedFd<'_>) {
        let Some(visitor) = self.waiting(service).and_then(|place| self.visitors.get_mut(place)) else { return };
        let said = door::say(visitor.connection.as_fd(), &Word::Go, &[out.as_raw_fd(), err.as_raw_fd()]);
        // One that has gone meanwhile comes again: its unit is started anew.
        visitor.stage = if said.is_ok() { Stage::Goes(service) } else { Stage::Done };
        if said.is_ok() {
            self.wanted.retain(|wanted| *wanted != service);
        }
    }

    /// Sends away the units of services that will not start any more.
    pub fn dismiss(&mut self, is_over: impl Fn(usize) -> bool) {
        for visitor in &mut self.visitors {
            if let Stage::Waits(service) = visitor.stage
                && is_over(service)
            {
                visitor.send_away();
                visitor.stage = Stage::Done;
            }
        }
        self.visitors.retain(|visitor| visitor.stage != Stage::Done);
    }

    /// Tells systemd that the service with this process is ready.
    pub fn is_ready(&self, pid: u32) {
        notify::ready(Some(pid));
    }

    fn waiting(&self, service: usize) -> Option<usize> {
        self.visitors.iter().position(|visitor| visitor.stage == Stage::Waits(service))
    }
}
