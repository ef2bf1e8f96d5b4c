//! Catalogues from a signed toy archive, and from the host's own Debian mirror where there is one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../packages/tests/support/signer.rs"]
#[expect(dead_code, reason = "made for the tests of another crate, which use all of it")]
mod signer;
mod support;

use std::io::Write;

use packages::{LockedIndex, Sha256};
use signer::{Certificate, Signer};
use spec::appliance::Arch;
use spec::base::Family;
use store::{CatalogFetchError, CatalogRequest, Catalogs, Silent, Source, Store, mirrors};
use support::{Manner, PATIENCE, Server, shown};
use tempfile::TempDir;

const MONDAY: i64 = 1_700_000_000;
const DAY: i64 = 24 * 3600;

/// The `Date` of a release, this many days after the first.
fn date(day: i64) -> &'static str {
    ["Tue, 14 Nov 2023 22:13:20 UTC", "Wed, 15 Nov 2023 22:13:20 UTC"][day as usize]
}

/// A toy archive on a server.
struct Archive {
    server: Server,
    signer: Signer,
}

impl Archive {
    fn new() -> Self {
        Self { server: Server::start(), signer: Signer::new(1) }
    }

    /// Publishes these packages, `day` days after the first time; gives the path of the index by digest.
    fn publish(&self, names: &[&str], day: i64, compressed: bool) -> String {
        let stanza = |name: &&str| {
            let sum = Sha256::of(name.as_bytes());
            format!(
                "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 5\nSHA256: {sum}\n\n"
            )
        };
        let text: String = names.iter().map(stanza).collect();
        let (name, bytes) =
            if compressed { ("Packages.gz", gzip(text.as_bytes())) } else { ("Packages", text.clone().into()) };
        let sum = Sha256::of(&bytes);
        let mut listed = format!(" {sum} {} main/binary-amd64/{name}\n", bytes.len());
        if compressed {
            listed += &format!(" {} {} main/binary-amd64/Packages\n", Sha256::of(text.as_bytes()), text.len());
        }
        let release = format!(
            "Origin: Toy\nSuite: stable\nCodename: toy\nDate: {}\nAcquire-By-Hash: yes\nArchitectures: amd64\nComponents: main\nSHA256:\n{listed}",
            date(day)
        );
        let signed = self.signer.sign(&release, MONDAY);
        self.server.serve("/dists/toy/InRelease", signed.as_bytes(), &[]);
        let path = format!("/dists/toy/main/binary-amd64/by-hash/SHA256/{sum}");
        self.server.serve(&path, &bytes, &[]);
        self.server.serve(&format!("/dists/toy/main/binary-amd64/{name}"), &bytes, &[]);
        path
    }

