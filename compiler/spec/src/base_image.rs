//! Reads a base image's `base.kdl` with its key files: the same KDL and the same table as a spec, other nodes.
//! The base images that ship with the program are put together here too.

use std::collections::BTreeMap;

use crate::appliance::Arch;
use crate::base::{Archive, BaseImage, Family, Suite};
use crate::base_places::{self, BasePlace};
use crate::base_table::{ARCHES, ARCHIVE, BASE, KEY, RELEASE, SUITE, TOP};
use crate::diagnostic::{Diagnostic, Label, settle};
use crate::item::Item;
use crate::language::Language;
use crate::merge::merge;
use crate::report::Report;
use crate::sections::{Body, env};
use crate::shape;
use crate::source::{Place, Source, Sources};
use crate::syntax;
use crate::table::NodeRule;
use crate::value::{Reading, Value};

/// A file that a base image names: its path relative to `base.kdl`, and its bytes.
pub type KeyFile = (String, Vec<u8>);

/// Whether these bytes are a key of this family; else what they should hold, and what they hold.
pub type KeyCheck = dyn Fn(Family, &[u8]) -> Result<(), String>;

/// What lies around a `base.kdl`.
#[derive(Clone, Copy)]
pub struct BaseFolder<'a> {
    /// The name of its folder, by which a base of a user's own is known even where its text cannot be read.
    pub name: Option<&'a str>,
    /// The key files.
    pub keys: &'a [KeyFile],
    /// Whether a file holds a key.
    pub is_key: &'a KeyCheck,
}

/// A base image that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseFile {
    /// Its releases, each a base image of its own.
    pub images: Vec<BaseImage>,
    /// Where it says what later stages may find wrong.
    pub places: BTreeMap<BasePlace, Label>,
}

/// Reads the releases of a base image from its `base.kdl` and what lies around it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_base(source: &Source, folder: BaseFolder<'_>) -> Result<BaseFile, Vec<Diagnostic>> {
    let sources = Sources::in_language(Language::BaseImage, source.clone());
    let number = 0;
    let nodes = syntax::parse(&sources, number)?;
    let mut report = Report::new(&sources);
    let reading = Reading { allow_outside: false, folders: &[] };
    let items = shape::shape(&nodes, TOP, "a base image", reading, &mut report);
    let items = merge(items, &mut report);
    let images = match items.first() {
        Some(item) => Reader { item, folder, digest: digest(source, folder.keys), report: &mut report }.releases(),
        None => {
            if report.found.is_empty() {
                let message = "the file describes no base image";
                let error = report.error("missing-node", Place::new(number, 0, 0), message, "nothing here");
                error.help(format!("it holds one block: {}", BASE.example));
            }
            Vec::new()
        }
    };
    let places = items.first().map(|item| base_places::places(item, &sources)).unwrap_or_default();
    if report.found.is_empty() { Ok(BaseFile { images, places }) } else { Err(settle(report.found)) }
}

/// The name that a `base.kdl` gives its base, also where all else in it is wrong; `None` where it is not KDL.
pub fn name_of_base(source: &Source) -> Option<String> {
    let nodes = syntax::parse(&Sources::in_language(Language::BaseImage, source.clone()), 0).ok()?;
    let base = nodes.iter().find(|node| node.name == BASE.name)?;
    base.entries.iter().find(|entry| entry.key.is_none())?.value.as_string().map(str::to_owned)
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
    let read = read_base(&source, BaseFolder { name: Some(name), keys: &keys, is_key: &|_, _| Ok(()) });
    assert!(read.is_ok(), "the base image {name} that ships with the program is valid: {read:?}");
    read.map(|file| file.images).unwrap_or_default()
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
    folder: BaseFolder<'a>,
    digest: String,
    report: &'a mut Report<'r>,
}

