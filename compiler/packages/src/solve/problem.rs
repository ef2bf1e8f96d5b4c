//! The catalogue and the requests in the solver's terms: names, candidates, requirements and constraints.
//!
//! A requirement becomes a union of one set of candidates per package name, so that virtual packages need no
//! packages of their own. A conflict becomes, for each name that it hits, the set of candidates that it leaves.

use std::fmt;

use resolvo::utils::{Pool, VersionSet};
use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Problem, Requirement, SolvableId, Solver,
    SolverCache, StringId, UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};

use spec::appliance::{Relation, VersionRule};

use crate::rules::Constraint;
use crate::solve::error::ResolveError;
use crate::solve::offers::Offers;
use crate::solve::{explain, suggest};
use crate::{InstalledPackage, PackageId, Requests};

/// A package that must be there, and who says so.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) constraint: Constraint,
    pub(crate) by: Asker,
}

/// Who wants a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asker {
    Spec,
    Base,
    Family,
    /// The image below, which has it.
    Image,
}

/// What may become of the packages of the image below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Each stays as it is.
    Still,
    /// Each stays, or a newer version takes its place.
    OrNewer,
}

impl Standing {
    /// The wish that stands for a package of the image.
    fn wish(self, package: &InstalledPackage) -> Wanted {
        let relation = if self == Self::Still { Relation::Equal } else { Relation::GreaterOrEqual };
        let rule = Some(VersionRule { relation, version: package.version.clone() });
        Wanted { constraint: Constraint { name: package.name.clone(), rule }, by: Asker::Image }
    }
}

/// A set of candidates of one name, with the words for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Choice {
    ids: Vec<PackageId>,
    pub(crate) words: String,
}

/// A candidate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate(pub(crate) PackageId);

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl VersionSet for Choice {
    type V = Candidate;
}

/// What the solver asks its questions to.
pub(crate) struct Provider<'a> {
    pub(crate) offers: &'a Offers<'a>,
    pub(crate) requests: &'a Requests,
    pub(crate) pool: Pool<Choice>,
    solvables: std::cell::RefCell<std::collections::BTreeMap<PackageId, SolvableId>>,
}

/// Everything that must be there, in the order in which it is decided.
///
/// # Errors
/// All names that are unknown, ambiguous, or not there in a fitting version.
pub(crate) fn wanted(
    requests: &Requests,
    offers: &Offers<'_>,
    standing: Standing,
) -> Result<Vec<Wanted>, Vec<ResolveError>> {
    let plain = |name: &str, by| Wanted { constraint: Constraint { name: name.to_owned(), rule: None }, by };
    let mut wanted: Vec<Wanted> = Vec::new();
    for (_, package) in offers.catalog.packages() {
        let required = requests.with_required && offers.rules().is_required(package);
        if (package.essential() || required) && wanted.last().is_none_or(|w| w.constraint.name != package.name()) {
            wanted.push(plain(package.name(), Asker::Family));
        }
    }
    wanted.extend(offers.rules().init_packages(requests.init).iter().map(|name| plain(name, Asker::Base)));
    wanted.extend(requests.base_packages.iter().map(|name| plain(name, Asker::Base)));
    wanted.extend(requests.packages.iter().map(|request| Wanted {
        constraint: Constraint {
            name: offers.rules().split_request(&request.name).0.to_owned(),
            rule: request.rule.clone(),
        },
        by: Asker::Spec,
    }));
    wanted.extend(requests.installed.iter().map(|package| standing.wish(package)));
    let errors: Vec<_> = wanted.iter().filter_map(|one| hopeless(one, offers)).collect();
    if errors.is_empty() { Ok(wanted) } else { Err(errors) }
}

/// That a package is asked for by a tag that no index has.
fn no_such_tag(name: &str, offers: &Offers<'_>) -> Option<ResolveError> {
    let (tag, tags) = (offers.tag_of(name)?, offers.catalog.tags());
    let owned = |tag: &str| tag.to_owned();
    let error = || ResolveError::NoTag {
        name: name.to_owned(),
        tag: tag.to_owned(),
        tags: tags.iter().copied().map(owned).collect(),
    };
    (!tags.contains(tag)).then(error)
}

