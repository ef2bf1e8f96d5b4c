//! Orders to the machine itself in QEMU's own protocol (`docs/interop/qmp-spec.rst`), and what comes of them. Nothing here
//! waits: each order has a time by which it must be answered.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use host::{Interest, Ready};

use super::outlets::is_for_later;
use super::qmp_words::{GuestMemory, Happened, Lines, Said};

/// How long QEMU may take to answer: less than a command waits for the supervisor.
const PATIENCE: Duration = Duration::from_secs(8);

/// The balloon, by the id that [`crate::bind`] gives it, and how often its guest tells something, in seconds.
const BALLOON: &str = "\"path\":\"/machine/peripheral/balloon\"";
const WATCHED: &str = "\"property\":\"guest-stats-polling-interval\"";

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Take orders: the first one.
    Begin,
    /// Let the processors stand still.
    Stop,
    /// Let them go on.
    Cont,
    /// Leave the guest this much of its memory.
    Balloon {
        /// In bytes.
        bytes: u64,
    },
    /// Let the guest tell each second how much memory it could still give to programs.
    WatchMemory,
    /// Say what it told last.
    Memory,
    /// End at once, with all disks written back.
    Quit,
}

/// What QEMU said that is worth something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It took an order, or would not, or did not answer in time; an answer that comes too late is heard too.
    Answered(Order, Result<(), String>),
    /// What the guest told of its memory; none where it tells nothing.
    Memory(Option<GuestMemory>),
    /// Something happened without an order, or because of one.
    Happened(Happened),
}

/// The connection to QEMU.
#[derive(Debug)]
pub struct Qmp {
    socket: Option<UnixStream>,
    pending: Vec<u8>,
    lines: Lines,
    /// What was ordered and not answered, by number, with the time by which it must be; none once that has passed.
    orders: VecDeque<(u64, Order, Option<Instant>)>,
    given: u64,
    heard: Vec<Heard>,
}

impl Order {
    fn text(self, number: u64) -> String {
        let (name, arguments) = match self {
            Self::Begin => ("qmp_capabilities", String::new()),
            Self::Stop => ("stop", String::new()),
            Self::Cont => ("cont", String::new()),
            Self::Quit => ("quit", String::new()),
            Self::WatchMemory => ("qom-set", format!(",\"arguments\":{{{BALLOON},{WATCHED},\"value\":1}}")),
            Self::Memory => ("qom-get", format!(",\"arguments\":{{{BALLOON},\"property\":\"guest-stats\"}}")),
            Self::Balloon { bytes } => ("balloon", format!(",\"arguments\":{{\"value\":{bytes}}}")),
        };
        format!("{{\"execute\":\"{name}\"{arguments},\"id\":{number}}}\n")
    }
}

impl Qmp {
    /// Over a socket that does not block. QEMU takes orders only after it was asked what it can do.
    pub fn new(socket: UnixStream) -> Self {
        let (lines, orders, heard) = (Lines::default(), VecDeque::new(), Vec::new());
        let mut qmp = Self { socket: Some(socket), pending: Vec::new(), lines, orders, given: 0, heard };
        // A machine that starts on a busy host says its first word late, and nobody waits for that one.
        qmp.order(Order::Begin, None);
        qmp
    }

    /// Gives an order, after those that were given before.
    pub fn give(&mut self, order: Order, now: Instant) {
        // What the balloon is told nobody waits for: on a busy host it is done late, and that is no reason to do without.
        let is_waited_for = matches!(order, Order::Stop | Order::Cont | Order::Quit);
        self.order(order, is_waited_for.then(|| now + PATIENCE));
        self.write();
    }

    fn order(&mut self, order: Order, until: Option<Instant>) {
        self.given += 1;
        self.orders.push_back((self.given, order, until));
        self.pending.extend(order.text(self.given).bytes());
    }

    /// Whether QEMU has said a word yet, and has not hung up.
    pub fn is_there(&self) -> bool {
        self.socket.is_some() && self.orders.iter().all(|(_, order, _)| *order != Order::Begin)
    }

