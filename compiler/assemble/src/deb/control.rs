//! One package to install, its control data read: control files → [`Package`].

use std::collections::BTreeMap;

use packages::Unpacked;
use packages::deb::{Stanzas, parse_relations};
use tree::Tree;

use super::upgrade::Old;
use crate::error::AssembleError;

/// A package with its control fields at hand. Holding one proves that it has a name, a version and an architecture.
#[derive(Debug)]
pub(crate) struct Package {
    pub name: String,
    pub version: String,
    pub arch: String,
    /// All fields of its control file as written, in order, continuation lines kept.
    pub fields: Vec<(String, String)>,
    pub control_files: BTreeMap<String, Vec<u8>>,
    pub tree: Tree,
    /// Its paragraph of dpkg's database, where it was there before anything was installed.
    pub installed: Option<String>,
    /// The version of it in the base image that it takes the place of.
    pub upgrades: Option<Box<Old>>,
}

impl Package {
    /// Reads the control data of an unpacked package.
    pub fn read(unpacked: Unpacked, place: usize) -> Result<Self, AssembleError> {
        let Unpacked { control_files, tree, .. } = unpacked;
        let bad = |what: &str| AssembleError::BadControl { package: format!("number {place}"), what: what.to_owned() };
        let text = control_files.get("control").ok_or_else(|| bad("there is no control file"))?;
        let text = String::from_utf8_lossy(text).into_owned();
        let stanza = Stanzas::new(&text).next().ok_or_else(|| bad("the control file is empty"))?;
        let stanza = stanza.map_err(|error| bad(&error.to_string()))?;
        let fields: Vec<(String, String)> =
            stanza.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let need = |name: &str| {
            stanza
                .get(name)
                .filter(|value| is_word(value))
                .map(str::to_owned)
                .ok_or_else(|| bad(&format!("it has no {name}")))
        };
        Ok(Self {
            name: need("Package")?,
            version: need("Version")?,
            arch: need("Architecture")?,
            fields,
            control_files,
            tree,
            installed: None,
            upgrades: None,
        })
    }

    /// A field's value, by its name in any case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn is_essential(&self) -> bool {
        self.field("Essential") == Some("yes")
    }

    /// The name that dpkg's `info` files have: with the architecture where several can be installed together.
    pub fn info_name(&self) -> String {
        if self.field("Multi-Arch") == Some("same") {
            format!("{}:{}", self.name, self.arch)
        } else {
            self.name.clone()
        }
    }

    /// Whether a `Replaces` of this package covers `other`.
    pub fn replaces(&self, other: &Self) -> bool {
        let clauses = parse_relations(self.field("Replaces").unwrap_or_default()).unwrap_or_default();
        clauses.into_iter().flatten().any(|one| {
            one.name == other.name
                && one.rule.is_none_or(|(relation, version)| super::version_holds(&other.version, relation, version))
        })
    }

    /// The conffiles: absolute paths, without those that are only to be removed (deb-conffiles(5)).
    pub fn conffiles(&self) -> Vec<String> {
        let text = self.control_text("conffiles");
        text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(str::to_owned).collect()
    }

    /// The conffiles of older versions that are to be removed (deb-conffiles(5), `remove-on-upgrade`).
    pub fn removed_conffiles(&self) -> Vec<String> {
        let text = self.control_text("conffiles");
        let path = |line: &str| Some(line.trim().strip_prefix("remove-on-upgrade")?.trim().to_owned());
        text.lines().filter_map(path).filter(|path| path.starts_with('/')).collect()
    }

    /// A control file as text, empty when there is none.
    pub fn control_text(&self, name: &str) -> String {
        self.control_files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    }
}

/// Whether a value can stand as one word in dpkg's files and in file names.
pub(crate) fn is_word(value: &str) -> bool {
    !value.is_empty()
        && value.bytes().all(|c| c.is_ascii_alphanumeric() || b".+-~:_".contains(&c))
        && !value.starts_with('.')
}
