//! Alpine packages: unpacking, the database of `apk` version 2, scripts and triggers over a tree.

mod commands;
mod configuration;
mod database;
mod installed;
mod order;
mod package;
mod scripts;
mod system;
mod triggers;
mod unpack;
mod upgrade;

use std::collections::BTreeMap;

use tree::TreePath;

use self::order::Ordered;
use self::package::Package;
use self::scripts::Scripts;
use self::system::System;
use self::unpack::Shipped;
use crate::error::AssembleError;
use crate::family::{Debris, Installed, Order};
use crate::files::{Files, PathProblem};
use crate::inputs::Origin;
use crate::runner::ScriptRunner;

/// What apk leaves behind.
pub(crate) const DEBRIS: Debris =
    Debris { dropped: &["lib/apk/db/lock", "var/log/apk.log"], emptied: &["var/cache/apk"], endings: &[] };

/// Installs packages into a tree, beside those that its database has already: each is unpacked between its own scripts,
/// then triggers are answered. What is there already stays at its version, unless a newer one of it is among the packages.
pub(crate) fn install(
    files: &mut Files<'_>,
    mut order: Order<'_>,
    runner: Option<&mut dyn ScriptRunner>,
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<Installed, AssembleError> {
    let mut shipped = Shipped::default();
    let stands = installed::is_there(files);
    let Ordered { packages: mut new, in_every_root } = read_all(&mut order)?;
    let mut packages = installed::read(files, &mut new, &mut shipped)?;
    let in_every_root = [vec![false; packages.len()], in_every_root].concat();
    packages.extend(new);
    let mut scripts = Scripts::new(System::new(order.ids), order.arch, order.scripts, runner);
    let configured = configure(files, &packages, &in_every_root, &mut shipped, &mut scripts);
    scripts.elsewhere.verdict(configured)?;
    database::write(files, &packages, &shipped).map_err(in_database)?;
    if stands {
        configuration::add(files, &order)?
    } else {
        configuration::write(files, &order)?
    }

    let origin = |at: usize| {
        let name = packages[at].name.clone();
        if in_every_root[at] { Origin::Base(name) } else { Origin::Package(name) }
    };
    let new = shipped.places().filter(|(_, at)| packages[*at].installed.is_none());
    origins.extend(new.map(|(place, at)| (place.clone(), origin(at))));
    let ids = scripts.system.made_ids(files).map_err(in_database)?;
    Ok(Installed { ledger: scripts.elsewhere.into_ledger(), ids })
}

/// Unpacks each package between its own scripts, then answers triggers.
fn configure(
    files: &mut Files<'_>,
    packages: &[Package],
    in_every_root: &[bool],
    shipped: &mut Shipped,
    scripts: &mut Scripts<'_>,
) -> Result<(), AssembleError> {
    for folder in [database::FOLDER, "var/cache/apk"] {
        files.make_dir(folder, 0o755).map_err(in_database)?;
    }
    if scripts.elsewhere.is_for_all() {
        // Scripts that are run need the shell of the base before the base's own scripts have had their turn.
        for at in (0..packages.len()).filter(|at| in_every_root[*at]) {
            unpack::unpack(files, packages, at, shipped)?;
        }
    }
    for (at, package) in packages.iter().enumerate().filter(|(_, package)| package.installed.is_none()) {
        upgrade::before(files, package, scripts)?;
        unpack::unpack(files, packages, at, shipped)?;
        upgrade::after(files, package, shipped, scripts)?;
    }
    triggers::answer(files, packages, shipped, scripts)
}

/// The packages in the order in which they are installed, which depends on the set alone.
fn read_all(order: &mut Order<'_>) -> Result<Ordered, AssembleError> {
    let unpacked = std::mem::take(&mut order.packages);
    let packages: Result<Vec<Package>, _> =
        unpacked.into_iter().enumerate().map(|(at, one)| Package::read(one, at)).collect();
    order::ordered(packages?, order.base)
}

fn in_database(source: PathProblem) -> AssembleError {
    AssembleError::Path { doing: "keep the package database in", path: format!("/{}", database::FOLDER), source }
}
