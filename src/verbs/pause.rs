//! `appliance pause` and `appliance resume`: everything in an instance stands still, and goes on.

use bundle::channel::Request;
use serde_json::json;

use crate::cli_instances::One;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::ui::Ui;

/// Pauses an instance that is ready.
pub fn pause(args: &One, ui: &Ui) -> Result<Exit, Failure> {
    ask(args, &Request::Pause, ui)
}

/// Lets it go on.
pub fn resume(args: &One, ui: &Ui) -> Result<Exit, Failure> {
    ask(args, &Request::Resume, ui)
}

fn ask(args: &One, request: &Request, ui: &Ui) -> Result<Exit, Failure> {
    let found = Instances::look(ui)?.live(&args.instance)?;
    let _: serde_json::Value = connect(&found)?.ask(request).map_err(|error| talking(&found, error))?;
    if ui.json {
        ui.json(&json!({ "ok": true }));
    }
    Ok(Exit::Success)
}
