//! Everything that a package brings and assembling reads: control data, scripts, triggers, conffiles, diversions,
//! libraries for the loader's cache, accounts, alternatives.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use assemble::{Inputs, ScriptPolicy};
use packages::Unpacked;
use spec::appliance::{Appliance, Arch};
use spec::{Source, World};
use tree::{NoBlobs, Node, Tree, TreePath};

use super::pieces::sections;
use super::specs::BASES;

static APPLIANCE: LazyLock<Appliance> = LazyLock::new(|| {
    let text = "appliance \"fuzz\" { base \"debian\" release=\"bookworm\"; arch \"amd64\"; user \"luna\"; \
                file \"/etc/motd\" text=\"hi\" owner=\"luna\"; service \"web\" user=\"luna\" { run \"/usr/bin/web\" } }";
    let source = Source { name: "fuzz.kdl".to_owned(), text: text.to_owned() };
    let spec = spec::parse(&source, &BTreeMap::<String, String>::new()).expect("the spec is KDL");
    let world = World { bases: &BASES, host_arch: Arch::Amd64, allow_outside: false };
    spec::check(&spec, &world).expect("the spec is right").appliance
});

/// Assembles a root from the packages that the input describes: sections `package`, `control NAME`, `file PATH`,
/// `link PATH`, `dir PATH`. Two runs give the same tree, and so do two that upgrade the packages of that tree to themselves.
pub fn assemble(data: &[u8]) -> bool {
    let packages = packages(data);
    let same = |image: Option<&Tree>| {
        let runs = [(); 2].map(|()| once(packages.clone(), image.cloned()));
        let [first, second] =
            runs.each_ref().map(|run| run.as_ref().map(|(tree, scripts)| (tree::dump(tree), *scripts)));
        assert!(first == second, "two runs differ");
        runs.into_iter().next().flatten()
    };
    let first = same(None);
    first.iter().for_each(|(tree, _)| drop(same(Some(tree))));
    first.is_some()
}

fn once(packages: Vec<Unpacked>, image: Option<Tree>) -> Option<(Tree, usize)> {
    let base = BASES.iter().find(|base| base.name == "debian" && base.release == "bookworm");
    let assembled = assemble::assemble(Inputs {
        appliance: &APPLIANCE,
        arch: Arch::Amd64,
        base,
        image,
        packages,
        ids: &[],
        blobs: &NoBlobs,
        sources: &BTreeMap::new(),
        guest: None,
        epoch_secs: 1_700_000_000,
        scripts: ScriptPolicy::EmulateOnly,
        runner: None,
    });
    assembled.ok().map(|assembled| (assembled.tree, assembled.ledger.len()))
}

fn packages(data: &[u8]) -> Vec<Unpacked> {
    let mut found = vec![base_package()];
    for (title, body) in sections(data) {
        let (kind, name) = title.split_once(' ').unwrap_or((&title, ""));
        if kind == "package" && found.len() < 8 {
            found.push(Unpacked::default());
        }
        let Some(package) = found.last_mut() else { continue };
        let node = match kind {
            "control" => {
                package.control_files.insert(name.to_owned(), body);
                continue;
            }
            "file" => Node::file(0o755, body),
            "link" => Node::symlink(body.trim_ascii()),
            "dir" => Node::dir(0o755),
            _ => continue,
        };
        // A path that cannot be is the archive reader's matter, which has a target of its own.
        if let Ok(path) = TreePath::new(name).map(|path| (!path.is_root()).then_some(path)) {
            let _ = path.map(|path| package.tree.insert_with_parents(path, node));
        }
    }
    found
}

/// What scripts expect of any Debian: accounts and the folders of programs.
fn base_package() -> Unpacked {
    let control = "Package: base-files\nVersion: 1\nArchitecture: amd64\nEssential: yes\nMaintainer: a <a@example.org>\nDescription: x\n";
    let mut tree = Tree::default();
    let files = [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\nshadow:x:42:\n"),
        ("etc/shadow", "root:*:19000:0:99999:7:::\n"),
        ("etc/gshadow", "root:*::\nshadow:*::\n"),
        ("usr/bin/sh", ""),
        ("usr/bin/web", ""),
        ("usr/bin/update-alternatives", ""),
        ("usr/bin/dpkg-divert", ""),
        ("usr/bin/dpkg-trigger", ""),
        ("usr/bin/dpkg-statoverride", ""),
        ("usr/bin/dpkg-maintscript-helper", ""),
        ("usr/bin/deb-systemd-helper", ""),
        ("usr/bin/systemd-sysusers", ""),
        ("usr/bin/systemd-tmpfiles", ""),
        ("usr/sbin/ldconfig", ""),
        ("usr/sbin/adduser", ""),
        ("usr/sbin/addgroup", ""),
        ("usr/sbin/useradd", ""),
        ("usr/sbin/groupadd", ""),
        ("usr/sbin/usermod", ""),
        ("usr/sbin/update-rc.d", ""),
        ("usr/sbin/add-shell", ""),
        ("usr/sbin/pam-auth-update", ""),
        ("usr/sbin/update-ca-certificates", ""),
        ("usr/share/debconf/confmodule", ""),
    ];
    for (path, body) in files {
        let path = TreePath::new(path).expect("a good path");
        tree.insert_with_parents(path, Node::file(0o755, body)).expect("a free place");
    }
    let control_files = BTreeMap::from([("control".to_owned(), control.as_bytes().to_vec())]);
    Unpacked { control_files, tree, ..Unpacked::default() }
}
