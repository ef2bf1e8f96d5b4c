//! Toy catalogues written one package a line, and requests to go with them.
#![allow(dead_code, clippy::unwrap_used, reason = "every test file uses its own part of this")]

use std::collections::BTreeMap;

use packages::{Catalog, LockedIndex, Origin, Requests, ResolveError, Sha256};
use spec::appliance::{Arch, Init, PackageRequest, Relation, VersionRule};
use spec::base::Family;

/// A `Packages` index from lines like `name version; Depends: a; Provides: b`.
pub fn index_text(lines: &str) -> String {
    let mut out = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let digest = Sha256::of(line.as_bytes());
        out += &format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n");
        out += &format!("Filename: pool/{name}_{}.deb\nSize: 1\nSHA256: {digest}\n", version.replace(':', "%3a"));
        parts.for_each(|field| out += &format!("{field}\n"));
        out.push('\n');
    }
    out
}

/// A catalogue from such lines, in suite `toy`.
pub fn catalog(lines: &str) -> Catalog {
    let mut catalog = Catalog::new(Family::Deb, Arch::Amd64).unwrap();
    catalog.add_index(origin("toy"), index_text(lines).as_bytes()).unwrap();
    catalog
}

/// An origin in this suite.
pub fn origin(suite: &str) -> Origin {
    Origin { archive: "debian".to_owned(), suite: suite.to_owned(), component: "main".to_owned() }
}

/// A signed index of this suite and date.
pub fn index_of(suite: &str, date_secs: i64) -> LockedIndex {
    LockedIndex {
        archive: "debian".to_owned(),
        suite: suite.to_owned(),
        date_secs,
        sha256: Sha256::of(suite.as_bytes()),
        key: "AB".repeat(20),
    }
}

/// What is said when nothing can be chosen: an error a line, its help in brackets.
pub fn words(errors: &[ResolveError]) -> String {
    let show = |error: &ResolveError| match error.help() {
        Some(help) => format!("{error} [{help}]"),
        None => error.to_string(),
    };
    errors.iter().map(show).collect::<Vec<_>>().join("\n")
}

/// Requests for these words: `name`, `name>=1`, or `-name` to exclude.
pub fn requests(words: &str) -> Requests {
    let mut requests = Requests {
        appliance: "toy".to_owned(),
        base: "debian".to_owned(),
        release: "toy".to_owned(),
        base_digest: "0".repeat(64),
        arches: vec![Arch::Amd64],
        packages: Vec::new(),
        base_packages: Vec::new(),
        with_required: false,
        excluded: Vec::new(),
        repositories: Vec::new(),
        boot_base: None,
        init: Init::Builtin,
        boot: Vec::new(),
        installed: Vec::new(),
        facts: BTreeMap::new(),
    };
    for word in words.split_whitespace() {
        match word.strip_prefix('-') {
            Some(excluded) => requests.excluded.push(excluded.to_owned()),
            None => requests.packages.push(request(word)),
        }
    }
    requests.packages.sort();
    requests
}

fn request(word: &str) -> PackageRequest {
    let signs = [
        (">=", Relation::GreaterOrEqual),
        ("<=", Relation::LessOrEqual),
        (">", Relation::Greater),
        ("<", Relation::Less),
        ("=", Relation::Equal),
    ];
    let rule = |(sign, relation): &(&str, Relation)| {
        let (name, version) = word.split_once(sign)?;
        let rule = Some(VersionRule { relation: *relation, version: version.to_owned() });
        Some(PackageRequest { name: name.to_owned(), rule })
    };
    signs.iter().find_map(rule).unwrap_or_else(|| PackageRequest { name: word.to_owned(), rule: None })
}
