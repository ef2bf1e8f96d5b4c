//! The verbs of the guest channel that only a machine of its own has, or that it has otherwise than a container.

use bundle::channel::{Change, ChangeKind, Event, Piece, Request, Response, TerminalSize};

use crate::microvm::{SERVICES, Toy, root_line};

/// The first second of the year 2100, UTC.
const FUTURE_SECS: u64 = 4_102_444_800;

#[test]
fn a_machine_has_its_own_clock_random_numbers_terminals_and_memory() {
    let Some(toy) = Toy::new("a_machine_has_its_own_clock", SERVICES) else { return };
    let disk = toy.world.path("spec/out/root.ext4");
    let mut machine = toy.start(&root_line(), &[("root", &disk)]);
    machine.wait_for("the services' readiness", |event| *event == Event::Ready);

    assert_eq!(machine.ask(&Request::SetTime { unix_ms: FUTURE_SECS * 1000 }), Response::Done);
    let (seconds, _) = machine.run("busybox date +%s");
    let seconds: u64 = seconds.trim().parse().unwrap();
    assert!((FUTURE_SECS..FUTURE_SECS + 3600).contains(&seconds), "{seconds}");
    assert_eq!(machine.ask(&Request::Reseed { seed: "00ff".repeat(16) }), Response::Done);
    let odd = machine.ask(&Request::Reseed { seed: "0".to_owned() });
    assert!(matches!(&odd, Response::Failed(reason) if reason.contains("even number")), "{odd:?}");

    let terminal = Some(TerminalSize { columns: 91, rows: 23 });
    let (said, status) = machine.run_on("test -t 0 && busybox tty && busybox stty size; exit 3", terminal);
    assert_eq!((said.contains("/dev/pts/"), said.contains("23 91"), status), (true, true, 3), "{said}");

    let watch = Request::Watch { path: "/var/lib/toy".to_owned(), recursive: false };
    let mut changes = Vec::new();
    // What is watched is changed by what the machine itself runs.
    machine.run(
        "(sleep 1; until [ -e /var/lib/toy/seen ]; do touch /var/lib/toy/made; sleep 0.2; done) > /dev/null 2>&1 &",
    );
    machine.pieces(&watch, |pieces| pieces.iter().any(|piece| matches!(piece, Piece::Out(_)))).into_iter().for_each(
        |piece| {
            if let Piece::Out(bytes) = piece {
                changes.extend(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
            }
        },
    );
    let made = |change: &Change| change.name.as_deref() == Some("made") && change.change != ChangeKind::Deleted;
    assert!(changes.iter().any(made), "{changes:?}");
    machine.run("touch /var/lib/toy/seen");

    let Response::Metrics(metrics) = machine.ask(&Request::Metrics) else { panic!("no metrics") };
    let limit = metrics.memory_limit_bytes.unwrap();
    assert!((128 << 20..256 << 20).contains(&limit), "the machine has 256 MiB, less what the kernel takes: {limit}");
    let (_, status) = machine.run("exec tail /dev/zero");
    assert_eq!(status, 137);
    machine.wait_for("the word that memory ran out", |event| matches!(event, Event::OutOfMemory { name: None, .. }));
    machine.wait_for_console("a process inside was killed because memory ran out");

    assert_eq!(machine.ask_json(r#"{"verb":"poweroff"}"#), Response::Done);
    assert!(machine.wait_for_end(), "{}", machine.console());
}
