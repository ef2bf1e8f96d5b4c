//! Starting an instance that outlives the command: it is watched until it is ready, then left to its supervisor.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use bundle::channel::Event;
use host::SignalPipe;

use crate::bind::Bound;
use crate::run::{self, Outcome, RunError, SIGNALS};
use crate::wire::{self, Report};

/// Starts what was bound, detached, and waits until it is ready; gives how it ended if it ended before that.
///
/// Signals to this process ask it to stop.
///
/// # Errors
/// It could not be started; nothing is left of it.
pub fn start(bound: &Bound, helper: &Path, on_report: &mut dyn FnMut(&Report)) -> Result<Option<Outcome>, RunError> {
    let signals = SignalPipe::catch(&SIGNALS).map_err(RunError::Helper)?;
    let (socket, mut child) = run::start_helper(helper, &bound.instance, true).map_err(RunError::Helper)?;
    let null = OwnedFd::from(File::open("/dev/null").map_err(RunError::Helper)?);
    wire::send_order(&socket, bound, &[null.as_raw_fd(); 3]).map_err(RunError::Helper)?;
    let (mut buffer, mut init) = (Vec::new(), None);
    let last = loop {
        let report = run::next(&socket, &signals, &mut buffer).map_err(RunError::Helper)?;
        match &report {
            None | Some(Report::Ended { .. } | Report::Failed { .. } | Report::NameTaken) => break report,
            Some(Report::Started { pid, start_time }) => init = Some((*pid, *start_time)),
            _ => {}
        }
        let Some(report) = report else { break None };
        on_report(&report);
        let is_ready = match &report {
            Report::Guest(Event::Ready) => true,
            Report::Started { .. } => !bound.guest,
            _ => false,
        };
        if is_ready {
            return Ok(None);
        }
    };
    let _ = child.wait();
    run::finish(bound, last, init).map(Some)
}
