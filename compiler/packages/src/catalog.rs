//! The catalogue: every package that the verified indexes of one architecture offer, in a compact form.
//!
//! Its text is kept once per index, and a package is a row of offsets into it, so that the 63,000 packages
//! of a large distribution cost tens of megabytes and no allocation each.

use std::collections::BTreeSet;
use std::fmt;

use spec::appliance::Arch;
use spec::base::Family;

use crate::ArchiveDigest;
use crate::rules::{Rules, rules_of};

/// All packages on offer for one architecture.
///
/// Whoever fills it has verified the index bytes against a signed release.
#[derive(Debug)]
pub struct Catalog {
    arch: Arch,
    rules: &'static dyn Rules,
    indexes: Vec<Index>,
    /// Sorted by name; equal names stay in the order of their indexes.
    by_name: Vec<PackageId>,
}

#[derive(Debug)]
struct Index {
    origin: Origin,
    text: String,
    records: Vec<Record>,
    /// Name under which its packages must be asked for, where they do not count otherwise.
    tag: Option<String>,
}

/// Where a package comes from, without any mirror's name: two mirrors of one archive give the same origin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Name of the archive (`debian`), or of the spec's repository.
    pub archive: String,
    /// Suite, as in `dists/SUITE`.
    pub suite: String,
    /// Component (`main`).
    pub component: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.archive, self.suite, self.component)
    }
}

/// Names a package within its catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId {
    index: u32,
    record: u32,
}

/// One package as an index offers it, borrowed from its catalogue.
#[derive(Clone, Copy)]
pub struct Package<'a> {
    index: &'a Index,
    record: &'a Record,
}

/// A text field of a package. Absent fields read as empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Field {
    /// Package name.
    Name,
    /// Version in the family's syntax.
    Version,
    /// Architecture (`amd64`, `all`).
    Architecture,
    /// Debian: `Multi-Arch`.
    MultiArch,
    /// Debian: `Priority`.
    Priority,
    /// Name of the source package where it differs, with its version in brackets where that differs.
    Source,
    /// What it needs once installed.
    Depends,
    /// What it needs before it is unpacked.
    PreDepends,
    /// What it recommends.
    Recommends,
    /// Names it stands for.
    Provides,
    /// What it cannot be installed with.
    Conflicts,
    /// What it must not be configured with.
    Breaks,
    /// Whose files it may overwrite.
    Replaces,
    /// Alpine: what must all be there for it to come by itself (`install_if`).
    InstallIf,
    /// Alpine: its priority among those that provide a name (`provider_priority`).
    ProviderPriority,
    /// First line of its description.
    Description,
    /// Path of the archive below the repository's root.
    Path,
}

/// How many text fields there are.
pub(crate) const FIELDS: usize = Field::Path as usize + 1;

/// A package's row: offsets into its index's text, and the numbers.
#[derive(Debug, Clone)]
pub struct Record {
    pub(crate) spans: [Span; FIELDS],
    pub(crate) digest: ArchiveDigest,
    /// When it was built, in seconds since 1970; 0 when the index does not say.
    pub(crate) built_secs: i64,
    pub(crate) size_bytes: u64,
    pub(crate) installed_kib: u64,
    pub(crate) essential: bool,
    pub(crate) protected: bool,
}

/// Part of an index's text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// Why a catalogue cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// No rules for this package family yet.
    #[error("read {0:?} packages: this family is not supported yet")]
    UnknownFamily(Family),
    /// Bytes that are no index.
    #[error("read the index of {origin}")]
    Index {
        /// Where it came from.
        origin: Box<Origin>,
        /// What is wrong with it.
        #[source]
        source: IndexReadError,
    },
}

/// What is wrong with the bytes of an index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexReadError {
    /// The text is larger than an index can be.
    #[error("the index is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A field that every package has is missing or malformed.
    #[error("line {line}: package `{package}` has {problem}")]
    Package {
        /// Line on which the package's entry starts, from 1.
        line: usize,
        /// Name of the package, if it got that far.
        package: String,
        /// What is wrong, in words.
        problem: String,
    },
    /// The text is not made of fields.
    #[error("line {line}: {problem}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What is wrong, in words.
        problem: String,
    },
}

impl Catalog {
    /// An empty catalogue of a family, for one architecture.
    ///
    /// # Errors
    /// When the family is not supported yet.
    pub fn new(family: Family, arch: Arch) -> Result<Self, CatalogError> {
        let rules = rules_of(family).ok_or(CatalogError::UnknownFamily(family))?;
        Ok(Self { arch, rules, indexes: Vec::new(), by_name: Vec::new() })
    }

    /// Takes up the packages of one index, given as verified and decompressed bytes.
    ///
    /// Where two indexes offer the same version, the one added first is used.
    ///
    /// # Errors
    /// When the bytes are no index of this family.
    pub fn add_index(&mut self, origin: Origin, text: &[u8]) -> Result<(), CatalogError> {
        self.add(origin, None, text)
    }

