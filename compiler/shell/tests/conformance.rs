//! Small scripts with the output and status that dash gives, evaluated by this shell and, to prove the suite, by dash itself.
//! Cases of `files.txt` are also compared by the files they leave.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the reference shell is a process and its cases are files"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use shell::{Commands, Outcome, Session};
use tree::{Blobs, Content, Kind, NoBlobs, Node, Tree, TreePath};

struct Case {
    name: String,
    script: String,
    status: i32,
    stdout: String,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for block in text.split("=== ").skip(1) {
        let (name, rest) = block.split_once('\n').unwrap();
        let (script, rest) = rest.split_once("--- ").unwrap();
        let (status, stdout) = rest.split_once('\n').unwrap();
        cases.push(Case {
            name: name.into(),
            script: script.into(),
            status: status.parse().unwrap(),
            stdout: stdout.into(),
        });
    }
    cases
}

fn has_dash(test: &str) -> bool {
    let found = Command::new("dash").args(["-c", ":"]).output().is_ok();
    if !found {
        eprintln!("SKIP {test}: dash is not installed, so the suite is not proven against it");
    }
    found
}

/// Runs a script by this shell in the folder `/w`; gives status, output and the tree.
fn ours(script: &str) -> Result<(i32, String, Tree), String> {
    let mut tree = Tree::default();
    for folder in ["tmp", "w"] {
        tree.insert(TreePath::new(folder).unwrap(), Node::dir(0o755)).unwrap();
    }
    let script = format!("cd /w\n{script}");
    let script = shell::parse(script.as_bytes()).map_err(|error| format!("syntax: {error}"))?;
    let commands = Commands::default();
    let env = BTreeMap::from([(b"PATH".to_vec(), b"/usr/bin:/bin".to_vec()), (b"HOME".to_vec(), b"/w".to_vec())]);
    match shell::run(&script, Session::new(&mut tree, &NoBlobs, &commands), &[], &env) {
        Outcome::Done(done) => Ok((done.status, String::from_utf8_lossy(&done.stdout).into_owned(), tree)),
        Outcome::Unknown(unknown) => Err(unknown.to_string()),
    }
}

