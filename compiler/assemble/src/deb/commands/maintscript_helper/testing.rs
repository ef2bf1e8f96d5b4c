//! The emulated helper against the real one: the same calls on the same files, in memory and in a folder.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test compares with the real program")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use spec::appliance::Arch;
use tree::{NoBlobs, Tree};

use super::super::super::system::System;
use super::super::{Call, Unknown};
use crate::files::Files;

/// Files that a call meets: path, and `/` for a folder, `-> TARGET` for a link, else its text.
type There<'a> = &'a [(&'a str, &'a str)];

/// The environment of a script.
fn env(name: &str, script: &str) -> Option<String> {
    let value = match name {
        "DPKG_MAINTSCRIPT_NAME" => script,
        "DPKG_MAINTSCRIPT_PACKAGE" => "pkg",
        "DPKG_MAINTSCRIPT_ARCH" => "amd64",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The database of a package with these files, of which some are configuration files with these MD5.
fn database(list: &[&str], conffiles: &[(&str, &str)]) -> Vec<(String, String)> {
    let lines: String = conffiles.iter().map(|(path, md5)| format!("\n {path} {md5}")).collect();
    let status = format!(
        "Package: pkg\nStatus: install ok installed\nMaintainer: a\nArchitecture: amd64\nVersion: 1.0\nConffiles:{lines}\nDescription: a\n\n"
    );
    let text: String = list.iter().map(|path| format!("{path}\n")).collect();
    let info = |name: &str| format!("/var/lib/dpkg/{name}");
    vec![(info("status"), status), (info("info/pkg.list"), text), (info("info/format"), "1\n".to_owned())]
}

/// What is there afterwards with how it ended, or why it is not understood.
fn emulated(all: &[(String, String)], script: &str, words: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let mut tree = Tree::default();
    let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 0 };
    for (path, what) in all {
        let parent = path.rsplit_once('/').unwrap().0;
        files.make_dir(parent, 0o755).unwrap();
        match what.strip_prefix("-> ") {
            Some(target) => files.link(path, target).unwrap(),
            None if what == "/" => _ = files.make_dir(path, 0o755).unwrap(),
            None => files.write(path, 0o644, what.as_bytes()).unwrap(),
        }
    }
    let args: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut system = System::new(Arch::Amd64, &[], &[]);
    let env = |name: &str| env(name, script);
    let (out, err) = (String::new(), String::new());
    let mut call = Call { name: "helper", args: &args, env: &env, files: &mut files, system: &mut system, out, err };
    let status = super::call(&mut call).map_err(|Unknown(what)| what)?;
    let mut found: BTreeMap<String, String> =
        tree.iter().map(|(path, _, node)| (path.display(), shown(node))).collect();
    found.remove("/");
    found.insert("status".to_owned(), status.to_string());
    Ok(found)
}

fn shown(node: &tree::Node) -> String {
    match &node.kind {
        tree::Kind::File(tree::Content::Inline(bytes)) => {
            format!("{:o} {}", node.meta.mode, String::from_utf8_lossy(bytes))
        }
        tree::Kind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
        kind => format!("{:o} {}", node.meta.mode, if matches!(kind, tree::Kind::Dir) { "folder" } else { "else" }),
    }
}

/// The same by the real helper.
fn real(all: &[(String, String)], script: &str, words: &[&str]) -> BTreeMap<String, String> {
    let root = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path.trim_start_matches('/'));
    for (path, what) in all {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        match what.strip_prefix("-> ") {
            Some(target) => symlink(target, at(path)).unwrap(),
            None if what == "/" => fs::create_dir_all(at(path)).unwrap(),
            None => fs::write(at(path), what).unwrap(),
        }
    }
    let mut command = Command::new("sh");
    command.args(["-c", "umask 022; find \"$DPKG_ROOT\" -type d -exec chmod 755 {} +; find \"$DPKG_ROOT\" -type f -exec chmod 644 {} +; exec dpkg-maintscript-helper \"$@\"", "sh"]);
    command.args(words).env("DPKG_ROOT", root.path()).env("DPKG_ADMINDIR", at("/var/lib/dpkg"));
    ["DPKG_MAINTSCRIPT_NAME", "DPKG_MAINTSCRIPT_PACKAGE", "DPKG_MAINTSCRIPT_ARCH"]
        .iter()
        .for_each(|name| _ = command.env(name, env(name, script).unwrap()));
    let output = command.output().unwrap();
    let mut found = BTreeMap::new();
    list(root.path(), "", &mut found);
    found.insert("status".to_owned(), output.status.code().unwrap().to_string());
    found
}

