//! Streams of commands that lead to the guest: each has one id in its command's session and one in the guest's.
//!
//! What is held is bounded by the window of either side: credit is given back only for what was passed on.

use std::collections::BTreeMap;

use bundle::channel::{Happening, Session};

/// A command's stream: the number of the command, and the id there.
pub type Outside = (u64, u32);

/// Does something to the session of the command with this number, if it is still there.
pub type Clients<'a> = dyn FnMut(u64, &mut dyn FnMut(&mut Session)) + 'a;

/// Streams that are passed on at once. The guest's session has as many again for ports, and each is three pipes in the guest,
/// which has 1024 descriptors.
pub const MAX_RELAYED: usize = 128;

/// All relayed streams, by their id in the guest's session.
#[derive(Debug, Default)]
pub struct Relay(BTreeMap<u32, Relayed>);

#[derive(Debug)]
struct Relayed {
    outside: Outside,
    inward: Direction,
    outward: Direction,
}

/// One direction of a stream.
#[derive(Debug, Default)]
struct Direction {
    pending: Vec<u8>,
    /// Its sender sends no more.
    finished: bool,
    /// That was passed on.
    said: bool,
}

impl Relay {
    /// Passes a request on to the guest; the reason when that is not possible.
    pub fn ask(&mut self, guest: &mut Session, outside: Outside, json: String) -> Result<(), String> {
        if self.0.len() >= MAX_RELAYED {
            return Err(format!(
                "begin one more: {MAX_RELAYED} commands and copies run in the instance, which is the most at once; wait until one has ended"
            ));
        }
        let inside = guest.ask(json).map_err(|error| error.to_string())?;
        let relayed = Relayed { outside, inward: Direction::default(), outward: Direction::default() };
        self.0.insert(inside, relayed);
        Ok(())
    }

    /// What a command sends on a stream.
    pub fn outside_says(&mut self, guest: &mut Session, client: u64, happening: Happening) {
        let (Happening::Data { stream, .. }
        | Happening::Finished(stream)
        | Happening::Note { stream, .. }
        | Happening::Reset(stream)) = &happening
        else {
            return;
        };
        let outside = (client, *stream);
        let Some((inside, relayed)) = self.0.iter_mut().find(|(_, relayed)| relayed.outside == outside) else { return };
        let inside = *inside;
        match happening {
            Happening::Data { bytes, .. } => relayed.inward.pending.extend(bytes),
            Happening::Finished(_) => relayed.inward.finished = true,
            // One that cannot be said now is lost, as a note may be.
            Happening::Note { json, .. } => drop(guest.note(inside, json)),
            _ => {
                guest.reset(inside);
                self.0.remove(&inside);
            }
        }
    }

    /// What the guest sends; `clients` are the commands' sessions by number.
    pub fn inside_says(&mut self, clients: &mut Clients<'_>, happening: Happening) {
        match happening {
            Happening::Answered { stream: inside, open, json } => {
                let Some(Relayed { outside: (client, stream), .. }) = self.0.get(&inside) else { return };
                let mut json = Some(json);
                clients(*client, &mut |session| drop(session.answer(*stream, json.take().unwrap_or_default(), open)));
                if !open {
                    self.0.remove(&inside);
                }
            }
            Happening::Data { stream: inside, bytes } => {
                if let Some(relayed) = self.0.get_mut(&inside) {
                    relayed.outward.pending.extend(bytes);
                }
            }
            Happening::Finished(inside) => {
                if let Some(relayed) = self.0.get_mut(&inside) {
                    relayed.outward.finished = true;
                }
            }
            Happening::Note { stream: inside, json } => {
                let Some(Relayed { outside: (client, stream), .. }) = self.0.get(&inside) else { return };
                clients(*client, &mut |session| drop(session.note(*stream, json.clone())));
            }
            Happening::Reset(inside) => {
                let Some(Relayed { outside: (client, stream), .. }) = self.0.remove(&inside) else { return };
                clients(client, &mut |session| session.reset(stream));
            }
            _ => {}
        }
    }