/// Runs a script by dash in a folder; gives status and output.
fn theirs(script: &str, folder: &Path) -> (i32, String) {
    let file = folder.join("../script");
    std::fs::write(&file, script).unwrap();
    let mut dash = Command::new("dash");
    dash.arg(&file).current_dir(folder).env_clear();
    let output = dash.env("PATH", "/usr/bin:/bin").env("HOME", "/w").env("LC_ALL", "C").output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn scripts_print_what_dash_prints() {
    let proven = has_dash("scripts_print_what_dash_prints");
    let mut wrong = Vec::new();
    for case in cases(include_str!("conformance.txt")) {
        match ours(&case.script) {
            Ok((status, stdout, _)) if (status, &stdout) == (case.status, &case.stdout) => {}
            other => wrong.push(format!(
                "{}: {:?}, not {:?}",
                case.name,
                other.map(|(s, o, _)| (s, o)),
                (case.status, &case.stdout)
            )),
        }
        if proven {
            let base = tempfile::tempdir().unwrap();
            let folder = base.path().join("w");
            std::fs::create_dir(&folder).unwrap();
            let (status, stdout) = theirs(&case.script, &folder);
            if (status, &stdout) != (case.status, &case.stdout) {
                wrong.push(format!("{}: dash itself gives {:?}", case.name, (status, stdout)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn files_in_tree(tree: &Tree) -> BTreeMap<String, String> {
    let top = TreePath::new("w").unwrap();
    let mut files = BTreeMap::new();
    for (path, _, node) in tree.subtree(&top).skip(1) {
        let what = match &node.kind {
            Kind::Dir => format!("dir {:o}", node.meta.mode),
            Kind::File(content) => {
                let bytes = NoBlobs.bytes(content, 1 << 20).unwrap();
                format!("file {:o} {} {:?}", node.meta.mode, tree.names(path), String::from_utf8_lossy(&bytes))
            }
            Kind::Symlink(target) => format!("link {}", String::from_utf8_lossy(target)),
            other => format!("{other:?}"),
        };
        files.insert(path.display()["/w/".len()..].to_owned(), what);
    }
    files
}

fn files_on_disk(top: &Path) -> BTreeMap<String, String> {
    use std::os::unix::fs::MetadataExt;
    let mut files = BTreeMap::new();
    let mut todo = vec![top.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let what = if meta.is_dir() {
                todo.push(path.clone());
                format!("dir {:o}", meta.mode() & 0o7777)
            } else if meta.is_symlink() {
                format!("link {}", path.read_link().unwrap().display())
            } else {
                let bytes = std::fs::read(&path).unwrap();
                format!("file {:o} {} {:?}", meta.mode() & 0o7777, meta.nlink(), String::from_utf8_lossy(&bytes))
            };
            files.insert(path.strip_prefix(top).unwrap().display().to_string(), what);
        }
    }
    files
}

#[test]
fn scripts_leave_the_files_that_dash_leaves() {
    if !has_dash("scripts_leave_the_files_that_dash_leaves") {
        return;
    }
    let mut wrong = Vec::new();
    for block in include_str!("files.txt").split("=== ").skip(1) {
        let (name, script) = block.split_once('\n').unwrap();
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("w");
        std::fs::create_dir(&folder).unwrap();
        let script = format!("umask 022\n{script}");
        let (status, stdout) = theirs(&script, &folder);
        let expected = (status, stdout, files_on_disk(&folder));
        match ours(&script) {
            Ok((status, stdout, tree))
                if (status, &stdout, &files_in_tree(&tree)) == (expected.0, &expected.1, &expected.2) => {}
            Ok((status, stdout, tree)) => {
                wrong.push(format!("{name}:\n  ours {:?}\n  dash {expected:?}", (status, stdout, files_in_tree(&tree))))
            }
            Err(unknown) => wrong.push(format!("{name}: {unknown}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_unknown_leaves_the_tree_as_it_was() {
    let mut tree = Tree::default();
    tree.insert(TreePath::new("a").unwrap(), Node { kind: Kind::File(Content::inline("a")), ..Node::file(0o644, "") })
        .unwrap();
    let before = tree::dump(&tree);
    for end in [
        "frobnicate() { :; }; rm --frob a",
        "sleep 1 &",
        "echo ${x//a/b}",
        "while :; do :; done",
        "f() { f; }; f",
        "[ a -nt b ]",
        "awk 1",
        "/a.out",
    ] {
        let text = format!("echo x > b; rm a; mkdir -p c/d; chmod 700 c; mv c e\ncp b a.out; chmod +x a.out\n{end}");
        let script = shell::parse(text.as_bytes()).unwrap();
        let commands = Commands::default();
        let mut session = Session::new(&mut tree, &NoBlobs, &commands);
        session.limits.steps = 100_000;
        match shell::run(&script, session, &[], &BTreeMap::new()) {
            Outcome::Unknown(unknown) => assert_eq!(unknown.line, 3, "{end}: {unknown}"),
            Outcome::Done(done) if end == "awk 1" => {
                assert_eq!(done.status, 127);
                done.changes.undo(&mut tree);
            }
            Outcome::Done(done) => panic!("{end}: {done:?}"),
        }
        assert_eq!(tree::dump(&tree), before, "{end}");
    }
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    let deep = |open: &str, close: &str, times: usize| format!("{}:{}", open.repeat(times), close.repeat(times));
    for (open, close) in [
        ("{ ", "; }"),
        ("( ", ")"),
        ("if ", "; then :; fi"),
        ("x=$(", ")"),
        ("x=\"${x:-", "}\""),
        ("f() { ", "; }"),
        ("x=`", "`"),
        ("x=$((1+(", ")))"),
    ] {
        for times in [10, 30, 60, 10_000] {
            let text = format!("g() {{ {}; g; }}; g", deep(open, close, times));
            let Ok(script) = shell::parse(text.as_bytes()) else { continue };
            let (mut tree, commands) = (Tree::default(), Commands::default());
            let outcome = shell::run(&script, Session::new(&mut tree, &NoBlobs, &commands), &[], &BTreeMap::new());
            assert!(matches!(outcome, Outcome::Unknown(_)), "{open} {times}: {outcome:?}");
        }
    }
    let inward = format!("g() {{ {}; }}; g", "{ ( if ".repeat(6) + "g" + &"; then :; fi ); }".repeat(6));
    let script = shell::parse(inward.as_bytes()).unwrap();
    let (mut tree, commands) = (Tree::default(), Commands::default());
    let outcome = shell::run(&script, Session::new(&mut tree, &NoBlobs, &commands), &[], &BTreeMap::new());
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
}

/// As dash says of itself only where a test runs as root.
#[test]
fn scripts_find_themselves_to_be_root() {
    let (status, stdout, _) = ours("id -u").unwrap();
    assert_eq!((status, stdout.as_str()), (0, "0\n"));
}
