//! What is chosen from Alpine's indexes: toy ones made here, and one of the packages of a published minirootfs.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the real packages stand in a file that tar reads"
)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/minirootfs.rs"]
mod minirootfs;
mod support;

use std::collections::BTreeMap;

use packages::lock::{parse, render};
use packages::{ArchiveDigest, Catalog, LockedIndex, Origin, Pins, Requests, Sha256, resolve, resolve_root};
use spec::appliance::Arch;
use spec::base::Family;

fn origin(component: &str) -> Origin {
    Origin { archive: "alpine".to_owned(), suite: "v3.20".to_owned(), component: component.to_owned() }
}

/// An index from lines like `name version; D: a b; p: so:x=1; k: 10`.
fn index_text(lines: &str) -> String {
    let mut out = String::new();
    for (at, line) in lines.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        out += &format!(
            "C:Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=\nP:{name}\nV:{version}\nA:x86_64\nS:{at}\nI:4096\nt:{}\n",
            1000 + at
        );
        parts.for_each(|field| out += &format!("{}\n", field.replacen(": ", ":", 1)));
        out.push('\n');
    }
    out
}

fn catalog(lines: &str, tagged: &str) -> Catalog {
    let mut catalog = Catalog::new(Family::Apk, Arch::Amd64).unwrap();
    catalog.add_index(origin("main"), index_text(lines).as_bytes()).unwrap();
    if !tagged.is_empty() {
        catalog.add_tagged_index(origin("edge"), "edge", index_text(tagged).as_bytes()).unwrap();
    }
    catalog
}

fn requests(words: &str) -> Requests {
    Requests { base: "alpine".to_owned(), ..support::requests(words) }
}

#[track_caller]
fn check(lines: &str, wish: &str, expected: &str) {
    check_tagged(lines, "", wish, expected);
}

#[track_caller]
fn check_tagged(lines: &str, tagged: &str, wish: &str, expected: &str) {
    let catalog = catalog(lines, tagged);
    let found = match resolve_root(&requests(wish), &catalog, &Pins::new()) {
        Ok(ids) => {
            let show = |id| format!("{}={}", catalog.package(id).name(), catalog.package(id).version());
            ids.into_iter().map(show).collect::<Vec<_>>().join(" ")
        }
        Err(errors) => errors.iter().map(|error| error.to_string()).collect::<Vec<_>>().join("\n"),
    };
    assert_eq!(found, expected);
}

#[test]
fn versions_and_needs() {
    let lines = "
        a 1-r0
        a 1_rc1-r0
        a 1.2-r0
        a 1.25-r0
        b 1; D: a~1.2
        c 1; D: a<1
        d 1; D: a=1-r0 b
        e 1; D: a>~1.25
        f 1; D: nothing:at:all";
    check(lines, "a", "a=1.25-r0");
    check(lines, "b", "a=1.2-r0 b=1");
    check_tagged(lines, "", "a=~1.3", "no version of `a` is ~1.3: v3.20 has 1.25-r0 and 1.2-r0 and 1-r0 and 1_rc1-r0");
    check(lines, "c", "a=1_rc1-r0 c=1");
    check(lines, "e", "a=1.25-r0 e=1");
    check(lines, "f", "these packages cannot be installed together: f needs nothing:at:all; no index has it");
}

