//! `appliance rm`: forgets instances that have ended, and with `--force` ends those that run.

use engine::{Ask, forget_ended};
use serde_json::json;

use crate::cli_instances::Rm;
use crate::each::Failed;
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
    let (mut removed, mut missing, mut failed) = (Vec::new(), Vec::new(), Failed::default());
    for word in &args.instances {
        match failed.take(word, remove(&instances, word, args.force, ui)) {
            Some(Some(name)) => removed.push(name),
            Some(None) => missing.push(word.clone()),
            None => {}
        }
    }
    removed.iter().for_each(|name| ui.note(format!("removed {name}")));
    missing.iter().for_each(|name| ui.note(format!("there is no instance {name}")));
    failed.end(&args.instances, Exit::Success, json!({ "ok": true, "removed": removed, "missing": missing }), ui)
}

/// Removes one; its name, or none where there is no such instance.
fn remove(instances: &Instances, word: &str, force: bool, ui: &Ui) -> Result<Option<String>, Failure> {
    let name = match instances.find(word)? {
        None => return Ok(None),
        Some(Meant::Ended(ended)) => ended.name,
        // What is gone for good is named by its own name: with that of its appliance, a second call would end another one.
        Some(Meant::Live(found)) if found.name != word => {
            let what =
                format!("remove {word}: no instance has this name; {}, of this appliance, is running", found.name);
            return Err(Failure::new(Exit::Failure, what).help(format!("name it: appliance rm --force {}", found.name)));
        }
        Some(Meant::Live(found)) if force => {
            end_of(&found, begin(&found, &Ask::Signal { number: SIGKILL }), ui)?;
            found.name
        }
        Some(Meant::Live(found)) => {
            let failure = Failure::new(Exit::Failure, format!("remove {}: it is running", found.name));
            return Err(failure
                .help(format!("stop it first with: appliance stop {0}, or: appliance rm --force {0}", found.name)));
        }
    };
    forget_ended(&instances.state_folder, &name)
        .map_err(|error| Failure::doing(Exit::Failure, format!("remove {name}"), error))?;
    Ok(Some(name))
}
