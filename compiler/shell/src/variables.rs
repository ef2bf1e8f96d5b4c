//! Shell variables with their attributes, and the scopes that `local` opens.

use std::collections::BTreeMap;

#[derive(Debug, Clone, Default)]
pub(crate) struct Variable {
    pub value: Option<Vec<u8>>,
    pub exported: bool,
    pub readonly: bool,
}

/// The assignment is to a variable that `readonly` protects.
pub(crate) struct ReadOnly;

#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    all: BTreeMap<Vec<u8>, Variable>,
    /// What `local` hid, by function call.
    scopes: Vec<Vec<(Vec<u8>, Option<Variable>)>>,
}

impl Variables {
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.all.get(name)?.value.as_deref()
    }

    pub fn set(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), ReadOnly> {
        let variable = self.all.entry(name.to_vec()).or_default();
        if variable.readonly {
            return Err(ReadOnly);
        }
        variable.value = Some(value);
        Ok(())
    }

    pub fn unset(&mut self, name: &[u8]) -> Result<(), ReadOnly> {
        match self.all.get(name) {
            Some(variable) if variable.readonly => Err(ReadOnly),
            _ => {
                self.all.remove(name);
                Ok(())
            }
        }
    }

    /// Takes a variable from the environment.
    pub fn import(&mut self, name: &[u8], value: &[u8]) {
        self.all.insert(name.to_vec(), Variable { value: Some(value.to_vec()), exported: true, readonly: false });
    }

    pub fn mark(&mut self, name: &[u8], change: impl FnOnce(&mut Variable)) {
        change(self.all.entry(name.to_vec()).or_default());
    }

    /// Saves a variable, to be put back by [`Variables::put_back`].
    pub fn saved(&self, name: &[u8]) -> Option<Variable> {
        self.all.get(name).cloned()
    }

    pub fn put_back(&mut self, name: &[u8], saved: Option<Variable>) {
        match saved {
            Some(variable) => self.all.insert(name.to_vec(), variable),
            None => self.all.remove(name),
        };
    }

    pub fn environment(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let exported = self.all.iter().filter(|(_, variable)| variable.exported);
        exported.filter_map(|(name, variable)| Some((name.clone(), variable.value.clone()?))).collect()
    }

    pub fn enter(&mut self) {
        self.scopes.push(Vec::new());
    }

    pub fn leave(&mut self) {
        for (name, saved) in self.scopes.pop().unwrap_or_default().into_iter().rev() {
            self.put_back(&name, saved);
        }
    }

    /// Makes a variable local to the running function; it keeps its value, as in dash. False outside functions.
    pub fn make_local(&mut self, name: &[u8]) -> bool {
        let saved = self.saved(name);
        match self.scopes.last_mut() {
            Some(scope) => {
                scope.push((name.to_vec(), saved));
                true
            }
            None => false,
        }
    }
}

/// Whether this can name a variable.
pub(crate) fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|byte| *byte == b'_' || byte.is_ascii_alphabetic())
        && name.iter().all(|byte| *byte == b'_' || byte.is_ascii_alphanumeric())
}
