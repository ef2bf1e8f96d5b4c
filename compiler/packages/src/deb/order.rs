//! In which order packages are set up: what a package needs comes before it, as far as that is possible.
//!
//! Input is each package's control file; output is an order of their positions, and what some of them need. Essential packages and what they
//! need come first, since other packages' scripts use them without saying so (Debian Policy 3.8).

use std::collections::{BTreeMap, BTreeSet};

use crate::deb::relation::{Dependency, RelationError, parse_relations};
use crate::deb::stanza::{Stanza, StanzaError, Stanzas};
use crate::deb::version::compare_versions;
use crate::rules::holds;

/// Why packages cannot be put in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A control file that is not UTF-8 or empty.
    #[error("read control file {0}")]
    NoControl(usize),
    /// A control file that is no control data.
    #[error("read control file {0}")]
    Syntax(usize, #[source] StanzaError),
    /// A relation that cannot be read.
    #[error("read the relations of {0}")]
    Relation(String, #[source] RelationError),
}

/// What each package of a set needs of the others. Holding one proves that every control file could be read.
#[derive(Debug, Clone)]
pub struct Needs {
    /// For each package the packages that its Pre-Depends name.
    pre: Vec<Vec<usize>>,
    /// For each package all that it needs, Pre-Depends first.
    all: Vec<Vec<usize>>,
    /// All packages, essential ones first, then by name.
    roots: Vec<usize>,
}

impl Needs {
    /// Reads the relations of a set of packages from their control files.
    ///
    /// # Errors
    /// When a control file or a relation in it cannot be read.
    pub fn read(controls: &[&[u8]]) -> Result<Self, OrderError> {
        let set = Set::read(controls)?;
        let pre = set.edges("Pre-Depends")?;
        let all = set.edges("Depends")?.into_iter().zip(&pre).map(|(d, p)| [p.as_slice(), &d].concat()).collect();
        Ok(Self { pre, all, roots: set.roots() })
    }

    /// Puts the packages in order: Pre-Depends always come before, unless they form a cycle; Depends come before unless
    /// they are part of a cycle, which is broken the same way every time. Equal sets give equal orders by name.
    pub fn install_order(&self) -> Vec<usize> {
        let Self { pre, all, roots } = self;
        let post = post_order(all, roots.iter().copied());
        let component = components(all, &post);
        let mut position = vec![0; post.len()];
        post.iter().enumerate().for_each(|(at, package)| position[*package] = at);
        let kept =
            |from: usize, to: &usize| from != *to && (component[from] != component[*to] || pre[from].contains(to));
        let kept: Vec<Vec<usize>> =
            all.iter().enumerate().map(|(from, to)| to.iter().copied().filter(|to| kept(from, to)).collect()).collect();
        settle(&kept, &position)
    }

    /// For each package whether it is one of `roots` or needed by one, directly or through others.
    pub fn closure(&self, roots: impl IntoIterator<Item = usize>) -> Vec<bool> {
        let mut reached = vec![false; self.all.len()];
        for at in post_order(&self.all, roots) {
            reached[at] = true;
        }
        reached
    }
}

/// The packages of a set by name and by provided name.
struct Set<'a> {
    stanzas: Vec<Stanza<'a>>,
    by_name: BTreeMap<&'a str, usize>,
    providers: BTreeMap<&'a str, Vec<(usize, Option<&'a str>)>>,
}

impl<'a> Set<'a> {
    fn read(controls: &[&'a [u8]]) -> Result<Self, OrderError> {
        let mut set = Self { stanzas: Vec::new(), by_name: BTreeMap::new(), providers: BTreeMap::new() };
        for (at, control) in controls.iter().enumerate() {
            let text = std::str::from_utf8(control).map_err(|_| OrderError::NoControl(at))?;
            let stanza = Stanzas::new(text).next().ok_or(OrderError::NoControl(at))?;
            let stanza = stanza.map_err(|error| OrderError::Syntax(at, error))?;
            set.by_name.insert(stanza.get("Package").unwrap_or_default(), at);
            for one in relations(stanza, "Provides")?.into_iter().flatten() {
                set.providers.entry(one.name).or_default().push((at, one.rule.map(|(_, version)| version)));
            }
            set.stanzas.push(stanza);
        }
        Ok(set)
    }

    /// For each package the packages that this field makes it wait for, in the field's order.
    fn edges(&self, field: &str) -> Result<Vec<Vec<usize>>, OrderError> {
        let edges = |(at, stanza): (usize, &Stanza<'a>)| {
            let clauses = relations(*stanza, field)?;
            let waits =
                clauses.iter().flat_map(|clause| clause.iter().map(|one| self.fulfilling(one)).find(|f| !f.is_empty()));
            Ok(waits.flatten().filter(|to| *to != at).collect())
        };
        self.stanzas.iter().enumerate().map(edges).collect()
    }

    fn fulfilling(&self, one: &Dependency<'_>) -> Vec<usize> {
        let fits = |version: Option<&str>| match (one.rule, version) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some((relation, wanted)), Some(version)) => holds(compare_versions(version, wanted), relation),
        };
        let own = self.by_name.get(one.name).filter(|at| fits(self.stanzas[**at].get("Version")));
        match own {
            Some(own) => vec![*own],
            None => {
                let providers = self.providers.get(one.name).map(Vec::as_slice).unwrap_or_default();
                providers.iter().filter(|(_, version)| fits(*version)).map(|(at, _)| *at).collect()
            }
        }
    }

    fn roots(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.stanzas.len()).collect();
        all.sort_by_key(|at| {
            let stanza = self.stanzas[*at];
            (stanza.get("Essential") != Some("yes"), stanza.get("Package"), stanza.get("Architecture"))
        });
        all
    }
}

