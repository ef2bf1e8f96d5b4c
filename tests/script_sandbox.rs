//! The script sandbox with real namespaces: what a script may do, what is taken up, and what is left behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assemble::{Change, ScriptRequest, ScriptRun, ScriptRunner};
use sandbox::Sandbox;
use support::{program, skip};
use tree::{Kind, NoBlobs, Node, Tree, TreePath};

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// A root with a shell and a few files; `None` without a static busybox.
fn root() -> Option<Tree> {
    let busybox = fs::read(program(&["/bin/busybox", "/usr/bin/busybox"])?).unwrap();
    let mut tree = Tree::default();
    tree.insert_with_parents(path("bin/busybox"), Node::file(0o755, busybox)).unwrap();
    for name in ["sh", "cat", "chown", "id", "ln", "mkdir", "mv", "rm", "sleep", "wget", "mknod", "stat"] {
        tree.insert(path(&format!("bin/{name}")), Node::symlink("busybox")).unwrap();
    }
    tree.insert_with_parents(path("etc/conf"), Node::file(0o640, "old")).unwrap();
    tree.insert_with_parents(path("etc/folder/member"), Node::file(0o644, "m")).unwrap();
    tree.insert_with_parents(path("etc/untouched"), Node::file(0o644, "u")).unwrap();
    Some(tree)
}

/// Runs scripts one after another in one sandbox, each over the tree that the ones before left; gives the last.
fn check(test: &str, scripts: &[&str], verify: impl FnOnce(&ScriptRun, &Tree)) {
    let Some(mut tree) = root() else { return skip(test, "no static busybox on this host") };
    let work = tempfile::tempdir().unwrap();
    let mut sandbox = match Sandbox::start(Path::new(env!("CARGO_BIN_EXE_appliance")), work.path(), &NoBlobs, None) {
        Ok(sandbox) => sandbox,
        Err(error) => return skip(test, &format!("{error}: {:?}", std::error::Error::source(&error))),
    };
    let mut last = ScriptRun::default();
    for script in scripts {
        let script = format!("#!/bin/sh\nset -e\n{script}\n");
        let request = ScriptRequest {
            tree: &tree,
            name: "toy postinst".to_owned(),
            script: script.as_bytes(),
            args: vec!["configure".to_owned(), String::new()],
            env: BTreeMap::from([("PATH".to_owned(), "/bin".to_owned()), ("MARK".to_owned(), "a b".to_owned())]),
        };
        last = sandbox.run(&request).unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)));
        apply(&mut tree, &last.changes);
    }
    verify(&last, &tree);
    drop(sandbox);
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0, "the working folder is left empty");
}

fn apply(tree: &mut Tree, changes: &[Change]) {
    for change in changes {
        match change {
            Change::Put(path, node) => tree.insert(path.clone(), node.clone()).unwrap(),
            Change::Link { path, first } => tree.hard_link(first, path.clone()).unwrap(),
            Change::Remove(path) => drop(tree.remove(path)),
        }
    }
}

fn text(tree: &Tree, name: &str) -> String {
    match tree.get(&path(name)).map(|node| &node.kind) {
        Some(Kind::File(tree::Content::Inline(bytes))) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn only_the_difference_is_taken_up() {
    let script = "echo \"$1 $# $MARK\" > /etc/new; echo new > /etc/conf; rm -r /etc/folder; ln /etc/new /etc/twin
        mkdir /srv; chown 1234:33 /srv; ln -s ../etc/new /srv/link; cat /etc/untouched; echo seen >&2; exit 3";
    check("only_the_difference_is_taken_up", &[script], |run, tree| {
        assert_eq!(run.status, 3);
        assert_eq!(run.log, "useen\n");
        assert_eq!(text(tree, "etc/new"), "configure 2 a b\n");
        assert_eq!(text(tree, "etc/conf"), "new\n");
        assert_eq!(tree.get(&path("etc/conf")).unwrap().meta.mode, 0o640);
        assert_eq!(tree.id(&path("etc/new")), tree.id(&path("etc/twin")));
        assert!(tree.get(&path("etc/folder")).is_none());
        let srv = &tree.get(&path("srv")).unwrap().meta;
        assert_eq!((srv.uid, srv.gid), (1234, 33));
        let touched =
            run.changes.iter().any(|change| matches!(change, Change::Put(p, _) if *p == path("etc/untouched")));
        assert!(!touched, "a file that was only read is not a difference");
    });
}

#[test]
fn a_later_script_sees_what_an_earlier_one_did() {
    let scripts =
        ["echo one > /etc/step; rm /etc/conf", "test ! -e /etc/conf; read x < /etc/step; echo \"$x two\" > /etc/step"];
    check("a_later_script_sees_what_an_earlier_one_did", &scripts, |run, tree| {
        assert_eq!(run.status, 0, "{}", run.log);
        assert_eq!(text(tree, "etc/step"), "one two\n");
    });
}

#[test]
fn there_is_no_network_no_host_and_no_device_to_make() {
    let script = "id -u; test ! -e /work; test ! -e /home; echo $$; cat /proc/net/dev | { n=0; while read l; do n=$((n+1)); done; echo $n; }
        mknod /etc/disk b 8 0 2>/dev/null && exit 9; echo x > /dev/null; test -d /proc/1";
    check("there_is_no_network_no_host_and_no_device_to_make", &[script], |run, _| {
        assert_eq!(run.status, 0, "{}", run.log);
        // Two lines of heading and the loopback device, which is down.
        assert_eq!(run.log, "0\n1\n3\n");
    });
}

#[test]
fn what_a_script_leaves_running_ends_with_it() {
    check("what_a_script_leaves_running_ends_with_it", &["sleep 1000 & sleep 1000 & exit 0"], |run, _| {
        assert_eq!(run.status, 0);
    });
}
