//! From requests and catalogues to a lock: which packages, in which versions.
//!
//! Rules of choice: what the previous lock holds, then the highest version, then the first alternative, then the
//! provider that the family ranks first. Recommendations are not followed. Equal input gives equal output.

mod boot;
mod company;
mod error;
mod explain;
mod offers;
mod problem;
mod suggest;

use std::collections::{BTreeMap, BTreeSet};

use spec::appliance::Arch;

use crate::{Catalog, IdKind, Lock, LockedIndex, LockedPackage, LockedRoot, PackageId, Requests};

pub use boot::resolve_boot;
pub use error::ResolveError;
use offers::Offers;
use problem::Standing;
pub use suggest::unknown_excluded;

/// Which packages of a previous lock may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Those that must; the others keep their versions.
    Nothing,
    /// These too.
    Names(BTreeSet<String>),
    /// All.
    Everything,
}

/// What a previous lock says about one root: name → version.
pub type Pins = BTreeMap<String, String>;

/// Decides the packages of every architecture.
///
/// `catalogs` has one catalogue for each architecture asked for, and `indexes` the releases they were read from.
/// Users and groups of the previous lock keep their numbers; its script ledger is left out, because other packages
/// have other scripts.
///
/// # Errors
/// All problems of all architectures, each once.
pub fn resolve(
    requests: &Requests,
    catalogs: &[Catalog],
    indexes: Vec<LockedIndex>,
    encoders: BTreeMap<String, u32>,
    previous: Option<(&Lock, &Update)>,
) -> Result<Lock, Vec<ResolveError>> {
    let mut lock = Lock::for_requests(requests);
    lock.indexes = indexes;
    lock.indexes.sort();
    lock.encoders = encoders;
    let mut errors = previous.map(|(lock, update)| not_locked(lock, update)).unwrap_or_default();
    let mut built_secs = 0;
    for arch in &requests.arches {
        let Some(catalog) = catalogs.iter().find(|catalog| catalog.arch() == *arch) else {
            errors.push(ResolveError::NoCatalog { arch: *arch });
            continue;
        };
        let old = previous.and_then(|(lock, _)| lock.root(*arch));
        let pins = previous.map(|(lock, update)| pins(lock, *arch, update)).unwrap_or_default();
        let root = resolve_root(requests, catalog, &pins);
        let boot = match requests.boot_base {
            // Those are in another base's catalogue: `resolve_boot` chooses them.
            Some(_) => Ok(Vec::new()),
            None => boot::choose(requests, catalog, &boot::pins(previous, *arch)),
        };
        let both = match (root, boot) {
            (Ok(root), Ok(boot)) => Ok((root, boot)),
            (root, boot) => Err(root.err().into_iter().flatten().chain(boot.err()).collect::<Vec<_>>()),
        };
        match both {
            Ok((ids, boot)) => {
                built_secs = ids.iter().map(|id| catalog.package(*id).built_secs()).fold(built_secs, i64::max);
                lock.roots.push(locked_root(catalog, &ids, &boot, old));
            }
            Err(problems) => {
                errors.extend(problems.into_iter().filter(|one| !errors.contains(one)).collect::<Vec<_>>())
            }
        }
    }
    lock.roots.sort_by_key(|root| root.arch);
    lock.epoch_secs = epoch_secs(lock.roots.iter().flat_map(|root| &root.packages), &lock.indexes, built_secs);
    if errors.is_empty() { Ok(lock) } else { Err(errors) }
}

/// Decides the packages of one architecture, sorted by name. What an image below has stays as it is if that is possible;
/// else what the packages asked for need is taken in a newer version.
///
/// # Errors
/// All names that cannot be found or are ambiguous; or why the rest does not fit together.
pub fn resolve_root(requests: &Requests, catalog: &Catalog, pins: &Pins) -> Result<Vec<PackageId>, Vec<ResolveError>> {
    let still = resolve_standing(requests, catalog, pins, Standing::Still);
    match still {
        Err(_) if !requests.installed.is_empty() => {
            let there = requests.installed.iter().map(|package| (package.name.clone(), package.version.clone()));
            let pins = there.chain(pins.clone()).collect();
            resolve_standing(requests, catalog, &pins, Standing::OrNewer)
        }
        decided => decided,
    }
}

