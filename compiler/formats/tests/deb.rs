//! Decoding of packages: hostile ones made here, and real ones against dpkg-deb.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the reference tools are processes")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod debs;

use std::process::{Command, Stdio};

use debs::{ar, control, deb, good_tar, owned, raw_entry, raw_tar, seal};
use formats::deb::{Deb, DebError, UnpackError, decode_bytes};
use formats::tar::TarError;
use tree::{Node, Tree, TreePath, dump};

fn check(bytes: &[u8], expected: &str) {
    let Deb { tree, .. } = decode_bytes(bytes).unwrap();
    let lines: Vec<_> = dump(&tree).lines().map(|line| line.split(' ').take(5).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines.join("\n"), expected.trim());
}

/// The whole chain of causes of the refusal, as a person sees it.
fn refusal(bytes: &[u8]) -> String {
    let error = decode_bytes(bytes).unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

fn check_refused(bytes: &[u8], expected: &str) {
    let text = refusal(bytes);
    assert!(text.contains(expected), "{text}\ndoes not say\n{expected}");
}

fn data(entries: &[Vec<u8>]) -> Vec<u8> {
    deb(&control(), &raw_tar(entries))
}

#[test]
fn a_good_package_is_decoded_with_devices_links_and_implied_folders() {
    let archive = good_tar(&[
        ("", Node::dir(0o755)),
        ("usr", Node::dir(0o755)),
        ("usr/a", owned(Node::file(0o4755, "hello"), 7)),
        ("var/lib/x", Node::symlink("/etc/passwd")),
    ]);
    check(
        &deb(&control(), &archive),
        "d / 0755 0 0\nd /usr 0755 0 0\nf /usr/a 4755 7 7\nd /var 0755 0 0\nd /var/lib 0755 0 0\nl /var/lib/x 0777 0 0",
    );
    check(
        &data(&[
            raw_entry(b'3', "./null", "", b""),
            raw_entry(b'0', "./a", "", b"x"),
            raw_entry(b'1', "./b", "./a", b""),
        ]),
        "d / 0755 0 0\nf /a 0644 0 0\nh /b = /a\nc /null 0644 0 0",
    );
}

#[test]
fn other_members_are_taken_or_refused_as_the_format_says() {
    let (control, data) = (control(), raw_tar(&[]));
    let build = |members: &[(&str, &[u8])]| ar(members);
    let good: [(&str, &[u8]); 4] =
        [("debian-binary", b"2.7\nx"), ("_sig", b"x"), ("control.tar", &control), ("data.tar", &data)];
    assert!(decode_bytes(&build(&[&good[..], &[("_gpgorigin", b"sig")]].concat())).is_ok());
    check_refused(&build(&[&good[..], &[("more", b"")]].concat()), "the unknown member `more` follows its data");
    check_refused(&build(&good[1..]), "its first member is not `debian-binary`");
    check_refused(&build(&good[..3]), "it has no `data.tar`");
    check_refused(&build(&[good[0], good[3], good[2]]), "`data.tar` stands where `control.tar` is expected");
    check_refused(&build(&[("debian-binary", b"3.0\n")]), "its format is version 3.0, not 2");
    check_refused(&build(&[good[0], ("control.tar.bz2", b"")]), "`control.tar.bz2` stands where");
    check_refused(b"<!DOCTYPE html><html>", "it is no `ar` archive");
    check_refused(&build(&good)[..300], "cut off");
}

#[test]
fn names_that_lead_out_of_the_root_are_refused() {
    check_refused(
        &data(&[raw_entry(b'0', "./../etc/passwd", "", b"x")]),
        "`./../etc/passwd` is refused: the path contains `..`",
    );
    check_refused(&data(&[raw_entry(b'0', "/etc/passwd", "", b"x")]), "`/etc/passwd` is absolute");
    check_refused(&data(&[raw_entry(b'1', "./a", "../../etc/shadow", b"")]), "the path contains `..`");
    check_refused(&data(&[raw_entry(b'1', "./a", "/etc/shadow", b"")]), "is absolute");
    check_refused(&data(&[raw_entry(b'1', "./a", "./b", b"")]), "no such file");
    check_refused(
        &data(&[raw_entry(b'2', "./out", "/etc", b""), raw_entry(b'0', "./out/passwd", "", b"x")]),
        "the parent of /out/passwd is not a folder",
    );
    check_refused(
        &data(&[raw_entry(b'0', "./a", "", b"x"), raw_entry(b'0', "./a", "", b"y")]),
        "two entries are named /a",
    );
    check_refused(
        &data(&[raw_entry(b'5', "./a/", "", b""), raw_entry(b'5', "./a", "", b"")]),
        "two entries are named /a",
    );
    check_refused(
        &data(&[raw_entry(b'0', "./a/b", "", b"x"), raw_entry(b'2', "./a", "/etc", b"")]),
        "/a is a folder that holds entries",
    );
    check_refused(&data(&[raw_entry(b'2', ".", "/etc", b"")]), "named /");
}

#[test]
fn malformed_archives_are_refused() {
    let mut sparse = raw_entry(b'S', "./bomb", "", b"");
    // The real size of 100 GB, in the field where GNU tar keeps it.
    sparse[483..495].copy_from_slice(b"1351035564000"[..12].as_ref());
    seal(&mut sparse);
    check_refused(&data(&[sparse]), "sparse files are not supported");
    let pax = raw_entry(b'x', "pax", "", b"30 GNU.sparse.realsize=100000\n");
    check_refused(&data(&[pax, raw_entry(b'0', "./a", "", b"")]), "sparse files are not supported");
    let mut huge = raw_entry(b'0', "./a", "", b"");
    huge[124..136].copy_from_slice(b"\x80\0\0\0\0\0\x20\0\0\0\0\0");
    seal(&mut huge);
    check_refused(&data(&[huge.clone()]), "more than 34359738368 bytes of contents");
    huge[124..136].copy_from_slice(b"77777777777 ");
    seal(&mut huge);
    check_refused(&data(&[huge]), "cut off");
    check_refused(&data(&[raw_entry(b'V', "label", "", b"")]), "entries of type `V` are not supported");
    check_refused(&data(&[raw_entry(b'2', "./a", "b", b"content")]), "bad size");
    check_refused(&data(&[raw_entry(b'2', "./a", "", b"")]), "bad link targets");
    check_refused(&data(&[raw_entry(b'0', "", "", b"")]), "bad names");
    check_refused(&deb(&control(), &raw_entry(b'0', "./a", "", b"x")), "cut off");
    check_refused(&deb(&control(), b""), "cut off");
    check_refused(&data(&[vec![0; 1024], raw_entry(b'0', "./late", "", b"x")]), "something follows its end");
    let mut damaged = raw_entry(b'0', "./a", "", b"x");
    damaged[5] ^= 1;
    check_refused(&data(&[damaged]), "its checksum does not match");
    check_refused(&data(&[raw_entry(b'g', "pax", "", b"13 path=/etc\n")]), "global extended headers with `path`");
}

#[test]
fn odd_control_archives_are_refused() {
    let with = |entries: &[Vec<u8>]| deb(&raw_tar(entries), &raw_tar(&[]));
    let control = raw_entry(b'0', "./control", "", b"Package: x\n");
    assert!(decode_bytes(&with(&[raw_entry(b'5', "./", "", b""), control.clone()])).is_ok());
    check_refused(&with(&[]), "there is no file `control`");
    check_refused(&with(&[control.clone(), control.clone()]), "two files are named `./control`");
    for odd in ["./sub/control", "../control", "./.hidden", "./a b", "./post\ninst"] {
        check_refused(&with(&[control.clone(), raw_entry(b'0', odd, "", b"")]), "odd file name");
    }
    check_refused(&with(&[raw_entry(b'2', "./control", "/etc/shadow", b"")]), "only files");
    let many: Vec<_> = (0..1001).map(|n| raw_entry(b'0', &format!("./f{n}"), "", b"")).collect();
    check_refused(&with(&many), "more than 1000 entries");
    let large = raw_entry(b'0', "./large", "", &vec![0; 17 << 20]);
    check_refused(&with(&[control, large]), "more than 16777216 bytes of contents");
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let long = format!("./{}", "n".repeat(200));
    let gnu = raw_entry(b'L', "././@LongLink", "", format!("{long}\0").as_bytes());
    let record = format!("{} path={long}\n", long.len() + 10);
    let pax = raw_entry(b'x', "pax", "", record.as_bytes());
    for header in [gnu, pax] {
        let deb = decode_bytes(&data(&[header, raw_entry(b'0', "short", "", b"x")])).unwrap();
        assert!(deb.tree.get(&TreePath::new(&long).unwrap()).is_some());
        assert_eq!(deb.tree.len(), 2);
    }
}

#[test]
fn no_damage_of_a_byte_panics() {
    let good = data(&[
        raw_entry(b'0', "./a", "", b"x"),
        raw_entry(b'x', "pax", "", b"12 mtime=-1.\n"),
        raw_entry(b'1', "./b", "./a", b""),
    ]);
    for at in 0..good.len() {
        for change in [0xff, 0x01, 0x80, 0x20] {
            let mut bad = good.clone();
            bad[at] ^= change;
            let _ = decode_bytes(&bad);
        }
        let _ = decode_bytes(&good[..at]);
    }
}

#[test]
fn what_comes_after_a_limit_is_named() {
    let error = decode_bytes(&data(&[raw_entry(b'5', "./a", "", b"x")])).unwrap_err();
    assert!(matches!(error, DebError::Data(UnpackError::Tar(TarError::Field { field: "size", .. }))));
}

/// What dpkg-deb lists, as `MODE OWNER PATH`.
fn dpkg_list(path: &std::path::Path) -> Vec<String> {
    let mut unpack = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(path).stdout(Stdio::piped()).spawn().unwrap();
    let mut list = Command::new("tar");
    list.args(["--list", "--verbose", "--numeric-owner"]).env("LC_ALL", "C").stdin(unpack.stdout.take().unwrap());
    let list = list.output().unwrap();
    assert!(unpack.wait().unwrap().success());
    let text = String::from_utf8(list.stdout).unwrap();
    text.lines()
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let path = TreePath::new(words[5]).unwrap();
            format!(
                "{} {} {} {}",
                &words[0][..1],
                words[1],
                if words[0].starts_with('-') { words[2] } else { "0" },
                path.display()
            )
        })
        .collect()
}

