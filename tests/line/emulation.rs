//! Emulated scripts against the same scripts run: of live Debian, the tree that comes of either way is the same, entry for
//! entry, but for what is listed here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::image_tree::{Entry, image_tree};
use crate::live::{copy, live_command, no_guest, unreachable};
use crate::support::skip;
use crate::world::Done;

/// How the content of a file is compared; without it the path is not.
type Reading = fn(&str) -> String;

/// What may differ, and why. All else is equal: type, target, mode, owners by name, attributes and content.
const ALLOWED: [(&str, &str, Option<Reading>); 8] = [
    ("/etc/group", NUMBERS, Some(words_of_accounts)),
    ("/etc/passwd", NUMBERS, Some(words_of_accounts)),
    (
        "/etc/shadow",
        "the day of a password is that of the epoch when emulated, and that of the clock when run",
        Some(words_of_accounts),
    ),
    (
        "/run/lock",
        "a script that runs has a /run in memory, as every running system has; what it makes there goes",
        None,
    ),
    (
        "/var/lib/dpkg/diversions",
        "dpkg-divert writes its records of three lines in the order of a hash table",
        Some(|text| sorted(text.lines().collect::<Vec<_>>().chunks(3))),
    ),
    (
        "/var/lib/systemd/catalog",
        "journalctl makes its catalog from files that every root has: that is left to a first boot",
        None,
    ),
    ("/var/lib/systemd/catalog/database", "as above", None),
    (
        "/var/lib/systemd/deb-systemd-helper-enabled/rsyslog.service.dsh-also",
        "deb-systemd-helper writes the links of a unit in the order of a hash table, which Perl shuffles",
        Some(|text| sorted(text.lines())),
    ),
];

/// What may differ beside, where the programs are those of Ubuntu 22.04.
const OF_JAMMY: [(&str, &str); 3] = [
    (
        "/etc/ld.so.cache",
        "ldconfig before glibc 2.36 notes the oldest kernel of each library, which no kernel is older than",
    ),
    ("/var/cache/ldconfig", "ldconfig makes the folder of a cache that is not kept"),
    ("/var/log/lastlog", "useradd writes an empty record for each user that it makes"),
];

const NUMBERS: &str =
    "adduser takes the next free number, so that the order of installation shows; here the name gives it";

/// Lines without the numbers and days in them, as a set.
fn words_of_accounts(text: &str) -> String {
    let words = |line: &str| line.split(':').filter(|cell| cell.parse::<u32>().is_err()).collect::<Vec<_>>().join(":");
    sorted(text.lines().map(words))
}

fn sorted<T: Ord + std::fmt::Debug>(items: impl Iterator<Item = T>) -> String {
    format!("{:?}", items.collect::<BTreeSet<_>>())
}

/// Every path with all that must be equal, owners by their names.
fn as_compared(entries: &BTreeMap<String, Entry>) -> BTreeMap<String, String> {
    let names = |file: &str| -> BTreeMap<u32, String> {
        let text = String::from_utf8_lossy(&entries[file].content).into_owned();
        let row = |line: &str| Some((line.split(':').nth(2)?.parse().ok()?, line.split(':').next()?.to_owned()));
        text.lines().filter_map(row).collect()
    };
    let (users, groups) = (names("/etc/passwd"), names("/etc/group"));
    let name = |names: &BTreeMap<u32, String>, id: u32| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
    let compared = |(path, entry): (&String, &Entry)| {
        let Entry { kind, owner: (mode, uid, gid), xattrs, content } = entry;
        let content = match ALLOWED.iter().find(|(allowed, ..)| allowed == path) {
            Some((.., None)) => return None,
            Some((.., Some(reading))) => reading(std::str::from_utf8(content).unwrap()),
            None => format!("{} {}", tree::Digest::of(content), String::from_utf8_lossy(content)),
        };
        let owner = format!("{}:{}", name(&users, *uid), name(&groups, *gid));
        Some((path.clone(), format!("{kind:?} {mode:o} {owner} {xattrs:?} {content}")))
    };
    entries.iter().filter_map(compared).collect()
}

