//! The text of a lock back to a [`Lock`], with every line checked, since people merge and edit locks.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use spec::appliance::Arch;
use tree::Digest;

use super::nodes::{Node, read_line};
use super::render::FORMAT;
use super::{
    AllocatedId, IdKind, LedgerLine, Lock, LockedBase, LockedBootBase, LockedIndex, LockedPackage, LockedRoot,
    ScriptClass,
};
use crate::catalog::is_safe_path;
use crate::date::parse_utc;
use crate::{ArchiveDigest, Origin};

/// The largest lock that is read: a hundred times the size of a desktop's.
const MAX_LOCK_BYTES: usize = 64 << 20;

/// Why a text is no lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Larger than any lock.
    #[error("it is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Made by another version.
    #[error("it is of version {found}, and this program reads version {FORMAT}: make it again with `appliance lock`")]
    Version {
        /// Its version, as written.
        found: String,
    },
    /// A line that cannot be read.
    #[error("line {line}: {problem}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong, in words.
        problem: String,
    },
    /// A line that must be there is not.
    #[error("there is no `{0}` line")]
    Missing(&'static str),
}

/// Reads a lock's text.
///
/// # Errors
/// On the first line that is not as `render` writes it, and when a line that must be there is missing.
pub fn parse(text: &str) -> Result<Lock, LockError> {
    if text.len() > MAX_LOCK_BYTES {
        return Err(LockError::TooLarge { limit: MAX_LOCK_BYTES });
    }
    let mut reader = Reader::default();
    for (number, line) in text.lines().enumerate() {
        if let Some(node) = read_line(line, number + 1)? {
            reader.take(node)?;
        }
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    is_lock: bool,
    spec: Option<Digest>,
    base: Option<LockedBase>,
    epoch_secs: Option<i64>,
    encoders: BTreeMap<String, u32>,
    requests: Vec<(String, String)>,
    indexes: Vec<LockedIndex>,
    boot_base: Option<LockedBootBase>,
    roots: Vec<LockedRoot>,
    /// Names and architectures of the packages of the open root, if one is open.
    open: Option<BTreeSet<String>>,
}

impl Reader {
    fn take(&mut self, node: Node) -> Result<(), LockError> {
        let mut fields = Fields { node };
        if !self.is_lock {
            return self.take_header(fields);
        }
        if fields.node.opens && fields.node.name != "root" {
            return Err(fields.wrong("it has no children"));
        }
        match (self.open.is_some(), fields.node.name.as_str()) {
            (false, "spec") => self.spec = Some(fields.argument()?),
            (false, "base") => self.base = Some(fields.base()?),
            (false, "epoch") => self.epoch_secs = Some(fields.time_argument()?),
            (false, "encoder") => {
                self.encoders.insert(fields.argument()?, fields.property("version")?);
            }
            (false, "request") => self.requests.push((fields.argument()?, fields.argument()?)),
            (false, "index") => self.indexes.push(fields.index()?),
            (false, "boot-base") => self.boot_base = Some(fields.boot_base()?),
            (false, "boot-index") => self.boot_base(&fields)?.indexes.push(fields.index()?),
            (false, "root") => self.open_root(&mut fields)?,
            (true, "package") => self.take_package(&mut fields)?,
            (true, "boot-package") => self.take_boot_package(&mut fields)?,
            (true, "script") => self.root(&fields)?.ledger.push(fields.script()?),
            (true, "user") => self.root(&fields)?.ids.push(fields.id(IdKind::User)?),
            (true, "group") => self.root(&fields)?.ids.push(fields.id(IdKind::Group)?),
            (true, "uuid") => self.root(&fields)?.ids.push(fields.id(IdKind::Uuid)?),
            (true, "}") => self.open = None,
            _ => return Err(fields.wrong("this does not belong here")),
        }
        fields.finish()
    }

    fn take_header(&mut self, mut fields: Fields) -> Result<(), LockError> {
        if fields.node.name != "lock" {
            return Err(fields.wrong("a lock starts with `lock version=…`"));
        }
        let found: String = fields.property("version")?;
        if found != FORMAT.to_string() {
            return Err(LockError::Version { found });
        }
        self.is_lock = true;
        fields.finish()
    }

    fn open_root(&mut self, fields: &mut Fields) -> Result<(), LockError> {
        let name: String = fields.argument()?;
        let arch = [Arch::Amd64, Arch::Arm64].into_iter().find(|arch| arch.name() == name);
        let arch = arch.ok_or_else(|| fields.wrong("this architecture is not known"))?;
        if !fields.node.opens || self.roots.iter().any(|root| root.arch == arch) {
            return Err(fields.wrong("a root has one block of lines"));
        }
        self.roots.push(LockedRoot::empty(arch));
        self.open = Some(BTreeSet::new());
        Ok(())
    }

    fn take_package(&mut self, fields: &mut Fields) -> Result<(), LockError> {
        let package = fields.package()?;
        let names = self.open.get_or_insert_default();
        if !names.insert(format!("{}:{}", package.name, package.arch)) {
            return Err(fields.wrong("this package is there twice"));
        }
        self.root(fields)?.packages.push(package);
        Ok(())
    }

    fn take_boot_package(&mut self, fields: &mut Fields) -> Result<(), LockError> {
        let package = fields.package()?;
        let boot = &mut self.root(fields)?.boot;
        if boot.iter().any(|own| (&own.name, &own.arch) == (&package.name, &package.arch)) {
            return Err(fields.wrong("this package is there twice"));
        }
        boot.push(package);
        Ok(())
    }

    fn boot_base(&mut self, fields: &Fields) -> Result<&mut LockedBootBase, LockError> {
        self.boot_base.as_mut().ok_or_else(|| fields.wrong("this belongs behind a `boot-base`"))
    }

    fn root(&mut self, fields: &Fields) -> Result<&mut LockedRoot, LockError> {
        self.roots.last_mut().ok_or_else(|| fields.wrong("this belongs into a root"))
    }

    fn finish(mut self) -> Result<Lock, LockError> {
        if !self.is_lock {
            return Err(LockError::Missing("lock"));
        }
        if self.open.is_some() {
            return Err(LockError::Missing("}"));
        }
        self.requests.sort();
        self.indexes.sort();
        self.boot_base.iter_mut().for_each(|boot| boot.indexes.sort());
        self.roots.sort_by_key(|root| root.arch);
        for root in &mut self.roots {
            for packages in [&mut root.packages, &mut root.boot] {
                packages.sort_by(|a, b| (&a.name, &a.arch).cmp(&(&b.name, &b.arch)));
            }
            root.ledger.sort();
            root.ids.sort();
        }
        Ok(Lock {
            spec: self.spec.ok_or(LockError::Missing("spec"))?,
            base: self.base.ok_or(LockError::Missing("base"))?,
            requests: self.requests,
            indexes: self.indexes,
            boot_base: self.boot_base,
            roots: self.roots,
            epoch_secs: self.epoch_secs.ok_or(LockError::Missing("epoch"))?,
            encoders: self.encoders,
        })
    }
}

/// Takes values out of a node, so that what is left over at the end is known to be wrong.
struct Fields {
    node: Node,
}

impl Fields {
    fn wrong(&self, problem: &str) -> LockError {
        LockError::Syntax { line: self.node.line, problem: format!("`{}`: {problem}", self.node.name) }
    }

    fn argument<T: FromStr>(&mut self) -> Result<T, LockError> {
        if self.node.arguments.is_empty() {
            return Err(self.wrong("a value is missing"));
        }
        let value = self.node.arguments.remove(0);
        value.parse().map_err(|_| self.wrong(&format!("the value `{value}` cannot be read")))
    }

    fn property<T: FromStr>(&mut self, name: &str) -> Result<T, LockError> {
        self.optional(name)?.ok_or_else(|| self.wrong(&format!("`{name}=` is missing")))
    }

    fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, LockError> {
        let Some(at) = self.node.properties.iter().position(|(known, _)| known == name) else { return Ok(None) };
        let (_, value) = self.node.properties.remove(at);
        value.parse().map(Some).map_err(|_| self.wrong(&format!("the value of `{name}=` cannot be read")))
    }

    fn time(&self, text: &str) -> Result<i64, LockError> {
        parse_utc(text).ok_or_else(|| self.wrong("the time cannot be read"))
    }

    fn time_argument(&mut self) -> Result<i64, LockError> {
        let text: String = self.argument()?;
        self.time(&text)
    }

    fn finish(self) -> Result<(), LockError> {
        match self.node.arguments.is_empty() && self.node.properties.is_empty() {
            true => Ok(()),
            false => Err(self.wrong("there is more on the line than belongs there")),
        }
    }

    fn base(&mut self) -> Result<LockedBase, LockError> {
        Ok(LockedBase { name: self.argument()?, release: self.property("release")?, digest: self.property("digest")? })
    }

    fn boot_base(&mut self) -> Result<LockedBootBase, LockError> {
        let epoch: String = self.property("epoch")?;
        Ok(LockedBootBase { base: self.base()?, epoch_secs: self.time(&epoch)?, indexes: Vec::new() })
    }

    fn index(&mut self) -> Result<LockedIndex, LockError> {
        let date: Option<String> = self.optional("date")?;
        Ok(LockedIndex {
            archive: self.argument()?,
            suite: self.argument()?,
            date_secs: date.map_or(Ok(0), |date| self.time(&date))?,
            sha256: self.property("sha256")?,
            key: self.property("key")?,
        })
    }

    fn package(&mut self) -> Result<LockedPackage, LockError> {
        let package = LockedPackage {
            name: self.argument()?,
            version: self.argument()?,
            arch: self.property("arch")?,
            origin: Origin {
                archive: self.property("archive")?,
                suite: self.property("suite")?,
                component: self.property("component")?,
            },
            path: self.property("path")?,
            size_bytes: self.property("size")?,
            digest: self.archive_digest()?,
            blake3: self.optional("blake3")?,
        };
        let is_word = |text: &str| is_safe_path(text) && !text.contains('/');
        if !is_word(&package.name) || !is_word(&package.version) || !is_word(&package.arch) {
            return Err(self.wrong("its name, version or architecture has characters that it cannot have"));
        }
        if !is_safe_path(&package.path) {
            return Err(self.wrong("its path leaves the archive"));
        }
        Ok(package)
    }

    /// Exactly one of the digests that a repository may state.
    fn archive_digest(&mut self) -> Result<ArchiveDigest, LockError> {
        match (self.optional("sha256")?, self.optional("control-sha1")?) {
            (Some(sha256), None) => Ok(ArchiveDigest::Sha256(sha256)),
            (None, Some(sha1)) => Ok(ArchiveDigest::ControlSha1(sha1)),
            _ => Err(self.wrong("it has not exactly one digest")),
        }
    }

    fn script(&mut self) -> Result<LedgerLine, LockError> {
        let class: String = self.property("class")?;
        Ok(LedgerLine {
            package: self.argument()?,
            script: self.argument()?,
            class: ScriptClass::from_word(&class).ok_or_else(|| self.wrong("its class is not known"))?,
            reason: self.property("reason")?,
            digest: self.property("blake3")?,
        })
    }

    fn id(&mut self, kind: IdKind) -> Result<AllocatedId, LockError> {
        Ok(AllocatedId { kind, name: self.argument()?, value: self.argument()? })
    }
}
