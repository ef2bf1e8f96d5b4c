//! What `apk` needs so that it works inside: what was asked for, where packages come from, and whose signatures count.

use std::collections::{BTreeMap, BTreeSet};

use packages::apk::arch_name;
use spec::appliance::{PackageRequest, Relation, Repository};
use spec::base::BaseImage;

use crate::error::AssembleError;
use crate::family::Order;
use crate::files::{Files, PathProblem};
use crate::inputs::Source;

/// Adds to the configuration of a root that has one: what is asked for now, and the repositories and keys of the spec.
/// What stands there stays: it is the image's own.
pub(crate) fn add(files: &mut Files<'_>, order: &Order<'_>) -> Result<(), AssembleError> {
    let problem = |source| AssembleError::Path { doing: "add to", path: "/etc/apk".to_owned(), source };
    let text = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let old = files.read_text("etc/apk/world").map_err(problem)?;
    files.write("etc/apk/world", 0o644, text(merged_world(&old, wanted(order)))).map_err(problem)?;
    let of_spec: Vec<String> = order.appliance.repositories.iter().flat_map(of_spec).collect();
    if !of_spec.is_empty() {
        let old = files.read_text("etc/apk/repositories").map_err(problem)?;
        let mut lines: Vec<String> = old.lines().map(str::to_owned).collect();
        lines.extend(of_spec.into_iter().filter(|line| !old.lines().any(|known| known == line)));
        files.write("etc/apk/repositories", 0o644, text(lines)).map_err(problem)?;
    }
    put_own_keys(files, order)
}

/// The old lines but those of names that new ones have, and the new ones; sorted.
fn merged_world(old: &str, new: Vec<String>) -> Vec<String> {
    let name = |line: &str| {
        let line = line.strip_prefix('!').unwrap_or(line);
        line.split(['@', '<', '>', '=', '~']).next().unwrap_or_default().to_owned()
    };
    let named: BTreeSet<String> = new.iter().map(|line| name(line)).collect();
    let kept = old.split_ascii_whitespace().filter(|line| !named.contains(&name(line))).map(str::to_owned);
    let all: BTreeSet<String> = kept.chain(new).collect();
    all.into_iter().collect()
}

/// Writes `world`, `arch`, `repositories` and the keys below `etc/apk`.
pub(crate) fn write(files: &mut Files<'_>, order: &Order<'_>) -> Result<(), AssembleError> {
    let problem = |source| AssembleError::Path { doing: "write", path: "/etc/apk".to_owned(), source };
    let lines = |lines: Vec<String>| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    files.write("etc/apk/world", 0o644, lines(world(order))).map_err(problem)?;
    files.write("etc/apk/arch", 0o644, format!("{}\n", arch_name(order.arch))).map_err(problem)?;
    let repositories = [of_base(order.base), order.appliance.repositories.iter().flat_map(of_spec).collect()].concat();
    files.write("etc/apk/repositories", 0o644, lines(repositories)).map_err(problem)?;
    for (name, bytes) in order.base.archives.iter().flat_map(|archive| &archive.keys) {
        // The distribution's own package of keys knows which of them count for an architecture.
        if !files.exists(format!("usr/share/apk/keys/{name}")) {
            put_key(files, name, bytes.clone()).map_err(problem)?;
        }
    }
    put_own_keys(files, order)
}

fn put_own_keys(files: &mut Files<'_>, order: &Order<'_>) -> Result<(), AssembleError> {
    let own = order.appliance.repositories.iter();
    own.filter(|one| !one.key.is_empty()).try_for_each(|one| put_own_key(files, &one.key, order.sources))
}

fn put_own_key(files: &mut Files<'_>, key: &str, sources: &BTreeMap<String, Source>) -> Result<(), AssembleError> {
    let path = format!("etc/apk/keys/{}", key.rsplit('/').next().unwrap_or(key));
    let missing = || AssembleError::NoSource { path: path.clone(), from: key.to_owned() };
    let Some(Source::File(node)) = sources.get(key) else { return Err(missing()) };
    let node = files.stamped(tree::Node { kind: node.kind.clone(), meta: tree::Meta::root(0o644) });
    let put = files.put(&path, node).map(drop);
    put.map_err(|source| AssembleError::Path { doing: "write", path, source })
}

