//! Debian packages: unpacking, dpkg's database, maintainer scripts and triggers over a tree.

mod apt;
mod commands;
mod control;
mod database;
mod diversions;
mod filters;
mod installed;
mod order;
mod overrides;
mod scripts;
mod skeleton;
mod system;
#[cfg(test)]
mod testing;
mod triggers;
mod unpack;
mod upgrade;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use packages::deb::compare_versions;
use packages::{AllocatedId, IdKind, Unpacked};
use spec::appliance::{Arch, Relation};
use spec::base::BaseImage;
use tree::TreePath;

use self::control::Package;
use self::diversions::Diversions;
use self::filters::Filters;
use self::order::Ordered;
use self::scripts::Scripts;
use self::system::System;
use self::triggers::{Interests, Pending};
use self::unpack::Shipped;
use crate::accounts::Accounts;
use crate::error::AssembleError;
use crate::family::{Debris, Installed, Order};
use crate::files::{Files, PathProblem};
use crate::inputs::Origin;
use crate::runner::ScriptRunner;

/// What dpkg, apt and debconf leave behind.
pub(crate) const DEBRIS: Debris = Debris {
    dropped: &[
        "var/cache/apt/pkgcache.bin",
        "var/cache/apt/srcpkgcache.bin",
        "var/lib/apt/extended_states-old",
        "var/lib/dpkg/available",
        "var/lib/dpkg/available-old",
        "var/lib/dpkg/diversions-old",
        "var/lib/dpkg/lock",
        "var/lib/dpkg/lock-frontend",
        "var/lib/dpkg/statoverride-old",
        "var/lib/dpkg/status-old",
        "var/lib/dpkg/triggers/Lock",
        "var/log/alternatives.log",
        "var/log/bootstrap.log",
        "var/log/dpkg.log",
    ],
    emptied: &["var/cache/apt/archives", "var/cache/debconf", "var/lib/apt/lists", "var/log/apt"],
    endings: &[".dpkg-new", ".dpkg-tmp"],
};

