//! The indexes that this host's own package manager holds: read, resolved, and compared with its answers.
//!
//! Nothing is fetched. On hosts without such indexes the tests are skipped with a reason.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this test reads the indexes of the host and asks its package manager"
)]

mod support;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::process::Command;

use packages::deb::{Expectation, ReleaseError, parse_date, verify_inrelease};
use packages::{Catalog, Pins, Requests, resolve_root};
use spec::appliance::Arch;
use spec::base::Family;
use support::{origin, requests};

const LISTS: &str = "/var/lib/apt/lists";

/// The Debian indexes that apt has here, of architecture amd64 and component main, or why there are none.
fn indexes() -> Result<Vec<(String, Vec<u8>)>, String> {
    let entries = std::fs::read_dir(LISTS).map_err(|e| format!("{LISTS}: {e}"))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((suite, tail)) = name.split_once("_dists_").and_then(|(_, rest)| rest.split_once('_')) else {
            continue;
        };
        let mut bytes = Vec::new();
        let file = || std::fs::File::open(&path).map_err(|e| format!("{name}: {e}"));
        match tail {
            "main_binary-amd64_Packages" => file()?.read_to_end(&mut bytes),
            "main_binary-amd64_Packages.lz4" => lz4_flex::frame::FrameDecoder::new(file()?).read_to_end(&mut bytes),
            _ => continue,
        }
        .map_err(|e| format!("{name}: {e}"))?;
        found.push((suite.to_owned(), bytes));
    }
    if found.is_empty() { Err(format!("no amd64 indexes in {LISTS}")) } else { Ok(found) }
}

fn catalog(test: &str) -> Option<Catalog> {
    let indexes = match indexes() {
        Ok(indexes) => indexes,
        Err(reason) => {
            eprintln!("SKIP {test}: {reason}");
            return None;
        }
    };
    let mut catalog = Catalog::new(Family::Deb, Arch::Amd64).unwrap();
    for (suite, text) in &indexes {
        catalog.add_index(origin(suite), text).unwrap();
    }
    Some(catalog)
}

/// What apt would install on an empty system, by name and version.
fn apt_set(names: &[&str], empty_status: &std::path::Path) -> Result<BTreeSet<String>, String> {
    let output = Command::new("apt-get")
        .env("LC_ALL", "C")
        .args(["-s", "-q", "-o", "APT::Install-Recommends=0", "-o", "APT::Architecture=amd64", "-o"])
        .arg(format!("Dir::State::status={}", empty_status.display()))
        .args(["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", "Debug::NoLocking=1", "install"])
        .args(names)
        .output()
        .map_err(|e| format!("apt-get: {e}"))?;
    if !output.status.success() {
        return Err(format!("apt-get cannot simulate: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" (")?;
        Some(format!("{name}={}", rest.split(' ').next()?))
    };
    Ok(text.lines().filter_map(line).collect())
}

#[test]
fn every_package_of_the_index_is_read_and_its_relations_too() {
    let Some(catalog) = catalog("every_package_of_the_index_is_read") else { return };
    for (_, package) in catalog.packages() {
        let rules = catalog.rules();
        let read = rules.needs(package, Arch::Amd64).map(drop).and(rules.provides(package).map(drop));
        assert_eq!(read.and(rules.conflicts(package, Arch::Amd64).map(drop)), Ok(()), "{package:?}");
    }
}

#[test]
fn sets_equal_apts() {
    let Some(catalog) = catalog("sets_equal_apts") else { return };
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("status");
    std::fs::write(&empty, "").unwrap();
    for set in [
        vec!["apt", "nginx", "openssh-server", "python3", "git"],
        vec!["apt", "linux-image-cloud-amd64", "systemd-sysv", "postfix", "gnome-core"],
    ] {
        let required: Vec<&str> = catalog
            .packages()
            .filter(|(_, p)| p.essential() || catalog.rules().is_required(*p))
            .map(|(_, p)| p.name())
            .collect();
        let theirs = match apt_set(&[required.as_slice(), set.as_slice()].concat(), &empty) {
            Ok(set) => set,
            Err(reason) => {
                eprintln!("SKIP sets_equal_apts: {reason}");
                return;
            }
        };
        let wish = Requests { with_required: true, ..requests(&set.join(" ")) };
        let ids = resolve_root(&wish, &catalog, &Pins::new()).unwrap();
        let ours: BTreeSet<String> = ids
            .iter()
            .map(|id| format!("{}={}", catalog.package(*id).name(), catalog.package(*id).version()))
            .collect();
        let only_ours: Vec<_> = ours.difference(&theirs).collect();
        let only_theirs: Vec<_> = theirs.difference(&ours).collect();
        assert_eq!((only_ours, only_theirs), (vec![], vec![]), "{set:?}");
    }
}

#[test]
fn releases_are_signed_by_the_keys_of_the_host() {
    const TEST: &str = "releases_are_signed_by_the_keys_of_the_host";
    const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
    const REMOVED: &str = "/usr/share/keyrings/debian-archive-removed-keys.gpg";
    let Ok(trusted) = std::fs::read(KEYS) else { return eprintln!("SKIP {TEST}: no {KEYS}") };
    let Ok(removed) = std::fs::read(REMOVED) else { return eprintln!("SKIP {TEST}: no {REMOVED}") };
    let files = std::fs::read_dir(LISTS).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut releases: Vec<PathBuf> = files.filter(|path| path.to_string_lossy().ends_with("_InRelease")).collect();
    releases.retain(|path| path.to_string_lossy().contains("_debian"));
    if releases.is_empty() {
        return eprintln!("SKIP {TEST}: no signed releases in {LISTS}");
    }
    for path in releases {
        let bytes = std::fs::read(&path).unwrap();
        let name = path.to_string_lossy();
        let suite = name.split("_dists_").nth(1).and_then(|rest| rest.split('_').next()).unwrap();
        let with = |key: &[u8], bytes: &[u8]| {
            // Releases that lie here for long are stale, so they are judged at the time they were made.
            let text = String::from_utf8_lossy(bytes).into_owned();
            let date = text.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap().to_owned();
            let expect = Expectation {
                suite,
                codename: None,
                components: &["main".to_owned()],
                arches: &[Arch::Amd64],
                now_secs: parse_date(&date).unwrap() + 60,
                previous_date_secs: None,
            };
            verify_inrelease(bytes, &[("key".to_owned(), key.to_vec())], &expect)
        };
        let release = with(&trusted, &bytes).unwrap();
        assert!(!release.index("main", "amd64").is_empty(), "{name}");
        assert!(matches!(with(&removed, &bytes), Err(ReleaseError::UnknownKey { .. })), "{name}");
        let changed = String::from_utf8(bytes).unwrap().replacen("Origin: Debian", "Origin: Debiam", 1);
        assert!(matches!(with(&trusted, changed.as_bytes()), Err(ReleaseError::Tampered { .. })), "{name}");
    }
}
