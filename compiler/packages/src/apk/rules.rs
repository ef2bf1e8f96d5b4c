//! Alpine's answers to the solver: how its fields become constraints (apk-package(5)).

use std::cmp::Ordering;

use spec::appliance::{Arch, Init, Relation, VersionRule};

use crate::apk::dependency::{Dependency, parse_dependencies};
use crate::apk::installed::{DATABASES, read_installed};
use crate::apk::{PackageInfo, begins_like, compare_versions, read_index};
use crate::catalog::{Field, IndexReadError, Origin, Package, Record};
use crate::rules::{Constraint, Provided, Rules, holds};
use crate::{Installed, InstalledError, Unpacked};

/// Alpine's rules.
#[derive(Debug, Clone, Copy)]
pub struct ApkRules;

impl Rules for ApkRules {
    fn compare(&self, a: &str, b: &str) -> Ordering {
        compare_versions(a, b)
    }

    /// A version with `~` before it stands for all that begin like it.
    fn fulfils(&self, version: &str, rule: &VersionRule) -> bool {
        let order = match rule.version.strip_prefix('~') {
            Some(start) if begins_like(version, start) => Ordering::Equal,
            Some(start) => compare_versions(version, start),
            None => compare_versions(version, &rule.version),
        };
        holds(order, rule.relation)
    }

    fn needs(&self, package: Package<'_>, _: Arch) -> Result<Vec<Vec<Constraint>>, String> {
        let needs = read(package, Field::Depends)?.into_iter().filter(|one| !one.is_conflict);
        Ok(needs.map(|one| vec![one.constraint()]).collect())
    }

    /// A provided name that cannot be read counts for nothing, as does one with a rule that is not `=`.
    fn provides<'a>(&self, package: Package<'a>) -> Result<Vec<Provided<'a>>, String> {
        let words = package.field(Field::Provides).split_ascii_whitespace();
        let readable = words.filter_map(|word| crate::apk::parse_dependency(word).ok());
        let plain = readable.filter(|one| !one.is_conflict && one.rule.is_none_or(|r| r.relation == Relation::Equal));
        Ok(plain.map(|one| Provided { name: one.name, version: one.rule.map(|rule| rule.version) }).collect())
    }

    /// What it states, and every other package with its name or with a name that it provides at a version: such a name
    /// is there only once.
    fn conflicts(&self, package: Package<'_>, _: Arch) -> Result<Vec<Constraint>, String> {
        let stated = read(package, Field::Depends)?.into_iter().filter(|one| one.is_conflict);
        let mut conflicts: Vec<Constraint> = stated.map(|one| one.constraint()).collect();
        let provided = self.provides(package)?;
        let names = provided.iter().filter(|one| one.version.is_some()).map(|one| one.name);
        conflicts.extend(names.chain([package.name()]).map(|name| Constraint { name: name.to_owned(), rule: None }));
        Ok(conflicts)
    }

    /// The one that provides the name at the highest version, then the highest `provider_priority`.
    fn prefer(&self, a: (Package<'_>, Option<&str>), b: (Package<'_>, Option<&str>)) -> Ordering {
        let versions = match (a.1, b.1) {
            (Some(a), Some(b)) => compare_versions(b, a),
            (a, b) => b.is_some().cmp(&a.is_some()),
        };
        versions.then_with(|| priority(b.0).cmp(&priority(a.0)))
    }

    fn comes_with(&self, package: Package<'_>) -> Result<Vec<Constraint>, String> {
        let all = read(package, Field::InstallIf)?;
        match all.iter().any(|one| one.is_conflict) {
            true => Ok(Vec::new()),
            false => Ok(all.iter().map(Dependency::constraint).collect()),
        }
    }

    /// Names without a version may be provided by many, and then only a priority makes one of them the choice.
    fn needs_naming(&self, package: Package<'_>, provided: Option<&str>) -> bool {
        provided.is_none() && priority(package) == 0
    }

    fn picks_providers(&self) -> bool {
        true
    }

    fn split_request<'a>(&self, name: &'a str) -> (&'a str, Option<&'a str>) {
        name.split_once('@').map_or((name, None), |(name, tag)| (name, Some(tag)))
    }

    fn is_required(&self, _: Package<'_>) -> bool {
        false
    }

    fn stated(&self, unpacked: &Unpacked) -> (String, String) {
        let info = unpacked.control_files.get(".PKGINFO").map(Vec::as_slice).unwrap_or_default();
        PackageInfo::parse(info).map(|info| (info.name.to_owned(), info.version.to_owned())).unwrap_or_default()
    }

    fn efi_stub(&self) -> &'static str {
        "systemd-efistub"
    }

    fn is_kernel(&self, name: &str) -> bool {
        ["linux-virt", "linux-lts"].contains(&name)
    }

    fn init_packages(&self, init: Init) -> &'static [&'static str] {
        match init {
            Init::Builtin => &[],
            // There is none: the name is told to be unknown.
            Init::Systemd => &["systemd"],
            Init::Openrc => &["openrc", "busybox-openrc"],
        }
    }

    fn databases(&self) -> &'static [&'static str] {
        &DATABASES
    }

    fn read_installed(&self, path: &'static str, bytes: &[u8], arch: Arch) -> Result<Installed, InstalledError> {
        read_installed(path, bytes, arch)
    }

    fn read_index(&self, text: &[u8], arch: Arch, origin: &Origin) -> Result<(String, Vec<Record>), IndexReadError> {
        read_index(text, arch, origin)
    }
}

fn priority(package: Package<'_>) -> u16 {
    package.field(Field::ProviderPriority).parse().unwrap_or(0)
}

fn read(package: Package<'_>, field: Field) -> Result<Vec<Dependency<'_>>, String> {
    parse_dependencies(package.field(field)).map_err(|error| error.to_string())
}
