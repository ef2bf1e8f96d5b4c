//! Decides where every folder and file of a volume stands: folders first, then files, each in one piece.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use super::directory::{Stamp, entries_bytes};
use super::geometry::Geometry;
use super::names::{self, Name, NameError};
use super::{ENTRY_BYTES, FIRST_CLUSTER, SECTOR_BYTES};

/// Bytes of the largest folder: 65536 entries (FATGEN103, "FAT Directory Structure").
const FOLDER_BYTES_MOST: u64 = 65536 * ENTRY_BYTES;

/// A file to put into a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path with `/` between names; folders are made as they are named.
    pub path: String,
    /// Its length.
    pub size_bytes: u64,
}

/// How large a volume is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// The least FAT32 volume that holds the files and this much more, a number of MiB.
    Minimal {
        /// Room for further contents.
        free_bytes: u64,
    },
    /// This many bytes, a number of sectors.
    Fixed(u64),
}

/// What else a volume says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Its size.
    pub size: Size,
    /// Its serial number.
    pub serial: u32,
    /// Its label: up to 11 capital letters, digits, `-` and `_`.
    pub label: String,
    /// The time of all entries, seconds since 1970 UTC.
    pub epoch_secs: i64,
    /// Sectors of the disk before the volume (`BPB_HiddSec`).
    pub sectors_before: u32,
}

/// Why a volume cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The volume is smaller than its files.
    #[error(
        "a FAT32 volume of {size_bytes} bytes is too small: its files need {content_bytes} bytes, and with its tables \
         and the least size of FAT32 that is {needed_bytes} bytes ({} MiB)",
        needed_bytes >> 20
    )]
    NoSpace {
        /// What was asked for.
        size_bytes: u64,
        /// Files and folders.
        content_bytes: u64,
        /// What would fit.
        needed_bytes: u64,
    },
    /// More than FAT32 can hold.
    #[error("the files of a FAT32 volume are too large: {0} bytes in all")]
    TooLarge(u64),
    /// A file of 4 GiB or more.
    #[error("{path} has {size_bytes} bytes; a file on FAT32 has less than 4 GiB")]
    File {
        /// The file.
        path: String,
        /// Its length.
        size_bytes: u64,
    },
    /// A name that FAT cannot hold.
    #[error("put {path} into a FAT32 volume")]
    Name {
        /// The path with the name.
        path: String,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// A path that is there twice, or as a file and a folder.
    #[error("{0} is in the volume twice, or both as a file and as a folder")]
    Twice(String),
    /// Too many names.
    #[error("a folder with {0} bytes of names is too large for FAT32")]
    Folder(u64),
    /// A label that FAT cannot hold.
    #[error("`{0}` cannot be a volume's label: up to 11 capital letters, digits, `-` and `_`")]
    Label(String),
}

/// A folder or a file at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub path: String,
    pub parent: usize,
    pub name: Name,
    pub kind: Kind,
    pub size_bytes: u64,
    /// First cluster, 0 for an empty file.
    pub cluster: u32,
    pub clusters: u32,
}

/// What an item is; numbers of items are their places in [`Layout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Folder(Vec<usize>),
    /// The place of the file among those that were given.
    File(usize),
}

/// A decided volume. Folders come before files, clusters ascend, everything fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub(super) geometry: Geometry,
    pub(super) options: Options,
    pub(super) label: [u8; 11],
    pub(super) stamp: Stamp,
    /// The root first.
    pub(super) items: Vec<Item>,
    /// The cluster after the last one in use.
    pub(super) end: u32,
}

/// Plans a volume with these files.
///
/// # Errors
/// When the files do not fit the size or the format, or a name is one that FAT cannot hold.
pub fn plan(files: &[File], options: &Options) -> Result<Layout, PlanError> {
    let label = label(&options.label)?;
    let mut items = items(files)?;
    let content_bytes = items.iter().map(|item| item.size_bytes).sum::<u64>();
    let clusters_of =
        |cluster_bytes: u64| -> u64 { items.iter().map(|item| item.size_bytes.div_ceil(cluster_bytes)).sum() };
    let least = |free_bytes: u64| {
        let all = |bytes: u64| clusters_of(bytes) + free_bytes.div_ceil(bytes);
        Geometry::least(&all).ok_or(PlanError::TooLarge(content_bytes))
    };
    let geometry = match options.size {
        Size::Minimal { free_bytes } => least(free_bytes)?,
        Size::Fixed(size_bytes) => Geometry::new(size_bytes)
            .filter(|geometry| u64::from(geometry.clusters) >= clusters_of(geometry.cluster_bytes()))
            .map_or_else(
                || {
                    let needed_bytes = least(0)?.size_bytes();
                    Err(PlanError::NoSpace { size_bytes, content_bytes, needed_bytes })
                },
                Ok,
            )?,
    };
    let mut next = FIRST_CLUSTER;
    for item in &mut items {
        item.clusters = item.size_bytes.div_ceil(geometry.cluster_bytes()) as u32;
        item.cluster = if item.clusters == 0 { 0 } else { next };
        next += item.clusters;
    }
    let stamp = Stamp::new(options.epoch_secs);
    Ok(Layout { geometry, options: options.clone(), label, stamp, items, end: next })
}

/// A folder's entries while paths are gathered, by the key of each name.
#[derive(Default)]
struct Folder {
    entries: BTreeMap<String, (String, Entry)>,
}

enum Entry {
    Folder(Folder),
    File(usize, u64),
}

