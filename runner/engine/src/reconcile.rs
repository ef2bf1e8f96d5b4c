//! Cleaning up after supervisors that were killed: whatever their journals name is undone.

use std::path::Path;

use host::ProcessHandle;

use crate::control::{EndedInstance, read_printed};
use crate::ended;
use crate::helper::undo_steps;
use crate::journal::{Line, Orphan, orphans};
use crate::steps::Step;

/// Signal number of Linux.
const SIGKILL: i32 = 9;

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
    let (removed, mut left) = undo_steps(&steps);
    keep_the_end(&orphan, &steps, removed, &left);
    if left.is_empty() {
        let folder = orphan.folder.display().to_string();
        if let Err(error) = orphan.close() {
            left.push(format!("{folder}: {error}"));
        }
    }
    left
}

/// Nobody saw the end of one that went on by itself: what can be known of it is kept for who asks.
fn keep_the_end(orphan: &Orphan, steps: &[Step], removed: Vec<String>, left: &[String]) {
    let about = orphan.lines.iter().find_map(|line| if let Line::About(about) = line { Some(about) } else { None });
    let (Some(about), Some(state_folder)) = (about.filter(|about| about.detached), orphan.folder.parent()) else {
        return;
    };
    let name = orphan.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if matches!(ended::of(state_folder, &name), Ok(Some(EndedInstance { lost: false, .. }))) {
        // It was killed after it had told its end.
        return;
    }
    if !orphan.lines.iter().any(|line| matches!(line, Line::Init { .. })) {
        // Nothing of it ran: what is kept of an earlier one of this name stays.
        return ended::put_back(state_folder, &name, &orphan.folder);
    }
    let init = |line: &Line| {
        if let Line::Init { pid, .. } = line { Some(format!("process {pid}, with all that it started")) } else { None }
    };
    let groups = steps.iter().filter_map(Step::group).map(|group| format!("control group {}", group.display()));
    let folder = format!("folder {}", orphan.folder.display());
    let printed = read_printed(&orphan.folder);
    let ended = EndedInstance {
        name,
        about: about.clone(),
        // The kernel ends the first process with its supervisor.
        status: 128 + SIGKILL,
        signal: Some(SIGKILL),
        failed: None,
        lost: true,
        machine_lost: None,
        killed: Vec::new(),
        made: std::iter::once(folder).chain(groups).chain(orphan.lines.iter().filter_map(init)).collect(),
        removed,
        left: left.to_vec(),
        out_of_memory: None,
        verdicts: Vec::new(),
        printed_from: printed.first(),
    };
    // Without it nobody is told; there is nobody to tell that to either.
    let _ = ended::keep(state_folder, &ended, &printed.as_pieces());
}

/// Its whole pid namespace ends with it. A number that now means another process is left alone.
fn kill(pid: i32, start_time: u64) {
    let Ok(handle) = ProcessHandle::open(pid, start_time) else { return };
    let _ = handle.signal(SIGKILL);
    let gone = host::Interest { fd: std::os::fd::AsFd::as_fd(&handle), read: true, write: false };
    let _ = host::poll(&[gone], Some(5000));
}
