//! Files that the host reads and writes through the guest.

use bundle::channel::{Change, ChangeKind, Entry, EntryKind, Happening, Piece, Pieces, Read, Request, Response, Write};
use bundle::sha256::Sha256;

use crate::support::{Bench, Host, Running, script, skip, text};

fn sleeping(bench: &Bench) -> Running {
    let mut running = bench.start_with_channel(&[]);
    running.host().until_ready();
    running
}

fn bench() -> Bench {
    Bench::new(vec![script("web", "exec sleep 1000")])
}

/// Opens a stream for a request.
fn open(host: &mut Host, request: &Request) -> Result<u32, String> {
    let stream = host.session.request(request).expect("a stream is free");
    host.until(|happening| match happening {
        Happening::Response { open: true, response: Response::Done, .. } => Some(Ok(())),
        Happening::Response { response: Response::Failed(reason), .. } => Some(Err(reason.clone())),
        _ => None,
    })
    .map(|()| stream)
}

/// All pieces of a stream; parts of output are joined.
fn pieces(host: &mut Host, stream: u32) -> Vec<Piece> {
    let (mut found, mut all) = (Pieces::default(), Vec::<Piece>::new());
    loop {
        match host.next().expect("the guest keeps the channel open") {
            Happening::Data { stream: of, bytes } if of == stream => {
                host.session.used(stream, bytes.len());
                for piece in found.push(&bytes).expect("the guest sends pieces") {
                    match (all.last_mut(), &piece) {
                        (Some(Piece::Out(joined)), Piece::Out(more)) => joined.extend(more),
                        _ => all.push(piece),
                    }
                }
            }
            Happening::Finished(of) if of == stream => {
                host.session.reset(stream);
                return all;
            }
            _ => {}
        }
    }
}

fn write(path: &str) -> Write {
    let (uid, gid) = (0, 0);
    Write { path: path.to_owned(), kind: EntryKind::File, mode: 0o640, uid, gid, mtime_secs: Some(77), target: None }
}

fn send(host: &mut Host, wanted: Write, all: &[Piece]) -> Vec<Piece> {
    let stream = open(host, &Request::Write(wanted)).expect("it can be written");
    let mut bytes = Vec::new();
    all.iter().for_each(|piece| piece.encode(&mut bytes));
    assert_eq!(host.session.send(stream, &bytes), Ok(bytes.len()), "small enough for one window");
    host.session.finish(stream).expect("it is open");
    pieces(host, stream)
}

#[test]
fn a_file_goes_in_and_comes_out_with_its_holes() {
    if skip("a_file_goes_in_and_comes_out_with_its_holes") {
        return;
    }
    let bench = bench();
    let mut running = sleeping(&bench);
    let (host, path) = (running.host(), text(&bench.path("file")));
    let mut hash = Sha256::default();
    hash.update(&[7; 5000]);
    hash.update(&(1_u64 << 30).to_le_bytes());
    hash.update(b"end");
    let sent =
        [Piece::Out(vec![7; 5000]), Piece::Hole(1 << 30), Piece::Out(b"end".to_vec()), Piece::Digest(hash.finish())];
    assert_eq!(send(host, write(&path), &sent), [Piece::Status(0)]);
    let Response::Entry(entry) = host.ask(&Request::Stat { path: path.clone() }) else { panic!("it is there") };
    assert_eq!((entry.kind, entry.mode, entry.mtime_secs), (EntryKind::File, 0o640, 77));
    assert_eq!(entry.size_bytes, (1 << 30) + 5003);
    let stream = open(host, &Request::Read(Read { path, offset: 0, length: None })).expect("it can be read");
    let came = pieces(host, stream);
    // Holes come in the file system's blocks, so their length may differ; there is one.
    assert!(came.iter().any(|piece| matches!(piece, Piece::Hole(length) if *length > 1 << 29)), "{}", came.len());
    assert_eq!(came.last(), Some(&Piece::Status(0)));
    host.ask(&Request::Stop { within_ms: None });
    running.wait();
}

