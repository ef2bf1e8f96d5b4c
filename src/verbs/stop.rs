//! `appliance stop`: stops instances in order, and waits until nothing is left of them.

use engine::{Ask, EndedInstance};
use serde_json::json;

use crate::cli_instances::Stop;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, Meant, connect, talking};
use crate::ui::Ui;

/// Stops instances; one that has ended already is fine.
pub fn stop(args: &Stop, ui: &Ui) -> Result<Exit, Failure> {
    let within_ms = args.within.map(|seconds| seconds.saturating_mul(1000));
    end(&args.instances, &Ask::Stop { within_ms }, ui)
}

/// Asks instances to end, all at once, and waits for each.
///
/// # Errors
/// One of them is not there or cannot be talked to.
pub fn end(names: &[String], ask: &Ask, ui: &Ui) -> Result<Exit, Failure> {
    let instances = Instances::look(ui)?;
    let meant: Vec<Meant> = names.iter().map(|name| instances.meant(name)).collect::<Result<_, _>>()?;
    let mut asked = Vec::new();
    let mut ended = Vec::new();
    for one in meant {
        match one {
            Meant::Live(found) => {
                let mut connection = connect(&found)?;
                let stream = connection.session().ask(wait()).map_err(|error| talking(&found.name, error.into()))?;
                let _: serde_json::Value = connection.ask(ask).map_err(|error| talking(&found.name, error))?;
                asked.push((found.name, connection, stream));
            }
            Meant::Ended(already) => ended.push(*already),
        }
    }
    for (name, mut connection, stream) in asked {
        ended.push(connection.answer_to(stream).map_err(|error| talking(&name, error))?);
    }
    Ok(tell(&ended, ui))
}

fn wait() -> String {
    serde_json::to_string(&Ask::Wait).unwrap_or_default()
}

/// Says how instances ended, and what was made and is no longer there.
pub fn tell(ended: &[EndedInstance], ui: &Ui) -> Exit {
    for one in ended {
        if one.left.is_empty() {
            ui.note(format!("{} ended with status {}; nothing of it is left", one.name, one.status));
            one.made.iter().for_each(|what| ui.detail(format!("  gone: {what}")));
        } else {
            ui.warn(format!("{} ended with status {}; left behind: {}", one.name, one.status, one.left.join(", ")));
        }
    }
    let ok = ended.iter().all(|one| one.left.is_empty());
    if ui.json {
        ui.json(&json!({ "ok": ok, "ended": ended }));
    }
    if ok { Exit::Success } else { Exit::Failure }
}
