//! Maintainer scripts: parsed and evaluated over a small tree.

use std::collections::BTreeMap;

use shell::{Commands, Limits, Outcome, Session};
use tree::{NoBlobs, Node, Tree, TreePath};

/// Parses only.
pub fn parse(data: &[u8]) -> bool {
    shell::parse(data).is_ok()
}

/// Evaluates. What ends in the unknown leaves no trace.
pub fn run(data: &[u8]) -> bool {
    let Ok(script) = shell::parse(data) else { return false };
    let mut tree = small_tree();
    let before = tree::dump(&tree);
    let commands = Commands::default();
    let mut session = Session::new(&mut tree, &NoBlobs, &commands);
    session.limits = Limits { steps: 20_000, bytes: 1 << 18, depth: 24 };
    session.machine = Some("x86_64".to_owned());
    session.stdin = b"one two\nthree\n".to_vec();
    let args = [b"configure".to_vec(), b"1.0".to_vec()];
    let env = BTreeMap::from([(b"PATH".to_vec(), b"/usr/sbin:/usr/bin:/sbin:/bin".to_vec())]);
    match shell::run(&script, session, &args, &env) {
        Outcome::Unknown(_) => {
            assert_eq!(tree::dump(&tree), before, "an unknown outcome left a trace");
            false
        }
        Outcome::Done(done) => {
            assert!(done.stdout.len() + done.stderr.len() <= 1 << 18);
            done.changes.undo(&mut tree);
            assert_eq!(tree::dump(&tree), before, "undoing left a trace");
            done.status == 0
        }
    }
}

fn small_tree() -> Tree {
    let mut tree = Tree::default();
    let entries = [
        ("etc/passwd", Node::file(0o644, "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var/www:/bin/false\n")),
        ("etc/motd", Node::file(0o644, "one\ntwo\n\nthree = 3\n")),
        ("usr/bin/true", Node::file(0o755, "#!/bin/sh\nexit 0\n")),
        ("usr/bin/helper", Node::file(0o755, "#!/bin/sh\nset -e\necho \"$0 $# $*\"\n")),
        ("bin", Node::symlink("usr/bin")),
        ("loop", Node::symlink("loop")),
        ("var/lib/x", Node::dir(0o755)),
        ("tmp", Node::dir(0o1777)),
    ];
    for (path, node) in entries {
        let path = TreePath::new(path).expect("a good path");
        tree.insert_with_parents(path, node).expect("a free place");
    }
    tree
}
