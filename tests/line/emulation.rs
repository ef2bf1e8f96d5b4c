//! Emulated scripts against the same scripts run: of live Debian, the tree that comes of either way is the same, entry for
//! entry, but for what is listed here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::image_tree::{Entry, image_tree};
use crate::live::{copy, live_command, no_guest, unreachable};
use crate::support::{is_root, skip};
use crate::world::Done;

/// How an entry counts for the comparison; none where it does not.
type Reading = fn(&mut Entry) -> bool;

/// What may differ, and why.
const ALLOWED: [(&str, &str, Reading); 3] = [
    (
        "/etc/shadow",
        "the day of a password is the day of the epoch when emulated, and that of the clock when run",
        |shadow| {
            let day = |line: &str| {
                line.split(':').enumerate().filter(|(at, _)| *at != 2).map(|(_, cell)| cell.to_owned()).collect()
            };
            let lines: Vec<Vec<String>> = std::str::from_utf8(&shadow.content).unwrap().lines().map(day).collect();
            shadow.content = format!("{lines:?}").into_bytes();
            true
        },
    ),
    (
        "/run/lock",
        "a script that runs has a /run in memory, as every running system has; what it makes there goes",
        |_| false,
    ),
    (
        "/var/lib/dpkg/diversions",
        "dpkg-divert writes its records of three lines in the order of a hash table",
        |diversions| {
            let text = String::from_utf8(diversions.content.clone()).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let records: BTreeSet<&[&str]> = lines.chunks(3).collect();
            diversions.content = format!("{records:?}").into_bytes();
            true
        },
    ),
];

/// The image of a spec for an architecture, built with this policy into a folder of that name.
#[track_caller]
fn built(folder: &Path, policy: &str, arch: &str) -> BTreeMap<String, Entry> {
    let done = live_command(folder, &["build", "-v", "--scripts", policy, "--output", policy]).output().unwrap();
    let done = Done::of(done).succeeds();
    let unwanted = if policy == "run" { "  emulated " } else { "  run " };
    assert!(!done.text().contains(unwanted), "{}", done.text());
    image_tree(&folder.join("spec").join(policy).join("oci"), arch)
}

fn as_read(mut entries: BTreeMap<String, Entry>) -> BTreeMap<String, Entry> {
    entries.retain(|path, entry| {
        ALLOWED.iter().find(|(allowed, ..)| allowed == path).is_none_or(|(_, _, reading)| reading(entry))
    });
    entries
}

fn shown(entry: Option<&Entry>) -> String {
    let Some(entry) = entry else { return "not there".to_owned() };
    let Entry { kind, owner: (mode, uid, gid), xattrs, content } = entry;
    let text = String::from_utf8_lossy(&content[..content.len().min(2000)]);
    format!("{kind:?} {mode:o} {uid}:{gid} {xattrs:?} {} bytes: {text}", content.len())
}

#[track_caller]
fn compare(emulated: BTreeMap<String, Entry>, run: BTreeMap<String, Entry>) {
    let paths: BTreeSet<String> = emulated.keys().chain(run.keys()).cloned().collect();
    for (allowed, ..) in ALLOWED {
        assert!(emulated.get(allowed) != run.get(allowed), "{allowed} does not differ: take it off the list");
    }
    let (emulated, run) = (as_read(emulated), as_read(run));
    let differ = |path: &&String| emulated.get(*path) != run.get(*path);
    let line =
        |path: &String| format!("{path}\n  emulated: {}\n  run: {}\n", shown(emulated.get(path)), shown(run.get(path)));
    let differences: String = paths.iter().filter(differ).map(line).collect();
    assert!(differences.is_empty(), "{differences}");
    assert!(emulated.len() > 5000, "{}", emulated.len());
}

#[test]
fn what_is_emulated_is_what_the_scripts_do() {
    let test = "what_is_emulated_is_what_the_scripts_do";
    if let Some(why) = unreachable().map(str::to_owned).or_else(|| no_guest(HOST)) {
        return skip(test, &why);
    }
    if !is_root() {
        return skip(test, "the sandbox of an ordinary user needs subordinate ids");
    }
    let folder = copy("hello");
    compare(built(folder.path(), "emulate-only", HOST), built(folder.path(), "run", HOST));
}

/// This host's architecture, the default of a spec.
const HOST: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
