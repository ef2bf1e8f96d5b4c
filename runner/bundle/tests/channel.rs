//! The guest channel under split, hostile and slow input.

use bundle::channel::{
    Body, Decoder, Event, Features, Frame, FrameError, HEADER_BYTES, Happening, MAX_NOTE_BYTES, MAX_PAYLOAD_BYTES,
    MAX_STREAMS, RefusalCode, Request, Response, ServiceState, Session, SessionError, Side, Status, WINDOW_BYTES,
};
use proptest::prelude::*;

fn frames() -> impl Strategy<Value = Frame> {
    let text = "[ -~äß]{0,40}";
    let code = prop_oneof![
        Just(RefusalCode::NotListening),
        Just(RefusalCode::NotAllowed),
        Just(RefusalCode::TooMany),
        Just(RefusalCode::Failed)
    ];
    let body = prop_oneof![
        (any::<u16>(), any::<u64>()).prop_map(|(version, features)| Body::Hello { version, features }),
        text.prop_map(|text| Body::Error { text }),
        (1..=u16::MAX).prop_map(|port| Body::OpenPort { port }),
        Just(Body::Opened),
        (code, text).prop_map(|(code, text)| Body::Refused { code, text }),
        proptest::collection::vec(any::<u8>(), 1..2000).prop_map(Body::Data),
        (1..=u32::MAX).prop_map(|credit| Body::Window { credit }),
        Just(Body::Finish),
        Just(Body::Reset),
        text.prop_map(Body::Note),
        text.prop_map(Body::Event),
        text.prop_map(Body::Request),
        (any::<bool>(), text).prop_map(|(open, json)| Body::Response { open, json }),
    ];
    (any::<u32>(), body).prop_map(|(stream, body)| Frame { stream, body })
}

fn decode_in_pieces(bytes: &[u8], piece_bytes: usize) -> Result<Vec<Frame>, FrameError> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for mut piece in bytes.chunks(piece_bytes) {
        while !piece.is_empty() {
            piece = &piece[decoder.push(piece)..];
            while let Some(frame) = decoder.pull()? {
                frames.push(frame);
            }
        }
    }
    assert!(!decoder.is_inside_frame());
    Ok(frames)
}

proptest! {
    #[test]
    fn frames_survive_any_split(frames in proptest::collection::vec(frames(), 0..12), piece_bytes in 1usize..300) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        prop_assert_eq!(decode_in_pieces(&bytes, piece_bytes), Ok(frames));
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Session::new(Side::Guest).receive(&bytes);
    }

    #[test]
    fn any_order_of_frames_never_panics_and_stays_bounded(frames in proptest::collection::vec(frames(), 0..60), low in any::<bool>()) {
        let mut session = greeted(Side::Guest);
        for mut frame in frames {
            if low {
                frame.stream %= 6;
            }
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            for happening in session.receive(&bytes).unwrap_or_default() {
                if let Happening::OpenPort { stream, .. } = happening {
                    session.accept(stream).expect("an asked stream can be accepted");
                }
            }
            prop_assert!(session.streams().count() <= MAX_STREAMS);
        }
    }

    #[test]
    fn bytes_arrive_whole_and_in_order_under_flow_control(
        data in proptest::collection::vec(any::<u8>(), 1..400_000), piece_bytes in 1usize..200_000, reads in 1usize..100_000,
    ) {
        let (mut host, mut guest) = pair();
        let stream = opened(&mut host, &mut guest);
        let (mut sent, mut arrived, mut held) = (0, Vec::new(), 0);
        while arrived.len() < data.len() {
            let end = data.len().min(sent + piece_bytes);
            sent += host.send(stream, &data[sent..end]).expect("the stream is open");
            for happening in pass(&mut host, &mut guest, piece_bytes) {
                if let Happening::Data { bytes, .. } = happening {
                    held += bytes.len();
                    arrived.extend(bytes);
                }
            }
            prop_assert!(held <= WINDOW_BYTES as usize);
            guest.used(stream, reads.min(held));
            held -= reads.min(held);
            pass(&mut guest, &mut host, 1000);
        }
        prop_assert_eq!(arrived, data);
    }
}

#[test]
fn a_hello_has_the_documented_bytes() {
    let expected = b"\x12\0\0\0\0\0\0\0\x01APPLCHAN\x03\0\0\0\0\0\0\0\0\0";
    assert_eq!(Session::new(Side::Host).output(), expected);
}