fn relations<'a>(stanza: Stanza<'a>, field: &str) -> Result<Vec<Vec<Dependency<'a>>>, OrderError> {
    let name = || stanza.get("Package").unwrap_or_default().to_owned();
    parse_relations(stanza.get(field).unwrap_or_default()).map_err(|error| OrderError::Relation(name(), error))
}

/// Depth first from the roots in turn; a node comes after the nodes that it leads to. Without recursion, since a
/// hostile set can be one long chain.
fn post_order(edges: &[Vec<usize>], roots: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut seen = vec![false; edges.len()];
    let mut out = Vec::with_capacity(edges.len());
    for root in roots {
        let mut path = if std::mem::replace(&mut seen[root], true) { vec![] } else { vec![(root, 0)] };
        while let Some((node, next)) = path.last_mut() {
            let (at, target) = (*node, edges[*node].get(*next).copied());
            *next += 1;
            match target {
                Some(target) if !std::mem::replace(&mut seen[target], true) => path.push((target, 0)),
                Some(_) => {}
                None => {
                    out.push(at);
                    path.pop();
                }
            }
        }
    }
    out
}

/// The number of each node's cycle: nodes that lead to each other share one (Kosaraju's method).
fn components(edges: &[Vec<usize>], post: &[usize]) -> Vec<usize> {
    let mut back = vec![Vec::new(); edges.len()];
    edges.iter().enumerate().for_each(|(from, targets)| targets.iter().for_each(|to| back[*to].push(from)));
    let mut component = vec![usize::MAX; edges.len()];
    for root in post.iter().rev() {
        let mut todo = vec![*root];
        while let Some(node) = todo.pop() {
            if component[node] == usize::MAX {
                component[node] = *root;
                todo.extend(&back[node]);
            }
        }
    }
    component
}

/// Takes the first node by position that waits for nothing; where all wait, the first of all.
fn settle(waits: &[Vec<usize>], position: &[usize]) -> Vec<usize> {
    let mut waiting: Vec<BTreeSet<usize>> = waits.iter().map(|targets| targets.iter().copied().collect()).collect();
    let mut waited_for = vec![Vec::new(); waits.len()];
    waiting.iter().enumerate().for_each(|(from, targets)| targets.iter().for_each(|to| waited_for[*to].push(from)));
    let mut left: BTreeSet<(usize, usize)> = position.iter().enumerate().map(|(node, at)| (*at, node)).collect();
    let mut ready: BTreeSet<(usize, usize)> =
        left.iter().copied().filter(|(_, node)| waiting[*node].is_empty()).collect();
    let mut out = Vec::with_capacity(waits.len());
    while let Some(next) = ready.pop_first().or_else(|| left.first().copied()) {
        left.remove(&next);
        out.push(next.1);
        for from in std::mem::take(&mut waited_for[next.1]) {
            waiting[from].remove(&next.1);
            let entry = (position[from], from);
            if waiting[from].is_empty() && left.contains(&entry) {
                ready.insert(entry);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines like `name; Depends: x` in, names in order out.
    #[track_caller]
    fn check(lines: &str, expected: &str) {
        let texts: Vec<String> =
            lines.lines().map(|line| format!("Package: {}\nVersion: 1\n", line.trim().replace("; ", "\n"))).collect();
        let controls: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        let order = Needs::read(&controls).unwrap().install_order();
        let name = |at: usize| lines.lines().nth(at).unwrap().trim().split(';').next().unwrap();
        assert_eq!(order.into_iter().map(name).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn orders() {
        check("b\na", "a b");
        check("a; Depends: b\nb; Depends: c | a\nc", "c b a");
        check("a; Depends: v\nb; Provides: v\nz; Essential: yes; Depends: y\ny", "y z b a");
        check("a; Depends: v (>= 2)\nb; Provides: v (= 1)\nc; Provides: v (= 2)", "c a b");
        check("a; Depends: a, none", "a");
        check("a; Depends: b\nb; Depends: a\nc; Depends: a", "b a c");
        check("a; Depends: b\nb; Depends: a\nc; Depends: b", "b a c");
        check("a; Depends: b\nb; Pre-Depends: a", "a b");
        check("a; Pre-Depends: b\nb; Pre-Depends: a", "b a");
        check("a; Depends: b\nb; Depends: c\nc; Pre-Depends: a\nd; Depends: c", "b a c d");
    }

    #[test]
    fn unreadable_control_files_are_named() {
        assert!(matches!(Needs::read(&[b"Package: a\n", b""]), Err(OrderError::NoControl(1))));
        assert!(
            matches!(Needs::read(&[b"Package: a\nDepends: (x\n"]), Err(OrderError::Relation(name, _)) if name == "a")
        );
    }

    #[test]
    fn what_is_needed_is_in_the_closure() {
        let controls: [&[u8]; 5] = [
            b"Package: a\nDepends: b, v",
            b"Package: b\nPre-Depends: a",
            b"Package: c\nProvides: v",
            b"Package: d\nDepends: a",
            b"Package: e",
        ];
        let needs = Needs::read(&controls).unwrap();
        assert_eq!(needs.closure([0]), [true, true, true, false, false]);
        assert_eq!(needs.closure([3, 4]), [true; 5]);
        assert_eq!(needs.closure([]), [false; 5]);
    }

    #[test]
    fn a_long_chain_does_not_exhaust_the_stack() {
        let texts: Vec<String> = (0..50_000).map(|n| format!("Package: p{n}\nDepends: p{}\n", n + 1)).collect();
        let controls: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        assert_eq!(Needs::read(&controls).unwrap().install_order().first(), Some(&49_999));
    }
}
