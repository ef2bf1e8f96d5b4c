//! What the solver asks of a package family: its version order and its relations, in neutral words.

use std::cmp::Ordering;
use std::fmt;

use spec::appliance::{Arch, Init, Relation, VersionRule};
use spec::base::Family;

use crate::catalog::{IndexReadError, Origin, Package, Record};
use crate::{Installed, InstalledError, Unpacked, apk, deb};

/// The rules of a family; none where it is not supported yet. This is where this crate asks which family it is.
pub fn rules_of(family: Family) -> Option<&'static dyn Rules> {
    match family {
        Family::Deb => Some(&deb::DebRules),
        Family::Apk => Some(&apk::ApkRules),
        Family::Rpm => None,
    }
}

/// A package family's own rules, in the form that the catalogue and the solver need them.
pub trait Rules: fmt::Debug + Sync {
    /// The order of two versions in the family's own syntax.
    fn compare(&self, a: &str, b: &str) -> Ordering;

    /// What must be installed with this package: every entry is a list of alternatives, first preferred.
    ///
    /// # Errors
    /// In words, when the package states it in a way that cannot be read; such a package cannot be installed.
    fn needs(&self, package: Package<'_>, arch: Arch) -> Result<Vec<Vec<Constraint>>, String>;

    /// The names that this package stands for besides its own.
    ///
    /// # Errors
    /// As [`Rules::needs`].
    fn provides<'a>(&self, package: Package<'a>) -> Result<Vec<Provided<'a>>, String>;

    /// What must not be installed with this package.
    ///
    /// # Errors
    /// As [`Rules::needs`].
    fn conflicts(&self, package: Package<'_>, arch: Arch) -> Result<Vec<Constraint>, String>;

    /// Which of two packages that provide a name, at these versions, is preferred: that one is less.
    fn prefer(&self, a: (Package<'_>, Option<&str>), b: (Package<'_>, Option<&str>)) -> Ordering;

    /// Whether a version fulfils a rule. The family may know more than the order, such as versions that begin alike.
    fn fulfils(&self, version: &str, rule: &VersionRule) -> bool {
        holds(self.compare(version, &rule.version), rule.relation)
    }

    /// What must all be there for this package to come by itself; empty when it never does.
    ///
    /// # Errors
    /// As [`Rules::needs`].
    fn comes_with(&self, _: Package<'_>) -> Result<Vec<Constraint>, String> {
        Ok(Vec::new())
    }

    /// Whether this package, for a name that it provides so, is taken only where something asks for it by its own name.
    fn needs_naming(&self, _: Package<'_>, _provided: Option<&str>) -> bool {
        false
    }

    /// Whether the family settles by itself which of several providers a wish gets, by [`Rules::prefer`] and
    /// [`Rules::needs_naming`]. Where it does not, the writer of the spec is asked.
    fn picks_providers(&self) -> bool {
        false
    }

    /// The package that a request names, and the tag of the index that it must come from.
    fn split_request<'a>(&self, name: &'a str) -> (&'a str, Option<&'a str>) {
        (name, None)
    }

    /// Whether a base that wants the family's required packages gets this one.
    fn is_required(&self, package: Package<'_>) -> bool;

    /// Whether a constraint without a version on `name` is fulfilled by a provider, and with one by a versioned
    /// provider only. Debian does both; the parameter is the provider's version, if it states one.
    fn provider_fulfils(&self, constraint: &Constraint, provided: Option<&str>) -> bool {
        match (&constraint.rule, provided) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(rule), Some(version)) => self.fulfils(version, rule),
        }
    }

    /// The name and the version that a package states of itself; empty where it states none.
    fn stated(&self, unpacked: &Unpacked) -> (String, String);

    /// Whether a package of this name brings a kernel's image or its modules, rather than the tools that install them.
    fn is_kernel(&self, name: &str) -> bool;

    /// The package of systemd's EFI stub, which firmware starts, by its name in distributions of this family.
    fn efi_stub(&self) -> &'static str;

    /// The packages that an init of the base's own needs.
    fn init_packages(&self, init: Init) -> &'static [&'static str];

    /// Reads one index into records over its own copy of the text that matters. Paths are below the root of the archive
    /// that `origin` names.
    ///
    /// # Errors
    /// When the text is no index of this family.
    fn read_index(&self, text: &[u8], arch: Arch, origin: &Origin) -> Result<(String, Vec<Record>), IndexReadError>;

    /// Where the family's package manager keeps its database of what is installed, in the order in which to look.
    fn databases(&self) -> &'static [&'static str];

    /// Reads such a database, found at one of [`Rules::databases`]: its packages of `arch` and of all architectures.
    ///
    /// # Errors
    /// When it is none, is of a kind that is not read, or a package is half installed.
    fn read_installed(&self, path: &'static str, bytes: &[u8], arch: Arch) -> Result<Installed, InstalledError>;
}

/// A package name with an optional version rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constraint {
    /// Package name, real or virtual.
    pub name: String,
    /// Version rule.
    pub rule: Option<VersionRule>,
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.rule {
            Some(rule) => write!(f, " {}", rule_words(rule)),
            None => Ok(()),
        }
    }
}

/// A name that a package stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Provided<'a> {
    /// The name.
    pub name: &'a str,
    /// The version it is provided at, where stated.
    pub version: Option<&'a str>,
}

/// Whether a version that compares so to a rule's version fulfils the rule.
pub(crate) fn holds(order: Ordering, relation: Relation) -> bool {
    match relation {
        Relation::Less => order.is_lt(),
        Relation::LessOrEqual => order.is_le(),
        Relation::Equal => order.is_eq(),
        Relation::GreaterOrEqual => order.is_ge(),
        Relation::Greater => order.is_gt(),
    }
}

/// A rule as a spec writes it: `>= 1.2`, or `~1.2` for what only has to begin so (Alpine).
pub(crate) fn rule_words(rule: &VersionRule) -> String {
    match rule.relation {
        Relation::Equal if rule.version.starts_with('~') => rule.version.clone(),
        relation => format!("{} {}", sign(relation), rule.version),
    }
}

/// The sign of a relation, as a spec writes it.
pub(crate) fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Equal => "=",
        Relation::GreaterOrEqual => ">=",
        Relation::Greater => ">",
    }
}