#[test]
fn messages_have_the_documented_json() {
    let json = |value: &dyn erased::Json| value.json();
    assert_eq!(json(&Request::Stop { within_ms: None }), r#"{"verb":"stop"}"#);
    assert_eq!(json(&Request::Stop { within_ms: Some(5) }), r#"{"verb":"stop","within_ms":5}"#);
    assert_eq!(json(&Request::Status), r#"{"verb":"status"}"#);
    assert_eq!(json(&Response::Done), r#""done""#);
    assert_eq!(json(&Response::Failed("x".into())), r#"{"failed":"x"}"#);
    assert_eq!(
        json(&Response::Status(Status { ready: true, services: vec![] })),
        r#"{"status":{"ready":true,"services":[]}}"#
    );
    let state = ServiceState::Exited(137);
    assert_eq!(
        json(&Event::Service { name: "web".into(), state }),
        r#"{"event":"service","name":"web","state":{"exited":137}}"#
    );
    assert_eq!(json(&Event::Exited { status: 0 }), r#"{"event":"exited","status":0}"#);
    assert_eq!(json(&Event::Ready), r#"{"event":"ready"}"#);
    let restart = Event::Restart { name: "web".into(), status: 3, delay_ms: 500, failures: 1, limit: 5 };
    let text = r#"{"event":"restart","name":"web","status":3,"delay_ms":500,"failures":1,"limit":5}"#;
    assert_eq!(json(&restart), text);
    let main = Event::MainEnded { name: "web".into(), status: 0 };
    assert_eq!(json(&main), r#"{"event":"main-ended","name":"web","status":0}"#);
    let killed = |within_ms| json(&Event::Killed { name: "web".into(), within_ms });
    assert_eq!(killed(Some(2000)), r#"{"event":"killed","name":"web","within_ms":2000}"#);
    assert_eq!(killed(None), r#"{"event":"killed","name":"web"}"#);
    let ran_out = Event::OutOfMemory { name: Some("web".into()), limit_bytes: Some(1) };
    assert_eq!(json(&ran_out), r#"{"event":"out-of-memory","name":"web","limit_bytes":1}"#);
}

mod erased {
    pub trait Json {
        fn json(&self) -> String;
    }
    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).expect("messages are plain data")
        }
    }
}

/// What a guest that was greeted makes of these frames.
fn check(frames: &[(u32, Body)], expected: Result<Vec<Happening>, SessionError>) {
    let mut bytes = Vec::new();
    for (stream, body) in frames {
        Frame { stream: *stream, body: body.clone() }.encode(&mut bytes);
    }
    let mut guest = greeted(Side::Guest);
    let failed = expected.is_err();
    assert_eq!(guest.receive(&bytes), expected, "{frames:?}");
    let said_error = decode_in_pieces(guest.output(), 64)
        .expect("own output is valid")
        .iter()
        .any(|f| matches!(f.body, Body::Error { .. }));
    assert_eq!(said_error, failed && !matches!(frames.last(), Some((_, Body::Error { .. }))), "{frames:?}");
}

#[test]
fn the_protocol_is_enforced() {
    let broken = |stream, problem| Err(SessionError::Protocol { stream, problem });
    let port = || Body::OpenPort { port: 80 };
    check(&[(1, port())], Ok(vec![Happening::OpenPort { stream: 1, port: 80 }]));
    check(&[(2, port())], broken(2, "the id is not a fresh one of the side that opens"));
    check(&[(3, port()), (1, port())], broken(1, "the id is not a fresh one of the side that opens"));
    check(&[(5, Body::Data(vec![1]))], broken(5, "the stream was never opened"));
    check(&[(1, port()), (1, Body::Data(vec![1]))], broken(1, "this kind of frame cannot come now"));
    check(
        &[(1, port()), (1, Body::Reset), (1, Body::Data(vec![1]))],
        Ok(vec![Happening::OpenPort { stream: 1, port: 80 }, Happening::Reset(1)]),
    );
    check(&[(0, Body::Finish)], broken(0, "this kind of frame belongs to a stream"));
    check(&[(0, Body::Hello { version: 1, features: 0 })], broken(0, "a hello comes once, on stream 0"));
    check(&[(0, Body::Event("{}".into()))], broken(0, "the event is not known"));
    check(&[(0, Body::Error { text: "no".into() })], Err(SessionError::Peer { text: "no".into() }));
    check(
        &[(1, Body::Request(r#"{"verb":"status"}"#.into()))],
        Ok(vec![Happening::Request { stream: 1, request: Request::Status }]),
    );
}

#[test]
fn an_unknown_verb_is_answered_and_the_session_goes_on() {
    let mut guest = greeted(Side::Guest);
    let mut bytes = Vec::new();
    Frame { stream: 1, body: Body::Request(r#"{"verb":"dance"}"#.into()) }.encode(&mut bytes);
    assert_eq!(guest.receive(&bytes), Ok(vec![]));
    let answer = decode_in_pieces(guest.output(), 64).expect("own output is valid").pop().expect("there is an answer");
    assert!(
        matches!(answer.body, Body::Response { open: false, ref json } if json.contains("unknown variant `dance`")),
        "{answer:?}"
    );
}

#[test]
fn bad_headers_are_refused_before_their_payload() {
    for (header, expected) in [
        ([1, 0, 1, 0, 0, 0, 0, 0, 0x13], FrameError::TooLong { length: 65537 }),
        ([1, 0, 0, 0, 0, 0, 0, 0, 0x7f], FrameError::UnknownKind { kind: 0x7f }),
    ] {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.push(&header), HEADER_BYTES);
        assert_eq!(decoder.pull(), Err(expected.clone()));
        assert_eq!(decoder.pull(), Err(expected));
    }
    let mut guest = Session::new(Side::Guest);
    assert!(matches!(guest.receive(b"GET / HTTP/1.1\r\n\r\n"), Err(SessionError::Frame(_))));
    assert!(guest.open_port(80).is_err());
}

#[test]
fn versions_are_negotiated() {
    for (version, expected) in [
        (0, Err(SessionError::Version { version: 0 })),
        (1, Ok(vec![Happening::Hello(Features { version: 1, bits: 0 })])),
        (9, Ok(vec![Happening::Hello(Features { version: 3, bits: 0 })])),
    ] {
        let mut bytes = Vec::new();
        Frame { stream: 0, body: Body::Hello { version, features: u64::MAX } }.encode(&mut bytes);
        assert_eq!(Session::new(Side::Host).receive(&bytes), expected);
    }
}

#[test]
fn a_relay_passes_verbs_on_that_it_does_not_know() {
    let (mut host, mut guest) = (Session::relaying(Side::Host), Session::relaying(Side::Guest));
    pass(&mut host, &mut guest, 5);
    pass(&mut guest, &mut host, 5);
    let asked = r#"{"verb":"of-tomorrow"}"#.to_owned();
    let stream = host.ask(asked.clone()).expect("a stream is free");
    assert_eq!(pass(&mut host, &mut guest, 3), [Happening::Asked { stream, json: asked }]);
    guest.answer(stream, "7".to_owned(), true).expect("it was asked");
    assert_eq!(pass(&mut guest, &mut host, 3), [Happening::Answered { stream, open: true, json: "7".to_owned() }]);
    assert_eq!(guest.send(stream, b"x"), Ok(1));
}

#[test]
fn a_note_overtakes_data_that_has_no_credit() {
    let (mut host, mut guest) = pair();
    let stream = opened(&mut host, &mut guest);
    host.send(stream, &vec![0; WINDOW_BYTES as usize]).expect("it is open");
    pass(&mut host, &mut guest, 4096);
    assert_eq!(host.send(stream, b"more"), Ok(0));
    host.finish(stream).expect("it is open");
    host.note(stream, r#"{"signal":2}"#.to_owned()).expect("both sides know notes");
    let note = Happening::Note { stream, json: r#"{"signal":2}"#.to_owned() };
    assert_eq!(pass(&mut host, &mut guest, 7), [Happening::Finished(stream), note]);
    assert_eq!(host.note(stream, "x".repeat(MAX_NOTE_BYTES + 1)), Err(SessionError::TooLong));
    assert_eq!(host.note(99, String::new()), Err(SessionError::NotOpen { stream: 99 }));
}

#[test]
fn an_old_peer_hears_no_notes() {
    let mut host = Session::new(Side::Host);
    let mut hello = Vec::new();
    Frame { stream: 0, body: Body::Hello { version: 1, features: 0 } }.encode(&mut hello);
    host.receive(&hello).expect("version 1 is understood");
    let stream = host.open_port(80).expect("a stream is free");
    let mut answer = Vec::new();
    Frame { stream, body: Body::Opened }.encode(&mut answer);
    host.receive(&answer).expect("it was asked for");
    assert_eq!(host.note(stream, "1".to_owned()), Err(SessionError::TooOld { version: 1 }));
}

#[test]
fn an_old_peer_hears_no_events_that_it_does_not_know() {
    let heard = |version: u16| {
        let mut guest = Session::answering();
        let mut hello = Vec::new();
        Frame { stream: 0, body: Body::Hello { version, features: 0 } }.encode(&mut hello);
        guest.receive(&hello).expect("the version is understood");
        (guest.event(&Event::OutOfMemory { name: None, limit_bytes: None }), guest.event(&Event::Ready))
    };
    assert_eq!((heard(2), heard(3)), ((false, true), (true, true)));
}

#[test]
fn more_data_than_credit_ends_the_session() {
    let (mut host, mut guest) = pair();
    let stream = opened(&mut host, &mut guest);
    let mut bytes = Vec::new();
    for _ in 0..3 {
        Frame { stream, body: Body::Data(vec![0; MAX_PAYLOAD_BYTES]) }.encode(&mut bytes);
    }
    let expected = SessionError::Protocol { stream, problem: "more data than there was credit for" };
    assert_eq!(guest.receive(&bytes), Err(expected));
}

#[test]
fn a_slow_stream_does_not_block_another() {
    let (mut host, mut guest) = pair();
    let (slow, quick) = (opened(&mut host, &mut guest), opened(&mut host, &mut guest));
    let block = vec![7; WINDOW_BYTES as usize * 2];
    assert_eq!(host.send(slow, &block), Ok(WINDOW_BYTES as usize));
    assert_eq!(host.send(slow, &block), Ok(0));
    pass(&mut host, &mut guest, 4096);
    assert_eq!(host.send(quick, b"hello"), Ok(5));
    assert_eq!(pass(&mut host, &mut guest, 4096), [Happening::Data { stream: quick, bytes: b"hello".to_vec() }]);
}

#[test]
fn both_halves_close_a_stream() {
    let (mut host, mut guest) = pair();
    let stream = opened(&mut host, &mut guest);
    host.finish(stream).expect("it is open");
    assert_eq!(host.send(stream, b"x"), Err(SessionError::NotOpen { stream }));
    assert_eq!(pass(&mut host, &mut guest, 9), [Happening::Finished(stream)]);
    assert_eq!(guest.send(stream, b"late"), Ok(4));
    guest.finish(stream).expect("it is open");
    assert_eq!(
        pass(&mut guest, &mut host, 9),
        [Happening::Data { stream, bytes: b"late".to_vec() }, Happening::Finished(stream)]
    );
    assert_eq!((host.streams().count(), guest.streams().count()), (0, 0));
}

#[test]
fn one_stream_too_many_is_refused() {
    let (mut host, mut guest) = pair();
    for _ in 0..MAX_STREAMS {
        opened(&mut host, &mut guest);
    }
    assert_eq!(host.open_port(80), Err(SessionError::TooMany));
    let mut bytes = Vec::new();
    Frame { stream: 9999, body: Body::OpenPort { port: 80 } }.encode(&mut bytes);
    assert_eq!(guest.receive(&bytes), Ok(vec![]));
    assert_eq!(guest.streams().count(), MAX_STREAMS);
}

#[test]
fn a_peer_that_never_reads_ends_the_session() {
    let mut guest = greeted(Side::Guest);
    let mut over = None;
    for stream in (1..2_000_000).step_by(2) {
        let mut bytes = Vec::new();
        Frame { stream, body: Body::Request("{}".into()) }.encode(&mut bytes);
        if let Err(error) = guest.receive(&bytes) {
            over = Some(error);
            break;
        }
    }
    assert_eq!(over, Some(SessionError::Flooded));
}

fn greeted(side: Side) -> Session {
    let mut session = Session::new(side);
    let other = Session::new(if side == Side::Host { Side::Guest } else { Side::Host });
    session.receive(other.output()).expect("a hello is welcome");
    session
}

fn pair() -> (Session, Session) {
    let (mut host, mut guest) = (Session::new(Side::Host), Session::new(Side::Guest));
    pass(&mut host, &mut guest, 5);
    pass(&mut guest, &mut host, 5);
    (host, guest)
}

fn opened(host: &mut Session, guest: &mut Session) -> u32 {
    let stream = host.open_port(80).expect("a stream is free");
    assert_eq!(pass(host, guest, 3), [Happening::OpenPort { stream, port: 80 }]);
    guest.accept(stream).expect("it was asked for");
    assert_eq!(pass(guest, host, 3), [Happening::Opened(stream)]);
    stream
}

fn pass(from: &mut Session, to: &mut Session, piece_bytes: usize) -> Vec<Happening> {
    let mut happenings = Vec::new();
    for piece in from.output().chunks(piece_bytes) {
        happenings.extend(to.receive(piece).expect("own output is valid"));
    }
    from.wrote(from.output().len());
    happenings
}
