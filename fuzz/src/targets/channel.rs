//! The guest channel, from both sides: bytes in pieces of any size, answered in any way.

use bundle::channel::{
    Decoder, Event, ExecNote, Happening, MAX_BACKLOG_BYTES, MAX_STREAMS, Piece, Pieces, RefusalCode, Request, Response,
    Session, Side,
};

use super::pieces::Pieces as Input;

/// The first byte chooses the side, whether it relays, and whether a hello stands before the rest.
pub fn channel(data: &[u8]) -> bool {
    decode(data);
    join_pieces(data);
    let mut pieces = Input(data);
    let choice = pieces.byte();
    let mut session = match (choice & 1, choice & 8) {
        (0, 0) => Session::new(Side::Host),
        (0, _) => Session::relaying(Side::Host),
        (_, 0) => Session::answering(),
        _ => Session::relaying(Side::Guest),
    };
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

/// However the bytes are cut, the same pieces come of them.
fn join_pieces(data: &[u8]) {
    let joined = |size: usize| {
        let (mut pieces, mut whole) = (Pieces::default(), Vec::new());
        for part in data.chunks(size) {
            match pieces.push(part) {
                Ok(found) => found.iter().for_each(|piece| add(&mut whole, piece)),
                Err(_) => break,
            }
        }
        whole
    };
    let (one, many) = (joined(1), joined(data.len().max(1)));
    assert!(many.is_empty() || one == many, "pieces depend on how they arrive");
}

fn add(whole: &mut Vec<Piece>, piece: &Piece) {
    match (whole.last_mut(), piece) {
        (Some(Piece::Out(all)), Piece::Out(more)) | (Some(Piece::Err(all)), Piece::Err(more)) => all.extend(more),
        _ => whole.push(piece.clone()),
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
            let open = matches!(request, Request::Stop { .. } | Request::Exec(_) | Request::Watch { .. });
            drop(session.respond(stream, &Response::Done, open));
        }
        Happening::Asked { stream, json } => drop(session.answer(stream, json, choice & 16 != 0)),
        Happening::Note { stream, json } => {
            let _ = serde_json::from_str::<ExecNote>(&json);
            drop(session.note(stream, json));
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
        // An older side does not know it, and must not be told.
        6 => drop(session.event(&Event::OutOfMemory { name: None, limit_bytes: Some(1) })),
        4 => {
            let first = session.streams().next();
            first.into_iter().for_each(|stream| session.reset(stream));
        }
        5 => drop(session.send(1, &vec![0; 70_000])),
        _ => {}
    }
}
