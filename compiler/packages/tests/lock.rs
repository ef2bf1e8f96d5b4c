//! The lock's text, its digest, and what is said about a stale one.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should fail")]

mod support;

use std::collections::BTreeMap;

use packages::lock::{parse, render};
use packages::{AllocatedId, IdKind, LedgerLine, Lock, LockedIndex, ScriptClass, Update, resolve};
use support::{catalog, index_of, requests};
use tree::Digest;

fn indexes() -> Vec<LockedIndex> {
    vec![index_of("toy-updates", 1_750_000_000), index_of("toy", 1_747_472_138)]
}

fn make(lines: &str, wish: &str, previous: Option<(&Lock, &Update)>) -> Lock {
    let encoders = BTreeMap::from([("ext4".to_owned(), 1)]);
    resolve(&requests(wish), &[catalog(lines)], indexes(), encoders, previous).unwrap()
}

fn full() -> Lock {
    let mut lock = make("a 1:2+b~3; Depends: b\nb 1", "a>=1 -c", None);
    let root = &mut lock.roots[0];
    root.packages[1].blake3 = Some(Digest::of(b"b"));
    let line = |script: &str, class, reason: &str| LedgerLine {
        package: "a".to_owned(),
        script: script.to_owned(),
        class,
        reason: reason.to_owned(),
        digest: Digest::of(script.as_bytes()),
    };
    root.ledger.push(line("prerm", ScriptClass::FirstBoot, "odd \"text\" \\ \u{7}\n\u{2028} ünï"));
    root.ledger.push(line("postinst", ScriptClass::Emulated, "ldconfig"));
    root.ids.push(AllocatedId { kind: IdKind::Group, name: "messagebus".to_owned(), value: "101".to_owned() });
    root.ids.push(AllocatedId { kind: IdKind::User, name: "messagebus".to_owned(), value: "100".to_owned() });
    lock
}

#[test]
fn the_text_reads_well() {
    let text = render(&full());
    let expected = r#"// Exactly which bytes this appliance is made of. Written by `applianc
lock version=1
spec "
base "debian" release="toy" digest="0000000000000000000000000000000000
epoch "2025-05-17T08:55:38Z"
encoder "ext4" version=1
request "appliance" "toy"
request "arch" "amd64"
request "base" "debian toy"
request "base-image" "000000000000000000000000000000000000000000000000
request "exclude" "c"
request "init" "builtin"
request "package" "a >= 1"
request "required" "no"
index "debian" "toy" date="2025-05-17T08:55:38Z" key="ABABABABABABABAB
index "debian" "toy-updates" date="2025-06-15T15:06:40Z" key="ABABABAB
root "amd64" {
    package "a" "1:2+b~3" arch="amd64" archive="debian" suite="toy" co
    package "b" "1" arch="amd64" archive="debian" suite="toy" componen
    script "a" "postinst" class="emulated" reason="ldconfig" blake3="
    script "a" "prerm" class="first-boot" reason="odd \"text\" \\ \u{7
    user "messagebus" "100"
    group "messagebus" "101"
}"#;
    assert_eq!(text.lines().count(), expected.lines().count());
    for (line, start) in text.lines().zip(expected.lines()) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
}

#[test]
fn the_text_is_kdl_and_reads_back() {
    let lock = full();
    let text = render(&lock);
    kdl::KdlDocument::parse_v2(&text).unwrap();
    let read = parse(&text).unwrap();
    assert_eq!(render(&read), text);
    assert_eq!(read.core_digest(), lock.core_digest());
    assert_eq!(read.roots[0].ids.len(), 2);
    let reason = &read.roots[0].ledger[1].reason;
    assert_eq!(reason, "odd \"text\" \\ \u{7}\n\u{2028} ünï");
}

#[test]
fn the_core_digest_covers_packages_but_not_what_was_built() {
    let lock = full();
    let mut built = lock.clone();
    built.roots[0].ledger.clear();
    built.roots[0].ids.clear();
    built.roots[0].packages[0].blake3 = Some(Digest::of(b"a"));
    assert_eq!(built.core_digest(), lock.core_digest());
    built.roots[0].packages[0].version = "2".to_owned();
    assert_ne!(built.core_digest(), lock.core_digest());
}