fn our_list(tree: &Tree) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let line = |(path, id, node): (&TreePath, tree::NodeId, &Node)| {
        let (letter, size) = match &node.kind {
            _ if !seen.insert(id) => ('h', 0),
            tree::Kind::Dir => ('d', 0),
            tree::Kind::File(content) => ('-', content.size_bytes()),
            tree::Kind::Symlink(_) => ('l', 0),
            _ => ('?', 0),
        };
        format!("{letter} {}/{} {size} {}", node.meta.uid, node.meta.gid, path.display())
    };
    tree.iter().map(line).collect()
}

#[test]
fn real_packages_decode_as_dpkg_deb_says() {
    let folder = std::env::temp_dir().join(format!("appliance-debs-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let skip = |reason: &str| {
        std::fs::remove_dir_all(&folder).unwrap();
        eprintln!("SKIP real_packages_decode_as_dpkg_deb_says: {reason}");
    };
    let names = ["hello", "busybox-static", "dash", "coreutils"];
    let fetched = Command::new("apt-get").arg("download").args(names).current_dir(&folder).output();
    match fetched {
        Ok(output) if output.status.success() => {}
        Ok(_) => return skip("apt-get cannot download packages here"),
        Err(error) => return skip(&format!("apt-get cannot be started: {error}")),
    }
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let deb = decode_bytes(&std::fs::read(&path).unwrap()).unwrap();
        let mut theirs = dpkg_list(&path);
        let mut ours = our_list(&deb.tree);
        theirs.sort();
        ours.sort();
        assert_eq!(ours, theirs, "{}", path.display());
        let field = Command::new("dpkg-deb").arg("--field").arg(&path).output().unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&deb.control_files["control"]), String::from_utf8_lossy(&field));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