    /// Moves what can be moved, and forgets what is over.
    pub fn pump(&mut self, guest: &mut Session, clients: &mut Clients<'_>) {
        self.0.retain(|inside, Relayed { outside: (client, stream), inward, outward }| {
            clients(*client, &mut |session| {
                inward.pass(session, *stream, guest, *inside);
                outward.pass(guest, *inside, session, *stream);
            });
            !(inward.said && outward.said)
        });
    }

    /// A command is gone.
    pub fn forget(&mut self, guest: Option<&mut Session>, client: u64) {
        let gone: Vec<u32> =
            self.0.iter().filter(|(_, relayed)| relayed.outside.0 == client).map(|(inside, _)| *inside).collect();
        gone.iter().for_each(|inside| drop(self.0.remove(inside)));
        if let Some(guest) = guest {
            gone.into_iter().for_each(|inside| guest.reset(inside));
        }
    }

    /// The guest is gone.
    pub fn clear(&mut self, clients: &mut Clients<'_>) {
        for Relayed { outside: (client, stream), .. } in std::mem::take(&mut self.0).into_values() {
            clients(client, &mut |session| session.reset(stream));
        }
    }
}

impl Direction {
    fn pass(&mut self, from: &mut Session, from_id: u32, to: &mut Session, to_id: u32) {
        if !self.pending.is_empty() {
            let count = to.send(to_id, &self.pending).unwrap_or(0);
            self.pending.drain(..count);
            from.used(from_id, count);
        }
        if self.finished && !self.said && self.pending.is_empty() {
            self.said = true;
            let _ = to.finish(to_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use bundle::channel::{Side, WINDOW_BYTES};

    use super::*;

    fn pass(from: &mut Session, to: &mut Session) -> Vec<Happening> {
        let happenings = to.receive(from.output()).unwrap();
        from.wrote(from.output().len());
        happenings
    }

    #[test]
    fn a_stream_goes_through_with_its_credit() {
        let [mut command, mut outer, mut inner, mut guest] =
            [Side::Host, Side::Guest, Side::Host, Side::Guest].map(Session::relaying);
        pass(&mut command, &mut outer);
        pass(&mut outer, &mut command);
        pass(&mut inner, &mut guest);
        pass(&mut guest, &mut inner);
        // Ids differ on both sides.
        inner.open_port(1).unwrap();
        let mut relay = Relay::default();
        let asked = command.ask("{}".to_owned()).unwrap();
        pass(&mut command, &mut outer);
        relay.ask(&mut inner, (5, asked), "{}".to_owned()).unwrap();
        let Some(Happening::Asked { stream: inside, .. }) = pass(&mut inner, &mut guest).pop() else { panic!() };
        assert_ne!(inside, asked);
        guest.answer(inside, "1".to_owned(), true).unwrap();
        let total = 10 * WINDOW_BYTES as usize;
        let (mut sent, mut came, mut finished) = (0, 0, false);
        for _ in 0..200 {
            sent += command.send(asked, &vec![7; total - sent]).unwrap_or(0);
            if sent == total {
                let _ = command.finish(asked);
            }
            for happening in pass(&mut command, &mut outer) {
                relay.outside_says(&mut inner, 5, happening);
            }
            for happening in pass(&mut guest, &mut inner) {
                relay.inside_says(&mut |_, act| act(&mut outer), happening);
            }
            relay.pump(&mut inner, &mut |_, act| act(&mut outer));
            assert!(relay.0.values().all(|relayed| relayed.inward.pending.len() <= WINDOW_BYTES as usize));
            for happening in pass(&mut inner, &mut guest) {
                match happening {
                    Happening::Data { stream, bytes } => {
                        came += bytes.len();
                        guest.used(stream, bytes.len());
                    }
                    Happening::Finished(stream) => {
                        finished = true;
                        guest.finish(stream).unwrap();
                    }
                    _ => {}
                }
            }
            pass(&mut outer, &mut command);
        }
        assert_eq!((came, finished, relay.0.len()), (total, true, 0));
    }
}