    fn source(&self) -> Source {
        Source {
            archive: "toy".to_owned(),
            suite: "toy".to_owned(),
            codename: Some("toy".to_owned()),
            components: vec!["main".to_owned()],
            keys: vec![("toy.gpg".to_owned(), self.signer.certificate(&Certificate::default()))],
            mirrors: vec![self.server.url.clone()],
            tag: None,
        }
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(store: &Store, source: &Source, offline: bool, locked: &[LockedIndex]) -> Result<Catalogs, CatalogFetchError> {
    let sources = std::slice::from_ref(source);
    let request = CatalogRequest {
        family: Family::Deb,
        arches: &[Arch::Amd64],
        sources,
        now_secs: MONDAY + 2 * DAY,
        offline,
        locked,
    };
    store.catalog(&request, &Silent)
}

fn names(catalogs: &Catalogs) -> Vec<&str> {
    catalogs.catalogs[0].packages().map(|(_, package)| package.name()).collect()
}

fn open() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open_with(folder.path(), PATIENCE).unwrap();
    (folder, store)
}

#[test]
fn what_has_not_changed_is_not_fetched_again_and_offline_is_what_was_locked() {
    let ((_folder, store), archive) = (open(), Archive::new());
    let source = archive.source();
    let error = read(&store, &source, true, &[]).unwrap_err();
    assert!(shown(&error).contains("the release of toy toy: it is not in the store"), "{error}");
    let index = archive.publish(&["one"], 0, true);
    let first = read(&store, &source, false, &[]).unwrap();
    assert_eq!(names(&first), ["one"]);
    assert_eq!(first.indexes[0].date_secs, MONDAY);
    assert_eq!(first.indexes[0].key, archive.signer.fingerprint());
    assert_eq!(archive.server.log(), ["/dists/toy/InRelease whole".to_owned(), format!("{index} whole")]);
    assert_eq!(names(&read(&store, &source, false, &[]).unwrap()), ["one"]);
    assert_eq!(archive.server.log().len(), 3);
    archive.publish(&["one", "two"], 1, false);
    assert_eq!(names(&read(&store, &source, false, &[]).unwrap()), ["one", "two"]);
    assert_eq!(names(&read(&store, &source, true, &[]).unwrap()), ["one", "two"]);
    assert_eq!(names(&read(&store, &source, true, &first.indexes).unwrap()), ["one"]);
    assert_eq!(archive.server.log().len(), 5);
}

#[test]
fn an_older_release_is_a_replay_and_the_next_mirror_may_have_the_newer_one() {
    let ((_folder, store), archive, stale) = (open(), Archive::new(), Archive::new());
    let mut source = archive.source();
    archive.publish(&["new"], 1, true);
    stale.publish(&["old"], 0, true);
    read(&store, &source, false, &[]).unwrap();
    source.mirrors = vec![stale.server.url.clone()];
    let error = read(&store, &source, false, &[]).unwrap_err();
    assert!(matches!(error, CatalogFetchError::Release { .. }), "{}", shown(&error));
    source.mirrors.push(archive.server.url.clone());
    assert_eq!(names(&read(&store, &source, false, &[]).unwrap()), ["new"]);
}

#[test]
fn wrong_keys_pages_and_indexes_are_refused() {
    let ((_folder, store), archive) = (open(), Archive::new());
    let index = archive.publish(&["one"], 0, true);
    let mut source = archive.source();
    source.keys = vec![("other.gpg".to_owned(), Signer::new(2).certificate(&Certificate::default()))];
    assert!(matches!(read(&store, &source, false, &[]).unwrap_err(), CatalogFetchError::Release { .. }));
    let source = archive.source();
    archive.server.serve("/dists/toy/InRelease", b"<html>", &[Manner::WebPage]);
    assert!(shown(&read(&store, &source, false, &[]).unwrap_err()).contains("answered with a web page"));
    archive.publish(&["one"], 0, true);
    archive.server.serve(&index, &[b'#'; 120], &[]);
    archive.server.serve("/dists/toy/main/binary-amd64/Packages.gz", b"short", &[]);
    let text = shown(&read(&store, &source, false, &[]).unwrap_err());
    assert!(text.contains("fetch the index of toy toy main for amd64") && text.contains("signed index says"), "{text}");
    // The plain path helps where the one by digest is missing.
    archive.publish(&["one"], 0, true);
    archive.server.serve(&index, b"", &[Manner::Status(404)]);
    assert_eq!(names(&read(&store, &source, false, &[]).unwrap()), ["one"]);
}

#[test]
fn damage_in_the_store_is_not_believed() {
    let ((folder, store), archive) = (open(), Archive::new());
    let source = archive.source();
    archive.publish(&["one"], 0, true);
    let locked = read(&store, &source, false, &[]).unwrap().indexes;
    let path = folder.path().join(format!("indexes/{}", locked[0].sha256));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(read(&store, &source, true, &[]).is_err());
    assert_eq!(names(&read(&store, &source, false, &[]).unwrap()), ["one"]);
    assert_eq!(store.verify(&Silent).unwrap(), []);
    let index = std::fs::read_dir(folder.path().join("indexes")).unwrap().flatten().map(|file| file.path());
    let index = index.into_iter().find(|index| *index != path).unwrap();
    let mut bytes = std::fs::read(&index).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&index, bytes).unwrap();
    assert!(shown(&read(&store, &source, true, &[]).unwrap_err()).contains("was damaged and has been removed"));
    assert_eq!(names(&read(&store, &source, false, &[]).unwrap()), ["one"]);
}

#[test]
fn the_hosts_own_mirror_is_found_and_read() {
    let skip = |reason: &str| eprintln!("SKIP the_hosts_own_mirror_is_found_and_read: {reason}");
    let host = mirrors::host_sources(std::path::Path::new("/etc/apt"));
    let wanted = mirrors::Wanted { archive: "debian", suites: &["bookworm"], repository_url: None, listed: &[] };
    let urls = mirrors::find(wanted, &mirrors::Known { host, ..Default::default() });
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let Ok(keys) = std::fs::read(keyring) else { return skip(&format!("there is no {keyring}")) };
    if urls.is_empty() {
        return skip("the host's apt is not configured for Debian");
    }
    let (_folder, store) = open();
    let source = Source {
        archive: "debian".to_owned(),
        suite: "bookworm".to_owned(),
        codename: Some("bookworm".to_owned()),
        components: vec!["main".to_owned()],
        keys: vec![("debian-archive-keyring.gpg".to_owned(), keys)],
        mirrors: urls,
        tag: None,
    };
    let catalogs = match read_now(&store, &source) {
        Ok(catalogs) => catalogs,
        Err(CatalogFetchError::Fetch(error)) => return skip(&error.to_string()),
        Err(error) => panic!("{}", shown(&error)),
    };
    assert!(catalogs.catalogs[0].len() > 10_000);
    assert_eq!(read_now(&store, &source).unwrap().indexes, catalogs.indexes);
}

fn read_now(store: &Store, source: &Source) -> Result<Catalogs, CatalogFetchError> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let sources = std::slice::from_ref(source);
    let request = CatalogRequest {
        family: Family::Deb,
        arches: &[Arch::Amd64],
        sources,
        now_secs: now,
        offline: false,
        locked: &[],
    };
    store.catalog(&request, &Silent)
}
