//! What a `base.kdl` may hold, as a table: the reader, its messages and the page about base images read this one.

use crate::reference::section;
use crate::sections::env;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};

const KEEP: NodeRule = NodeRule { occurs: Occurs::Many, ..NodeRule::EMPTY };

/// `arch`
pub(crate) const ARCHES: NodeRule = NodeRule {
    name: "arch",
    doc: "The architectures that a release exists for. In an `archive`: those that this archive has, where it is not all of \
          them.",
    args: &[ArgRule::some("architectures", Kind::Word(&["amd64", "arm64"]))],
    example: "arch \"amd64\" \"arm64\"",
    ..KEEP
};

const MIRROR: NodeRule = NodeRule {
    name: "mirror",
    doc: "Where the archive is: `http://`, `https://`, `file:///`, or a folder from its root. They are asked last, after those \
          that `--mirror`, `APPLIANCE_MIRROR`, the settings and the host name, in this order. Those of the web are \
          written into what is built, so that packages can be added inside. Nothing that a mirror says is believed without a key.",
    args: &[ArgRule::some("addresses", Kind::Line)],
    example: "mirror \"https://mirror.example.org/debian\"",
    ..KEEP
};

/// `suite`
pub(crate) const SUITE: NodeRule = NodeRule {
    name: "suite",
    doc: "Which part of the archive is read. Debian: the folder below `dists/`, whose `InRelease` must state this name as its \
          suite or codename. Alpine: the folder below the mirror, with one folder for each component in it, each with \
          `ARCH/APKINDEX.tar.gz`; an archive without a `suite` has `ARCH/APKINDEX.tar.gz` straight below the mirror.",
    args: &[ArgRule::one("the folder", Kind::Line)],
    props: &[
        PropRule::new("codename", Kind::Name, "on Debian, the codename that its `InRelease` must state too"),
        PropRule::new("component", Kind::Line, "components to read; needed on Debian").list(),
    ],
    example: "suite \"stable\" component=\"main\"",
    ..KEEP
};

/// `key`
pub(crate) const KEY: NodeRule = NodeRule {
    name: "key",
    doc: "The public keys that may sign the archive, by their files beside `base.kdl`, which lie in `keys/`. Debian: OpenPGP, \
          armoured or binary. Alpine: RSA in PEM, in a file of the name that signatures give to the key.",
    args: &[ArgRule::some("key files, from `base.kdl`", Kind::Line)],
    example: "key \"keys/archive.gpg\"",
    ..KEEP
};

/// `archive`
pub(crate) const ARCHIVE: NodeRule = NodeRule {
    name: "archive",
    doc: "An archive that packages come from. Its name is how mirrors are found (`--mirror NAME=URL`, and mirrors whose \
          address ends in it), and stands in the lock.",
    args: &[ArgRule::one("the name", Kind::Name)],
    children: &[ARCHES, MIRROR, SUITE, KEY],
    occurs: Occurs::Named,
    example: "archive \"debian\" { mirror \"https://mirror.example.org/debian\"; suite \"stable\" component=\"main\"; key \"keys/archive.gpg\"; }",
    ..NodeRule::EMPTY
};

const PACKAGES: NodeRule = NodeRule {
    name: "packages",
    doc: "The packages of every root of this release; what they depend on comes by itself. On Debian what is essential comes \
          too.",
    args: &[ArgRule::some("packages", Kind::Line)],
    example: "packages \"apt\"",
    ..KEEP
};

const WITH_REQUIRED: NodeRule = NodeRule {
    name: "with-required",
    doc: "On Debian: whether packages of the priority `required` belong to every root.",
    args: &[ArgRule { default: Some("#false"), ..ArgRule::one("yes or no", Kind::Flag) }],
    example: "with-required #true",
    ..NodeRule::EMPTY
};

const KERNEL: NodeRule = NodeRule {
    name: "kernel",
    doc: "The kernel that an appliance boots which names none, for an architecture. Without it such a base makes no disks and \
          no machines, unless the spec names a `kernel`.",
    args: &[ArgRule::one("the architecture", Kind::Word(&["amd64", "arm64"]))],
    props: &[PropRule::new("package", Kind::Line, "the package").required()],
    occurs: Occurs::Named,
    example: "kernel \"amd64\" package=\"linux-image-amd64\"",
    ..NodeRule::EMPTY
};

const EFI_STUB: NodeRule = NodeRule {
    name: "efi-stub",
    doc: "The package that has systemd's EFI stub, where it is not the one that the family usually has it in.",
    args: &[ArgRule::one("the package", Kind::Name)],
    example: "efi-stub \"systemd\"",
    ..NodeRule::EMPTY
};

/// `release`
pub(crate) const RELEASE: NodeRule = NodeRule {
    name: "release",
    doc: "A release, which a spec names by its codename or its number: `base \"NAME\" release=\"CODENAME\"`.",
    args: &[ArgRule::one("the codename", Kind::Name)],
    props: &[
        PropRule::new("version", Kind::Name, "its number").required(),
        PropRule::new("default", Kind::Flag, "whether a spec that names no release gets this one")
            .default("the only release is"),
    ],
    children: &[ARCHES, ARCHIVE, PACKAGES, WITH_REQUIRED, KERNEL, EFI_STUB],
    occurs: Occurs::Named,
    example: "release \"bookworm\" version=\"12\" { arch \"amd64\"; archive \"debian\" { … }; packages \"apt\"; }",
    ..NodeRule::EMPTY
};

const USERS: NodeRule = NodeRule {
    name: "users",
    doc: "The users that every root has. A spec may name them as owners, and makes none of these names.",
    args: &[ArgRule { default: Some("root"), ..ArgRule::some("names", Kind::Line) }],
    example: "users \"root\" \"nobody\"",
    ..KEEP
};

const GROUPS: NodeRule = NodeRule {
    name: "groups",
    doc: "The groups that every root has.",
    args: &[ArgRule { default: Some("root"), ..ArgRule::some("names", Kind::Line) }],
    example: "groups \"root\" \"nogroup\"",
    ..KEEP
};

/// `base`
pub(crate) const BASE: NodeRule = NodeRule {
    name: "base",
    doc: "One base image: the operating system that `base \"NAME\"` of a spec means. A base of your own takes the place of one \
          of this name that ships with the program.",
    args: &[ArgRule::one("the name", Kind::Name)],
    props: &[PropRule::new(
        "family",
        Kind::Word(&["deb", "apk", "rpm"]),
        "whose packages they are; `rpm` cannot be built yet",
    )
    .required()],
    children: &[USERS, GROUPS, env::ENV, RELEASE],
    example: "base \"debian\" family=\"deb\" { release \"bookworm\" version=\"12\" { … }; }",
    ..NodeRule::EMPTY
};

/// The block that a node belongs into, and an example of the node.
pub(crate) fn home_of(name: &str) -> Option<(&'static str, &'static str)> {
    [&BASE, &RELEASE, &ARCHIVE].into_iter().find_map(|home| {
        let child = home.children.iter().find(|child| child.name == name)?;
        Some((home.name, child.example))
    })
}

/// All of a `base.kdl`.
pub(crate) const TOP: &[NodeRule] = &[BASE];

/// Every field of a `base.kdl` as Markdown, for `docs/base-images.md`.
pub fn base_reference() -> String {
    section(&BASE, 3)
}
