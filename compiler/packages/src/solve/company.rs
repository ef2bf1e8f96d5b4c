//! Packages that come by themselves once others are there (`install_if`): chosen packages in, chosen packages out.

use std::collections::BTreeSet;

use crate::rules::Constraint;
use crate::solve::offers::Offers;
use crate::solve::problem::{self, Asker, Wanted};
use crate::{PackageId, Requests};

/// Adds the packages that come with the chosen ones, and what these need, until nothing comes any more. A package that
/// cannot be there with the others stays away, since nobody asked for it.
pub(crate) fn complete(
    requests: &Requests,
    offers: &mut Offers<'_>,
    mut wanted: Vec<Wanted>,
    mut chosen: Vec<PackageId>,
) -> Vec<PackageId> {
    let companions = companions(offers);
    let mut tried = BTreeSet::new();
    while let Some(name) =
        companions.iter().find_map(|one| arrival(offers, one, &chosen).filter(|n| !tried.contains(n)))
    {
        tried.insert(name.clone());
        let constraint = Constraint { name, rule: None };
        offers.name(vec![constraint.clone()]);
        let more = [wanted.as_slice(), &[Wanted { constraint, by: Asker::Family }]].concat();
        if let Ok(found) = problem::solve(requests, offers, &more) {
            (wanted, chosen) = (more, found);
        }
    }
    chosen
}

/// The packages that may come by themselves, by name, with what must be there.
fn companions(offers: &Offers<'_>) -> Vec<(PackageId, Vec<Constraint>)> {
    let rules = offers.rules();
    let all = offers.catalog.packages();
    // A package whose condition cannot be read never comes by itself.
    let one = |(id, package)| (id, rules.comes_with(package).unwrap_or_default());
    all.map(one).filter(|(_, needs)| !needs.is_empty()).collect()
}

/// The name of the package when it comes now.
fn arrival(offers: &Offers<'_>, (id, needs): &(PackageId, Vec<Constraint>), chosen: &[PackageId]) -> Option<String> {
    let name = offers.catalog.package(*id).name();
    let is_there = |need: &Constraint| offers.fulfilling(need).iter().any(|id| chosen.contains(id));
    let own = chosen.iter().any(|id| offers.catalog.package(*id).name() == name);
    (!own && offers.versions(name).contains(id) && needs.iter().all(is_there)).then(|| name.to_owned())
}