fn put_key(files: &mut Files<'_>, name: &str, bytes: Vec<u8>) -> Result<(), PathProblem> {
    files.write(format!("etc/apk/keys/{name}"), 0o644, bytes)
}

/// What was asked for, sorted: what the base asks for, the spec and its init, and what must stay out (apk-world(5)).
fn world(order: &Order<'_>) -> Vec<String> {
    let named: BTreeSet<&str> = order.appliance.packages.iter().map(|one| one.name.as_str()).collect();
    let base = order.base.packages.iter().filter(|name| !named.contains(name.as_str())).cloned();
    let all: BTreeSet<String> = wanted(order).into_iter().chain(base).collect();
    all.into_iter().collect()
}

/// What the spec asks for and its init, and what must stay out.
fn wanted(order: &Order<'_>) -> Vec<String> {
    let rules = packages::rules_of(order.base.family);
    let init = rules.map(|rules| rules.init_packages(order.appliance.init)).unwrap_or_default();
    let named: BTreeSet<&str> = order.appliance.packages.iter().map(|one| one.name.as_str()).collect();
    let of_init = init.iter().filter(|name| !named.contains(*name)).map(|name| (*name).to_owned());
    let out = order.appliance.excluded.iter().map(|name| format!("!{name}"));
    order.appliance.packages.iter().map(request).chain(of_init).chain(out).collect()
}

/// A request as `apk` writes it.
fn request(request: &PackageRequest) -> String {
    let Some(rule) = &request.rule else { return request.name.clone() };
    let sign = match (rule.relation, rule.version.starts_with('~')) {
        (Relation::Equal, true) => "",
        (Relation::Equal, false) => "=",
        (Relation::Less, _) => "<",
        (Relation::LessOrEqual, true) => "<",
        (Relation::LessOrEqual, false) => "<=",
        (Relation::GreaterOrEqual, true) => ">",
        (Relation::GreaterOrEqual, false) => ">=",
        (Relation::Greater, _) => ">",
    };
    format!("{}{sign}{}", request.name, rule.version)
}

/// The repositories of the base by its own mirrors, never by one that the build was told of; none where there is none that
/// can be reached from inside.
fn of_base(base: &BaseImage) -> Vec<String> {
    let of_archive = |archive: &spec::base::Archive| {
        let of_suites =
            |root| archive.suites.iter().flat_map(move |suite| lines("", root, &suite.path, &suite.components));
        archive.mirrors_inside().next().into_iter().flat_map(of_suites).collect::<Vec<_>>()
    };
    base.archives.iter().flat_map(of_archive).collect()
}

fn of_spec(repository: &Repository) -> Vec<String> {
    let tag = repository.tag.as_ref().map(|tag| format!("@{tag} ")).unwrap_or_default();
    lines(&tag, &repository.url, &repository.suite, &repository.components)
}

fn lines(tag: &str, root: &str, suite: &str, components: &[String]) -> Vec<String> {
    let whole = [String::new()];
    let parts = if components.is_empty() { &whole[..] } else { components };
    let line = |component: &String| {
        let path = [root.trim_end_matches('/'), suite, component].into_iter().filter(|part| !part.is_empty());
        format!("{tag}{}", path.collect::<Vec<_>>().join("/"))
    };
    parts.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_keeps_what_nobody_asks_for_anew() {
        let merged = |old: &str, new: &[&str]| merged_world(old, new.iter().map(|one| (*one).to_owned()).collect());
        assert_eq!(
            merged("b>1\na\n.deps=1\ntoy><Q1abc=\n!x\n", &["c@edge", "b~2", "x"]),
            [".deps=1", "a", "b~2", "c@edge", "toy><Q1abc=", "x"]
        );
        assert_eq!(merged("", &["a"]), ["a"]);
    }
}