#[test]
fn provided_names() {
    let lines = "
        musl 1.2.5; p: so:libc.so.1=1 cmd:ldd=1.2.5
        a 1; D: so:libc.so.1 /bin/sh
        b 1; D: so:libc.so.1>=2
        busybox-binsh 1.36; k: 100; p: /bin/sh cmd:sh=1.36
        dash-binsh 0.5; k: 60; p: /bin/sh cmd:sh=0.5
        c 1; D: dash-binsh a
        smtp1 1; p: smtp
        smtp2 1; p: smtp
        d 1; D: smtp
        e 1; D: smtp smtp2
        old 1; p: lib=1
        new 1; p: lib=2
        f 1; D: lib
        g 1; D: lib old";
    check(lines, "a", "a=1 busybox-binsh=1.36 musl=1.2.5");
    check(lines, "c", "a=1 c=1 dash-binsh=0.5 musl=1.2.5");
    check(lines, "cmd:ldd", "musl=1.2.5");
    check(lines, "e", "e=1 smtp2=1");
    check(lines, "f", "f=1 new=1");
    check(lines, "g", "g=1 old=1");
    check(lines, "smtp", "`smtp` is no package of its own: several stand for it");
    assert!(resolve_root(&requests("d"), &catalog(lines, ""), &Pins::new()).is_err(), "nothing says which");
    assert!(resolve_root(&requests("b"), &catalog(lines, ""), &Pins::new()).is_err());
}

#[test]
fn conflicts() {
    let lines = "
        a 1; D: !b
        b 1
        c 1; p: lib=1
        d 1; p: lib=2
        e 1; p: b=1
        f 1; p: virtual
        g 1; p: virtual
        h 1; D: !b<1";
    let cannot = "these packages cannot be installed together: ";
    let reasons =
        "a cannot be together with b (it conflicts with b); a cannot be together with e (it conflicts with b)";
    check(lines, "a b", &format!("{cannot}{reasons}"));
    check(lines, "f g", "f=1 g=1");
    check(lines, "h b", "b=1 h=1");
    check(lines, "b e", "e=1");
    assert!(resolve_root(&requests("c d"), &catalog(lines, ""), &Pins::new()).is_err(), "one name, one version of it");
}

#[test]
fn packages_that_come_by_themselves() {
    let lines = "
        busybox 1
        libssl 3
        ssl_client 1; i: busybox=1 libssl; D: zlib
        zlib 1
        docs 1
        busybox-doc 1; i: busybox docs
        more 1; i: busybox-doc
        hostile 1; i: busybox; D: !busybox";
    check(lines, "busybox", "busybox=1");
    check(lines, "busybox libssl", "busybox=1 libssl=3 ssl_client=1 zlib=1");
    check(lines, "busybox docs", "busybox=1 busybox-doc=1 docs=1 more=1");
    check(lines, "busybox docs -busybox-doc", "busybox=1 docs=1");
}

#[test]
fn packages_of_a_tagged_index() {
    let (lines, edge) = ("a 1; D: lib\nlib 1\nb 1", "a 2; D: lib new\nlib 2\nnew 1\nonly 1");
    check_tagged(lines, edge, "a", "a=1 lib=1");
    check_tagged(lines, edge, "a@edge", "a=2 lib=1 new=1");
    check_tagged(lines, edge, "a@edge lib@edge", "a=2 lib=2 new=1");
    check_tagged(lines, edge, "only", "there is no package `only`");
    check_tagged(lines, edge, "b@edge", "there is no package `b`");
    check_help("untagged 1", edge, "untagged@edge", "add the repository that has it");
    let no_tag = "`b@own` asks for a repository with the tag `own`, and no repository has it";
    check_tagged(lines, edge, "b@own", no_tag);
    check_help(lines, edge, "b@own", "the tags there are: edge; write one of them, or give");
    check_tagged(lines, "", "b@own", no_tag);
    check_help(lines, "", "b@own", "no repository of the spec has a tag: give");
}

#[track_caller]
fn check_help(lines: &str, tagged: &str, wish: &str, expected: &str) {
    let errors = resolve_root(&requests(wish), &catalog(lines, tagged), &Pins::new()).unwrap_err();
    let help = errors[0].help().unwrap_or_default();
    assert!(help.contains(expected), "{help}");
}