fn list(folder: &Path, shown: &str, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = format!("{shown}/{}", entry.file_name().to_str().unwrap());
        let meta = entry.metadata().unwrap();
        let mode = meta.permissions().mode() & 0o7777;
        let what = if meta.is_dir() {
            list(&entry.path(), &path, found);
            format!("{mode:o} folder")
        } else if meta.is_symlink() {
            format!("-> {}", fs::read_link(entry.path()).unwrap().display())
        } else {
            format!("{mode:o} {}", fs::read_to_string(entry.path()).unwrap())
        };
        found.insert(path, what);
    }
}

/// The scripts of an installation that do something, with what dpkg tells them.
const CALLS: &[(&str, &[&str])] = &[
    ("preinst", &["install"]),
    ("preinst", &["install", "0.9"]),
    ("preinst", &["upgrade", "0.9", "2.0"]),
    ("preinst", &["upgrade", "1.0", "2.0"]),
    ("preinst", &["upgrade", "1.0-1", "2.0"]),
    ("postinst", &["configure", ""]),
    ("postinst", &["configure", "1.0"]),
    ("postinst", &["configure", "1.1"]),
];

/// Every script with every version, on these files of a package: what is understood is what the real helper does; what is
/// not is one of these numbers of calls, so that nothing is given up unseen. The real one fails at each of those.
#[track_caller]
fn check(helper: &[&str], there: There<'_>, list: &[&str], conffiles: &[(&str, &str)], not_understood: usize) {
    let own = there.iter().map(|(path, what)| ((*path).to_owned(), (*what).to_owned()));
    let all: Vec<(String, String)> = database(list, conffiles).into_iter().chain(own).collect();
    let mut given_up = 0;
    for (script, action) in CALLS {
        let words = [helper, &["--"], action].concat();
        let real = real(&all, script, &words);
        match emulated(&all, script, &words) {
            Ok(found) => assert_eq!(found, real, "{script} {words:?}"),
            Err(why) => {
                assert_ne!(real["status"], "0", "{script} {words:?}: {why}");
                given_up += 1;
            }
        }
    }
    assert_eq!(given_up, not_understood, "{helper:?}");
}

fn is_here(test: &str) -> bool {
    let here = Command::new("dpkg-maintscript-helper").arg("--version").output().is_ok();
    if !here {
        eprintln!("SKIP {test}: there is no dpkg-maintscript-helper");
    }
    here
}

#[test]
fn configuration_files_are_given_up_as_by_the_real_helper() {
    if !is_here("configuration_files_are_given_up_as_by_the_real_helper") {
        return;
    }
    let md5 = shipped();
    for prior in [&[][..], &["1.0"], &["1.0-1~", "other"]] {
        let helper = [&["rm_conffile", "/etc/a.conf"], prior].concat();
        let check =
            |there: There<'_>, list: &[&str], md5: &str| check(&helper, there, list, &[("/etc/a.conf", md5)], 0);
        check(&[], &["/etc/a.conf"], &md5);
        check(&[("/etc/a.conf", "shipped")], &["/etc", "/etc/a.conf"], &md5);
        check(&[("/etc/a.conf", "mine")], &["/etc", "/etc/a.conf"], &md5);
        check(&[("/etc/a.conf", "shipped")], &["/etc"], &md5);
        check(&[("/etc/a.conf", "shipped")], &["/etc/a.conf"], &format!("{md5} obsolete"));
        check(&[("/etc/a.conf", "shipped")], &["/etc/a.conf"], &format!("{md5} remove-on-upgrade"));
        check(&[("/etc/a.conf.dpkg-backup", "mine"), ("/etc/a.conf.dpkg-bak", "older")], &["/etc/a.conf"], &md5);
        check(&[("/etc/a.conf.dpkg-remove", "shipped")], &["/etc/a.conf"], &md5);
        check(&[("/etc/a.conf", "-> b.conf"), ("/etc/b.conf", "shipped")], &["/etc/a.conf"], &md5);
        check(&[("/etc/a.conf", "-> nowhere")], &["/etc/a.conf"], &md5);
    }
}

#[test]
fn configuration_files_get_another_name_as_by_the_real_helper() {
    if !is_here("configuration_files_get_another_name_as_by_the_real_helper") {
        return;
    }
    let md5 = shipped();
    for prior in [&[][..], &["1.0"]] {
        let helper = [&["mv_conffile", "/etc/a.conf", "/etc/new/b.conf"], prior].concat();
        let list = &["/etc", "/etc/a.conf"];
        let check = |there: There<'_>| check(&helper, there, list, &[("/etc/axconf", "0"), ("/etc/a.conf", &md5)], 0);
        check(&[("/etc/new", "/")]);
        check(&[("/etc/new/b.conf", "new")]);
        check(&[("/etc/new/b.conf", "new"), ("/etc/a.conf", "mine")]);
        check(&[("/etc/new/b.conf", "new"), ("/etc/a.conf", "shipped")]);
        check(&[("/etc/new", "/"), ("/etc/a.conf", "mine"), ("/etc/a.conf.dpkg-remove", "shipped")]);
    }
    // The path is a pattern to the real helper: the dot hits both lines.
    check(
        &["mv_conffile", "/etc/a.conf", "/etc/b.conf", "1.0"],
        &[("/etc/a.conf", "shipped")],
        &["/etc/a.conf"],
        &[("/etc/a.conf", &md5), ("/etc/axconf", &md5)],
        0,
    );
}

