//! A conflict that the solver found, as sentences from the wish to what stands against it.

use std::collections::{BTreeMap, BTreeSet};

use resolvo::conflict::{ConflictCause, ConflictEdge, ConflictGraph, ConflictNode};
use resolvo::{Requirement, SolvableId, Solver};

use crate::PackageId;
use crate::installed::INSTALLED;
use crate::solve::error::ResolveError;
use crate::solve::offers::Offers;
use crate::solve::problem::{Asker, Provider, Wanted};

/// The most sentences that help; longer explanations are cut.
const MAX_REASONS: usize = 10;

/// After so many sentences the search for more ends; it also bounds how deep a chain of needs is followed.
const MAX_TOLD: usize = 300;

/// How the sentence starts that is a conclusion from others, and so is told last.
const ONE_VERSION: &str = "only one version of ";

/// What indexes offer of a package, in words: `bookworm has 18.20.4`.
pub(crate) fn offered(offers: &Offers<'_>, name: &str) -> String {
    let mut by_suite: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for id in offers.versions(name) {
        let package = offers.catalog.package(id);
        let origin = package.origin();
        let suite = if origin.archive == INSTALLED { "the image" } else { origin.suite.as_str() };
        by_suite.entry(suite).or_default().push(package.version());
    }
    let parts: Vec<String> = by_suite.iter().map(|(suite, v)| format!("{suite} has {}", v.join(" and "))).collect();
    if !parts.is_empty() {
        return parts.join(", ");
    }
    if offers.knows(name) { format!("{name} is only provided by other packages") } else { "no index has it".to_owned() }
}

/// Turns the graph of a conflict into sentences.
pub(crate) fn explain(graph: &ConflictGraph, solver: &Solver<Provider<'_>>, wanted: &[Wanted]) -> ResolveError {
    let links = Links::of(graph);
    let mut story = Story {
        provider: solver.provider(),
        links,
        wanted,
        packages: BTreeSet::new(),
        excluded: BTreeSet::new(),
        reasons: Vec::new(),
        told: BTreeSet::new(),
    };
    story.tell_root();
    story.reasons.sort_by_key(|reason| reason.starts_with(ONE_VERSION));
    shorten(&mut story.reasons);
    ResolveError::Conflict {
        packages: story.packages.into_iter().collect(),
        excluded: story.excluded.into_iter().collect(),
        reasons: story.reasons,
    }
}

/// That a package is there already, with its version.
fn the_image_has(wish: &Wanted) -> String {
    let version = wish.constraint.rule.as_ref().map_or("", |rule| rule.version.as_str());
    format!("the image has {} {version}", wish.constraint.name)
}

/// Leaves out the middle of a long story: its start says what was wanted, its end what stands against it.
fn shorten(reasons: &mut Vec<String>) {
    if reasons.len() > MAX_REASONS {
        let end = reasons.len() - MAX_REASONS * 2 / 3;
        reasons.splice(MAX_REASONS / 3..end, ["…".to_owned()]);
    }
}

/// The graph by node number: what each node requires and what it stands against.
struct Links {
    root: usize,
    nodes: Vec<ConflictNode>,
    /// Node → requirement in words → target nodes, in the graph's order.
    requires: BTreeMap<usize, Vec<(Requirement, Vec<usize>)>>,
    conflicts: BTreeMap<usize, Vec<(ConflictCause, usize)>>,
}

impl Links {
    fn of(graph: &ConflictGraph) -> Self {
        let inner = &graph.graph;
        let nodes = inner.node_indices().map(|node| inner[node]).collect();
        let mut links =
            Self { root: graph.root_node.index(), nodes, requires: BTreeMap::new(), conflicts: BTreeMap::new() };
        for edge in inner.edge_indices() {
            let Some((from, to)) = inner.edge_endpoints(edge) else { continue };
            let (from, to) = (from.index(), to.index());
            match inner[edge] {
                ConflictEdge::Requires(requirement) => {
                    let list = links.requires.entry(from).or_default();
                    match list.iter_mut().find(|(known, _)| *known == requirement) {
                        Some((_, targets)) => targets.push(to),
                        None => list.push((requirement, vec![to])),
                    }
                }
                ConflictEdge::Conflict(cause) => links.conflicts.entry(from).or_default().push((cause, to)),
            }
        }
        links
    }
}

