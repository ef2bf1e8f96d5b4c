//! Control groups: which layout the host has and below which folder each controller can be given a group of ours.
//!
//! Input: the texts of `/proc/self/cgroup` and `/proc/self/mountinfo` (cgroups(7)). Folders are looked at, nothing is made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How the host mounts control groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupLayout {
    /// None is mounted.
    None,
    /// One hierarchy for each controller.
    V1,
    /// One for each controller, and the unified one beside them.
    Hybrid,
    /// The unified hierarchy alone.
    V2,
}

/// The controllers that limits need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Number of processes.
    Pids,
}

/// What can be done with one controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ControllerFact {
    /// A group can be made below this folder of an older hierarchy.
    V1(PathBuf),
    /// A group can be made below this folder of the unified hierarchy, which hands the controller on.
    V2(PathBuf),
    /// It cannot be used, for this reason.
    Missing(String),
}

/// Control groups of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupFacts {
    /// How they are mounted.
    pub layout: CgroupLayout,
    /// Each controller that limits need.
    pub controllers: BTreeMap<Controller, ControllerFact>,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Pids];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Pids => "pids",
        }
    }
}

/// A mounted hierarchy: where, which folder of it is shown there, and its options.
struct Mounted {
    at: PathBuf,
    root: String,
    options: String,
}

/// Looks at the host's hierarchies.
pub fn probe(own_groups: &str, mountinfo: &str, privileged: bool) -> CgroupFacts {
    let (v1, v2) = (mounts(mountinfo, "cgroup"), mounts(mountinfo, "cgroup2"));
    let layout = match (v1.is_empty(), v2.is_empty()) {
        (true, true) => CgroupLayout::None,
        (false, true) => CgroupLayout::V1,
        (false, false) => CgroupLayout::Hybrid,
        (true, false) => CgroupLayout::V2,
    };
    let fact = |controller: Controller| {
        let found =
            find_v1(controller, &v1, own_groups).or_else(|| find_v2(controller, v2.first()?, own_groups, privileged));
        found.unwrap_or_else(|| {
            ControllerFact::Missing(format!("no hierarchy with the {} controller is mounted", controller.name()))
        })
    };
    CgroupFacts {
        layout,
        controllers: Controller::ALL.into_iter().map(|controller| (controller, fact(controller))).collect(),
    }
}

/// The mounts of a type (`proc_pid_mountinfo(5)`).
fn mounts(mountinfo: &str, kind: &str) -> Vec<Mounted> {
    let parse = |line: &str| {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let mut front = front.split(' ').skip(3);
        let (root, at) = (front.next()?, front.next()?);
        let right = back.next()? == kind && Path::new(at).is_absolute();
        right.then(|| Mounted { at: at.into(), root: root.to_owned(), options: back.nth(1).unwrap_or("").to_owned() })
    };
    mountinfo.lines().filter_map(parse).collect()
}

fn find_v1(controller: Controller, mounts: &[Mounted], own_groups: &str) -> Option<ControllerFact> {
    let name = controller.name();
    let mounted = mounts.iter().find(|mounted| mounted.options.split(',').any(|option| option == name))?;
    let own = own_group(own_groups, |list| list.split(',').any(|entry| entry == name))?;
    let folder = place(mounted, own);
    if host::writable(&folder) {
        return Some(ControllerFact::V1(folder));
    }
    Some(ControllerFact::Missing(format!("this user may not make groups in {}", folder.display())))
}

/// Walks up from this process's own group to the first that hands the controller on and lets us in.
///
/// A group with processes of its own cannot hand controllers on (cgroups(7), "no internal processes"),
/// so the group that this process is in never serves, except the root.
fn find_v2(controller: Controller, mounted: &Mounted, own_groups: &str, privileged: bool) -> Option<ControllerFact> {
    let own = place(mounted, own_group(own_groups, str::is_empty)?);
    for folder in own.ancestors().take_while(|folder| folder.starts_with(&mounted.at)) {
        let listed = |file: &str| {
            let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
            text.split_ascii_whitespace().any(|word| word == controller.name())
        };
        let may_enter = host::writable(folder) && host::writable(&folder.join("cgroup.procs"));
        let may_hand_on = privileged && folder == mounted.at && listed("cgroup.controllers");
        if may_enter && (listed("cgroup.subtree_control") || may_hand_on) {
            return Some(ControllerFact::V2(folder.to_owned()));
        }
    }
    Some(ControllerFact::Missing(format!(
        "the {} controller is not delegated to this user in the unified hierarchy",
        controller.name()
    )))
}

/// The path of this process's group in the hierarchy whose controller list fits.
fn own_group(own_groups: &str, fits: impl Fn(&str) -> bool) -> Option<&str> {
    own_groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (list, path) = (fields.next()?, fields.next()?);
        fits(list).then_some(path)
    })
}

/// Where a group is seen: the mount may show only a part of the hierarchy.
fn place(mounted: &Mounted, group: &str) -> PathBuf {
    let shown = group.strip_prefix(mounted.root.trim_end_matches('/')).unwrap_or(group);
    mounted.at.join(shown.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_their_options() {
        let text = "30 23 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
                    31 23 0:27 /a /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let v1 = mounts(text, "cgroup");
        assert_eq!(v1.len(), 1);
        assert_eq!(v1[0].options, "rw,memory");
        let v2 = mounts(text, "cgroup2");
        assert_eq!(place(&v2[0], "/a/b"), Path::new("/sys/fs/cgroup/unified/b"));
    }

    #[test]
    fn own_groups_are_found_by_controller() {
        let text = "4:memory:/x/y\n3:cpu,cpuacct:/z\n0::/u\n";
        assert_eq!(own_group(text, |list| list.split(',').any(|entry| entry == "cpu")), Some("/z"));
        assert_eq!(own_group(text, str::is_empty), Some("/u"));
    }

    #[test]
    fn a_host_without_groups_says_so() {
        let facts = probe("", "", true);
        assert_eq!(facts.layout, CgroupLayout::None);
        assert!(matches!(facts.controllers[&Controller::Pids], ControllerFact::Missing(_)));
    }
}
