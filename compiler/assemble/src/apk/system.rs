//! What the emulated commands know beside the tree: the ids of the lock, and what goes to the lock and the ledger.

use std::collections::{BTreeMap, BTreeSet};

use packages::{AllocatedId, IdKind};

use crate::accounts::Accounts;
use crate::files::{Files, PathProblem};

/// The state of the system being put together, outside its files. Cloned before each script, so that it can be undone.
#[derive(Debug, Clone, Default)]
pub(crate) struct System {
    /// Ids given out by the lock.
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
    /// Users and groups that scripts made.
    pub made_users: BTreeSet<String>,
    pub made_groups: BTreeSet<String>,
    /// What a command left out on purpose, in words for the ledger.
    pub notes: BTreeSet<String>,
}

impl System {
    pub fn new(ids: &[AllocatedId]) -> Self {
        let of = |kind| {
            let ids = ids.iter().filter(|id| id.kind == kind);
            ids.filter_map(|id| Some((id.name.clone(), id.value.parse().ok()?))).collect()
        };
        Self { users: of(IdKind::User), groups: of(IdKind::Group), ..Self::default() }
    }

    /// A free id for a user: that of the lock, else one that follows from the name.
    pub fn user_id(&self, accounts: &Accounts, name: &str) -> Option<u32> {
        let locked = self.users.get(name).copied().filter(|id| accounts.user_of(*id).is_none());
        locked.or_else(|| accounts.free_system_id(name))
    }

    /// A free id for a group, likewise.
    pub fn group_id(&self, accounts: &Accounts, name: &str) -> Option<u32> {
        let locked = self.groups.get(name).copied().filter(|id| accounts.group_of(*id).is_none());
        locked.or_else(|| accounts.free_system_id(name))
    }

    /// The users and groups of the tree that scripts made, for the lock.
    pub fn made_ids(&self, files: &Files<'_>) -> Result<Vec<AllocatedId>, PathProblem> {
        let accounts = Accounts::load(files)?;
        let made = |kind, name: &String, id: Option<u32>| {
            id.map(|id| AllocatedId { kind, name: name.clone(), value: id.to_string() })
        };
        let users = self.made_users.iter().filter_map(|name| made(IdKind::User, name, accounts.uid(name)));
        let groups = self.made_groups.iter().filter_map(|name| made(IdKind::Group, name, accounts.gid(name)));
        let mut ids: Vec<AllocatedId> = users.chain(groups).collect();
        ids.sort();
        Ok(ids)
    }
}