impl Reader<'_, '_> {
    fn releases(&mut self) -> Vec<BaseImage> {
        let item = self.item;
        if self.family() == Family::Rpm {
            let place = item.prop_place("family");
            let message = "a base of the family \"rpm\" cannot be built yet";
            self.report.error("base-not-supported", place, message, "not yet").help("known are \"deb\" and \"apk\"");
        }
        self.check_name();
        self.require(item, &RELEASE);
        let defaults: Vec<&Item> = item.all("release").filter(|release| is_default(release)).collect();
        if let [first, second, ..] = defaults[..] {
            let message = "two releases are the default";
            let error = self.report.error("conflict", second.prop_place("default"), message, "and this one");
            error.also(first.prop_place("default"), "this one").help("keep one `default=#true`");
        }
        self.check_versions();
        let mut releases: Vec<BaseImage> = item.all("release").map(|release| self.release(release)).collect();
        if let [only] = &mut releases[..] {
            only.is_default = true;
        }
        releases
    }

    /// A spec names a release by its codename or its number: each says one release.
    fn check_versions(&mut self) {
        let all: Vec<&Item> = self.item.all("release").collect();
        for (at, release) in all.iter().enumerate() {
            let Some(version) = release.text("version") else { continue };
            let place = release.prop_place("version");
            let others = || all.iter().enumerate().filter(|(other, _)| *other != at);
            let named = others().find(|(_, other)| other.arg(0) == Some(version));
            let same = others().find(|(other, item)| *other < at && item.text("version") == Some(version));
            let (message, first) = match (same, named) {
                (Some((_, other)), _) => {
                    (format!("there are two releases of the version \"{version}\""), other.prop_place("version"))
                }
                (None, Some((_, other))) => {
                    (format!("the version \"{version}\" is the name of another release"), other.arg_place(0))
                }
                (None, None) => continue,
            };
            let error = self.report.error("duplicate-name", place, message, "and this one");
            error.also(first, "this one").help("a spec names a release by either: give one of them another");
        }
    }

    /// A base is found by its folder, and named by its text: the two agree.
    fn check_name(&mut self) {
        let (Some(name), Some(folder)) = (self.item.arg(0), self.folder.name) else { return };
        if name != folder {
            let message = format!("the base is called \"{name}\" here, and its folder `{folder}`");
            let error = self.report.error("conflict", self.item.arg_place(0), message, "another name");
            error.help(format!("rename the folder to `{name}`, or write base \"{folder}\""));
        }
    }

    fn family(&self) -> Family {
        match self.item.text("family") {
            Some("apk") => Family::Apk,
            Some("rpm") => Family::Rpm,
            _ => Family::Deb,
        }
    }

    /// Tells of a block that lacks a node that it means nothing without.
    fn require(&mut self, item: &Item, rule: &NodeRule) {
        if item.all(rule.name).next().is_none() && !item.has_unread {
            let (owner, name) = (item.rule.name, rule.name);
            let message = format!("`{owner}` needs at least one `{name}`");
            let error = self.report.error("missing-node", item.place, message, format!("has no `{name}`"));
            error.help(format!("write into its block: {}", rule.example));
        }
    }

    fn release(&mut self, release: &Item) -> BaseImage {
        self.require(release, &ARCHES);
        self.require(release, &ARCHIVE);
        let arches = arches(release);
        let archives = release.all("archive").map(|archive| self.archive(archive, &arches)).collect();
        BaseImage {
            name: self.item.arg(0).unwrap_or_default().to_owned(),
            family: self.family(),
            release: release.arg(0).unwrap_or_default().to_owned(),
            version: release.text_or("version", ""),
            is_default: is_default(release),
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
            users: or_root(texts(self.item, "users")),
            groups: or_root(texts(self.item, "groups")),
            env: self.env(),
            digest: self.digest.clone(),
            arches,
        }
    }

    fn env(&mut self) -> BTreeMap<String, String> {
        env::decode(Body(&self.item.children).all("env"), self.report)
    }

