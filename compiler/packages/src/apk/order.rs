//! In which order packages are set up: what a package needs comes before it, unless they need each other.
//!
//! Input is each package's `.PKGINFO`; output is an order of their positions, which depends on names alone.

use std::collections::BTreeMap;

use crate::apk::dependency::{Dependency, DependencyError, parse_dependency};
use crate::apk::package_info::{PackageInfo, PackageInfoError};

/// Why packages cannot be put in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Package information that cannot be read.
    #[error("order the packages: package {0} cannot be read")]
    Info(usize, #[source] PackageInfoError),
    /// A dependency that cannot be read.
    #[error("order the packages: {0} cannot be read")]
    Dependency(String, #[source] DependencyError),
}

/// Puts packages in order: depth first from each package in the order of names, dependencies in the order written.
/// Of packages that need each other, the one that is reached first comes last.
///
/// # Errors
/// When package information or a dependency in it cannot be read.
pub fn install_order(infos: &[&[u8]]) -> Result<Vec<usize>, OrderError> {
    let parsed =
        infos.iter().enumerate().map(|(at, text)| PackageInfo::parse(text).map_err(|e| OrderError::Info(at, e)));
    let infos = parsed.collect::<Result<Vec<_>, _>>()?;
    let providers = providers(&infos);
    let edges = infos.iter().map(|info| edges(info, &providers)).collect::<Result<Vec<_>, _>>()?;
    let mut by_name: Vec<usize> = (0..infos.len()).collect();
    by_name.sort_by_key(|at| infos.get(*at).map(|info| (info.name, info.version)));
    Ok(post_order(&edges, &by_name))
}

/// Name → the packages that have or provide it, by their own names.
fn providers<'a>(infos: &[PackageInfo<'a>]) -> BTreeMap<&'a str, Vec<usize>> {
    let mut providers: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, info) in infos.iter().enumerate() {
        let provided = info.provides.iter().filter_map(|word| parse_dependency(word).ok()).map(|one| one.name);
        provided.chain([info.name]).for_each(|name| providers.entry(name).or_default().push(at));
    }
    for list in providers.values_mut() {
        list.sort_by_key(|at| infos.get(*at).map(|info| info.name));
    }
    providers
}

fn edges(info: &PackageInfo<'_>, providers: &BTreeMap<&str, Vec<usize>>) -> Result<Vec<usize>, OrderError> {
    let one = |word: &&str| match parse_dependency(word) {
        Ok(Dependency { is_conflict: false, name, .. }) => Ok(providers.get(name).cloned().unwrap_or_default()),
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(OrderError::Dependency(info.name.to_owned(), error)),
    };
    Ok(info.depends.iter().map(one).collect::<Result<Vec<_>, _>>()?.concat())
}

/// Without recursion, since a hostile set can be one long chain.
fn post_order(edges: &[Vec<usize>], roots: &[usize]) -> Vec<usize> {
    let mut seen = vec![false; edges.len()];
    let mut out = Vec::with_capacity(edges.len());
    for root in roots {
        let mut path = if std::mem::replace(&mut seen[*root], true) { vec![] } else { vec![(*root, 0)] };
        while let Some((node, next)) = path.last_mut() {
            let target = edges[*node].get(*next).copied();
            *next += 1;
            match target {
                None => out.extend(path.pop().map(|(node, _)| node)),
                Some(target) if !std::mem::replace(&mut seen[target], true) => path.push((target, 0)),
                Some(_) => {}
            }
        }
    }
    out
}
