//! The packages of a kernel: what a machine boots from, which is no part of any root.
//!
//! A kernel's package needs tools that make an initial file system and install a boot loader. None of them is wanted:
//! only what brings the image and its modules is followed, by the names that the family has for it.

use std::cmp::Ordering;

use spec::appliance::Arch;

use super::suggest::nearest;
use super::{Pins, ResolveError, Update, kept, locked};
use crate::lock::{LockedBase, LockedBootBase};
use crate::{Catalog, Constraint, Lock, LockedIndex, LockedPackage, PackageId, RequestedBase, Requests};

/// Decides what machines boot from where it comes from another base than the roots, and puts it into a lock that has
/// the roots. `catalogs` and `indexes` are that base's.
///
/// # Errors
/// All problems of all architectures, each once.
pub fn resolve_boot(
    requests: &Requests,
    catalogs: &[Catalog],
    indexes: Vec<LockedIndex>,
    mut lock: Lock,
    previous: Option<(&Lock, &Update)>,
) -> Result<Lock, Vec<ResolveError>> {
    let Some(RequestedBase { name, release, digest }) = requests.boot_base.clone() else { return Ok(lock) };
    let (mut errors, mut built_secs) = (Vec::new(), 0);
    for root in &mut lock.roots {
        let Some(catalog) = catalogs.iter().find(|catalog| catalog.arch() == root.arch) else {
            errors.push(ResolveError::NoCatalog { arch: root.arch });
            continue;
        };
        match choose(requests, catalog, &pins(previous, root.arch)) {
            Ok(ids) => {
                built_secs = ids.iter().map(|id| catalog.package(*id).built_secs()).fold(built_secs, i64::max);
                root.boot = locked(catalog, &ids, previous.and_then(|(lock, _)| lock.root(root.arch)));
            }
            Err(error) if errors.contains(&error) => {}
            Err(error) => errors.push(error),
        }
    }
    let epoch_secs = super::epoch_secs(lock.roots.iter().flat_map(|root| &root.boot), &indexes, built_secs);
    lock.boot_base = Some(LockedBootBase { base: LockedBase { name, release, digest }, epoch_secs, indexes });
    if errors.is_empty() { Ok(lock) } else { Err(errors) }
}

/// What a previous lock says of the packages that machines of an architecture boot from.
pub(super) fn pins(previous: Option<(&Lock, &Update)>, arch: Arch) -> Pins {
    let packages =
        |lock: &Lock| -> Vec<LockedPackage> { lock.root(arch).map(|root| root.boot.clone()).unwrap_or_default() };
    previous.map(|(lock, update)| kept(&packages(lock), update)).unwrap_or_default()
}

/// The packages of the kernel asked for, sorted by name; what the pins hold stays, else the highest version is taken.
///
/// # Errors
/// When there is no package of that name, or none of the version that another one needs.
pub(super) fn choose(requests: &Requests, catalog: &Catalog, pins: &Pins) -> Result<Vec<PackageId>, ResolveError> {
    let asked = requests.boot.iter().filter(|(arch, _)| *arch == catalog.arch());
    let mut open: Vec<Constraint> = asked.map(|(_, name)| Constraint { name: name.clone(), rule: None }).collect();
    let mut chosen: Vec<PackageId> = Vec::new();
    while let Some(wanted) = open.pop() {
        if chosen.iter().any(|id| catalog.package(*id).name() == wanted.name) {
            continue;
        }
        let id = best(catalog, &wanted, pins)?;
        chosen.push(id);
        // What cannot be read of a package is not followed; its archive is verified all the same.
        let needs = catalog.rules().needs(catalog.package(id), catalog.arch()).unwrap_or_default();
        let is_kernel = |need: &Constraint| catalog.rules().is_kernel(&need.name);
        open.extend(needs.into_iter().filter_map(|any_of| any_of.into_iter().next()).filter(is_kernel));
    }
    chosen.sort_by_key(|id| catalog.package(*id).name());
    Ok(chosen)
}

fn best(catalog: &Catalog, wanted: &Constraint, pins: &Pins) -> Result<PackageId, ResolveError> {
    let rules = catalog.rules();
    let pin = pins.get(&wanted.name);
    let fits = |version: &str| wanted.rule.as_ref().is_none_or(|rule| rules.fulfils(version, rule));
    let offers = catalog.named(&wanted.name).filter(|(_, package)| package.tag().is_none() && fits(package.version()));
    let order = |a: &str, b: &str| match (pin.is_some_and(|pin| pin == a), pin.is_some_and(|pin| pin == b)) {
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => rules.compare(a, b),
    };
    let best = offers.reduce(|a, b| if order(a.1.version(), b.1.version()).is_lt() { b } else { a });
    best.map(|(id, _)| id).ok_or_else(|| {
        let names = catalog.packages().map(|(_, package)| package.name());
        ResolveError::Unknown { name: wanted.name.clone(), nearest: nearest(&wanted.name, names), by_base: false }
    })
}
