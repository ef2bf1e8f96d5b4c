//! Downloads from servers that behave, and from those that do not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use store::{Mirrors, Patience, Progress, Silent, Store, Unit};
use support::{Manner, PATIENCE, Server, locked, shown, toy_deb};
use tempfile::TempDir;

fn open() -> (TempDir, Store) {
    let folder = TempDir::new().unwrap();
    let store = Store::open_with(folder.path(), PATIENCE).unwrap();
    (folder, store)
}

/// Fetches one package from a server of these manners; gives the requests made and the failure, if there is one.
fn fetch(manners: &[Manner]) -> (Vec<String>, Option<String>) {
    let folder = TempDir::new().unwrap();
    // One that is silent on purpose is waited for as long as a busy machine may take to answer well.
    let is_silent = manners.iter().any(|manner| matches!(manner, Manner::Stall(_)));
    let patience = Patience { stall: if is_silent { Duration::from_secs(4) } else { PATIENCE.stall }, ..PATIENCE };
    let store = Store::open_with(folder.path(), patience).unwrap();
    let server = Server::start();
    let bytes = toy_deb(1);
    server.serve("/pool/toy.deb", &bytes, manners);
    let package = locked("toy", &bytes);
    let result = store.fetch(std::slice::from_ref(&package), &server.mirrors(), false, &Silent);
    let failure = result.as_ref().err().map(|error| shown(error));
    if failure.is_none() {
        assert_eq!(store.unpacked(&package).unwrap().tree.len(), 27);
    }
    (server.log(), failure)
}

fn check(manners: &[Manner], requests: &[&str]) {
    let (log, failure) = fetch(manners);
    assert_eq!(failure, None);
    assert_eq!(log, requests.iter().map(|range| format!("/pool/toy.deb {range}")).collect::<Vec<_>>());
}

fn check_fails(manners: &[Manner], requests: usize, words: &[&str]) {
    let (log, failure) = fetch(manners);
    let failure = failure.unwrap();
    for word in words.iter().chain(&["fetch toy 1.0", "127.0.0.1"]) {
        assert!(failure.contains(word), "{failure}\ndoes not say\n{word}");
    }
    assert_eq!(log.len(), requests, "{log:?}");
}

#[test]
fn what_is_in_trouble_for_a_while_is_tried_again_and_resumed() {
    check(&[Manner::Good], &["whole"]);
    check(&[Manner::Status(500), Manner::Status(503), Manner::Good], &["whole", "whole", "whole"]);
    check(&[Manner::Truncate(1000), Manner::Good], &["whole", "1000"]);
    check(&[Manner::Stall(2000), Manner::Good], &["whole", "2000"]);
    check(&[Manner::Truncate(1000), Manner::NoRange], &["whole", "1000"]);
    check(&[Manner::Truncate(1), Manner::Truncate(2), Manner::Truncate(3), Manner::Good], &["whole", "1", "2", "3"]);
}

#[test]
fn what_will_not_change_is_refused_with_advice() {
    check_fails(&[Manner::Status(404)], 1, &["answered 404", "does not have this file"]);
    check_fails(&[Manner::Status(403)], 1, &["answered 403", "proxy"]);
    check_fails(&[Manner::Status(500)], 3, &["answered 500", "--mirror"]);
    check_fails(&[Manner::WebPage], 1, &["web page", "log in with a browser"]);
    check_fails(&[Manner::Corrupt], 1, &["sent other bytes than the signed index says"]);
    check_fails(&[Manner::Stall(0)], 3, &["sent nothing for"]);
    check_fails(&[Manner::Truncate(0)], 3, &["sent only 0 of"]);
    check_fails(&[Manner::Endless], 1, &["sends more than"]);
    check_fails(&[Manner::Redirect("/pool/toy.deb".to_owned())], 6, &["redirects too often"]);
}