    fn archive(&mut self, archive: &Item, all: &[Arch]) -> Archive {
        self.require(archive, &KEY);
        let own = arches(archive);
        let suites = self.suites(archive);
        archive
            .all("mirror")
            .flat_map(|item| item.texts_from(0))
            .for_each(|(url, place)| self.check_mirror(url, place));
        Archive {
            name: archive.arg(0).unwrap_or_default().to_owned(),
            arches: if own.is_empty() { all.to_vec() } else { own },
            mirrors: texts(archive, "mirror"),
            suites,
            keys: archive
                .all("key")
                .flat_map(|item| item.texts_from(0))
                .filter_map(|(path, place)| self.key(path, place))
                .collect(),
        }
    }

    fn suites(&mut self, archive: &Item) -> Vec<Suite> {
        let suite = |item: &Item| Suite {
            path: item.arg(0).unwrap_or_default().to_owned(),
            codename: item.text("codename").map(str::to_owned),
            components: item.list("component").map(|(text, _)| text.to_owned()).collect(),
        };
        let found: Vec<Suite> = archive.all("suite").map(suite).collect();
        match self.family() {
            // A repository without branches has its index straight below its address.
            Family::Apk if found.is_empty() => {
                vec![Suite { path: String::new(), codename: None, components: Vec::new() }]
            }
            Family::Apk => found,
            Family::Deb | Family::Rpm => {
                self.require(archive, &SUITE);
                let bare = archive.all("suite").filter(|suite| suite.prop("component").is_none());
                for suite in bare {
                    let message = "`suite` needs `component=`";
                    let error = self.report.error("missing-property", suite.place, message, "has no `component=`");
                    error.help(format!("write {}", SUITE.example));
                }
                found
            }
        }
    }

    fn check_mirror(&mut self, url: &str, place: Place) {
        let is_known = ["http://", "https://", "file:///"].iter().any(|scheme| url.starts_with(scheme));
        if !is_known && !url.starts_with('/') {
            let message = format!("\"{}\" is no address of a mirror", url.escape_debug());
            let error = self.report.error("bad-value", place, message, "not a URL");
            error.help("write \"https://mirror.example.org/debian\", or a folder from its root: \"/srv/mirror\"");
        }
    }

    fn key(&mut self, path: &str, place: Place) -> Option<KeyFile> {
        let path = path.strip_prefix("./").unwrap_or(path);
        let found = self.folder.keys.iter().find(|(name, _)| name == path);
        if let Some((_, bytes)) = found {
            self.check_key(path, bytes, place);
        } else {
            let error = self.report.error(
                "key-missing",
                place,
                format!("there is no key file \"{path}\""),
                "not beside base.kdl",
            );
            let there: Vec<&str> = self.folder.keys.iter().map(|(name, _)| name.as_str()).collect();
            error.help(match (path.strip_prefix("keys/"), there.as_slice()) {
                (None, _) => format!("key files lie in the folder keys/: key \"keys/{path}\""),
                (_, []) => "put the file there, or correct the path".to_owned(),
                (_, there) => format!("put the file there, or correct the path: there is {}", there.join(", ")),
            });
        }
        found.map(|(name, bytes)| (name.rsplit('/').next().unwrap_or(name).to_owned(), bytes.clone()))
    }

    fn check_key(&mut self, path: &str, bytes: &[u8], place: Place) {
        if let Err(what) = (self.folder.is_key)(self.family(), bytes) {
            let message = format!("{path} is no key of an archive: {what}");
            let error = self.report.error("key-unusable", place, message, "not a key");
            error.help("put the public key that the owner of the archive publishes into this file");
        }
    }
}

fn is_default(release: &Item) -> bool {
    release.prop("default").is_some_and(|prop| prop.value.value == Value::Flag(true))
}

/// Every system has this user and this group.
fn or_root(names: Vec<String>) -> Vec<String> {
    if names.is_empty() { vec!["root".to_owned()] } else { names }
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
