//! Exchanges of datagrams: each port of the inside and destination has a socket of the host for a while.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use crate::outbox::Outbox;
use crate::packets::{self, Head, Key, MAX_DATAGRAM, Unreachable};

/// Exchanges at a time. The one that was silent for longest gives way to a new one.
const MAX_EXCHANGES: usize = 256;

/// For how long an exchange may be silent, in milliseconds (RFC 4787, section 4.3: not less than two minutes).
const SILENCE_MS: u64 = 120_000;

/// Datagrams of one exchange that are passed on before others get their turn.
const TURN: usize = 32;

/// All exchanges of a wire.
#[derive(Default)]
pub(crate) struct Udp {
    exchanges: BTreeMap<Key, Exchange>,
}

struct Exchange {
    line: UdpSocket,
    /// The datagram that errors quote.
    head: Head,
    last_ms: u64,
    is_readable: bool,
}

impl Udp {
    /// Whether there is an exchange already: then its datagrams are not judged again.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.exchanges.contains_key(key)
    }

    /// Takes a socket for a new exchange. True if another had to give way.
    pub(crate) fn opened(&mut self, head: Head, line: UdpSocket, now_ms: u64) -> bool {
        let is_full = self.exchanges.len() >= MAX_EXCHANGES;
        if is_full {
            let oldest = self.exchanges.iter().min_by_key(|(_, exchange)| exchange.last_ms).map(|(key, _)| *key);
            oldest.into_iter().for_each(|key| drop(self.exchanges.remove(&key)));
        }
        self.exchanges.insert(head.key, Exchange { line, head, last_ms: now_ms, is_readable: false });
        is_full
    }

    /// Passes a datagram out. False if it was lost, as datagrams may be.
    pub(crate) fn send(&mut self, key: &Key, payload: &[u8], out: &mut Outbox, now_ms: u64) -> bool {
        let Some(exchange) = self.exchanges.get_mut(key) else { return false };
        exchange.last_ms = now_ms;
        match exchange.line.send(payload) {
            Ok(_) => true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => false,
            Err(error) => {
                self.failed(key, error.kind(), out);
                false
            }
        }
    }

    /// The sockets that may have answers.
    pub(crate) fn waits<'a>(&'a self, mut add: impl FnMut(Key, BorrowedFd<'a>)) {
        let quiet = self.exchanges.iter().filter(|(_, exchange)| !exchange.is_readable);
        quiet.for_each(|(key, exchange)| add(*key, exchange.line.as_fd()));
    }

    /// Notes that there are answers, or an error.
    pub(crate) fn ready(&mut self, key: &Key) {
        if let Some(exchange) = self.exchanges.get_mut(key) {
            exchange.is_readable = true;
        }
    }

    /// Passes answers in and forgets what is silent. Gives how many answers were lost because no packet holds them.
    pub(crate) fn work(&mut self, out: &mut Outbox, now_ms: u64) -> u64 {
        let mut lost = 0;
        let mut failed = Vec::new();
        for (key, exchange) in self.exchanges.iter_mut().filter(|(_, exchange)| exchange.is_readable) {
            match exchange.answers(key, out, now_ms) {
                Ok(too_long) => lost += too_long,
                Err(error) => failed.push((*key, error)),
            }
        }
        for (key, error) in failed {
            self.failed(&key, error, out);
        }
        self.exchanges.retain(|_, exchange| now_ms < exchange.last_ms + SILENCE_MS);
        lost
    }

    /// Whether answers wait for the wire to have room.
    pub(crate) fn has_answers(&self) -> bool {
        self.exchanges.values().any(|exchange| exchange.is_readable)
    }

    /// In how many milliseconds an exchange ends. None if there is none.
    pub(crate) fn due_in_ms(&self, now_ms: u64) -> Option<u64> {
        self.exchanges.values().map(|exchange| (exchange.last_ms + SILENCE_MS).saturating_sub(now_ms)).min()
    }

    fn failed(&mut self, key: &Key, error: ErrorKind, out: &mut Outbox) {
        let Some(exchange) = self.exchanges.remove(key) else { return };
        if out.has_room(1) {
            packets::unreachable(out, &exchange.head, Unreachable::of(error));
        }
    }
}

impl Exchange {
    fn answers(&mut self, key: &Key, out: &mut Outbox, now_ms: u64) -> Result<u64, ErrorKind> {
        // One byte more than fits tells what does not fit.
        let mut payload = [0; MAX_DATAGRAM + 1];
        let mut lost = 0;
        for _ in 0..TURN {
            if !out.has_room(1) {
                break;
            }
            match self.line.recv(&mut payload) {
                Ok(length) => {
                    self.last_ms = now_ms;
                    match payload.get(..length).filter(|payload| payload.len() <= MAX_DATAGRAM) {
                        Some(payload) => packets::datagram(out, key, payload),
                        None => lost += 1,
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.kind()),
            }
        }
        Ok(lost)
    }
}