#[test]
fn another_size_than_the_signed_one_is_refused_before_a_byte_is_taken() {
    let (_folder, store) = open();
    let server = Server::start();
    server.serve("/pool/toy.deb", b"short", &[]);
    let error = store.fetch(&[locked("toy", &toy_deb(1))], &server.mirrors(), false, &Silent).unwrap_err();
    assert!(shown(&error).contains("a file of 5 bytes where the signed index says"), "{}", shown(&error));
}

#[test]
fn redirects_are_followed() {
    let (_folder, store) = open();
    let (front, back) = (Server::start(), Server::start());
    let bytes = toy_deb(1);
    front.serve("/pool/toy.deb", &[], &[Manner::Redirect(format!("{}/elsewhere", back.url))]);
    back.serve("/elsewhere", &bytes, &[]);
    store.fetch(&[locked("toy", &bytes)], &front.mirrors(), false, &Silent).unwrap();
}

#[test]
fn mirrors_are_asked_in_order_and_all_named_when_all_fail() {
    let (folder, store) = open();
    let (bad, good) = (Server::start(), Server::start());
    let bytes = toy_deb(1);
    let package = locked("toy", &bytes);
    bad.serve("/pool/toy.deb", &bytes, &[Manner::Corrupt]);
    good.serve("/pool/toy.deb", &bytes, &[]);
    let mirrors = |urls: &[&str]| Mirrors::from([("toy".to_owned(), urls.iter().map(|&url| url.to_owned()).collect())]);
    let none = folder.path().join("none");
    let dead = mirrors(&[&bad.url, none.to_str().unwrap(), "ftp://example.org", "http://127.0.0.1:1"]);
    let text = shown(&store.fetch(std::slice::from_ref(&package), &dead, false, &Silent).unwrap_err());
    for word in ["other bytes", "there is no such file", "is no URL of a mirror", "talk to 127.0.0.1:1"] {
        assert!(text.contains(word), "{text}");
    }
    let text = shown(&store.fetch(std::slice::from_ref(&package), &mirrors(&[]), false, &Silent).unwrap_err());
    assert!(text.contains("no mirror of it is known"), "{text}");
    // What one place refuses is told once, and only where another one has it.
    let (told, place) = (Told::default(), mirrors(&[&bad.url, &good.url]));
    store.fetch(std::slice::from_ref(&package), &dead, false, &told).unwrap_err();
    assert_eq!(told.0.lock().unwrap().len(), 0);
    store.fetch(std::slice::from_ref(&package), &place, false, &told).unwrap();
    assert_eq!(told.1.lock().unwrap().len(), 0);
    let told = told.0.into_inner().unwrap();
    let [line] = &told[..] else { panic!("{told:?}") };
    for word in ["toy 1.0 did not come from", bad.url.as_str(), "other bytes", "the next mirror gave it"] {
        assert!(line.contains(word), "{line}");
    }
    // That a place does not have a file is no failure of it. A server that is slow on a busy machine would be one.
    let store = Store::open_with(&folder.path().join("patient"), PATIENCE).unwrap();
    let (told, empty) = (Told::default(), Server::start());
    let place = mirrors(&[&empty.url, none.to_str().unwrap(), &good.url]);
    let other = toy_deb(2);
    good.serve("/pool/other.deb", &other, &[]);
    store.fetch(&[locked("other", &other)], &place, false, &told).unwrap();
    assert_eq!(told.0.lock().unwrap().len(), 0);
    let told = told.1.into_inner().unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(&format!("is not at {}/pool/other.deb; it is at {}", empty.url, good.url)), "{told:?}");
}

/// Keeps what is to be known.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<String>>, std::sync::Mutex<Vec<String>>);