/// The image of a spec, built with this policy into a folder of that name; or why no script can be run here.
#[track_caller]
fn built(folder: &Path, policy: &str) -> Result<BTreeMap<String, Entry>, String> {
    let done = live_command(folder, &["build", "-v", "--scripts", policy, "--output", policy]).output().unwrap();
    let done = Done::of(done);
    if done.code == Some(6) && done.text().contains("it cannot start") {
        return Err(done.stderr);
    }
    let text = done.succeeds().text();
    let (wanted, unwanted) = if policy == "run" { ("  run ", "  emulated ") } else { ("  emulated ", "  run ") };
    assert!(text.contains(wanted) && !text.contains(unwanted), "{text}");
    Ok(image_tree(&folder.join("spec").join(policy).join("oci"), HOST))
}

/// This host's architecture, the default of a spec.
const HOST: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// Builds the example on a release with these packages in both ways and compares.
#[track_caller]
fn check(test: &str, release: &str, packages: &str) {
    check_on(test, ("debian", release), packages);
}

/// The same on any distribution.
#[track_caller]
fn check_on(test: &str, (base, release): (&str, &str), packages: &str) {
    if let Some(why) = unreachable().map(str::to_owned).or_else(|| no_guest(HOST)) {
        return skip(test, &why);
    }
    let folder = copy("hello");
    let spec = folder.path().join("spec/appliance.kdl");
    let text = fs::read_to_string(&spec).unwrap();
    assert!(text.contains("packages \"busybox-static\""), "{text}");
    let text = text.replace("release=\"bookworm\"", &format!("release=\"{release}\""));
    let text = text.replace("base \"debian\"", &format!("base \"{base}\""));
    fs::write(&spec, text.replace("packages \"busybox-static\"", &format!("packages {packages}"))).unwrap();
    let locked = Done::of(live_command(folder.path(), &["lock"]).output().unwrap());
    if locked.code == Some(5) {
        return skip(test, locked.stderr.trim());
    }
    let emulated = built(folder.path(), "emulate-only").unwrap();
    let run = match built(folder.path(), "run") {
        Ok(run) => run,
        Err(why) => return skip(test, why.trim()),
    };
    let (mut emulated, mut run) = (as_compared(&emulated), as_compared(&run));
    for (path, _) in OF_JAMMY.iter().filter(|_| release == "jammy") {
        assert!(emulated.remove(*path) != run.remove(*path), "{path} does not differ");
    }
    let paths: BTreeSet<&String> = emulated.keys().chain(run.keys()).collect();
    let shown = |entry: Option<&String>| entry.map_or("not there".to_owned(), |text| text.chars().take(2000).collect());
    let line = |path: &&String| {
        format!("{path}\n  emulated: {}\n  run: {}\n", shown(emulated.get(*path)), shown(run.get(*path)))
    };
    let differences: String = paths.iter().filter(|path| emulated.get(**path) != run.get(**path)).map(line).collect();
    let count = paths.len();
    assert!(differences.is_empty(), "of {count}, these differ:\n{differences}");
    assert!(count > 4500, "{count}");
}

#[test]
fn the_minimal_root_is_what_its_scripts_make() {
    check("the_minimal_root_is_what_its_scripts_make", "bookworm", "\"busybox-static\"");
}

#[test]
fn the_minimal_root_of_the_next_release_is_what_its_scripts_make() {
    check("the_minimal_root_of_the_next_release_is_what_its_scripts_make", "trixie", "\"busybox-static\"");
}

#[test]
fn the_minimal_roots_of_ubuntu_are_what_their_scripts_make() {
    for release in ["noble", "jammy"] {
        check_on("the_minimal_roots_of_ubuntu_are_what_their_scripts_make", ("ubuntu", release), "\"busybox-static\"");
    }
}

#[test]
fn a_root_with_services_is_what_its_scripts_make() {
    let packages =
        "\"busybox-static\" \"ca-certificates\" \"cron\" \"dbus\" \"logrotate\" \"nginx-light\" \"rsyslog\" \"sudo\"";
    check("a_root_with_services_is_what_its_scripts_make", "bookworm", packages);
}

#[test]
fn a_root_with_systemd_is_what_its_scripts_make() {
    check("a_root_with_systemd_is_what_its_scripts_make", "bookworm", "\"busybox-static\" \"systemd-sysv\"");
}