struct Story<'a, 'p> {
    provider: &'a Provider<'p>,
    links: Links,
    wanted: &'a [Wanted],
    packages: BTreeSet<String>,
    excluded: BTreeSet<String>,
    reasons: Vec<String>,
    told: BTreeSet<usize>,
}

impl Story<'_, '_> {
    fn tell_root(&mut self) {
        let mut roots = self.links.requires.remove(&self.links.root).unwrap_or_default();
        roots.sort_by_key(|(requirement, _)| self.words(*requirement));
        for (requirement, targets) in roots {
            let words = self.words(requirement);
            let wishes = || self.wanted.iter().filter(|wish| wish.constraint.to_string() == words);
            let of_image = wishes().find(|wish| wish.by == Asker::Image);
            match wishes().find(|wish| wish.by == Asker::Spec) {
                Some(wish) => _ = self.packages.insert(wish.constraint.name.clone()),
                None if of_image.is_some() => self.say(of_image.map(the_image_has).unwrap_or_default()),
                None => self.say(format!("every root of this base needs {words}")),
            }
            targets.into_iter().for_each(|target| self.tell(target));
        }
    }

    /// Tells what stands against a package, once, then what stands against what it needs.
    fn tell(&mut self, node: usize) {
        if self.reasons.len() >= MAX_TOLD || !self.told.insert(node) {
            return;
        }
        let Some(ConflictNode::Solvable(solvable)) = self.links.nodes.get(node).copied() else { return };
        let requires = self.links.requires.remove(&node).unwrap_or_default();
        let conflicts = self.links.conflicts.remove(&node).unwrap_or_default();
        for (cause, target) in conflicts {
            if let Some(sentence) = self.against(solvable, cause, target) {
                self.say(sentence);
            }
        }
        for (requirement, targets) in requires {
            self.say(self.need(solvable, requirement, &targets));
            targets.into_iter().for_each(|target| self.tell(target));
        }
    }

    fn say(&mut self, sentence: String) {
        if !self.reasons.contains(&sentence) {
            self.reasons.push(sentence);
        }
    }

    fn need(&self, solvable: SolvableId, requirement: Requirement, targets: &[usize]) -> String {
        let words = self.words(requirement);
        let missing =
            targets.iter().any(|t| matches!(self.links.nodes.get(*t), Some(ConflictNode::UnresolvedDependency)));
        let name = self.name(solvable);
        if !missing {
            return format!("{name} needs {words}");
        }
        let wanted_name = words.split(' ').next().unwrap_or_default();
        format!("{name} needs {words}; {}", offered(self.provider.offers, wanted_name))
    }

    fn against(&mut self, solvable: SolvableId, cause: ConflictCause, target: usize) -> Option<String> {
        let name = self.name(solvable);
        match (cause, self.links.nodes.get(target).copied()) {
            (ConflictCause::Excluded, Some(ConflictNode::Excluded(reason))) => {
                let excluded = self.provider.requests.excluded.contains(&self.package(solvable).0);
                let reason = self.provider.pool.resolve_string(reason);
                Some(if excluded {
                    let (name, _) = self.package(solvable);
                    let sentence = format!("you excluded {name}");
                    self.excluded.insert(name);
                    sentence
                } else {
                    format!("{name} cannot be used: {reason}")
                })
            }
            (ConflictCause::Constrains(set), Some(ConflictNode::Solvable(other))) => {
                let words = &self.provider.pool.resolve_version_set(set).words;
                Some(format!("{name} cannot be together with {} (it conflicts with {words})", self.name(other)))
            }
            (ConflictCause::ForbidMultipleInstances, _) => {
                Some(format!("{ONE_VERSION}{} can be installed", self.package(solvable).0))
            }
            _ => None,
        }
    }

    /// The name, with the version where there is more than one.
    fn name(&self, solvable: SolvableId) -> String {
        let (name, version) = self.package(solvable);
        if self.provider.offers.versions(&name).len() > 1 { format!("{name} {version}") } else { name }
    }

    fn package(&self, solvable: SolvableId) -> (String, String) {
        let id: PackageId = self.provider.package_of(solvable);
        let package = self.provider.offers.catalog.package(id);
        (package.name().to_owned(), package.version().to_owned())
    }

    fn words(&self, requirement: Requirement) -> String {
        let set = match requirement {
            Requirement::Single(set) => Some(set),
            Requirement::Union(union) => self.provider.pool.resolve_version_set_union(union).next(),
        };
        set.map(|set| self.provider.pool.resolve_version_set(set).words.clone()).unwrap_or_default()
    }
}