#[test]
fn what_is_damaged_or_given_up_leaves_nothing() {
    if skip("what_is_damaged_or_given_up_leaves_nothing") {
        return;
    }
    let bench = bench();
    let mut running = sleeping(&bench);
    let (host, path) = (running.host(), text(&bench.path("file")));
    for wrong in [vec![Piece::Out(b"x".to_vec()), Piece::Digest([0; 32])], vec![Piece::Out(b"x".to_vec())]] {
        let came = send(host, write(&path), &wrong);
        assert!(matches!(came.as_slice(), [Piece::Err(_), Piece::Status(1)]), "{came:?}");
    }
    let stream = open(host, &Request::Write(write(&path))).expect("it can be written");
    host.session.reset(stream);
    assert!(matches!(host.ask(&Request::Status), Response::Status(_)));
    let left: Vec<_> = std::fs::read_dir(bench.folder.path()).expect("it is ours").flatten().collect();
    assert!(left.iter().all(|entry| entry.file_name() == "guest.json"), "{left:?}");
    assert!(open(host, &Request::Write(write("/no/such/folder/file"))).is_err());
    assert!(open(host, &Request::Read(Read { path: "/".to_owned(), offset: 0, length: None })).is_err());
    host.ask(&Request::Stop { within_ms: None });
    running.wait();
}

#[test]
fn a_folder_is_listed_and_what_is_no_file_is_made() {
    if skip("a_folder_is_listed_and_what_is_no_file_is_made") {
        return;
    }
    let bench = bench();
    let mut running = sleeping(&bench);
    let host = running.host();
    let folder = Write { kind: EntryKind::Folder, mode: 0o750, ..write(&text(&bench.path("folder"))) };
    assert_eq!(host.ask(&Request::Write(folder.clone())), Response::Done);
    assert_eq!(host.ask(&Request::Write(folder)), Response::Done, "one that is there stays");
    let link = Write { kind: EntryKind::Symlink, target: Some("there".into()), ..write(&text(&bench.path("link"))) };
    assert_eq!(host.ask(&Request::Write(link.clone())), Response::Done);
    assert_eq!(host.ask(&Request::Write(link)), Response::Done, "another takes its place");
    let no_text = std::os::unix::ffi::OsStrExt::from_bytes(b"no\xfftext");
    std::fs::write(bench.folder.path().join::<&std::ffi::OsStr>(no_text), "").expect("it is ours");
    let stream = open(host, &Request::List { path: text(bench.folder.path()) }).expect("it can be listed");
    let came = pieces(host, stream);
    let Some(Piece::Out(lines)) = came.first() else { panic!("{came:?}") };
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut entries: Vec<Entry> = lines.map(|line| serde_json::from_slice(line).expect("a line is an entry")).collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    let seen: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.kind, entry.target.as_deref())).collect();
    let expected = [
        ("folder", EntryKind::Folder, None),
        ("guest.json", EntryKind::File, None),
        ("link", EntryKind::Symlink, Some("there")),
        ("no\u{fffd}text", EntryKind::Other, None),
    ];
    assert_eq!(seen, expected);
    host.ask(&Request::Stop { within_ms: None });
    running.wait();
}

