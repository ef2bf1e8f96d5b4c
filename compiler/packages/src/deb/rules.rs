//! Debian's answers to the solver: how its fields become constraints (Debian Policy 7).

use std::cmp::Ordering;

use crate::catalog::{Field, IndexReadError, Origin, Package, Record};
use crate::deb::installed::{STATUS, read_installed};
use crate::deb::relation::{Dependency, RelationError, parse_relations};
use crate::deb::{Stanzas, compare_versions, read_packages};
use crate::rules::{Constraint, Provided, Rules};
use crate::{Installed, InstalledError, Unpacked};
use spec::appliance::{Arch, Init, VersionRule};

/// Debian's rules.
#[derive(Debug, Clone, Copy)]
pub struct DebRules;

impl Rules for DebRules {
    fn compare(&self, a: &str, b: &str) -> Ordering {
        compare_versions(a, b)
    }

    fn needs(&self, package: Package<'_>, arch: Arch) -> Result<Vec<Vec<Constraint>>, String> {
        let mut needs = Vec::new();
        for field in [Field::PreDepends, Field::Depends] {
            for clause in read(package, field)? {
                needs.push(clause.iter().map(|one| constraint(one, arch)).collect());
            }
        }
        Ok(needs)
    }

    fn provides<'a>(&self, package: Package<'a>) -> Result<Vec<Provided<'a>>, String> {
        let one = |d: Dependency<'a>| Provided { name: d.name, version: d.rule.map(|(_, version)| version) };
        Ok(read(package, Field::Provides)?.into_iter().flatten().map(one).collect())
    }

    fn conflicts(&self, package: Package<'_>, arch: Arch) -> Result<Vec<Constraint>, String> {
        let mut conflicts = Vec::new();
        for field in [Field::Conflicts, Field::Breaks] {
            conflicts.extend(read(package, field)?.iter().flatten().map(|one| constraint(one, arch)));
        }
        Ok(conflicts)
    }

    fn read_index(&self, text: &[u8], arch: Arch, _: &Origin) -> Result<(String, Vec<Record>), IndexReadError> {
        read_packages(text, arch.name())
    }

    /// By priority (Debian Policy 2.5), as the archive's own preference.
    fn prefer(&self, a: (Package<'_>, Option<&str>), b: (Package<'_>, Option<&str>)) -> Ordering {
        rank(a.0).cmp(&rank(b.0))
    }

    fn stated(&self, unpacked: &Unpacked) -> (String, String) {
        let control = unpacked.control_files.get("control").map(Vec::as_slice).unwrap_or_default();
        let control = String::from_utf8_lossy(control);
        let stanza = Stanzas::new(&control).next().and_then(Result::ok);
        let field = |name| stanza.as_ref().and_then(|stanza| stanza.get(name)).unwrap_or_default().to_owned();
        (field("Package"), field("Version"))
    }

    fn efi_stub(&self) -> &'static str {
        "systemd-boot-efi"
    }

    fn is_kernel(&self, name: &str) -> bool {
        ["linux-image-", "linux-modules-"].iter().any(|start| name.starts_with(start))
    }

    fn init_packages(&self, init: Init) -> &'static [&'static str] {
        match init {
            Init::Builtin => &[],
            Init::Systemd => &["systemd-sysv"],
            Init::Openrc => &["openrc", "sysvinit-core"],
        }
    }

    fn databases(&self) -> &'static [&'static str] {
        &[STATUS]
    }

    fn read_installed(&self, _: &'static str, bytes: &[u8], arch: Arch) -> Result<Installed, InstalledError> {
        read_installed(&String::from_utf8_lossy(bytes), arch.name())
    }

    fn is_required(&self, package: Package<'_>) -> bool {
        package.field(Field::Priority) == "required"
    }
}

fn rank(package: Package<'_>) -> u8 {
    match package.field(Field::Priority) {
        "required" => 0,
        "important" => 1,
        "standard" => 2,
        "optional" => 3,
        _ => 4,
    }
}

fn read(package: Package<'_>, field: Field) -> Result<Vec<Vec<Dependency<'_>>>, String> {
    parse_relations(package.field(field)).map_err(|error: RelationError| error.to_string())
}

/// `:any`, `:native` and the own architecture mean the package itself here, where only native packages and those
/// for all architectures exist; any other qualifier makes a name that no package has.
fn constraint(dependency: &Dependency<'_>, arch: Arch) -> Constraint {
    let name = match dependency.arch {
        None | Some("any" | "native") => dependency.name.to_owned(),
        Some(own) if own == arch.name() => dependency.name.to_owned(),
        Some(foreign) => format!("{}:{foreign}", dependency.name),
    };
    let rule = dependency.rule.map(|(relation, version)| VersionRule { relation, version: version.to_owned() });
    Constraint { name, rule }
}