fn items(files: &[File]) -> Result<Vec<Item>, PlanError> {
    let mut root = Folder::default();
    for (at, file) in files.iter().enumerate() {
        if u32::try_from(file.size_bytes).is_err() {
            return Err(PlanError::File { path: file.path.clone(), size_bytes: file.size_bytes });
        }
        insert(&mut root, at, file)?;
    }
    let (mut folders, mut contents) = (Vec::new(), Vec::new());
    let name = Name { short: *b"           ", long: Vec::new() };
    number(&root, String::new(), (0, name), &mut folders, &mut contents)?;
    let first_file = folders.len();
    for (file, item) in contents.iter().enumerate() {
        if let Kind::Folder(entries) = &mut folders[item.parent].kind {
            entries.push(first_file + file);
        }
    }
    folders.extend(contents);
    Ok(folders)
}

fn insert(root: &mut Folder, at: usize, file: &File) -> Result<(), PlanError> {
    let path = || file.path.clone();
    let mut folder = root;
    let mut names = file.path.trim_start_matches('/').split('/').peekable();
    while let Some(name) = names.next() {
        let key = names::key(name).map_err(|source| PlanError::Name { path: path(), source })?;
        let is_last = names.peek().is_none();
        let new = if is_last { Entry::File(at, file.size_bytes) } else { Entry::Folder(Folder::default()) };
        let is_new = !folder.entries.contains_key(&key);
        let (known, entry) = folder.entries.entry(key).or_insert_with(|| (name.to_owned(), new));
        if known != name {
            return Err(PlanError::Name { path: path(), source: NameError::Case(name.to_owned()) });
        }
        match entry {
            Entry::Folder(next) if !is_last => folder = next,
            Entry::File(..) if is_last && is_new => return Ok(()),
            _ => return Err(PlanError::Twice(path())),
        }
    }
    Ok(())
}

/// Numbers a folder, then what is in it; files wait in a list of their own, since they come after all folders.
fn number(
    folder: &Folder,
    path: String,
    (parent, name): (usize, Name),
    folders: &mut Vec<Item>,
    files: &mut Vec<Item>,
) -> Result<(), PlanError> {
    let own = folders.len();
    let names: Vec<&str> = folder.entries.values().map(|(name, _)| name.as_str()).collect();
    let short = names::shorten(&names);
    // The root begins with its label, other folders with entries for themselves and for their parent.
    let first = if own == 0 { ENTRY_BYTES } else { 2 * ENTRY_BYTES };
    let size_bytes = first + short.iter().map(entries_bytes).sum::<u64>();
    if size_bytes > FOLDER_BYTES_MOST {
        return Err(PlanError::Folder(size_bytes));
    }
    let kind = Kind::Folder(Vec::new());
    folders.push(Item { path: path.clone(), parent, name, kind, size_bytes, cluster: 0, clusters: 0 });
    for ((name, entry), short) in folder.entries.values().zip(short) {
        let path = format!("{path}/{name}");
        match entry {
            Entry::Folder(inner) => {
                let at = folders.len();
                number(inner, path, (own, short), folders, files)?;
                if let Kind::Folder(entries) = &mut folders[own].kind {
                    entries.push(at);
                }
            }
            Entry::File(at, size_bytes) => {
                let (kind, size_bytes) = (Kind::File(*at), *size_bytes);
                files.push(Item { path, parent: own, name: short, kind, size_bytes, cluster: 0, clusters: 0 });
            }
        }
    }
    Ok(())
}

fn label(text: &str) -> Result<[u8; 11], PlanError> {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    if text.is_empty() || text.len() > 11 || !text.bytes().all(allowed) {
        return Err(PlanError::Label(text.to_owned()));
    }
    let mut label = [b' '; 11];
    label[..text.len()].copy_from_slice(text.as_bytes());
    Ok(label)
}

impl Layout {
    /// Length of the volume.
    pub fn size_bytes(&self) -> u64 {
        self.geometry.size_bytes()
    }

    /// Where anything but zeros stands, ascending.
    pub fn data_ranges(&self) -> Vec<Range<u64>> {
        let table_bytes = (u64::from(self.end) * 4).next_multiple_of(SECTOR_BYTES);
        let table = |number| {
            let start = self.geometry.table_offset(number);
            start..start + table_bytes
        };
        let clusters = self.geometry.cluster_offset(FIRST_CLUSTER)..self.geometry.cluster_offset(self.end);
        vec![0..super::write::BOOT_SECTORS * SECTOR_BYTES, table(0), table(1), clusters]
    }

    /// The volume as text, one line a folder or file.
    pub fn dump(&self) -> String {
        let Geometry { sectors, sectors_per_cluster, table_sectors, clusters } = self.geometry;
        let Options { serial, label, epoch_secs, sectors_before, .. } = &self.options;
        let mut out = format!("FAT32 {serial:08x} {label} epoch {epoch_secs} at sector {sectors_before}\n");
        let _ =
            writeln!(out, "{sectors} sectors, {clusters} clusters of {sectors_per_cluster}, tables of {table_sectors}");
        for item in &self.items {
            let kind = if matches!(item.kind, Kind::Folder(_)) { "folder" } else { "file" };
            let short = String::from_utf8_lossy(&item.name.short);
            let (path, size, first, count) = (&item.path, item.size_bytes, item.cluster, item.clusters);
            let _ = writeln!(out, "{kind} {path:?} [{short}] {size} bytes, {count} clusters at {first}");
        }
        out
    }
}