/// Why a wish cannot be granted whatever else is wanted.
fn hopeless(wanted: &Wanted, offers: &Offers<'_>) -> Option<ResolveError> {
    let Constraint { name, rule } = &wanted.constraint;
    if let Some(error) = no_such_tag(name, offers) {
        return Some(error);
    }
    if !offers.knows(name) {
        // A package of this very name that is not visible is one of a repository that must be asked for by its tag.
        let nearest = suggest::nearest(name, offers.names().filter(|other| other != name));
        return Some(ResolveError::Unknown { name: name.clone(), nearest, by_base: wanted.by != Asker::Spec });
    }
    let fulfilling = offers.fulfilling(&wanted.constraint);
    if let (true, Some(rule)) = (fulfilling.is_empty(), rule) {
        let offered = explain::offered(offers, name);
        return Some(ResolveError::NoVersion { name: name.clone(), rule: rule.clone(), offered });
    }
    let names: std::collections::BTreeSet<&str> =
        fulfilling.iter().map(|id| offers.catalog.package(*id).name()).collect();
    let is_settled = names.contains(name.as_str())
        || offers.rules().picks_providers() && !offers.choices(&wanted.constraint).is_empty();
    let ambiguous = wanted.by == Asker::Spec && names.len() > 1 && !is_settled;
    ambiguous.then(|| ResolveError::Ambiguous {
        name: name.clone(),
        providers: names.into_iter().map(str::to_owned).collect(),
    })
}

/// Finds packages that fulfil every wish.
///
/// # Errors
/// Why there are none.
pub(crate) fn solve(
    requests: &Requests,
    offers: &Offers<'_>,
    wanted: &[Wanted],
) -> Result<Vec<PackageId>, ResolveError> {
    let provider = Provider { offers, requests, pool: Pool::new(), solvables: Default::default() };
    let requirements = wanted.iter().map(|one| provider.requirement(std::slice::from_ref(&one.constraint))).collect();
    let mut solver = Solver::new(provider);
    match solver.solve(Problem::new().requirements(requirements)) {
        Ok(solvables) => {
            let pool = &solver.provider().pool;
            let chosen = solvables.iter().map(|id| pool.resolve_solvable(*id).record.0).collect();
            Ok(reachable(offers, wanted, chosen))
        }
        Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
            Err(explain::explain(&conflict.graph(&solver), &solver, wanted))
        }
        Err(UnsolvableOrCancelled::Cancelled(_)) => {
            Err(ResolveError::Conflict { packages: Vec::new(), excluded: Vec::new(), reasons: Vec::new() })
        }
    }
}

/// The chosen packages that something needs: a search that turned back may leave others.
fn reachable(offers: &Offers<'_>, wanted: &[Wanted], chosen: Vec<PackageId>) -> Vec<PackageId> {
    let mut kept = std::collections::BTreeSet::new();
    let mut todo: Vec<Constraint> = wanted.iter().map(|one| one.constraint.clone()).collect();
    let chosen: std::collections::BTreeSet<PackageId> = chosen.into_iter().collect();
    while let Some(constraint) = todo.pop() {
        for id in offers.fulfilling(&constraint) {
            if chosen.contains(&id) && kept.insert(id) {
                let needs = offers.rules().needs(offers.catalog.package(id), offers.catalog.arch());
                todo.extend(needs.unwrap_or_default().into_iter().flatten());
            }
        }
    }
    kept.into_iter().collect()
}

