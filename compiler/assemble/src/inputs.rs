//! What assembling is given and what it gives back.

use std::collections::BTreeMap;

use bundle::guest::Settings;
use packages::{AllocatedId, LedgerLine, Unpacked};
use spec::Appliance;
use spec::appliance::Arch;
use spec::base::BaseImage;
use tree::{Blobs, Content, Node, Tree, TreePath};

use crate::{Mistake, ScriptRunner};

/// Everything that the tree of an appliance is made from.
pub struct Inputs<'a> {
    /// What was meant.
    pub appliance: &'a Appliance,
    /// The architecture to assemble for.
    pub arch: Arch,
    /// The operating system; `None` for a root without packages.
    pub base: Option<&'a BaseImage>,
    /// What stands there before anything is installed: the file system of an image that is the base.
    pub image: Option<Tree>,
    /// The packages of the locked root, in any order.
    pub packages: Vec<Unpacked>,
    /// Ids of users and groups that the lock has already given out.
    pub ids: &'a [AllocatedId],
    /// Where contents that are not inline are read.
    pub blobs: &'a dyn Blobs,
    /// What each `from=` of the spec names, as [`Arch::fill`] gives it.
    pub sources: &'a BTreeMap<String, Source>,
    /// The guest binary; `None` leaves it out of the image.
    pub guest: Option<Content>,
    /// The time of everything that is generated, and the latest time of everything, in seconds since 1970.
    pub epoch_secs: i64,
    /// What happens with a script that cannot be emulated.
    pub scripts: ScriptPolicy,
    /// Runs what cannot be emulated, under [`ScriptPolicy::Auto`], and all under [`ScriptPolicy::Run`].
    pub runner: Option<&'a mut dyn ScriptRunner>,
}

/// What a `from=` of the spec names: read by the caller, without owners and times of the host.
#[derive(Debug, Clone)]
pub enum Source {
    /// A regular file.
    File(Node),
    /// A folder: the root of the tree, with all below it.
    Folder(Tree),
}

/// What happens with scripts, above all with those that cannot be emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptPolicy {
    /// It goes to the runner; without one it is refused.
    Auto,
    /// It is refused.
    EmulateOnly,
    /// It is refused, and so is a script that leaves work to the first boot.
    Strict,
    /// Every script goes to the runner and none is emulated: what emulation is compared with.
    Run,
}

/// A finished file system and what was decided on the way.
#[derive(Debug)]
pub struct Assembled {
    /// The file system: complete, canonical, no time after the epoch.
    pub tree: Tree,
    /// What happened with each script of each package, sorted by package and script.
    pub ledger: Vec<LedgerLine>,
    /// Users and groups that packages made, sorted.
    pub ids: Vec<AllocatedId>,
    /// What the guest is told; also in the tree.
    pub settings: Settings,
    /// Which paths came from a package, an image or the spec; all others are what packages left behind together.
    pub origins: BTreeMap<TreePath, Origin>,
    /// What a user should think about, which only the tree shows.
    pub warnings: Vec<Mistake>,
}

/// Where a path of the tree came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A package that every root of the base has, by its name.
    Base(String),
    /// A package that the spec asks for, or that such a package needs, by its name.
    Package(String),
    /// The image that is the base; what stays as it was there keeps its times too.
    Image,
    /// The spec, or the guest.
    Appliance,
}
