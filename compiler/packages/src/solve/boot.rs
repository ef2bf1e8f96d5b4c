//! The packages of a kernel: what a machine boots from, which is no part of any root.
//!
//! A kernel's package needs tools that make an initial file system and install a boot loader. None of them is wanted:
//! only what brings the image and its modules is followed, by the names that the family has for it.

use std::cmp::Ordering;

use super::suggest::nearest;
use super::{Pins, ResolveError};
use crate::{Catalog, Constraint, PackageId, Requests};

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
