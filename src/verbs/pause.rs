//! `appliance pause` and `appliance resume`: everything in an instance stands still, and goes on.

use bundle::channel::Request;
use engine::WAS_SO;
use serde_json::{Value, json};

use crate::cli_instances::One;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::ui::Ui;

/// Pauses an instance that is ready.
pub fn pause(args: &One, ui: &Ui) -> Result<Exit, Failure> {
    let (name, is_new) = ask(args, &Request::Pause, ui)?;
    let help = format!("let it go on with: appliance resume {name}");
    ui.note(if is_new { format!("paused {name}; {help}") } else { format!("{name} was paused already; {help}") });
    Ok(done(&name, "paused", is_new, ui))
}

/// Lets it go on.
pub fn resume(args: &One, ui: &Ui) -> Result<Exit, Failure> {
    let (name, is_new) = ask(args, &Request::Resume, ui)?;
    ui.note(if is_new { format!("{name} goes on") } else { format!("{name} was not paused") });
    Ok(done(&name, "ready", is_new, ui))
}

/// The instance, and whether anything changed.
fn ask(args: &One, request: &Request, ui: &Ui) -> Result<(String, bool), Failure> {
    let found = Instances::look(ui)?.live(&args.instance)?;
    let said: Value = connect(&found)?.ask(request).map_err(|error| talking(&found, error))?;
    Ok((found.name, said != WAS_SO))
}

fn done(name: &str, state: &str, is_new: bool, ui: &Ui) -> Exit {
    if ui.json {
        ui.json(&json!({ "ok": true, "name": name, "state": state, "changed": is_new }));
    }
    Exit::Success
}