#[test]
fn an_index_that_lies_is_refused() {
    let refused = |text: &str| {
        let mut catalog = Catalog::new(Family::Apk, Arch::Amd64).unwrap();
        let error = catalog.add_index(origin("main"), text.as_bytes()).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    let good = index_text("a 1").trim_end().to_owned();
    let with = |from: &str, to: &str| refused(&good.replace(from, to));
    assert_eq!(with("P:a", "P:../a"), "line 1: package `../a` has no valid name");
    assert_eq!(with("P:a", "P:"), "line 1: package `` has no valid name");
    assert_eq!(with("V:1", "V:1/2"), "line 1: package `a` has no valid version");
    assert_eq!(with("S:0", "S:-1"), "line 1: package `a` has no valid size");
    assert_eq!(with("S:0", "S:99999999999999999999"), "line 1: package `a` has no valid size");
    assert_eq!(with("C:Q1", "C:X1"), "line 1: package `a` has a checksum of an unknown kind");
    assert_eq!(with("A:x86_64", "A:../x"), "line 1: package `a` has no valid architecture");
    assert_eq!(with("P:a", "no line"), "line 2: that is no letter with a colon and a value");
    let mut catalog = Catalog::new(Family::Apk, Arch::Arm64).unwrap();
    catalog.add_index(origin("main"), good.as_bytes()).unwrap();
    assert!(catalog.is_empty(), "packages of other architectures are left out");
}

#[test]
fn a_lock_says_what_the_repository_stated() {
    let requests = requests("a");
    let index = LockedIndex {
        archive: "alpine".to_owned(),
        suite: "v3.20/main/x86_64".to_owned(),
        date_secs: 0,
        sha256: Sha256::of(b"index"),
        key: "toy@example.org-1.rsa.pub ABCD".to_owned(),
    };
    let catalog = catalog("new 9\na 1; D: b\nb 2", "");
    let lock = resolve(&requests, &[catalog], vec![index], BTreeMap::new(), None).unwrap();
    assert_eq!(lock.epoch_secs, 1002, "the newest build among the locked packages");
    let package = &lock.roots[0].packages[0];
    assert!(matches!(package.digest, ArchiveDigest::ControlSha1(_)));
    assert_eq!(package.path, "v3.20/main/x86_64/a-1.apk");
    let text = render(&lock);
    assert!(text.contains("control-sha1=\"a8a719fa3db7c6cb005e681086438ef1d1e76d6c\""), "{text}");
    assert!(!text.contains("date="), "{text}");
    assert_eq!(parse(&text).unwrap(), lock);
    let two = text.replace("control-sha1=", &format!("sha256=\"{}\" control-sha1=", Sha256::of(b"")));
    assert!(parse(&two).unwrap_err().to_string().contains("it has not exactly one digest"));
}

#[test]
fn the_real_minimal_root_follows_from_its_world() {
    let skip = |reason: &str| eprintln!("SKIP the_real_minimal_root_follows_from_its_world: {reason}");
    let rootfs = match minirootfs::minirootfs("x86_64") {
        Ok(rootfs) => rootfs,
        Err(reason) => return skip(&reason),
    };
    let mut tar = std::process::Command::new("tar");
    tar.args(["--extract", "--gzip", "--to-stdout", "--file"]).arg(&rootfs).arg("./lib/apk/db/installed");
    let Ok(output) = tar.output() else { return skip("tar cannot be started") };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // The database has the lines of an index, and those of files between them.
    let database = String::from_utf8(output.stdout).unwrap();
    let of_index = |line: &&str| !line.starts_with(['F', 'R', 'M', 'a', 'Z']);
    let index: String = database.lines().filter(of_index).map(|line| format!("{line}\n")).collect();
    let mut catalog = Catalog::new(Family::Apk, Arch::Amd64).unwrap();
    catalog.add_index(origin("main"), index.as_bytes()).unwrap();
    let world = "alpine-baselayout alpine-keys apk-tools busybox libc-utils";
    let ids = resolve_root(&requests(world), &catalog, &Pins::new()).unwrap();
    let names: Vec<&str> = ids.iter().map(|id| catalog.package(*id).name()).collect();
    assert_eq!(names, catalog.packages().map(|(_, package)| package.name()).collect::<Vec<_>>(), "no more and no less");
}
