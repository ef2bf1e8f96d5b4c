//! What the verbs of the guest channel take and give, where it is more than a word.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A program to run. From the host its stream carries standard input, and [`ExecNote`]s; to the host it carries pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment on top of the appliance's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub env: BTreeMap<String, String>,
    /// The working folder; absent for the user's home, or `/` where no user is named.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cwd: Option<String>,
    /// A login name of the appliance, `UID` or `UID:GID`; absent for root.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// Give it a terminal of this size, which is its output and its errors at once.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub terminal: Option<TerminalSize>,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// What the host may say to a program that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecNote {
    /// Send this signal, by its number on Linux, to the program and all in its process group.
    Signal(u8),
    /// Its terminal has a new size.
    Resize(TerminalSize),
}

/// What all processes of an appliance use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metrics {
    /// Processor time used so far, in milliseconds.
    pub cpu_ms: u64,
    /// Memory in bytes: resident in all processes, with what they share counted each time.
    pub memory_bytes: u64,
    /// Bytes of memory that there are: the limit of a container that has one, else all of the machine's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory_limit_bytes: Option<u64>,
    /// Processes.
    pub processes: u32,
    /// Size of the root file system in bytes.
    pub disk_bytes: u64,
    /// Bytes of it that are used.
    pub disk_used_bytes: u64,
    /// How hard it is to get things, where the kernel tells it of this machine, or of this container alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pressure: Option<Pressure>,
}

/// Hundredths of a percent of the last ten seconds in which some process had to wait (`some avg10` of PSI).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pressure {
    /// For a processor.
    pub cpu: u32,
    /// For memory.
    pub memory: u32,
    /// For a disk.
    pub io: u32,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in its folder; the path that was asked for, in an answer to `stat`.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of a file.
    pub size_bytes: u64,
    /// Seconds since 1970 of the last change.
    pub mtime_secs: i64,
    /// Where a symbolic link leads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A device, a socket, a named pipe.
    Other,
}

/// What happened to a path that is watched, or to an entry of a folder that is: a line of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What.
    pub change: ChangeKind,
    /// The entry's name, by way of the folders below the path; absent for the path itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// The name that it had before it was moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
}

/// What happened to something that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// It is new, or was moved here from a place that is not watched.
    Created,
    /// Its content changed.
    Modified,
    /// Its mode, owner, times or links changed.
    Described,
    /// It is gone, or was moved to a place that is not watched.
    Deleted,
    /// It has another name.
    Moved,
    /// More happened than could be told: look at everything again.
    Overflow,
    /// This folder, and others, are not followed: there are too many, or the name is too long.
    Unwatched,
    /// What was watched is no longer at its path. Nothing comes after it.
    Gone,
}

/// A file to read. Its stream carries pieces: output and holes in order, the digest, then the status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The absolute path; a link is followed.
    pub path: String,
    /// Where to begin.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub offset: u64,
    /// How many bytes at most; absent for all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub length: Option<u64>,
}

/// Something to make. From the host a file's stream carries pieces as [`Read`] gives them; to the host the status comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The absolute path. What is there is replaced once everything has come and its digest fits; a folder stays.
    pub path: String,
    /// What to make.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970 of the last change; absent for now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mtime_secs: Option<i64>,
    /// Where a symbolic link leads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