    /// As [`Catalog::add_index`], for an index whose packages count only where a request names its tag, and where
    /// such a package needs a name that no other index has.
    ///
    /// # Errors
    /// As [`Catalog::add_index`].
    pub fn add_tagged_index(&mut self, origin: Origin, tag: &str, text: &[u8]) -> Result<(), CatalogError> {
        self.add(origin, Some(tag.to_owned()), text)
    }

    fn add(&mut self, origin: Origin, tag: Option<String>, text: &[u8]) -> Result<(), CatalogError> {
        let (text, records) = match self.rules.read_index(text, self.arch, &origin) {
            Ok(read) => read,
            Err(source) => return Err(CatalogError::Index { origin: Box::new(origin), source }),
        };
        let index = self.indexes.len() as u32;
        self.by_name.extend((0..records.len() as u32).map(|record| PackageId { index, record }));
        self.indexes.push(Index { origin, text, records, tag });
        let indexes = &self.indexes;
        let name = |id: &PackageId| view(indexes, *id).name();
        self.by_name.sort_by(|a, b| name(a).cmp(name(b)));
        Ok(())
    }

    /// The tags that its indexes have, sorted.
    pub fn tags(&self) -> BTreeSet<&str> {
        self.indexes.iter().filter_map(|index| index.tag.as_deref()).collect()
    }

    /// The architecture it is for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// The rules of its family.
    pub fn rules(&self) -> &'static dyn Rules {
        self.rules
    }

    /// How many packages are on offer.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether nothing is on offer.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The package with this id, which must come from this catalogue.
    pub fn package(&self, id: PackageId) -> Package<'_> {
        view(&self.indexes, id)
    }

    /// All packages, sorted by name.
    pub fn packages(&self) -> impl Iterator<Item = (PackageId, Package<'_>)> {
        self.by_name.iter().map(|id| (*id, self.package(*id)))
    }

    /// All versions of a package, in the order of their indexes.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (PackageId, Package<'_>)> + use<'_> {
        let start = self.by_name.partition_point(|id| self.package(*id).name() < name);
        let rest = self.by_name.get(start..).unwrap_or_default();
        let len = rest.partition_point(|id| self.package(*id).name() <= name);
        rest.iter().take(len).map(|id| (*id, self.package(*id)))
    }
}

fn view(indexes: &[Index], id: PackageId) -> Package<'_> {
    let index = &indexes[id.index as usize];
    Package { index, record: &index.records[id.record as usize] }
}

impl<'a> Package<'a> {
    /// A text field; empty where the index has none.
    pub fn field(self, field: Field) -> &'a str {
        let span = self.record.spans[field as usize];
        let start = span.start as usize;
        self.index.text.get(start..start + span.len as usize).unwrap_or_default()
    }

    /// Package name.
    pub fn name(self) -> &'a str {
        self.field(Field::Name)
    }

    /// Version in the family's syntax.
    pub fn version(self) -> &'a str {
        self.field(Field::Version)
    }

    /// Architecture (`amd64`, `all`).
    pub fn architecture(self) -> &'a str {
        self.field(Field::Architecture)
    }

    /// Path of the archive below the repository's root.
    pub fn path(self) -> &'a str {
        self.field(Field::Path)
    }

    /// First line of its description.
    pub fn description(self) -> &'a str {
        self.field(Field::Description)
    }

    /// Where it comes from.
    pub fn origin(self) -> &'a Origin {
        &self.index.origin
    }

    /// The tag that a request must name for it, where its index has one.
    pub fn tag(self) -> Option<&'a str> {
        self.index.tag.as_deref()
    }

    /// What the repository vouches for its archive by.
    pub fn digest(self) -> ArchiveDigest {
        self.record.digest
    }

    /// When it was built, in seconds since 1970; 0 when the index does not say.
    pub fn built_secs(self) -> i64 {
        self.record.built_secs
    }

    /// Size of the archive.
    pub fn size_bytes(self) -> u64 {
        self.record.size_bytes
    }

    /// Size once installed, in KiB, as the index states it; 0 when it does not.
    pub fn installed_kib(self) -> u64 {
        self.record.installed_kib
    }

    /// Whether every root must have it.
    pub fn essential(self) -> bool {
        self.record.essential
    }

    /// Whether it is protected from removal.
    pub fn protected(self) -> bool {
        self.record.protected
    }
}

impl fmt::Debug for Package<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name(), self.version(), self.architecture())
    }
}

/// Whether a path is relative, stays below where it starts, and needs no quoting in a URL's path beyond percent signs.
pub(crate) fn is_safe_path(path: &str) -> bool {
    let plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'\\' | b'"' | b'?' | b'#');
    path.bytes().all(plain) && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