/// Installs packages into a tree, beside those that its database has already: unpacks all, then configures all, then
/// answers triggers. What is installed already stays at its version, unless a newer one of it is among the packages.
pub(crate) fn install(
    files: &mut Files<'_>,
    order: Order<'_>,
    runner: Option<&mut dyn ScriptRunner>,
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<Installed, AssembleError> {
    let mut shipped = Shipped::beside(Filters::load(files).map_err(in_database)?);
    let Ordered { packages: mut new, in_every_root } = read_all(order.packages, order.base)?;
    let mut packages = installed::read(files, &mut new, &mut shipped)?;
    let is_new_root = packages.is_empty() && new.iter().all(|package| package.upgrades.is_none());
    let first = packages.len();
    packages.extend(new);
    let system = System::new(order.arch, &packages, order.ids);
    let mut scripts = Scripts::new(system, order.scripts, runner);

    let is_base = |at: usize| at >= first && in_every_root[at - first];
    if is_new_root {
        let begun = begin(files, order.arch, &packages, &is_base, &mut shipped, &scripts);
        scripts.elsewhere.verdict(begun)?;
    }
    let configured = configure(files, &packages, first, &mut shipped, &mut scripts);
    scripts.elsewhere.verdict(configured)?;
    if is_new_root {
        apt::write(files, order.appliance, order.base, &packages).map_err(in_database)?;
    }

    shipped.follow(files, &packages, &Diversions::load(files).map_err(in_database)?);
    let origin = |at: usize| {
        let name = packages[at].name.clone();
        if in_every_root[at - first] { Origin::Base(name) } else { Origin::Package(name) }
    };
    let new = shipped.places().filter(|(_, at)| *at >= first);
    origins.extend(new.map(|(place, at)| (place.clone(), origin(at))));
    let ids = made_ids(files, &scripts.system).map_err(in_database)?;
    Ok(Installed { ledger: scripts.elsewhere.into_ledger(), ids })
}

/// What stands in a root before its first package.
fn begin(
    files: &mut Files<'_>,
    arch: Arch,
    packages: &[Package],
    is_base: &dyn Fn(usize) -> bool,
    shipped: &mut Shipped,
    scripts: &Scripts<'_>,
) -> Result<(), AssembleError> {
    skeleton::make(files, arch).map_err(in_database)?;
    database::create(files, arch.name()).map_err(in_database)?;
    if scripts.elsewhere.is_for_all() {
        lay_out_base(files, packages, is_base, shipped)?;
    }
    Ok(())
}

/// Unpacks and configures the packages from `first` on, with all their scripts.
fn configure(
    files: &mut Files<'_>,
    packages: &[Package],
    first: usize,
    shipped: &mut Shipped,
    scripts: &mut Scripts<'_>,
) -> Result<(), AssembleError> {
    for at in first..packages.len() {
        upgrade::before(files, &packages[at], scripts)?;
        unpack::unpack(files, packages, at, shipped)?;
        upgrade::after(files, packages, at, shipped, scripts)?;
    }
    database::write(files, packages, shipped).map_err(in_database)?;
    for package in &packages[first..] {
        let before = package.upgrades.as_ref().map_or("", |old| &old.package.version);
        // debconf runs this script itself when the next one asks it something, and a second time is one too many.
        if !scripts.elsewhere.is_for_all() {
            scripts.run(files, package, "config", &["configure", before])?;
        }
        scripts.run(files, package, "postinst", &["configure", before])?;
    }
    answer_triggers(files, packages, shipped, scripts)
}

/// Scripts that are run need the shell and the tools of the base before the base's own scripts have had their turn, so its
/// files are there first, as the distribution's own installers have it.
fn lay_out_base(
    files: &mut Files<'_>,
    packages: &[Package],
    is_base: &dyn Fn(usize) -> bool,
    shipped: &mut Shipped,
) -> Result<(), AssembleError> {
    for at in (0..packages.len()).filter(|at| is_base(*at)) {
        unpack::unpack(files, packages, at, shipped)?;
    }
    database::write(files, packages, shipped).map_err(in_database)
}

fn read_all(unpacked: Vec<Unpacked>, base: &BaseImage) -> Result<Ordered, AssembleError> {
    let packages: Result<Vec<Package>, _> =
        unpacked.into_iter().enumerate().map(|(at, one)| Package::read(one, at)).collect();
    order::ordered(packages?, base)
}

/// Runs the `postinst` of every package with pending triggers until none are left, in package order.
fn answer_triggers(
    files: &mut Files<'_>,
    packages: &[Package],
    shipped: &Shipped,
    scripts: &mut Scripts<'_>,
) -> Result<(), AssembleError> {
    let interests = Interests::of(packages);
    let mut pending = Pending::of_unpacking(&interests, packages, shipped);
    // dpkg stops a circle of triggers too; as many rounds as packages are enough for any chain without one.
    for _ in 0..=packages.len() {
        pending.incorporate(&interests, files).map_err(in_database)?;
        if pending.0.is_empty() {
            break;
        }
        for package in packages {
            if let Some(names) = pending.0.remove(&package.info_name()) {
                let names = names.into_iter().collect::<Vec<_>>().join(" ");
                scripts.run(files, package, "postinst", &["triggered", &names])?;
            }
        }
    }
    Ok(())
}

/// The users and groups of the tree that scripts made, for the lock.
fn made_ids(files: &Files<'_>, system: &System) -> Result<Vec<AllocatedId>, PathProblem> {
    let accounts = Accounts::load(files)?;
    let id = |kind, name: &str, id: Option<u32>| {
        id.map(|id| AllocatedId { kind, name: name.to_owned(), value: id.to_string() })
    };
    let users = system.made_users.iter().filter_map(|name| id(IdKind::User, name, accounts.uid(name)));
    let groups = system.made_groups.iter().filter_map(|name| id(IdKind::Group, name, accounts.gid(name)));
    let mut ids: Vec<AllocatedId> = users.chain(groups).collect();
    ids.sort();
    Ok(ids)
}

/// Whether `version` stands in this relation to `rule`.
pub(crate) fn version_holds(version: &str, relation: Relation, rule: &str) -> bool {
    let order = compare_versions(version, rule);
    match relation {
        Relation::Less => order == Ordering::Less,
        Relation::LessOrEqual => order != Ordering::Greater,
        Relation::Equal => order == Ordering::Equal,
        Relation::GreaterOrEqual => order != Ordering::Less,
        Relation::Greater => order == Ordering::Greater,
    }
}

fn in_database(source: PathProblem) -> AssembleError {
    AssembleError::Path { doing: "keep the package database in", path: "/var/lib/dpkg".to_owned(), source }
}
