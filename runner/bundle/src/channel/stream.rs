//! One stream's share of the session: how far it is, and who may send how much.

use super::WINDOW_BYTES;

/// How far a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// This side asked to connect a port.
    AskedPort,
    /// This side sent a request.
    AskedVerb,
    /// The other side asked to connect a port and waits for an answer.
    OwesPort,
    /// The other side sent a request and waits for an answer.
    OwesVerb,
    /// Data may flow.
    Open,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) phase: Phase,
    /// Bytes that this side may still send.
    pub(super) send_credit: u32,
    /// Bytes that the other side may still send.
    pub(super) receive_credit: u32,
    /// Bytes that were received and used here, for which no credit was given back yet.
    pub(super) used: u32,
    /// This side sends no more data.
    pub(super) finished_here: bool,
    /// The other side sends no more data.
    pub(super) finished_there: bool,
}

impl Stream {
    pub(super) fn new(phase: Phase) -> Self {
        Self {
            phase,
            send_credit: WINDOW_BYTES,
            receive_credit: WINDOW_BYTES,
            used: 0,
            finished_here: false,
            finished_there: false,
        }
    }

    pub(super) fn may_send(&self) -> bool {
        self.phase == Phase::Open && !self.finished_here
    }

    pub(super) fn is_over(&self) -> bool {
        self.finished_here && self.finished_there
    }

    /// Counts `count` bytes as used; gives the credit to return when it is worth a frame.
    pub(super) fn use_up(&mut self, count: u32) -> Option<u32> {
        let received = WINDOW_BYTES.saturating_sub(self.receive_credit).saturating_sub(self.used);
        self.used += count.min(received);
        if self.finished_there || self.used < WINDOW_BYTES / 2 {
            return None;
        }
        self.receive_credit += self.used;
        Some(std::mem::take(&mut self.used))
    }
}
