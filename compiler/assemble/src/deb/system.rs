//! What the emulated commands know beside the tree: the package at work, debconf's answers, ids of the lock.

use std::collections::{BTreeMap, BTreeSet};

use packages::{AllocatedId, IdKind};
use spec::appliance::Arch;

use super::control::Package;

/// The state of the system being put together, outside its files. Cloned before each script, so that an attempt can be undone.
#[derive(Debug, Clone)]
pub(crate) struct System {
    pub arch: Arch,
    /// Package whose script runs.
    pub package: String,
    /// Ids given out by the lock.
    pinned_users: BTreeMap<String, u32>,
    pinned_groups: BTreeMap<String, u32>,
    /// Users and groups that scripts made.
    pub made_users: BTreeSet<String>,
    pub made_groups: BTreeSet<String>,
    /// debconf's questions: value and whether it was seen.
    pub questions: BTreeMap<String, Question>,
    /// What a command left out on purpose, in words for the ledger.
    pub notes: BTreeSet<String>,
    /// Whether a command left work to the first boot.
    pub first_boot: bool,
}

/// A debconf question with its template's fields (debconf-devel(7)).
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub value: String,
    pub seen: bool,
    pub fields: BTreeMap<String, String>,
    /// What `${KEY}` in a field stands for.
    pub substitutions: BTreeMap<String, String>,
}

impl System {
    pub fn new(arch: Arch, packages: &[Package], ids: &[AllocatedId]) -> Self {
        let pinned = |kind| {
            ids.iter()
                .filter(|id| id.kind == kind)
                .filter_map(|id| Some((id.name.clone(), id.value.parse().ok()?)))
                .collect()
        };
        Self {
            arch,
            package: String::new(),
            pinned_users: pinned(IdKind::User),
            pinned_groups: pinned(IdKind::Group),
            made_users: BTreeSet::new(),
            made_groups: BTreeSet::new(),
            questions: packages.iter().flat_map(|package| questions(&package.control_text("templates"))).collect(),
            notes: BTreeSet::new(),
            first_boot: false,
        }
    }

    pub fn pinned_user(&self, name: &str) -> Option<u32> {
        self.pinned_users.get(name).copied()
    }

    pub fn pinned_group(&self, name: &str) -> Option<u32> {
        self.pinned_groups.get(name).copied()
    }

    /// Says in the ledger what is left out.
    pub fn note(&mut self, what: &str) {
        self.notes.insert(what.to_owned());
    }
}

/// The questions of a templates file, each with its default as its value.
fn questions(templates: &str) -> Vec<(String, Question)> {
    packages::deb::Stanzas::new(templates)
        .filter_map(Result::ok)
        .filter_map(|stanza| {
            let name = stanza.get("Template")?.to_owned();
            let fields: BTreeMap<String, String> =
                stanza.fields().map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
            Some((
                name,
                Question {
                    value: stanza.get("Default").unwrap_or_default().to_owned(),
                    seen: false,
                    fields,
                    substitutions: BTreeMap::new(),
                },
            ))
        })
        .collect()
}