impl Provider<'_> {
    /// A requirement that any of the alternatives fulfils, preferred first; pinned names come before all others, and one that
    /// fulfils it at its newest version before one that would have to be older for it.
    fn requirement(&self, alternatives: &[Constraint]) -> ConditionalRequirement {
        let words = alternatives.iter().map(Constraint::to_string).collect::<Vec<_>>().join(" or ");
        let mut groups: Vec<(&str, Vec<PackageId>)> = Vec::new();
        for id in alternatives.iter().flat_map(|one| self.offers.choices(one)) {
            let name = self.offers.catalog.package(id).name();
            match groups.iter_mut().find(|(group, _)| *group == name) {
                Some((_, ids)) if ids.contains(&id) => {}
                Some((_, ids)) => ids.push(id),
                None => groups.push((name, vec![id])),
            }
        }
        groups.sort_by_key(|(name, ids)| {
            let is_pinned = ids.first().is_some_and(|id| self.offers.is_pinned(*id));
            (!is_pinned, !self.is_at_its_newest(name, ids))
        });
        let set = |(name, ids): (&str, Vec<PackageId>)| self.set(name, ids, words.clone());
        let mut sets = groups.into_iter().map(set);
        let nobody = || self.set(alternatives.first().map_or("", |one| &one.name), Vec::new(), words.clone());
        let first = sets.next().unwrap_or_else(nobody);
        let mut rest = sets.peekable();
        match rest.peek() {
            None => Requirement::Single(first).into(),
            Some(_) => Requirement::Union(self.pool.intern_version_set_union(first, rest)).into(),
        }
    }

    /// Whether the newest version of a package is one of these. Where a family ranks providers itself, that decides alone.
    fn is_at_its_newest(&self, name: &str, ids: &[PackageId]) -> bool {
        let newest = || self.offers.versions(name).first().is_some_and(|newest| ids.contains(newest));
        self.offers.rules().picks_providers() || newest()
    }

    /// What a conflict of `package` leaves of each name that it hits. A package never conflicts with itself, not
    /// even by a name that it provides.
    fn constrains(&self, package: PackageId, conflict: &Constraint) -> Vec<VersionSetId> {
        let own_name = self.offers.catalog.package(package).name();
        let hit = self.offers.fulfilling(conflict);
        let names: std::collections::BTreeSet<&str> =
            hit.iter().map(|id| self.offers.catalog.package(*id).name()).filter(|name| *name != own_name).collect();
        let left = |name: &str| self.offers.versions(name).into_iter().filter(|id| !hit.contains(id)).collect();
        names.into_iter().map(|name| self.set(name, left(name), conflict.to_string())).collect()
    }

    fn set(&self, name: &str, mut ids: Vec<PackageId>, words: String) -> VersionSetId {
        ids.sort();
        self.pool.intern_version_set(self.pool.intern_package_name(name), Choice { ids, words })
    }

    fn solvable(&self, name: NameId, id: PackageId) -> SolvableId {
        *self.solvables.borrow_mut().entry(id).or_insert_with(|| self.pool.intern_solvable(name, Candidate(id)))
    }

    pub(crate) fn package_of(&self, solvable: SolvableId) -> PackageId {
        self.pool.resolve_solvable(solvable).record.0
    }

    fn dependencies(&self, id: PackageId) -> Result<KnownDependencies, String> {
        let (rules, arch) = (self.offers.rules(), self.offers.catalog.arch());
        let package = self.offers.catalog.package(id);
        let requirements = rules.needs(package, arch)?.iter().map(|clause| self.requirement(clause)).collect();
        let conflicts = rules.conflicts(package, arch)?;
        let constrains = conflicts.iter().flat_map(|conflict| self.constrains(id, conflict)).collect();
        Ok(KnownDependencies { requirements, constrains })
    }
}

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl fmt::Display + '_ {
        format!("{:?}", self.offers.catalog.package(self.package_of(solvable)))
    }

    fn display_name(&self, name: NameId) -> impl fmt::Display + '_ {
        self.pool.resolve_package_name(name).clone()
    }

    fn display_version_set(&self, set: VersionSetId) -> impl fmt::Display + '_ {
        self.pool.resolve_version_set(set).words.clone()
    }

    fn display_string(&self, string: StringId) -> impl fmt::Display + '_ {
        self.pool.resolve_string(string).to_owned()
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(set)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.pool.resolve_solvable(solvable).name
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(union)
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.pool.resolve_condition(condition).clone()
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(&self, all: &[SolvableId], set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        let ids = &self.pool.resolve_version_set(set).ids;
        let inside = |solvable: &SolvableId| ids.binary_search(&self.package_of(*solvable)).is_ok();
        all.iter().copied().filter(|solvable| inside(solvable) != inverse).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let text = self.pool.resolve_package_name(name);
        let versions = self.offers.versions(text);
        let candidates: Vec<SolvableId> = versions.iter().map(|id| self.solvable(name, *id)).collect();
        let reason = || self.pool.intern_string("excluded");
        let excluded = self.requests.excluded.contains(text);
        Some(Candidates {
            favored: self.offers.pinned(text).filter(|id| versions.contains(id)).map(|id| self.solvable(name, id)),
            excluded: candidates.iter().filter(|_| excluded).map(|id| (*id, reason())).collect(),
            candidates,
            locked: None,
            hint_dependencies_available: HintDependenciesAvailable::None,
            allow_multiple: false,
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        let catalog = self.offers.catalog;
        solvables.sort_by(|a, b| {
            let (a, b) = (self.package_of(*a), self.package_of(*b));
            let versions = self.offers.rules().compare(catalog.package(b).version(), catalog.package(a).version());
            versions.then(a.cmp(&b))
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        match self.dependencies(self.package_of(solvable)) {
            Ok(known) => Dependencies::Known(known),
            Err(reason) => Dependencies::Unknown(self.pool.intern_string(reason)),
        }
    }
}
