//! Reads a base image's `base.kdl` with its key files: the same KDL and the same table as a spec, other nodes.
//! The base images that ship with the program are put together here too.

use std::collections::BTreeMap;

use crate::appliance::Arch;
use crate::base::{Archive, BaseImage, Family, Suite};
use crate::diagnostic::{Diagnostic, settle};
use crate::item::Item;
use crate::merge::merge;
use crate::report::Report;
use crate::sections::{Body, env};
use crate::shape;
use crate::source::{Source, Sources};
use crate::syntax;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};
use crate::value::{Reading, Value};

/// A file that a base image names: its path relative to `base.kdl`, and its bytes.
pub type KeyFile = (String, Vec<u8>);

const KEEP: NodeRule = NodeRule { occurs: Occurs::Many, ..NodeRule::EMPTY };

const ARCHES: NodeRule = NodeRule {
    name: "arch",
    args: &[ArgRule::some("architectures", Kind::Word(&["amd64", "arm64"]))],
    example: "arch \"amd64\"",
    ..KEEP
};

const ARCHIVE: NodeRule = NodeRule {
    name: "archive",
    args: &[ArgRule::one("the name", Kind::Name)],
    children: &[
        ARCHES,
        NodeRule {
            name: "mirror",
            args: &[ArgRule::some("addresses", Kind::Line)],
            example: "mirror \"http://archive.example.com/debian\"",
            ..KEEP
        },
        NodeRule {
            name: "suite",
            args: &[ArgRule::one("the path below dists/", Kind::Line)],
            props: &[
                PropRule::new("codename", Kind::Name, "what its Release file states"),
                PropRule::new("component", Kind::Line, "components").list().required(),
            ],
            example: "suite \"stable\" component=\"main\"",
            ..KEEP
        },
        NodeRule {
            name: "key",
            args: &[ArgRule::some("key files", Kind::Beside)],
            example: "key \"keys/archive.gpg\"",
            ..KEEP
        },
    ],
    occurs: Occurs::Named,
    example: "archive \"debian\" {",
    ..NodeRule::EMPTY
};

const PACKAGES: NodeRule =
    NodeRule { name: "packages", args: &[ArgRule::some("packages", Kind::Name)], example: "packages \"apt\"", ..KEEP };

const RELEASE: NodeRule = NodeRule {
    name: "release",
    args: &[ArgRule::one("the codename", Kind::Name)],
    props: &[
        PropRule::new("version", Kind::Name, "its number").required(),
        PropRule::new("default", Kind::Flag, "whether it is taken when none is named"),
    ],
    children: &[
        ARCHES,
        ARCHIVE,
        PACKAGES,
        NodeRule {
            name: "with-required",
            args: &[ArgRule::one("yes or no", Kind::Flag)],
            example: "with-required #true",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "kernel",
            args: &[ArgRule::one("the architecture", Kind::Word(&["amd64", "arm64"]))],
            props: &[PropRule::new("package", Kind::Name, "the package").required()],
            occurs: Occurs::Named,
            example: "kernel \"amd64\" package=\"linux-image-amd64\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "efi-stub",
            args: &[ArgRule::one("the package of systemd's EFI stub", Kind::Name)],
            example: "efi-stub \"systemd\"",
            ..NodeRule::EMPTY
        },
    ],
    occurs: Occurs::Named,
    example: "release \"bookworm\" version=\"12\" {",
    ..NodeRule::EMPTY
};

const USERS: NodeRule =
    NodeRule { name: "users", args: &[ArgRule::some("names", Kind::Line)], example: "users \"root\"", ..KEEP };

const GROUPS: NodeRule =
    NodeRule { name: "groups", args: &[ArgRule::some("names", Kind::Line)], example: "groups \"root\"", ..KEEP };

const TOP: &[NodeRule] = &[NodeRule {
    name: "base",
    args: &[ArgRule::one("the name", Kind::Name)],
    props: &[PropRule::new("family", Kind::Word(&["deb", "apk", "rpm"]), "the package family").required()],
    children: &[USERS, GROUPS, env::ENV, RELEASE],
    example: "base \"debian\" family=\"deb\" {",
    ..NodeRule::EMPTY
}];

/// Reads the releases of a base image from its `base.kdl` and the key files that it names.
pub fn read_base(source: &Source, keys: &[KeyFile]) -> Result<Vec<BaseImage>, Vec<Diagnostic>> {
    let mut sources = Sources::default();
    let number = sources.add(source.clone());
    let nodes = syntax::parse(&sources, number)?;
    let mut report = Report::new(&sources);
    let reading = Reading { allow_outside: false, folders: &[] };
    let items = shape::shape(&nodes, TOP, "a base image", reading, &mut report);
    let items = merge(items, &mut report);
    let images = match items.first() {
        Some(item) => {
            let mut reader = Reader { item, keys, digest: digest(source, keys), report: &mut report };
            item.all("release").map(|release| reader.release(release)).collect()
        }
        None => Vec::new(),
    };
    if report.found.is_empty() { Ok(images) } else { Err(settle(report.found)) }
}

/// Every release of every base image that ships with the program and can be built.
pub fn builtin_bases() -> Vec<BaseImage> {
    let mut all = shipped("debian", include_str!("../../../base-images/debian/base.kdl"), DEBIAN_KEYS);
    all.extend(shipped("ubuntu", include_str!("../../../base-images/ubuntu/base.kdl"), UBUNTU_KEYS));
    all.extend(shipped("alpine", include_str!("../../../base-images/alpine/base.kdl"), ALPINE_KEYS));
    all
}

