//! `appliance rm`: forgets instances that have ended, and with `--force` ends those that run.

use engine::{Ask, forget_ended};
use serde_json::json;

use crate::cli_instances::Rm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, Meant};
use crate::ui::Ui;
use crate::verbs::stop::{begin, end_of};

/// Signal number of Linux.
const SIGKILL: i32 = 9;

/// Removes what is known of instances; one that is not there is no error.
pub fn rm(args: &Rm, ui: &Ui) -> Result<Exit, Failure> {
    let instances = Instances::look(ui)?;
    let (mut removed, mut missing) = (Vec::new(), Vec::new());
    for word in &args.instances {
        let name = match instances.meant(word) {
            Ok(Meant::Ended(ended)) => ended.name,
            Ok(Meant::Live(found)) if args.force => {
                end_of(&found, begin(&found, &Ask::Signal { number: SIGKILL }))?;
                found.name
            }
            Ok(Meant::Live(found)) => {
                let failure = Failure::new(Exit::Failure, format!("remove {}: it is running", found.name));
                return Err(failure.help(format!(
                    "stop it first with: appliance stop {0}, or: appliance rm --force {0}",
                    found.name
                )));
            }
            Err(_) => {
                missing.push(word.clone());
                continue;
            }
        };
        forget_ended(&instances.state_folder, &name)
            .map_err(|error| Failure::doing(Exit::Failure, format!("remove {name}"), error))?;
        removed.push(name);
    }
    removed.iter().for_each(|name| ui.note(format!("removed {name}")));
    missing.iter().for_each(|name| ui.note(format!("there is no instance {name}")));
    if ui.json {
        ui.json(&json!({ "ok": true, "removed": removed, "missing": missing }));
    }
    Ok(Exit::Success)
}
