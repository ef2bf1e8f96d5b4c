//! QEMU's own protocol (`docs/interop/qmp-spec.txt`): orders to the machine itself, of which none waits for its answer.
//!
//! Answers are taken and thrown away: none of these orders can be refused by a QEMU that has what it was started with.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use host::{Interest, Ready};

use super::outlets::is_for_later;

/// An order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Let the processors stand still.
    Stop,
    /// Let them go on.
    Cont,
    /// Leave the guest this much of its memory.
    Balloon {
        /// In bytes.
        bytes: u64,
    },
}

/// The connection to QEMU.
#[derive(Debug)]
pub struct Qmp {
    socket: Option<UnixStream>,
    pending: Vec<u8>,
}

impl Order {
    fn text(self) -> String {
        match self {
            Self::Stop => "{\"execute\":\"stop\"}\n".to_owned(),
            Self::Cont => "{\"execute\":\"cont\"}\n".to_owned(),
            Self::Balloon { bytes } => format!("{{\"execute\":\"balloon\",\"arguments\":{{\"value\":{bytes}}}}}\n"),
        }
    }
}

impl Qmp {
    /// Over a socket that does not block. QEMU takes orders only after it was asked what it can do.
    pub fn new(socket: UnixStream) -> Self {
        Self { socket: Some(socket), pending: b"{\"execute\":\"qmp_capabilities\"}\n".to_vec() }
    }

    /// Gives an order, after those that were given before.
    pub fn give(&mut self, order: Order) {
        self.pending.extend(order.text().bytes());
        self.write();
    }

    /// What to wait for; nothing once QEMU has hung up.
    pub fn interest(&self) -> Option<Interest<'_>> {
        let write = !self.pending.is_empty();
        self.socket.as_ref().map(|socket| Interest { fd: socket.as_fd(), read: true, write })
    }

    /// Goes on with what is ready.
    pub fn advance(&mut self, ready: Ready) {
        if ready.write {
            self.write();
        }
        let mut chunk = [0; 4096];
        match self.socket.as_mut().filter(|_| ready.read).map(|socket| socket.read(&mut chunk)) {
            Some(Ok(0)) => self.socket = None,
            Some(Err(error)) if !is_for_later(&error) => self.socket = None,
            _ => {}
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

    #[test]
    fn orders_are_json_lines_in_their_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut qmp = Qmp::new(ours);
        (&theirs).write_all(b"{\"QMP\": {}}\r\n").unwrap();
        qmp.give(Order::Balloon { bytes: 7 });
        qmp.give(Order::Stop);
        qmp.advance(Ready { read: true, write: true });
        let lines: Vec<String> = std::io::BufReader::new(&theirs).lines().take(3).map(Result::unwrap).collect();
        let names =
            lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["execute"].clone());
        assert_eq!(names.collect::<Vec<_>>(), ["qmp_capabilities", "balloon", "stop"]);
        drop(theirs);
        qmp.advance(Ready { read: true, write: false });
        assert!(qmp.interest().is_none());
        qmp.give(Order::Cont);
    }
}
