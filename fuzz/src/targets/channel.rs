//! The guest channel, from both sides: bytes in pieces of any size, answered in any way.

use bundle::channel::{
    Decoder, Event, Happening, MAX_BACKLOG_BYTES, MAX_STREAMS, RefusalCode, Request, Response, Session, Side,
};

use super::pieces::Pieces;

/// The first byte chooses the side and whether a hello stands before the rest.
pub fn channel(data: &[u8]) -> bool {
    decode(data);
    let mut pieces = Pieces(data);
    let choice = pieces.byte();
    let mut session = Session::new(if choice & 1 == 0 { Side::Host } else { Side::Guest });
    if choice & 2 == 0 {
        let hello = Session::new(Side::Host).output().to_vec();
        session.receive(&hello).expect("a hello is understood");
    }
    while !pieces.is_empty() {
        let length = 1 + usize::from(pieces.byte());
        let Ok(happenings) = session.receive(pieces.chunk(length)) else { break };
        for happening in happenings {
            answer(&mut session, happening, choice);
        }
        if choice & 4 != 0 {
            session.wrote(length);
        }
        ask(&mut session, length);
        assert!(session.streams().count() <= MAX_STREAMS);
        assert!(session.output().len() <= 2 * MAX_BACKLOG_BYTES, "the output grows without bound");
    }
    session.receive(b"").is_ok() && session.agreed().is_some() && data.len() > 1
}

fn decode(data: &[u8]) {
    let mut decoder = Decoder::new();
    let mut rest = data;
    while !rest.is_empty() {
        let taken = decoder.push(rest);
        rest = &rest[taken..];
        let mut frames = 0;
        while let Ok(Some(frame)) = decoder.pull() {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            frames += 1;
        }
        if taken == 0 && frames == 0 {
            break;
        }
    }
}

fn answer(session: &mut Session, happening: Happening, choice: u8) {
    match happening {
        Happening::OpenPort { stream, port } if port % 3 == 0 => {
            drop(session.refuse(stream, RefusalCode::NotListening, "nothing there"));
        }
        // The other side may have taken its question back in the same bytes; then there is nothing to accept.
        Happening::OpenPort { stream, .. } if session.accept(stream).is_ok() => {
            session.send(stream, &[choice; 700]).expect("a stream that was accepted is open");
        }
        Happening::Request { stream, request } => {
            let open = matches!(request, Request::Stop { .. });
            drop(session.respond(stream, &Response::Done, open));
        }
        Happening::Data { stream, bytes } => session.used(stream, bytes.len()),
        Happening::Finished(stream) => drop(session.finish(stream)),
        _ => {}
    }
}

fn ask(session: &mut Session, length: usize) {
    match length % 16 {
        1 => drop(session.open_port(80)),
        2 => drop(session.request(&Request::Status)),
        3 => drop(session.event(&Event::Ready)),
        4 => {
            let first = session.streams().next();
            first.into_iter().for_each(|stream| session.reset(stream));
        }
        5 => drop(session.send(1, &vec![0; 70_000])),
        _ => {}
    }
}