/// The next lines of what happens to what is watched on this stream, at least as many; `false` with the last one.
fn changes(host: &mut Host, stream: u32, pieces: &mut Pieces, count: usize) -> (Vec<Change>, bool) {
    let (mut text, mut goes_on) = (Vec::new(), true);
    while goes_on && text.iter().filter(|byte| **byte == b'\n').count() < count {
        match host.next().expect("the guest keeps the channel open") {
            Happening::Data { stream: of, bytes } if of == stream => {
                host.session.used(stream, bytes.len());
                for piece in pieces.push(&bytes).expect("the guest sends pieces") {
                    match piece {
                        Piece::Out(more) => text.extend(more),
                        other => assert_eq!(other, Piece::Status(0)),
                    }
                }
            }
            Happening::Finished(of) if of == stream => goes_on = false,
            _ => {}
        }
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (lines.map(|line| serde_json::from_slice(line).expect("a change is plain data")).collect(), goes_on)
}

#[test]
fn what_happens_to_a_folder_is_told_in_order() {
    if skip("what_happens_to_a_folder_is_told_in_order") {
        return;
    }
    let bench = bench();
    let mut running = sleeping(&bench);
    let (host, folder) = (running.host(), bench.path("watched"));
    assert!(
        open(host, &Request::Watch { path: text(&folder), recursive: false })
            .is_err_and(|reason| reason.contains("watch "))
    );
    std::fs::create_dir(&folder).expect("it is ours");
    std::fs::write(bench.path("outside"), "").expect("it is ours");
    let stream = open(host, &Request::Watch { path: text(&folder), recursive: false }).expect("it is there");
    let change = |change: ChangeKind, name: Option<&str>, from: Option<&str>| Change {
        change,
        name: name.map(str::to_owned),
        from: from.map(str::to_owned),
    };
    std::fs::write(folder.join("a"), "x").expect("it is ours");
    std::fs::rename(folder.join("a"), folder.join("b")).expect("it is there");
    std::fs::rename(bench.path("outside"), folder.join("c")).expect("it is there");
    std::fs::remove_file(folder.join("b")).expect("it is there");
    let expected = [
        change(ChangeKind::Created, Some("a"), None),
        change(ChangeKind::Modified, Some("a"), None),
        change(ChangeKind::Moved, Some("b"), Some("a")),
        change(ChangeKind::Created, Some("c"), None),
        change(ChangeKind::Deleted, Some("b"), None),
    ];
    let mut pieces = Pieces::default();
    assert_eq!(changes(host, stream, &mut pieces, expected.len()), (expected.to_vec(), true));
    std::fs::rename(&folder, bench.path("elsewhere")).expect("it is there");
    assert_eq!(changes(host, stream, &mut pieces, 2), (vec![change(ChangeKind::Gone, None, None)], false));
    host.session.reset(stream);
    host.ask(&Request::Stop { within_ms: None });
    running.wait();
}

#[test]
fn a_host_that_reads_nothing_loses_changes_and_is_told_so() {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap_or_default();
    let most = limit.trim().parse::<usize>().ok().filter(|most| *most <= 100_000);
    if skip("a_host_that_reads_nothing_loses_changes") {
        return;
    }
    let Some(most) = most else {
        eprintln!("SKIP a_host_that_reads_nothing_loses_changes: the kernel's queue is very long");
        return;
    };
    let bench = bench();
    let mut running = sleeping(&bench);
    let (host, folder) = (running.host(), bench.path("watched"));
    std::fs::create_dir(&folder).expect("it is ours");
    let stream = open(host, &Request::Watch { path: text(&folder), recursive: false }).expect("it is there");
    // More than the window holds and the queue takes after it.
    for number in 0..most + 8_000 {
        std::fs::write(folder.join(number.to_string()), "").expect("it is ours");
    }
    let (mut pieces, mut seen) = (Pieces::default(), 0);
    loop {
        let (found, goes_on) = changes(host, stream, &mut pieces, 1);
        assert!(goes_on);
        seen += found.iter().filter(|change| change.change == ChangeKind::Created).count();
        if found.iter().any(|change| change.change == ChangeKind::Overflow) {
            break;
        }
    }
    assert!(seen < most + 8_000, "what the queue could not hold is lost: {seen}");
    host.session.finish(stream).expect("it is open");
    assert!(!changes(host, stream, &mut pieces, usize::MAX).1, "the host has seen enough");
    host.ask(&Request::Stop { within_ms: None });
    running.wait();
}