/// The same, where this may become of what the image below has.
fn resolve_standing(
    requests: &Requests,
    catalog: &Catalog,
    pins: &Pins,
    standing: Standing,
) -> Result<Vec<PackageId>, Vec<ResolveError>> {
    let mut offers = Offers::new(catalog, pins, requests);
    let wanted = problem::wanted(requests, &offers, standing)?;
    offers.name(wanted.iter().map(|one| one.constraint.clone()).collect());
    let chosen = problem::solve(requests, &offers, &wanted).map_err(|error| vec![error])?;
    let mut chosen = company::complete(requests, &mut offers, wanted, chosen);
    chosen.sort_by_key(|id| catalog.package(*id).name());
    Ok(chosen)
}

/// The newest date among the releases that packages were taken from, so that a release that gave nothing moves nothing;
/// where they carry no date, the newest build of a package.
fn epoch_secs<'a>(packages: impl Iterator<Item = &'a LockedPackage>, indexes: &[LockedIndex], built_secs: i64) -> i64 {
    let used: BTreeSet<_> = packages.map(|package| (&package.origin.archive, &package.origin.suite)).collect();
    let is_used = |index: &&LockedIndex| used.contains(&(&index.archive, &index.suite));
    indexes.iter().filter(is_used).map(|index| index.date_secs).fold(built_secs, i64::max)
}

/// Names to update that the lock does not have.
fn not_locked(lock: &Lock, update: &Update) -> Vec<ResolveError> {
    let Update::Names(names) = update else { return Vec::new() };
    let packages = || lock.roots.iter().flat_map(|root| root.packages.iter().chain(&root.boot));
    let locked = || packages().map(|package| package.name.as_str());
    let unknown = names.iter().filter(|name| locked().all(|locked| locked != name.as_str()));
    let error =
        |name: &String| ResolveError::NotLocked { name: name.clone(), nearest: suggest::nearest(name, locked()) };
    unknown.map(error).collect()
}

fn pins(lock: &Lock, arch: Arch, update: &Update) -> Pins {
    kept(lock.root(arch).map(|root| root.packages.as_slice()).unwrap_or_default(), update)
}

fn kept(packages: &[LockedPackage], update: &Update) -> Pins {
    let kept = |package: &&LockedPackage| match update {
        Update::Nothing => true,
        Update::Names(names) => !names.contains(&package.name),
        Update::Everything => false,
    };
    packages.iter().filter(kept).map(|p| (p.name.clone(), p.version.clone())).collect()
}

fn locked_root(catalog: &Catalog, ids: &[PackageId], boot: &[PackageId], old: Option<&LockedRoot>) -> LockedRoot {
    let ids_kept = old.iter().flat_map(|root| &root.ids).filter(|id| id.kind != IdKind::Uuid).cloned();
    LockedRoot {
        arch: catalog.arch(),
        packages: locked(catalog, ids, old),
        boot: locked(catalog, boot, old),
        ledger: Vec::new(),
        ids: ids_kept.collect(),
    }
}

/// Packages as a lock has them, with the digests of archives that an old lock knows.
fn locked(catalog: &Catalog, ids: &[PackageId], old: Option<&LockedRoot>) -> Vec<LockedPackage> {
    let old_packages: BTreeMap<_, _> =
        old.iter().flat_map(|root| root.packages.iter().chain(&root.boot)).map(|p| (p.name.as_str(), p)).collect();
    let locked = |id: &PackageId| {
        let package = catalog.package(*id);
        let same = old_packages.get(package.name()).filter(|old| old.digest == package.digest());
        LockedPackage {
            name: package.name().to_owned(),
            version: package.version().to_owned(),
            arch: package.architecture().to_owned(),
            origin: package.origin().clone(),
            path: package.path().to_owned(),
            size_bytes: package.size_bytes(),
            digest: package.digest(),
            blake3: same.and_then(|old| old.blake3),
        }
    };
    ids.iter().map(locked).collect()
}
