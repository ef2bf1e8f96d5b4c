//! The text files beside the modules: `modules.builtin` and `modules.builtin.modinfo` as the kernel's build writes them
//! (kernel documentation, `kbuild/kbuild.rst`), and `modules.dep` as depmod writes it (modules.dep(5)).

use std::collections::{BTreeMap, BTreeSet};

use super::{canonical_name, name_of_file};

/// What is built into the kernel and so needs no module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Builtin {
    names: BTreeSet<String>,
    aliases: BTreeSet<String>,
}

impl Builtin {
    /// Reads `modules.builtin`, a path of a module on each line, and `modules.builtin.modinfo`, texts
    /// `NAME.KEY=VALUE`, each ended by a NUL. Lines that say nothing known are passed over; either may be empty.
    pub fn read(list: &[u8], info: &[u8]) -> Self {
        let list = String::from_utf8_lossy(list);
        let files = list.lines().filter_map(|line| line.trim().rsplit('/').next());
        let mut builtin = Self { names: files.filter_map(name_of_file).collect(), aliases: BTreeSet::new() };
        for text in info.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok()) {
            let alias = text.split_once('=').filter(|(key, _)| key.ends_with(".alias"));
            builtin.aliases.extend(alias.map(|(_, alias)| canonical_name(alias)));
        }
        builtin
    }

    /// Whether a module of this canonical name, or one that answers to it as an alias, is built in.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name) || self.aliases.contains(name)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

/// The text of `modules.dep`: for each module its path, and the paths of all that it needs, the nearest first, those
/// that must be loaded first last. Lines come sorted by path.
///
/// `modules` gives for each canonical name the path and the names that it depends on itself.
pub fn dependencies_text(modules: &BTreeMap<String, (String, Vec<String>)>) -> String {
    let mut lines: Vec<String> = modules
        .iter()
        .map(|(name, (path, _))| {
            let needed = needed_by(name, modules);
            let paths = needed.iter().rev().filter_map(|name| modules.get(*name)).map(|(path, _)| format!(" {path}"));
            format!("{path}:{}\n", paths.collect::<String>())
        })
        .collect();
    lines.sort();
    lines.concat()
}

/// Everything a module needs, without itself, each after all that it needs; names without a file are left out.
fn needed_by<'a>(name: &str, modules: &'a BTreeMap<String, (String, Vec<String>)>) -> Vec<&'a str> {
    let mut order: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    let Some((root, _)) = modules.get_key_value(name) else { return order };
    // A name is taken up twice: to put its needs above it, then, once those are in order, to follow them.
    let mut open = vec![(root.as_str(), false)];
    while let Some((name, is_last)) = open.pop() {
        if is_last {
            order.push(name);
        } else if seen.insert(name) {
            open.push((name, true));
            let needs = modules.get(name).into_iter().flat_map(|(_, needs)| needs.iter().rev());
            let files = needs.filter_map(|name| modules.get_key_value(name));
            open.extend(files.map(|(name, _)| (name.as_str(), false)));
        }
    }
    order.pop();
    order
}