fn shipped(name: &str, text: &str, keys: &[(&str, &[u8])]) -> Vec<BaseImage> {
    let source = Source { name: format!("base-images/{name}/base.kdl"), text: text.to_owned() };
    let keys: Vec<KeyFile> = keys.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    let read = read_base(&source, &keys);
    assert!(read.is_ok(), "the base image {name} that ships with the program is valid: {read:?}");
    read.unwrap_or_default()
}

macro_rules! keys {
    ($base:literal: $($name:literal)*) => {
        &[$((concat!("keys/", $name), include_bytes!(concat!("../../../base-images/", $base, "/keys/", $name)))),*]
    };
}

const DEBIAN_KEYS: &[(&str, &[u8])] = keys!("debian":
    "debian-archive-bookworm-automatic.gpg"
    "debian-archive-bookworm-security-automatic.gpg"
    "debian-archive-bookworm-stable.gpg"
    "debian-archive-bullseye-automatic.gpg"
    "debian-archive-bullseye-security-automatic.gpg"
    "debian-archive-trixie-automatic.gpg"
    "debian-archive-trixie-security-automatic.gpg"
    "debian-archive-trixie-stable.gpg"
);

const ALPINE_KEYS: &[(&str, &[u8])] = keys!("alpine":
    "alpine-devel@lists.alpinelinux.org-4a6a0840.rsa.pub"
    "alpine-devel@lists.alpinelinux.org-5261cecb.rsa.pub"
    "alpine-devel@lists.alpinelinux.org-58199dcc.rsa.pub"
    "alpine-devel@lists.alpinelinux.org-6165ee59.rsa.pub"
    "alpine-devel@lists.alpinelinux.org-616ae350.rsa.pub"
);

const UBUNTU_KEYS: &[(&str, &[u8])] = keys!("ubuntu": "ubuntu-archive-2018.gpg");

struct Reader<'a, 'r> {
    item: &'a Item,
    keys: &'a [KeyFile],
    digest: String,
    report: &'a mut Report<'r>,
}

impl Reader<'_, '_> {
    fn release(&mut self, release: &Item) -> BaseImage {
        let arches = arches(release);
        let archives = release.all("archive").map(|archive| self.archive(archive, &arches)).collect();
        BaseImage {
            name: self.item.arg(0).unwrap_or_default().to_owned(),
            family: match self.item.text("family") {
                Some("apk") => Family::Apk,
                Some("rpm") => Family::Rpm,
                _ => Family::Deb,
            },
            release: release.arg(0).unwrap_or_default().to_owned(),
            version: release.text_or("version", ""),
            is_default: release.prop("default").is_some_and(|prop| prop.value.value == Value::Flag(true)),
            archives,
            packages: texts(release, "packages"),
            with_required: release
                .child("with-required")
                .and_then(|item| item.args.first())
                .is_some_and(|arg| arg.value == Value::Flag(true)),
            kernels: release
                .all("kernel")
                .filter_map(|item| Some((Arch::from_name(item.arg(0)?)?, item.text("package")?.to_owned())))
                .collect(),
            efi_stub: release.child("efi-stub").and_then(|item| item.arg(0)).map(str::to_owned),
            users: texts(self.item, "users"),
            groups: texts(self.item, "groups"),
            env: self.env(),
            digest: self.digest.clone(),
            arches,
        }
    }

    fn env(&mut self) -> BTreeMap<String, String> {
        env::decode(Body(&self.item.children).all("env"), self.report)
    }

    fn archive(&mut self, archive: &Item, all: &[Arch]) -> Archive {
        let own = arches(archive);
        let suite = |item: &Item| {
            let path = item.arg(0).unwrap_or_default().to_owned();
            let components = item.list("component").map(|(text, _)| text.to_owned()).collect();
            Suite { codename: item.text_or("codename", &path), path, components }
        };
        Archive {
            name: archive.arg(0).unwrap_or_default().to_owned(),
            arches: if own.is_empty() { all.to_vec() } else { own },
            mirrors: texts(archive, "mirror"),
            suites: archive.all("suite").map(suite).collect(),
            keys: archive
                .all("key")
                .flat_map(|item| item.texts_from(0))
                .filter_map(|(path, place)| self.key(path, place))
                .collect(),
        }
    }

    fn key(&mut self, path: &str, place: crate::source::Place) -> Option<KeyFile> {
        let found = self.keys.iter().find(|(name, _)| name == path);
        if found.is_none() {
            let error = self.report.error(
                "key-missing",
                place,
                format!("there is no key file \"{path}\""),
                "not beside base.kdl",
            );
            error.help("put the file there, or correct the path");
        }
        found.map(|(name, bytes)| (name.rsplit('/').next().unwrap_or(name).to_owned(), bytes.clone()))
    }
}

fn arches(item: &Item) -> Vec<Arch> {
    item.all("arch").flat_map(|arch| arch.texts_from(0)).filter_map(|(text, _)| Arch::from_name(text)).collect()
}

fn texts(item: &Item, name: &str) -> Vec<String> {
    item.all(name).flat_map(|child| child.texts_from(0)).map(|(text, _)| text.to_owned()).collect()
}

/// BLAKE3 over the text and every key file, each with its name and length in front, so that no two sets of files agree.
fn digest(source: &Source, keys: &[KeyFile]) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut sorted: Vec<(&str, &[u8])> = keys.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    sorted.sort_unstable();
    for (name, bytes) in std::iter::once(("base.kdl", source.text.as_bytes())).chain(sorted) {
        hasher.update(format!("{name}\0{}\0", bytes.len()).as_bytes());
        hasher.update(bytes);
    }
    hasher.finalize().to_hex().to_string()
}
