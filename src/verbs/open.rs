//! `appliance open`: what an instance has to show, in this host's browser or viewer.

use std::process::{Command, Stdio};

use engine::{Ask, Info};
use serde_json::json;

use crate::cli_instances::Open;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::ui::Ui;

/// The program that knows this host's browser (xdg-utils).
const OPENER: &str = "xdg-open";

/// Opens the address, or prints it.
pub fn open(args: &Open, ui: &Ui) -> Result<Exit, Failure> {
    let found = Instances::look(ui)?.live(&args.instance)?;
    let info: Info = connect(&found)?.ask(&Ask::Info).map_err(|error| talking(&found, error))?;
    let url = url(&info, args.what.as_deref())?;
    if ui.json {
        ui.json(&json!({ "ok": true, "url": url }));
    }
    if args.print || ui.json {
        if !ui.json {
            ui.result(&format!("{url}\n"));
        }
        return Ok(Exit::Success);
    }
    let mut command = Command::new(OPENER);
    command.arg(&url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => {
            ui.note(format!("opened {url}"));
            Ok(Exit::Success)
        }
        _ => Err(Failure::new(Exit::Failure, format!("open {url}: {OPENER} could not do it"))
            .help(format!("open it by hand, or print it with: appliance open --print {}", found.name))),
    }
}

/// What the spec wants to be opened; without a word about it, the first port.
fn url(info: &Info, what: Option<&str>) -> Result<String, Failure> {
    let names: Vec<&str> = info.about.open.iter().map(|open| open.name.as_str()).collect();
    let wanted = match what {
        Some(name) => {
            let found = info.about.open.iter().find(|open| open.name == name);
            Some(found.ok_or_else(|| {
                let help = match spec::nearest(name, names.iter().copied()) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!(
                        "it has {}",
                        if names.is_empty() { "nothing to open".to_owned() } else { names.join(", ") }
                    ),
                };
                Failure::new(Exit::Failure, format!("open {name:?} of {}: the spec names no such thing", info.name))
                    .help(help)
            })?)
        }
        None => info.about.open.first(),
    };
    let (scheme, port) = match wanted {
        Some(open) => (open.scheme.as_str(), info.ports.iter().find(|port| port.inside == open.port)),
        None => ("http", info.ports.first()),
    };
    let port = port.ok_or_else(|| {
        Failure::new(Exit::Failure, format!("open {}: it has no port to show anything at", info.name))
            .help("declare one in `network`, and what to show with `open`")
    })?;
    Ok(format!("{scheme}://{}/", port.address))
}