    /// What to wait for; nothing once QEMU has hung up.
    pub fn interest(&self) -> Option<Interest<'_>> {
        let write = !self.pending.is_empty();
        self.socket.as_ref().map(|socket| Interest { fd: socket.as_fd(), read: true, write })
    }

    /// When an order should have been answered.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.orders.iter().filter_map(|(_, _, until)| *until).min()
    }

    /// Goes on with what is ready; gives what was heard.
    pub fn advance(&mut self, ready: Ready, now: Instant) -> Vec<Heard> {
        if ready.write {
            self.write();
        }
        if ready.read {
            self.read();
        }
        if self.socket.is_none() {
            self.give_up();
        }
        for (_, order, until) in &mut self.orders {
            if until.take_if(|at| *at <= now).is_some() {
                let late = format!("QEMU did not answer within {} s", PATIENCE.as_secs());
                self.heard.push(Heard::Answered(*order, Err(late)));
            }
        }
        std::mem::take(&mut self.heard)
    }

    fn read(&mut self) {
        let mut chunk = [0; 4096];
        let count = match self.socket.as_mut().map(|socket| socket.read(&mut chunk)) {
            Some(Ok(count @ 1..)) => count,
            Some(Err(error)) if is_for_later(&error) => return,
            _ => return self.socket = None,
        };
        match self.lines.push(chunk.get(..count).unwrap_or_default()) {
            Ok(all) => all.into_iter().for_each(|said| self.hear(said)),
            // Whoever talks nonsense once is not understood any more.
            Err(_) => self.socket = None,
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Answered { number, result } => {
                let Some(place) = self.orders.iter().position(|(of, ..)| *of == number) else { return };
                let Some((_, order, _)) = self.orders.remove(place) else { return };
                self.heard.push(match (order, result) {
                    (Order::Memory, Ok(memory)) => Heard::Memory(memory),
                    (_, result) => {
                        let result = result.map(drop).map_err(|reason| format!("QEMU said: {reason}"));
                        Heard::Answered(order, result)
                    }
                });
            }
            Said::Happened(happened) => self.heard.push(Heard::Happened(happened)),
            Said::Other => {}
        }
    }

    /// Nobody answers any more.
    fn give_up(&mut self) {
        for (_, order, until) in std::mem::take(&mut self.orders) {
            if until.is_some() {
                self.heard.push(Heard::Answered(order, Err("QEMU has hung up".to_owned())));
            }
        }
    }

    fn write(&mut self) {
        let Some(socket) = &mut self.socket else { return };
        while !self.pending.is_empty() {
            match socket.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if is_for_later(&error) => return,
                Err(_) => return self.socket = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufRead;

    use super::*;

    const BOTH: Ready = Ready { read: true, write: true };

    fn joined() -> (Qmp, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Qmp::new(ours), theirs)
    }

    #[test]
    fn orders_are_json_lines_in_their_order_and_answers_find_them() {
        let (mut qmp, theirs) = joined();
        let now = Instant::now();
        (&theirs).write_all(b"{\"QMP\": {}}\r\n").unwrap();
        qmp.give(Order::Balloon { bytes: 7 }, now);
        qmp.give(Order::Stop, now);
        assert_eq!((qmp.advance(BOTH, now), qmp.is_there()), (vec![], false));
        let lines: Vec<String> = std::io::BufReader::new(&theirs).lines().take(3).map(Result::unwrap).collect();
        let names =
            lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["execute"].clone());
        assert_eq!(names.collect::<Vec<_>>(), ["qmp_capabilities", "balloon", "stop"]);
        let answers = "{\"return\":{},\"id\":1}\r\n{\"error\":{\"class\":\"DeviceNotActive\",\"desc\":\"No balloon\"},\"id\":2}\r\n\
                       {\"event\":\"STOP\"}\r\n{\"return\":{},\"id\":3}\r\n{\"return\":{},\"id\":99}\r\n";
        (&theirs).write_all(answers.as_bytes()).unwrap();
        let expected = [
            Heard::Answered(Order::Begin, Ok(())),
            Heard::Answered(Order::Balloon { bytes: 7 }, Err("QEMU said: No balloon".to_owned())),
            Heard::Happened(Happened::Stopped),
            Heard::Answered(Order::Stop, Ok(())),
        ];
        assert_eq!((qmp.advance(BOTH, now), qmp.is_there()), (expected.to_vec(), true));
    }

    #[test]
    fn an_answer_that_does_not_come_is_told_in_time_and_heard_late() {
        let (mut qmp, theirs) = joined();
        let now = Instant::now();
        qmp.give(Order::Stop, now);
        let nothing = Ready::default();
        assert_eq!((qmp.advance(nothing, now), qmp.wakes_at()), (vec![], Some(now + PATIENCE)));
        let late = Heard::Answered(Order::Stop, Err("QEMU did not answer within 8 s".to_owned()));
        assert_eq!((qmp.advance(nothing, now + PATIENCE), qmp.wakes_at()), (vec![late], None));
        (&theirs).write_all(b"{\"return\":{},\"id\":2}\n").unwrap();
        assert_eq!(qmp.advance(BOTH, now), [Heard::Answered(Order::Stop, Ok(()))]);
        qmp.give(Order::Cont, now);
        drop(theirs);
        let gone = Heard::Answered(Order::Cont, Err("QEMU has hung up".to_owned()));
        assert_eq!(qmp.advance(BOTH, now), vec![gone.clone()]);
        assert!(qmp.interest().is_none());
        qmp.give(Order::Cont, now);
        assert_eq!(qmp.advance(nothing, now), [gone]);
    }

    #[test]
    fn nonsense_ends_the_talk() {
        let (mut qmp, theirs) = joined();
        (&theirs).write_all(b"nonsense\n").unwrap();
        assert_eq!(qmp.advance(BOTH, Instant::now()), []);
        assert!(qmp.interest().is_none());
    }
}
