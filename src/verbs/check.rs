//! `appliance check`: every mistake of a spec at once.

use serde_json::json;
use spec::appliance::EntryKind;

use crate::cli::SpecArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec_file::SpecFile;
use crate::ui::Ui;

/// Checks a spec.
pub fn check(args: &SpecArgs, ui: &Ui) -> Result<Exit, Failure> {
    let spec = SpecFile::read_or_stdin(args, ui)?;
    missing_sources(&spec)?;
    let warnings = &spec.checked.warnings;
    if ui.json {
        ui.json(&json!({ "ok": true, "diagnostics": warnings }));
    }
    let count = match warnings.len() {
        0 => String::new(),
        1 => " (1 warning)".to_owned(),
        count => format!(" ({count} warnings)"),
    };
    ui.note(format!(
        "{} is a valid spec of {} {}{count}",
        spec.path.display(),
        spec.appliance().name,
        spec.appliance().version
    ));
    Ok(Exit::Success)
}

/// Every `from=` that names nothing, told before a build would.
fn missing_sources(spec: &SpecFile) -> Result<(), Failure> {
    let folder = spec.folder();
    let entries = spec.appliance().entries.iter().filter_map(|entry| match &entry.kind {
        EntryKind::From(from) => Some((entry.path.as_str(), folder.join(from))),
        _ => None,
    });
    let missing: Vec<String> = entries
        .filter(|(_, from)| !from.exists())
        .map(|(path, from)| format!("{path} from {}", from.display()))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("find what the spec takes from its folder: {}", missing.join(", "));
    Err(Failure::new(Exit::Spec, what).help("make it, or correct `from=`, which is relative to the spec"))
}
