//! Verbs of the guest channel that no command has, asked through the instance's supervisor.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bundle::channel::{Change, ChangeKind, Happening, Piece, Pieces, Request};
use engine::{Connection, live_instances};

use crate::run::{WEB, check};

/// What a hang costs the test.
const PATIENCE: Duration = Duration::from_secs(60);

/// The next changes on a stream, until the last one of a file with this name.
fn until(connection: &mut Connection, stream: u32, is_last: impl Fn(&Change) -> bool) -> Vec<Change> {
    let (mut pieces, mut text) = (Pieces::default(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let happening = connection.next_in_time(Some(deadline)).unwrap();
        let Happening::Data { stream: of, bytes } = happening else { continue };
        assert_eq!(of, stream);
        connection.session().used(stream, bytes.len());
        for piece in pieces.push(&bytes).unwrap() {
            let Piece::Out(more) = piece else { panic!("it goes on: {piece:?}") };
            text.extend(more);
        }
        let lines = text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        let changes: Vec<Change> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        if changes.last().is_some_and(&is_last) {
            return changes;
        }
    }
}

#[test]
fn changes_inside_are_seen_and_the_hosts_clock_is_not_set() {
    check("changes_inside_are_seen", WEB, |toy| {
        toy.verb(&["run", "out", "-d", "--name", "one"]).succeeds();
        let live = live_instances(&toy.world.path("state")).unwrap();
        let mut connection = live.iter().find(|found| found.name == "one").unwrap().connect().unwrap();
        let (stream, said) = connection.begin(&Request::Watch { path: "/tmp".to_owned(), recursive: false }).unwrap();
        assert!(said.open);
        toy.verb(&["exec", "one", "--", "sh", "-c", "echo x > /tmp/a; mv /tmp/a /tmp/b; rm /tmp/b"]).succeeds();
        let changes = until(&mut connection, stream, |change| change.change == ChangeKind::Deleted);
        let moved = Change { change: ChangeKind::Moved, name: Some("b".to_owned()), from: Some("a".to_owned()) };
        assert!(changes.contains(&moved), "{changes:?}");
        // To the time that it is: a test of a fault must not move the host's clock.
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        for request in [Request::SetTime { unix_ms }, Request::Reseed { seed: "00ff".to_owned() }] {
            let refused = connection.begin(&request).unwrap_err().to_string();
            assert!(refused.contains("it belongs to the host"), "{refused}");
        }
        let none = connection
            .begin(&Request::Watch { path: "/no/such".to_owned(), recursive: false })
            .unwrap_err()
            .to_string();
        assert!(none.contains("watch /no/such"), "{none}");
        toy.verb(&["rm", "--force", "one"]).succeeds();
    });
}
