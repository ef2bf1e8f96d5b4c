//! Cleaning up after supervisors that were killed: whatever their journals name is undone.

use std::path::Path;

use host::ProcessHandle;

use crate::helper::undo_steps;
use crate::journal::{Line, Orphan, orphans};
use crate::steps::Step;

/// What was found and removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Instances whose supervisor was gone.
    pub instances: Vec<String>,
    /// What could not be removed, with the reason.
    pub left: Vec<String>,
}

/// Undoes what dead supervisors left behind. Cheap when there is nothing; safe at any time and by any number of commands.
pub fn reconcile(state_folder: &Path) -> Reconciled {
    let mut result = Reconciled::default();
    let found = match orphans(state_folder) {
        Ok(found) => found,
        Err(error) => {
            result.left.push(format!("{}: {error}", state_folder.display()));
            return result;
        }
    };
    for orphan in found {
        let name = orphan.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        result.left.extend(undo(orphan));
        result.instances.push(name);
    }
    result
}

/// The process first, then what it was in; the journal goes last and only when all is gone.
fn undo(orphan: Orphan) -> Vec<String> {
    for line in &orphan.lines {
        if let Line::Init { pid, start_time } = line {
            kill(*pid, *start_time);
        }
    }
    let step = |line: &Line| if let Line::Step(step) = line { Some(step.clone()) } else { None };
    let steps: Vec<Step> = orphan.lines.iter().filter_map(step).collect();
    let (_, mut left) = undo_steps(&steps);
    if left.is_empty() {
        let folder = orphan.folder.display().to_string();
        if let Err(error) = orphan.close() {
            left.push(format!("{folder}: {error}"));
        }
    }
    left
}

/// Its whole pid namespace ends with it. A number that now means another process is left alone.
fn kill(pid: i32, start_time: u64) {
    let Ok(handle) = ProcessHandle::open(pid, start_time) else { return };
    let _ = handle.signal(9);
    let gone = host::Interest { fd: std::os::fd::AsFd::as_fd(&handle), read: true, write: false };
    let _ = host::poll(&[gone], Some(5000));
}
