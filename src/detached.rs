//! `run -d`: an instance that goes on without the command; and the names that instances get.

use std::path::Path;

use bundle::channel::{Piece, Pieces};
use engine::{Bound, NAME_RULE, RunError, RunOptions, ended_output, free_name, is_name, live_instances, start};
use serde_json::json;

use crate::cli::Run;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::listener::Listener;
use crate::ui::Ui;
use crate::verbs::run::not_started;

/// The name that a run gives to its instance; none where nobody will call it by name.
///
/// # Errors
/// It is no name, or an instance that runs has it.
pub fn name(args: &Run, appliance: &str, state_folder: &Path) -> Result<Option<String>, Failure> {
    let failed = |error| Failure::doing(Exit::CannotRun, format!("read {}", state_folder.display()), error);
    let live = live_instances(state_folder).map_err(failed)?;
    match &args.name {
        None => Ok(args.detach.then(|| free_name(&live, appliance))),
        Some(name) if !is_name(name) => {
            let failure = Failure::new(Exit::Usage, format!("name an instance {name:?}"));
            Err(failure.help(format!("a name is made of {NAME_RULE}")))
        }
        Some(name) if live.iter().any(|found| found.name == *name) => {
            let failure =
                Failure::new(Exit::CannotRun, format!("name an instance {name}: one of this name is running"));
            Err(failure.help(other_name(name)))
        }
        Some(name) => Ok(Some(name.clone())),
    }
}

/// What to do about a name that an instance that runs has.
pub fn other_name(name: &str) -> String {
    let ways = format!("stop it with: appliance stop {name}, or at once: appliance rm --force {name}");
    format!("{ways}; or choose another --name")
}

/// Starts an instance, waits until it is ready, and leaves it to its supervisor. None where its name was taken meanwhile and
/// is our own choice, so that another will do.
///
/// # Errors
/// It could not be started.
pub fn run(
    bound: &Bound,
    options: &RunOptions,
    is_our_choice: bool,
    what: &Path,
    ui: &Ui,
) -> Result<Option<Exit>, Failure> {
    let mut listener = Listener::new(ui, options, bound);
    let ended = start(bound, &options.helper, &mut |report| listener.hear(report));
    let (services, ports) = listener.end();
    let name = &bound.instance;
    let ended = match ended {
        Err(RunError::NameTaken(_)) if is_our_choice => return Ok(None),
        other => other.map_err(not_started)?,
    };
    let Some(outcome) = ended else {
        if ui.json {
            ui.json(&json!({ "ok": true, "name": name, "ports": ports, "verdicts": bound.verdicts }));
        } else {
            ui.result(&format!("{name}\n"));
        }
        return Ok(Some(Exit::Success));
    };
    // It never got ready, or had nothing more to do.
    let printed = lines(&ended_output(&options.state_folder, name).unwrap_or_default());
    if let Some(failed) = services.failed(outcome.exit_status, &printed) {
        ui.failed_service(&failed, &failed.help(&what.display().to_string()));
    } else {
        ui.warn(format!("{name} has ended already, with status {}", outcome.exit_status));
        printed.iter().for_each(|line| ui.note(format!("  {line}")));
    }
    if ui.json {
        let (status, left) = (outcome.exit_status, &outcome.left);
        ui.json(&json!({ "ok": false, "name": name, "status": status, "printed": printed, "left": left }));
    }
    ui.note(format!("what it printed is kept: appliance logs {name}; forget it with: appliance rm {name}"));
    Ok(Some(Exit::Appliance(u8::try_from(outcome.exit_status).unwrap_or(u8::MAX))))
}

/// The lines of both streams, in the order in which they were printed.
fn lines(pieces: &[u8]) -> Vec<String> {
    let mut bytes = Vec::new();
    for piece in Pieces::default().push(pieces).unwrap_or_default() {
        if let Piece::Out(more) | Piece::Err(more) = piece {
            bytes.extend(more);
        }
    }
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}
