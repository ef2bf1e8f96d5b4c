//! Whether memory ran out in an instance, by what the kernel counts in its control group (kernel documentation,
//! `cgroup-v1/memory` and `cgroup-v2`).

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Processes of an instance that the kernel killed because memory ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutOfMemory {
    /// How many.
    pub kills: u64,
    /// Bytes of memory that there may be used, where that is limited.
    pub limit_bytes: Option<u64>,
}

/// Where the unified hierarchy and the older one count the killed, and where they have the limit.
const FILES: [(&str, &str); 2] = [("memory.events", "memory.max"), ("memory.oom_control", "memory.limit_in_bytes")];

/// The older hierarchy has this or a little less for "no limit": the largest number, in whole pages.
const NO_LIMIT: u64 = i64::MAX as u64 - (1 << 20);

impl OutOfMemory {
    /// Looks at an instance's groups; none where nothing was killed, or nothing counts it.
    pub fn look(groups: &[PathBuf]) -> Option<Self> {
        groups.iter().find_map(|group| {
            let counted = FILES.iter().find_map(|(count, _)| killed(&std::fs::read_to_string(group.join(count)).ok()?));
            let kills = counted.filter(|count| *count > 0)?;
            Some(Self { kills, limit_bytes: limit_bytes(group) })
        })
    }
}

/// Bytes of memory that the processes of these groups may use, where that is limited.
pub fn memory_limit(groups: &[PathBuf]) -> Option<u64> {
    groups.iter().find_map(|group| limit_bytes(group))
}

fn limit_bytes(group: &Path) -> Option<u64> {
    let number = |file: &str| std::fs::read_to_string(group.join(file)).ok()?.trim().parse().ok();
    FILES.iter().find_map(|(_, limit)| number(limit)).filter(|limit| *limit < NO_LIMIT)
}

fn killed(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|count| count.trim().parse().ok())
}

/// As in "memory ran out: …".
impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kills {
            1 => write!(f, "the kernel killed a process")?,
            kills => write!(f, "the kernel killed {kills} processes")?,
        }
        self.limit_bytes.map_or(Ok(()), |bytes| write!(f, ", since there may be {} MiB in use", bytes >> 20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_hierarchies_are_understood() {
        let folder = tempfile::tempdir().unwrap();
        let groups = [folder.path().join("none"), folder.path().to_owned()];
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let limited = |kills: u64| Some(OutOfMemory { kills, limit_bytes: Some(64 << 20) });
        assert_eq!((OutOfMemory::look(&groups), memory_limit(&groups)), (None, None));
        write("memory.limit_in_bytes", "9223372036854771712\n");
        write("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        let unlimited = OutOfMemory::look(&groups).unwrap();
        assert_eq!((unlimited.kills, unlimited.limit_bytes), (2, None));
        assert_eq!(unlimited.to_string(), "the kernel killed 2 processes");
        write("memory.limit_in_bytes", "67108864\n");
        assert_eq!((OutOfMemory::look(&groups), memory_limit(&groups)), (limited(2), Some(64 << 20)));
        write("memory.max", "67108864\n");
        write("memory.events", "low 0\noom 1\noom_kill 1\n");
        let found = OutOfMemory::look(&groups);
        assert_eq!(found, limited(1));
        assert_eq!(found.unwrap().to_string(), "the kernel killed a process, since there may be 64 MiB in use");
        write("memory.events", "oom_kill 0\n");
        assert_eq!(OutOfMemory::look(&groups), None);
    }
}
