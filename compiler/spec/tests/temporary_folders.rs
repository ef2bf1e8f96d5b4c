//! `/run` and `/tmp` can be written in a read-only root, and what takes that away.

use std::collections::BTreeMap;

use spec::appliance::Arch;
use spec::{Source, World};

fn read(text: &str) -> spec::Checked {
    let source = Source { name: "a.kdl".to_owned(), text: text.to_owned() };
    let spec = spec::parse(&source, &BTreeMap::new()).unwrap_or_else(|rejected| panic!("{rejected:?}"));
    let bases = spec::builtin_bases();
    let world = World { bases: &bases, host_arch: Arch::Amd64, allow_outside: false };
    spec::check(&spec, &world).unwrap_or_else(|found| panic!("{}", spec::plain(&found)))
}

/// What of a root can be written, and what `explain` calls it, with the origin of `/tmp`.
#[track_caller]
fn check(body: &str, writable: &[&str], root: &str) {
    let text = format!("appliance \"a\" {{\n    base \"debian\"\n    {body}\n}}\n");
    let checked = read(&text);
    assert_eq!(checked.appliance.isolation.writable, writable, "{body}");
    let explained = spec::explain(&checked);
    assert!(explained.contains(&format!("root \"{root}\"")), "{explained}");
    assert_eq!(read(&explained).appliance, checked.appliance, "{explained}");
}

#[test]
fn they_are_writable_unless_the_root_is_sealed() {
    check("", &["/run", "/tmp"], "read-only");
    check("isolation \"auto\" { writable \"/data\" \"/tmp\"; }", &["/data", "/run", "/tmp"], "read-only");
    check("isolation \"auto\" { root \"sealed\"; }", &[], "sealed");
    check("isolation \"auto\" { root \"sealed\"; writable \"/tmp\"; }", &["/tmp"], "sealed");
    check("isolation \"auto\" { root \"writable\"; }", &[], "writable");
}

#[test]
fn what_is_mounted_there_is_left_alone() {
    check("resources { scratch \"/tmp\" size=\"1GiB\"; }", &["/run"], "read-only");
    check("volume \"tmp\" at=\"/tmp\"", &["/run"], "read-only");
    check("volume \"part\" at=\"/tmp/part\"", &["/run", "/tmp"], "read-only");
}

#[test]
fn explain_says_where_they_come_from() {
    let text = "appliance \"a\" {\n    base \"debian\"\n    isolation \"auto\" { writable \"/tmp\"; }\n}\n";
    let explained = spec::explain(&read(text));
    assert!(explained.contains("writable \"/run\" // built-in"), "{explained}");
    assert!(explained.contains("writable \"/tmp\" // a.kdl:3"), "{explained}");
}
