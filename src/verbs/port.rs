//! `appliance port`: at which addresses of this host the ports of an instance are.

use engine::{Ask, Info};
use serde_json::json;

use crate::cli_instances::Port;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::ui::Ui;

/// Prints the addresses: of one port alone, or of all after the port inside.
pub fn port(args: &Port, ui: &Ui) -> Result<Exit, Failure> {
    let found = Instances::look(ui)?.live(&args.instance)?;
    let info: Info = connect(&found)?.ask(&Ask::Info).map_err(|error| talking(&found, error))?;
    let ports: Vec<_> = info.ports.iter().filter(|port| args.port.is_none_or(|wanted| port.inside == wanted)).collect();
    if let (Some(wanted), true) = (args.port, ports.is_empty()) {
        let declared: Vec<String> = info.ports.iter().map(|port| port.inside.to_string()).collect();
        let help =
            if declared.is_empty() { "it has no ports".to_owned() } else { format!("it has {}", declared.join(", ")) };
        return Err(Failure::new(Exit::Failure, format!("find port {wanted} of {}", found.name)).help(help));
    }
    if ui.json {
        ui.json(&json!({ "ok": true, "ports": ports }));
        return Ok(Exit::Success);
    }
    if ports.is_empty() {
        ui.note(format!("{} has no ports", found.name));
    }
    for port in ports {
        match args.port {
            Some(_) => ui.result(&format!("{}\n", port.address)),
            None => ui.result(&format!("{} {}\n", port.inside, port.address)),
        }
    }
    Ok(Exit::Success)
}
