//! `appliance wait`: waits until instances have ended; the exit code is that of the last.

use engine::{Ask, ConnectionError, EndedInstance, Found};
use serde_json::json;

use crate::cli_instances::Many;
use crate::each::Failed;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, Meant, ended_meanwhile, odd_end, talking};
use crate::ui::Ui;

/// Waits for instances.
pub fn wait(args: &Many, ui: &Ui) -> Result<Exit, Failure> {
    let instances = Instances::look(ui)?;
    let (mut ended, mut failed) = (Vec::new(), Failed::default());
    for name in &args.instances {
        let meant = instances.meant(name).and_then(|meant| match meant {
            Meant::Live(found) => until_ended(&found),
            Meant::Ended(ended) => Ok(*ended),
        });
        ended.extend(failed.take(name, meant));
    }
    for one in &ended {
        ui.detail(format!("{} ended with status {}", one.name, one.status));
        if let Some(found) = one.out_of_memory {
            ui.warn(format!("memory ran out in {}: {found}", one.name));
        }
        odd_end(one).iter().for_each(|how| ui.warn(how));
    }
    let status = ended.last().map_or(0, |ended| ended.status);
    let exit = Exit::Appliance(u8::try_from(status).unwrap_or(u8::MAX));
    failed.end(&args.instances, exit, json!({ "ok": true, "ended": ended }), ui)
}

fn until_ended(found: &Found) -> Result<EndedInstance, Failure> {
    let told = found.connect().and_then(|mut connection| connection.wait(&Ask::Wait));
    told.or_else(|error| {
        let ended = ended_meanwhile(found, error)?;
        ended.ok_or_else(|| talking(found, ConnectionError::Gone))
    })
}