impl Progress for Told {
    fn begin(&self, _: &str, _: Unit, _: u64) {}
    fn advance(&self, _: u64) {}
    fn message(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
    fn detail(&self, text: &str) {
        self.1.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn folders_are_mirrors_too_and_many_packages_come_at_once() {
    let (folder, store) = open();
    std::fs::create_dir_all(folder.path().join("mirror/pool")).unwrap();
    let packages: Vec<_> = (0..40)
        .map(|number| {
            let bytes = toy_deb(number);
            let package = locked(&format!("toy{number}"), &bytes);
            std::fs::write(folder.path().join("mirror").join(&package.path), bytes).unwrap();
            package
        })
        .collect();
    let mirrors = Mirrors::from([("toy".to_owned(), vec![format!("file://{}/mirror", folder.path().display())])]);
    let digests = store.fetch(&packages, &mirrors, false, &Silent).unwrap();
    assert_eq!(digests, packages.iter().filter_map(|package| package.blake3).collect::<Vec<_>>());
    // Now nothing is needed from anywhere.
    store.fetch(&packages, &Mirrors::new(), true, &Silent).unwrap();
    assert_eq!(store.unpack(&packages, &Silent).unwrap().len(), 40);
}

#[test]
fn names_with_percent_signs_are_files_of_that_name() {
    let bytes = toy_deb(1);
    let mut package = locked("toy", &bytes);
    package.path = "pool/toy 1%3a1.deb".to_owned();
    let fetch = |mirror: &str| {
        let (_folder, store) = open();
        let mirrors = Mirrors::from([("toy".to_owned(), vec![mirror.to_owned()])]);
        store.fetch(std::slice::from_ref(&package), &mirrors, false, &Silent).map_err(|error| shown(&error))
    };
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("pool")).unwrap();
    std::fs::write(folder.path().join(&package.path), &bytes).unwrap();
    fetch(folder.path().to_str().unwrap()).unwrap();
    fetch(&format!("file://{}", folder.path().display())).unwrap();
    let server = Server::start();
    server.serve("/pool/toy%201%253a1.deb", &bytes, &[]);
    fetch(&server.url).unwrap();
}

#[test]
fn a_download_goes_on_where_a_killed_process_stopped() {
    let folder = TempDir::new().unwrap();
    let server = Server::start();
    let bytes = toy_deb(1);
    let package = locked("toy", &bytes);
    server.serve("/pool/toy.deb", &bytes, &[Manner::Good]);
    let partial = |content: &[u8]| {
        let store = Store::open_with(folder.path(), PATIENCE).unwrap();
        std::fs::write(folder.path().join("partial").join(package.digest.to_string()), content).unwrap();
        let before = server.log().len();
        store.fetch(std::slice::from_ref(&package), &server.mirrors(), false, &Silent).unwrap();
        std::fs::remove_file(folder.path().join(format!("archives/{}.deb", package.digest))).unwrap();
        server.log()[before..].to_vec()
    };
    assert_eq!(partial(&bytes[..5000]), ["/pool/toy.deb 5000"]);
    assert_eq!(partial(&bytes), [""; 0]);
    // What was left behind is wrong: found by the digest, and fetched anew.
    assert_eq!(partial(&vec![b'#'; 5000]), ["/pool/toy.deb 5000", "/pool/toy.deb whole"]);
    assert_eq!(partial(&vec![b'#'; bytes.len()]), ["/pool/toy.deb whole"]);
    assert_eq!(partial(&vec![b'#'; bytes.len() + 1]), ["/pool/toy.deb whole"]);
}

#[test]
fn offline_says_what_is_missing() {
    let (_folder, store) = open();
    let packages = [locked("one", &toy_deb(1)), locked("two", &toy_deb(2))];
    let error = store.fetch(&packages, &Mirrors::new(), true, &Silent).unwrap_err();
    assert_eq!(
        shown(&error),
        "find 2 packages (one 1.0, two 1.0) in the store, which `--offline` does not let it fetch"
    );
    let error = store.unpacked(&packages[0]).unwrap_err();
    assert!(shown(&error).contains("its archive is not in the store"), "{error}");
}
