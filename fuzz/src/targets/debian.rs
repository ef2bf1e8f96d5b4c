//! What Debian archives serve: control data, indexes, signed releases; and the lock that is made from them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use packages::deb::{
    Expectation, Needs, Stanzas, compare_versions, is_version, parse_date, parse_relations, parse_release,
    read_packages, verify_inrelease,
};
use packages::{Catalog, Origin, Pins, Requests, lock};
use spec::appliance::{Arch, Init, PackageRequest};
use spec::base::Family;

/// Control data, as stanzas, relations, versions, and as the control files of packages to be put in order.
pub fn control(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let mut words = Vec::new();
    for stanza in Stanzas::new(&text).flatten() {
        for (name, value) in stanza.fields() {
            assert!(stanza.get(name).is_some(), "a field that is listed is found");
            drop(parse_relations(value));
            words.extend(value.split_ascii_whitespace().take(8));
        }
    }
    drop(parse_relations(&text));
    let _ = parse_date(&text);
    for pair in words.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let order = compare_versions(a, b);
        assert_eq!(order, compare_versions(b, a).reverse(), "{a} {b}");
        assert_eq!(compare_versions(a, a), Ordering::Equal);
        let _ = is_version(a);
    }
    let files: Vec<&[u8]> = text.split("\n\n").map(str::as_bytes).take(64).collect();
    let needs = Needs::read(&files);
    if let Ok(needs) = &needs {
        let mut sorted = needs.install_order();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..files.len()), "an order names every package once");
    }
    drop(read_packages(data, "amd64"));
    needs.is_ok()
}

/// A release that somebody signed: as the message, as the key that should vouch for it, and as the text alone.
pub fn release(data: &[u8]) -> bool {
    let message = include_bytes!("../../seeds/release/InRelease");
    let key = include_bytes!("../../seeds/release/key.gpg");
    let components = ["main".to_owned()];
    let expect = Expectation {
        suite: "toy",
        codename: Some("toy"),
        components: &components,
        arches: &[Arch::Amd64],
        now_secs: 1_700_000_000,
        previous_date_secs: None,
    };
    let verify =
        |message: &[u8], key: &[u8]| verify_inrelease(message, &[("key.gpg".to_owned(), key.to_vec())], &expect);
    let verified = verify(data, key);
    if let Ok(release) = &verified {
        assert!(message_text(data) == message_text(message), "a text that nobody signed is trusted: {release:?}");
    }
    drop(verify(message, data));
    if let Ok(release) = parse_release(data) {
        drop(release.index("main", "amd64"));
    }
    verified.is_ok()
}

/// The lines that a signature covers, as far as it covers them.
fn message_text(message: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let lines = text.lines().skip_while(|line| !line.trim().is_empty()).skip(1);
    let signed = lines.take_while(|line| !line.starts_with("-----BEGIN PGP SIGNATURE"));
    signed.map(|line| line.strip_prefix("- ").unwrap_or(line).trim_end().to_owned()).collect()
}

/// An index as a catalogue, and packages chosen from it.
pub fn catalog(data: &[u8]) -> bool {
    let origin = Origin { archive: "toy".to_owned(), suite: "toy".to_owned(), component: "main".to_owned() };
    let mut catalog = Catalog::new(Family::Deb, Arch::Amd64).expect("Debian is supported");
    if catalog.add_index(origin, data).is_err() {
        return false;
    }
    let mut requests = requests();
    // What the index names first is asked for too, so that mutated names are of consequence.
    requests.packages.extend(
        catalog.packages().take(2).map(|(_, package)| PackageRequest { name: package.name().to_owned(), rule: None }),
    );
    let resolved = packages::resolve_root(&requests, &catalog, &Pins::new());
    match &resolved {
        Ok(chosen) => assert!(chosen.iter().all(|id| catalog.named(catalog.package(*id).name()).count() > 0)),
        Err(errors) => {
            assert!(!errors.is_empty());
            errors.iter().for_each(|error| drop(error.diagnostic(|_| None)));
        }
    }
    resolved.is_ok()
}

fn requests() -> Requests {
    Requests {
        appliance: "toy".to_owned(),
        base: "debian".to_owned(),
        release: "toy".to_owned(),
        base_digest: "0".repeat(64),
        arches: vec![Arch::Amd64],
        packages: vec![PackageRequest { name: "web".to_owned(), rule: None }],
        base_packages: Vec::new(),
        with_required: true,
        excluded: vec!["excluded".to_owned()],
        repositories: Vec::new(),
        boot_base: None,
        init: Init::Builtin,
        boot: Vec::new(),
        installed: Vec::new(),
        facts: BTreeMap::new(),
    }
}

/// A lock. What is read is written in a form that reads to the same.
pub fn lock(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let read = lock::parse(text);
    if let Ok(read) = &read {
        let written = lock::render(read);
        let again = lock::parse(&written).unwrap_or_else(|error| panic!("{error:?}\n{written}"));
        assert_eq!(lock::render(&again), written);
        let _ = read.core_digest();
    }
    read.is_ok()
}
