//! Why packages cannot be decided, in words for the writer of a spec.

use spec::appliance::{Arch, VersionRule};
use spec::{Diagnostic, Label, Severity};

use crate::rules::rule_words;

/// Why packages cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No index was read for an architecture.
    #[error("no package index was read for {}", arch.name())]
    NoCatalog {
        /// The architecture.
        arch: Arch,
    },
    /// A package that should move is not in the lock.
    #[error("the lock has no package `{name}` that could be updated")]
    NotLocked {
        /// The name.
        name: String,
        /// A name like it.
        nearest: Option<String>,
    },
    /// No package has or provides this name.
    #[error("there is no package `{name}`{}", if *by_base { ", which the base image asks for" } else { "" })]
    Unknown {
        /// The name.
        name: String,
        /// A name like it.
        nearest: Option<String>,
        /// Whether the base image asks for it, not the spec.
        by_base: bool,
    },
    /// A package is asked for by the tag of a repository, and none has that tag.
    #[error("`{name}@{tag}` asks for a repository with the tag `{tag}`, and no repository has it")]
    NoTag {
        /// The package's name.
        name: String,
        /// The tag.
        tag: String,
        /// The tags that repositories have, sorted.
        tags: Vec<String>,
    },
    /// The package is there, but in no version that the rule allows.
    #[error("no version of `{name}` is {}: {offered}", rule_words(rule))]
    NoVersion {
        /// The name.
        name: String,
        /// The rule.
        rule: VersionRule,
        /// What there is, in words.
        offered: String,
    },
    /// Several packages stand for the name and none has it.
    #[error("`{name}` is no package of its own: several stand for it")]
    Ambiguous {
        /// The name.
        name: String,
        /// Who provides it, sorted.
        providers: Vec<String>,
    },
    /// Everything exists, but not together.
    #[error("these packages cannot be installed together: {}", reasons.join("; "))]
    Conflict {
        /// Packages of the spec that take part, sorted.
        packages: Vec<String>,
        /// Packages that the spec excludes and something needs, sorted.
        excluded: Vec<String>,
        /// One sentence each, from the spec's wish to what stands against it.
        reasons: Vec<String>,
    },
}

impl ResolveError {
    /// The same for the writer of a spec. `place` gives the label of a package's node in the spec, where it has one.
    pub fn diagnostic(&self, place: impl Fn(&str) -> Option<Label>) -> Diagnostic {
        Diagnostic {
            code: self.code(),
            severity: Severity::Error,
            message: self.to_string(),
            labels: self.packages().into_iter().filter_map(place).collect(),
            help: self.help(),
        }
    }

    /// Stable name of the kind of problem, in kebab-case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoCatalog { .. } => "no-index",
            Self::NotLocked { .. } => "package-not-locked",
            Self::Unknown { .. } => "unknown-package",
            Self::NoTag { .. } => "unknown-tag",
            Self::NoVersion { .. } => "no-such-version",
            Self::Ambiguous { .. } => "ambiguous-package",
            Self::Conflict { .. } => "package-conflict",
        }
    }

    /// The packages of the spec that it is about.
    pub fn packages(&self) -> Vec<&str> {
        match self {
            Self::NoCatalog { .. } | Self::NotLocked { .. } => Vec::new(),
            Self::Unknown { name, .. }
            | Self::NoTag { name, .. }
            | Self::NoVersion { name, .. }
            | Self::Ambiguous { name, .. } => vec![name],
            Self::Conflict { packages, excluded, .. } => packages.iter().chain(excluded).map(String::as_str).collect(),
        }
    }

    /// What can be done about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoCatalog { .. } => Some("remove the architecture, or add a repository that has it".to_owned()),
            Self::NotLocked { nearest: None, .. } => None,
            Self::Unknown { nearest: Some(nearest), .. } | Self::NotLocked { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?"))
            }
            Self::Unknown { nearest: None, .. } => {
                Some("check the name, or add the repository that has it with `repository`".to_owned())
            }
            Self::NoTag { tag, tags, .. } => Some(tag_advice(tag, tags)),
            Self::NoVersion { .. } => Some("relax the rule, or add a repository that has such a version".to_owned()),
            Self::Ambiguous { providers, .. } => {
                let some: Vec<&str> = providers.iter().map(String::as_str).take(8).collect();
                let more = if providers.len() > some.len() { ", …" } else { "" };
                Some(format!("write one of them: {}{more}", some.join(", ")))
            }
            Self::Conflict { packages, excluded, .. } => advice(packages, excluded),
        }
    }
}

fn tag_advice(tag: &str, tags: &[String]) -> String {
    let give = format!("give the repository that is meant this one with `tag=\"{tag}\"`");
    match tags {
        [] => format!("no repository of the spec has a tag: {give}"),
        tags => format!("the tags there are: {}; write one of them, or {give}", tags.join(", ")),
    }
}

fn advice(packages: &[String], excluded: &[String]) -> Option<String> {
    let drop = (!packages.is_empty()).then(|| format!("drop or loosen one of: {}", packages.join(", ")));
    let keep = (!excluded.is_empty()).then(|| format!("no longer exclude {}", excluded.join(", ")));
    match (keep, drop) {
        (Some(keep), Some(drop)) => Some(format!("{keep}, or {drop}")),
        (keep, drop) => keep.or(drop),
    }
}