#[test]
fn links_and_folders_take_each_others_place_as_by_the_real_helper() {
    if !is_here("links_and_folders_take_each_others_place_as_by_the_real_helper") {
        return;
    }
    let helper = ["symlink_to_dir", "/usr/doc", "share", "1.0"];
    for there in [
        &[][..],
        &[("/usr/doc", "-> share"), ("/usr/share", "/")],
        &[("/usr/doc", "-> other"), ("/usr/share", "/")],
        &[("/usr/doc", "/")],
        &[("/usr/doc/a", "text")],
        &[("/usr/doc.dpkg-backup", "-> share"), ("/usr/share", "/"), ("/usr/doc/a", "text")],
        &[("/usr/doc.dpkg-backup", "-> other"), ("/usr/doc/a", "text")],
    ] {
        check(&helper, there, &["/usr"], &[], 0);
    }
    let link = &[("/usr/doc", "-> share"), ("/usr/share", "/")];
    check(&helper[..3], link, &["/usr"], &[], 0);
    check(&["symlink_to_dir", "/usr/doc", "/usr/share"], link, &["/usr"], &[], 0);

    let helper = ["dir_to_symlink", "/usr/doc/", "share/doc", "1.0"];
    let list = &["/usr", "/usr/doc", "/usr/doc/a", "/usr/doc/in", "/usr/doc/in/b"];
    let own = &[("/usr/doc/a", "text"), ("/usr/doc/in/b", "-> ../a"), ("/usr/share/doc", "/")][..];
    let strange = &[("/usr/doc/a", "text"), ("/usr/doc/mine", "text")][..];
    let staged =
        &[("/usr/doc/.dpkg-staging-dir", ""), ("/usr/doc.dpkg-backup/a", "old"), ("/usr/share/doc/b", "b")][..];
    check(&helper, &[], list, &[], 0);
    check(&helper, own, list, &[], 0);
    check(&helper[..3], own, list, &[], 0);
    check(&helper, &[("/usr/doc", "-> share/doc")], list, &[], 0);
    // Each upgrade that would lose what is not the package's fails, and so does the real helper.
    let upgrades = 3;
    check(&helper, strange, list, &[], upgrades);
    check(&helper, own, list, &[("/usr/doc/a", "0")], upgrades);
    check(&helper, staged, list, &[], upgrades);
    check(&helper, &[staged, &[("/usr/doc/new", "new"), ("/usr/doc/.hidden", "x")]].concat(), list, &[], upgrades);
    check(&helper, &[staged, &[("/usr/doc/b", "new b")]].concat(), list, &[], upgrades);
    check(&helper, &staged[..2], list, &[], upgrades);
    let absolute = ["dir_to_symlink", "/usr/doc", "/usr/share/doc", "1.0"];
    check(&absolute, &[staged, &[("/usr/doc/new", "new")]].concat(), list, &[], upgrades);
}

#[test]
fn what_no_installation_calls_is_not_understood() {
    let all = database(&["/etc/a"], &[]);
    let check = |script: &str, words: &str, expected: &str| {
        let words: Vec<&str> = words.split(' ').collect();
        let found = emulated(&all, script, &words).map_or_else(|why| why, |found| found["status"].clone());
        assert!(found.ends_with(expected), "{words:?}: {found}");
    };
    check("postrm", "rm_conffile /etc/a 1 -- abort-install 1", "only what an installation calls is understood");
    check("postrm", "rm_conffile /etc/a 1 -- purge", "only what an installation calls is understood");
    check("", "rm_conffile /etc/a 1 -- install", "only what an installation calls is understood");
    check("postinst", "rm_conffile /etc/a 1 -- triggered /x", "0");
    check("prerm", "mv_conffile /etc/a /etc/b 1 -- upgrade 2", "0");
    check("postrm", "rm_conffile /etc/a 1 -- upgrade 2", "0");
    check("preinst", "rm_conffile etc/a -- install", "this use is not understood");
    check("preinst", "rm_conffile /etc/a --", "this use is not understood");
    check("preinst", "rm_conffile /etc/a", "`--` is missing");
    check("preinst", "strange /etc/a -- install", "this use is not understood");
    check("preinst", "supports mv_conffile", "0");
    check("preinst", "supports strange", "1");
}

/// The MD5 of the text that the package ships.
fn shipped() -> String {
    use md5::{Digest, Md5};
    super::super::super::database::hex(&Md5::digest("shipped"))
}
