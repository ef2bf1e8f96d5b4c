//! The end of a run: everything is undone, and how it ended is written down and told.

use crate::control::{Desk, EndedInstance};
use crate::ended;
use crate::helper::{Failure, Run, causes, undo_steps};
use crate::journal::Journal;
use crate::look::{remains, remains_beside_folder};
use crate::wire::{self, Report};

impl Run<'_> {
    /// Undoes everything, writes down how it ended, where nobody may be waiting, and tells those who are. Says what was
    /// removed and what could not be.
    ///
    /// The end is written down before the instance's folder goes: whoever looks finds one of both.
    pub fn end(&mut self, result: &Result<host::Ended, Failure>) -> (Vec<String>, Vec<String>) {
        let (bound, mut desk) = (self.bound, self.desk.take());
        // The groups count it, and go with the steps.
        let out_of_memory = desk.as_ref().and_then(Desk::out_of_memory);
        if let (Some(desk), Some(found)) = (&mut desk, out_of_memory)
            && desk.say_untold(found)
        {
            wire::report(self.socket, &Report::OutOfMemory(found));
        }
        let (removed, mut left) = undo_steps(&self.taken);
        let killed = desk.as_ref().map(Desk::all_killed).unwrap_or_default();
        let machine_lost = desk.as_ref().and_then(Desk::lost_machine);
        let mut ended = EndedInstance { out_of_memory, killed, machine_lost, ..self.ended(result, &removed) };
        ended.left = left.iter().cloned().chain(remains_beside_folder(bound, None)).collect();
        // What never ran was told by the command that could not start it, and leaves things as they were.
        let is_kept = bound.about.detached && result.is_ok();
        if let (Err(_), Some(journal)) = (result, &self.journal) {
            ended::put_back(&bound.state_folder, &bound.instance, journal.folder());
        }
        if let Some(desk) = desk.as_ref().filter(|_| is_kept) {
            ended.printed_from = desk.printed_from();
            // Without it the end is told to those who wait, and to nobody later.
            let _ = ended::keep(&bound.state_folder, &ended, &desk.printed());
        }
        if left.is_empty() {
            left.extend(self.journal.take().and_then(close));
        }
        if let Some(desk) = desk {
            let all_left: Vec<String> = left.iter().cloned().chain(remains(bound, None)).collect();
            if is_kept && all_left != ended.left {
                ended.left.clone_from(&all_left);
                let _ = ended::keep(&bound.state_folder, &ended, &desk.printed());
            }
            ended.left = all_left;
            desk.close(&ended);
        }
        (removed, left)
    }

    /// How it ended, before anybody looked for what is left.
    fn ended(&mut self, result: &Result<host::Ended, Failure>, removed: &[String]) -> EndedInstance {
        let bound = self.bound;
        let (status, signal) = match result {
            Ok(host::Ended::Exit(status)) => (*status, None),
            Ok(host::Ended::Signal(signal)) => (128 + signal, Some(*signal)),
            Err(_) => (125, None),
        };
        EndedInstance {
            name: bound.instance.clone(),
            about: bound.about.clone(),
            status,
            signal,
            failed: result.as_ref().err().map(|failure| causes(failure.as_ref())),
            lost: false,
            machine_lost: None,
            killed: Vec::new(),
            made: std::mem::take(&mut self.made),
            removed: removed.to_vec(),
            left: Vec::new(),
            out_of_memory: None,
            verdicts: bound.verdicts.clone(),
            printed_from: 0,
        }
    }
}

/// Removes the instance's folder; what went wrong with that.
fn close(journal: Journal) -> Option<String> {
    let folder = journal.folder().display().to_string();
    journal.close().err().map(|error| format!("{folder}: {error}"))
}