#[test]
fn broken_text_is_refused_with_its_line() {
    let text = render(&full());
    let check = |from: &str, to: &str, expected: &str| {
        let error = parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert_eq!(error, expected, "{from} -> {to}");
    };
    check(
        "lock version=1",
        "lock version=2",
        "it is of version 2, and this program reads version 1: make it again with `appliance lock`",
    );
    check("lock version=1\n", "", "line 2: `spec`: a lock starts with `lock version=…`");
    check("epoch", "epock", "line 5: `epock`: this does not belong here");
    check("epoch \"2025-05-17T", "epoch \"2025-05-37T", "line 5: `epoch`: the time cannot be read");
    check("index \"debian\"", "index", "line 15: `index`: a value is missing");
    check("root \"amd64\"", "root \"vax\"", "line 17: `root`: this architecture is not known");
    check("path=\"pool/", "path=\"../pool/", "line 18: `package`: its path leaves the archive");
    check(
        "package \"a\"",
        "package \"a/../b\"",
        "line 18: `package`: its name, version or architecture has characters that it cannot have",
    );
    check("package \"a\"", "package \"b\"", "line 19: `package`: this package is there twice");
    check(" size=1", " size=x1", "line 18: a value cannot be read");
    check(" size=1", " size=1 more=2", "line 18: `package`: there is more on the line than belongs there");
    check(" size=1", "", "line 18: `package`: `size=` is missing");
    check("class=\"emulated\"", "class=\"ignored\"", "line 20: `script`: its class is not known");
    check(
        "root \"amd64\" {\n",
        "<<<<<<< HEAD\nroot \"amd64\" {\n",
        "line 17: two versions were merged here and not settled",
    );
    check("\n}\n", "\n", "there is no `}` line");
    assert_eq!(parse("").unwrap_err().to_string(), "there is no `lock` line");
}

#[test]
fn staleness_is_told_in_words() {
    let lock = full();
    let stale = |wish: &str| lock.staleness(&requests(wish)).join("; ");
    assert_eq!(stale("a>=1 -c"), "");
    assert_eq!(stale("a>=1 -c nodejs"), "package added: nodejs");
    assert_eq!(stale("a>=2"), "exclude removed: c; package removed: a >= 1; package added: a >= 2");
    let mut moved = requests("a>=1 -c");
    moved.release = "lego".to_owned();
    moved.init = spec::appliance::Init::Systemd;
    moved.facts.insert("kernel".to_owned(), "cloud".to_owned());
    let expected = [
        "it was made for the base debian toy",
        "it was made with the init builtin",
        "the base is debian lego now",
        "kernel is cloud now",
        "the init is systemd now",
    ];
    assert_eq!(lock.staleness(&moved), expected);
    let mut edited = lock.clone();
    edited.spec = Digest::of(b"");
    let expected = "the lock was changed by hand, or made by another version of this program";
    assert_eq!(edited.staleness(&requests("a>=1 -c")), [expected]);
}

#[test]
fn an_update_moves_only_what_it_names() {
    let old = make("a 1\nb 1", "a b", None);
    let lines = "a 1\na 2\nb 1\nb 2";
    let versions = |lock: &Lock| lock.roots[0].packages.iter().map(|p| p.version.clone()).collect::<Vec<_>>().join(" ");
    let update = |update: Update| versions(&make(lines, "a b", Some((&old, &update))));
    assert_eq!(update(Update::Nothing), "1 1");
    assert_eq!(update(Update::Names(["b".to_owned()].into())), "1 2");
    assert_eq!(update(Update::Everything), "2 2");
    let unknown = Update::Names(["bb".to_owned()].into());
    let errors = resolve(&requests("a b"), &[catalog(lines)], vec![], BTreeMap::new(), Some((&old, &unknown)));
    let error = &errors.unwrap_err()[0];
    assert_eq!(error.to_string(), "the lock has no package `bb` that could be updated");
    assert_eq!(error.help().as_deref(), Some("did you mean `b`?"));
}

#[test]
fn a_new_lock_keeps_known_digests_and_numbers_of_users() {
    let old = full();
    let new = make("a 1:2+b~3; Depends: b\nb 1", "a>=1 -c", Some((&old, &Update::Nothing)));
    assert_eq!(new.roots[0].packages, old.roots[0].packages);
    assert_eq!(new.roots[0].ids.len(), 2);
    assert!(new.roots[0].ledger.is_empty());
}
