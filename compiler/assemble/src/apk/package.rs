//! One package to install, its `.PKGINFO` read: control files → [`Package`].

use std::collections::BTreeMap;

use packages::apk::{PackageInfo, begins_like, compare_versions, parse_dependency};
use packages::{ArchiveDigest, Sha1, Unpacked};
use spec::appliance::Relation;
use tree::{Tree, TreePath};

use super::installed::Entry;
use crate::error::AssembleError;

/// The scripts that a package may have, in the order in which the package manager writes them down.
pub(crate) const SCRIPTS: [&str; 7] =
    ["pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade", "trigger"];

/// A package with what it says of itself at hand.
#[derive(Debug)]
pub(crate) struct Package {
    pub name: String,
    pub version: String,
    /// All of `.PKGINFO`, in order: name and value.
    pub lines: Vec<(String, String)>,
    pub depends: Vec<String>,
    pub provides: Vec<String>,
    pub replaces: Vec<String>,
    pub replaces_priority: u16,
    /// Patterns of folders.
    pub triggers: Vec<String>,
    pub built_secs: i64,
    pub unpacked: Unpacked,
    /// What the database says of it, where it is there already.
    pub installed: Option<Entry>,
    /// The version of it in the base image that it takes the place of.
    pub upgrades: Option<Box<Self>>,
}

impl Package {
    /// Reads what an unpacked package says of itself.
    pub fn read(unpacked: Unpacked, place: usize) -> Result<Self, AssembleError> {
        let bad = |what: String| AssembleError::BadControl { package: format!("number {place}"), what };
        let text = unpacked.control_files.get(".PKGINFO").ok_or_else(|| bad("there is no .PKGINFO".to_owned()))?;
        let info = PackageInfo::parse(text).map_err(|error| bad(error.to_string()))?;
        let is_word = |text: &str| text.bytes().all(|c| c.is_ascii_graphic() && c != b'/') && !text.starts_with('.');
        if !is_word(info.name) || !is_word(info.version) {
            return Err(bad("its name or version holds what no file name may".to_owned()));
        }
        let owned = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Ok(Self {
            name: info.name.to_owned(),
            version: info.version.to_owned(),
            lines: info.lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            depends: owned(&info.depends),
            provides: owned(&info.provides),
            replaces: owned(&info.replaces),
            replaces_priority: info.replaces_priority,
            triggers: owned(&info.triggers),
            built_secs: info.built_secs,
            unpacked,
            installed: None,
            upgrades: None,
        })
    }

    pub fn tree(&self) -> &Tree {
        &self.unpacked.tree
    }

    /// A script's bytes.
    pub fn script(&self, name: &str) -> Option<&Vec<u8>> {
        self.unpacked.control_files.get(&format!(".{name}"))
    }

    /// The checksum by which the database and its scripts name the package: `Q1` and base 64 of a SHA-1 digest.
    pub fn identity(&self) -> String {
        if let Some(entry) = &self.installed {
            return entry.identity.clone();
        }
        match self.unpacked.archive.as_ref().map(|archive| archive.digest) {
            Some(ArchiveDigest::ControlSha1(sha1)) => checksum(&sha1),
            _ => checksum(&Sha1([0; 20])),
        }
    }

    /// The priority with which this package replaces files of `other`; `None` where it does not.
    pub fn replaces(&self, other: &Self) -> Option<u16> {
        let covers = |word: &String| {
            parse_dependency(word).is_ok_and(|one| {
                let fits = |rule: packages::apk::Rule<'_>| match rule.begins_like {
                    true if begins_like(&other.version, rule.version) => {
                        holds(std::cmp::Ordering::Equal, rule.relation)
                    }
                    _ => holds(compare_versions(&other.version, rule.version), rule.relation),
                };
                one.name == other.name && one.rule.is_none_or(fits) != one.is_conflict
            })
        };
        self.replaces.iter().any(covers).then_some(self.replaces_priority)
    }

    /// The SHA-1 of each path that has one; a hard link has that of the first name of its file.
    pub fn checksums(&self) -> BTreeMap<&TreePath, Sha1> {
        let sums = &self.unpacked.checksums;
        let by_node: BTreeMap<_, _> =
            self.tree().iter().filter_map(|(path, id, _)| Some((id, *sums.get(path)?))).collect();
        self.tree().iter().filter_map(|(path, id, _)| Some((path, *by_node.get(&id)?))).collect()
    }
}

fn holds(order: std::cmp::Ordering, relation: Relation) -> bool {
    match relation {
        Relation::Less => order.is_lt(),
        Relation::LessOrEqual => order.is_le(),
        Relation::Equal => order.is_eq(),
        Relation::GreaterOrEqual => order.is_ge(),
        Relation::Greater => order.is_gt(),
    }
}

/// `Q1` and the base 64 (RFC 4648 section 4) of a SHA-1 digest, as indexes and the database have it.
pub(crate) fn checksum(sha1: &Sha1) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = "Q1".to_owned();
    for part in sha1.0.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            out.push(if digit > part.len() { '=' } else { char::from(DIGITS[value]) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_as_indexes_write_it() {
        let sha1: Sha1 = "a8a719fa3db7c6cb005e681086438ef1d1e76d6c".parse().unwrap();
        assert_eq!(checksum(&sha1), "Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=");
    }
}
