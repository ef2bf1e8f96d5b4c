//! The maintainer scripts of the machine itself, where it is a Debian one: each must parse, and what makes them unknown is listed.
//! `APPLIANCE_SCRIPTS=1` prints the list; nothing is changed outside the tree of the test.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "the scripts of the machine are files")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shell::{Call, Command, Commands, Fs, Outcome, Session, Unknown};
use tree::{NoBlobs, Node, Tree, TreePath};

fn scripts() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/var/lib/dpkg/info") else { return Vec::new() };
    let kinds = ["preinst", "postinst", "prerm", "postrm", "config"];
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut all: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| kinds.iter().any(|kind| end == *kind))).collect();
    all.sort();
    all
}

fn shell_text(path: &Path) -> Option<Vec<u8>> {
    let text = std::fs::read(path).ok()?;
    text.starts_with(b"#!/bin/sh").then_some(text)
}

#[test]
fn every_installed_script_parses() {
    let all = scripts();
    if all.is_empty() {
        eprintln!("SKIP every_installed_script_parses: this machine has no scripts of Debian packages");
    }
    let wrong: Vec<String> = all
        .iter()
        .filter_map(|path| shell_text(path).map(|text| (path, text)))
        .filter_map(|(path, text)| shell::parse(&text).err().map(|error| format!("{}: {error}", path.display())))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A stand-in for the commands that the caller adds in earnest.
struct Stub;

impl Command for Stub {
    fn run(&self, _: &mut Call<'_, '_>) -> Result<i32, Unknown> {
        Ok(0)
    }

    fn exists(&self, _: &[u8], _: &Fs<'_>) -> bool {
        true
    }
}

/// The folders of the machine as they are, with contents where scripts read them.
fn tree_of_machine() -> Tree {
    let mut tree = Tree::default();
    let mut todo = vec![PathBuf::from("/")];
    while let Some(folder) = todo.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.filter_map(|entry| entry.ok().map(|entry| entry.path())) {
            let place = TreePath::new(path.as_os_str().as_encoded_bytes()).unwrap();
            let wanted =
                ["usr/share/doc", "usr/share/locale", "usr/lib/python3", "usr/lib/gcc", "usr/include", "usr/local"];
            let top = ["etc", "usr", "var/lib/dpkg", "bin", "sbin", "lib", "var/log", "lib64", "tmp"];
            let depth = place.parts().count();
            let deep = depth > 5
                || (depth > 3 && place.display().starts_with("/usr/lib"))
                || place.display().starts_with("/var/lib/dpkg/info");
            let wide = deep || depth > 1 && !top.iter().any(|top| place.starts_with(&TreePath::new(top).unwrap()));
            let Ok(meta) = path.symlink_metadata() else { continue };
            if wanted.iter().any(|skip| place.starts_with(&TreePath::new(skip).unwrap())) || (wide && depth > 2) {
                continue;
            }
            let node = if meta.is_dir() {
                if depth > 1 || top.iter().any(|top| top.split('/').next() == Some(&place.display()[1..])) {
                    todo.push(path);
                }
                Node::dir(0o755)
            } else if let Ok(target) = path.read_link() {
                Node::symlink(target.into_os_string().into_encoded_bytes())
            } else if meta.is_file() {
                let small = meta.len() < 50_000 && !place.display().starts_with("/usr/lib");
                Node::file(
                    if is_executable(&meta) { 0o755 } else { 0o644 },
                    if small { std::fs::read(&path).unwrap_or_default() } else { b"\x7fELF".to_vec() },
                )
            } else {
                continue;
            };
            if place.display() != "/tmp" || node.is_dir() {
                let _ = tree.insert(place, node);
            }
        }
    }
    tree
}

fn is_executable(meta: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    meta.permissions().mode() & 0o111 != 0
}

fn stub_commands() -> Commands<'static> {
    let mut commands = Commands::default();
    for name in [
        "update-alternatives",
        "dpkg-divert",
        "dpkg-trigger",
        "dpkg-statoverride",
        "deb-systemd-helper",
        "deb-systemd-invoke",
        "update-rc.d",
        "invoke-rc.d",
        "adduser",
        "addgroup",
        "useradd",
        "groupadd",
        "usermod",
        "getent",
        "dpkg",
        "dpkg-query",
        "ldconfig",
        "py3compile",
        "py3clean",
        "systemd-tmpfiles",
        "systemd-sysusers",
        "systemctl",
        "debconf-set-selections",
        "update-mime-database",
        "db_get",
        "db_set",
        "db_input",
        "db_go",
        "db_stop",
        "db_version",
        "db_purge",
        "db_fset",
        "db_title",
        "db_subst",
        "db_metaget",
        "db_capb",
        "db_unregister",
        "db_register",
        "db_beginblock",
        "db_endblock",
    ] {
        commands.add(name, Stub);
    }
    commands.replace_source("/usr/share/debconf/confmodule", b"RET=\n");
    commands
}

#[test]
fn installed_scripts_are_understood_or_say_why_not() {
    let all = scripts();
    if all.is_empty() {
        eprintln!(
            "SKIP installed_scripts_are_understood_or_say_why_not: this machine has no scripts of Debian packages"
        );
        return;
    }
    let commands = stub_commands();
    let mut tree = tree_of_machine();
    let before = tree::dump(&tree);
    let env = BTreeMap::from([
        (b"PATH".to_vec(), b"/usr/sbin:/usr/bin:/sbin:/bin".to_vec()),
        (b"DPKG_MAINTSCRIPT_PACKAGE".to_vec(), b"x".to_vec()),
        (b"DPKG_MAINTSCRIPT_NAME".to_vec(), b"postinst".to_vec()),
        (b"DPKG_ROOT".to_vec(), b"".to_vec()),
    ]);
    let (mut done, mut failed, mut unknown) = (0, Vec::new(), Vec::new());
    for path in all {
        let Some(text) = shell_text(&path) else { continue };
        let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let text = if first.ends_with(b"-e") { [b"set -e;", &text[..]].concat() } else { text };
        let Ok(script) = shell::parse(&text) else { continue };
        let args: [&[u8]; 2] = match path.extension().and_then(|end| end.to_str()) {
            Some("postinst") => [b"configure", b""],
            Some("preinst") => [b"install", b""],
            Some("prerm") => [b"remove", b""],
            _ => [b"remove", b""],
        };
        let session = Session {
            name: path.display().to_string(),
            machine: Some("x86_64".into()),
            ..Session::new(&mut tree, &NoBlobs, &commands)
        };
        let outcome = shell::run(&script, session, &args.map(<[u8]>::to_vec), &env);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match outcome {
            Outcome::Done(result) => {
                match result.status {
                    0 => done += 1,
                    status => failed
                        .push(format!("{name}: status {status}: {}", String::from_utf8_lossy(&result.stderr).trim())),
                }
                result.changes.undo(&mut tree);
            }
            Outcome::Unknown(what) => unknown.push(format!("{name}: {what}")),
        }
    }
    if std::env::var("APPLIANCE_SCRIPTS").is_ok() {
        eprintln!(
            "{done} understood\nfailed {}:\n{}\nunknown {}:\n{}",
            failed.len(),
            failed.join("\n"),
            unknown.len(),
            unknown.join("\n")
        );
    }
    assert_eq!(tree::dump(&tree), before, "every evaluation can be undone");
    assert!(done > unknown.len(), "most scripts are understood: {done} are, {} are not", unknown.len());
}
