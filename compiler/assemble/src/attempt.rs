//! How the attempt to emulate a script ends, for every package family: understood to its end, or as if it had never been.

use crate::error::log_tail;
use crate::files::Files;

/// How the attempt to emulate a script ended.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The script was understood to its end; a status other than 0 leaves no change behind.
    Done {
        /// Its exit status.
        status: i32,
        /// What it printed.
        log: String,
        /// How it was understood, in words for the ledger.
        how: String,
    },
    /// Something was not understood; nothing has changed.
    Unknown {
        /// Line in the script, from 1; 0 when it is not known.
        line: u32,
        /// What it was.
        construct: String,
    },
}

impl Attempt {
    /// Why the script counts as not emulated, in words for the ledger and for errors.
    pub(crate) fn why_not(self) -> String {
        match self {
            Self::Done { status, log, .. } => format!("its emulation ends with status {status}{}", log_tail(&log)),
            Self::Unknown { line, construct } => format!("line {line}: {construct}"),
        }
    }

    /// What came of an evaluation that began with `before`. What failed or was not understood leaves no change, neither
    /// in the files nor in `system`; `how` tells what a script consisted of.
    pub(crate) fn settle<S>(
        outcome: shell::Outcome,
        files: &mut Files<'_>,
        system: &mut S,
        before: S,
        how: impl FnOnce(&shell::Done) -> String,
    ) -> Self {
        match outcome {
            shell::Outcome::Done(done) => {
                let how = how(&done);
                if let (1.., Some(tree)) = (done.status, files.root.as_tree()) {
                    done.changes.undo(tree);
                    *system = before;
                }
                let log = [done.stdout, done.stderr].concat();
                Self::Done { status: done.status, log: String::from_utf8_lossy(&log).into_owned(), how }
            }
            shell::Outcome::Unknown(unknown) => {
                *system = before;
                Self::Unknown { line: unknown.line, construct: unknown.what }
            }
        }
    }
}
