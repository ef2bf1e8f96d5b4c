//! `appliance check`: every mistake of a spec at once.

use serde_json::json;
use spec::ImageReference;
use spec::appliance::Base;

use crate::cli::SpecArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec_file::{Files, SpecFile};
use crate::trust;
use crate::ui::Ui;

/// Checks a spec.
pub fn check(args: &SpecArgs, ui: &Ui) -> Result<Exit, Failure> {
    let spec = SpecFile::read_or_stdin(args, Files::Whole, ui)?;
    if let Some(base) = spec.base() {
        let mistakes = trust::unusable_keys(&spec, base.family);
        if !mistakes.is_empty() {
            return Err(spec.mistakes(Exit::Spec, &mistakes));
        }
    }
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
    if let Base::Oci(reference @ ImageReference::Registry(_)) = &spec.appliance().base {
        ui.note(format!("no registry was asked whether there is a {reference}; `appliance lock` asks"));
    }
    Ok(Exit::Success)
}
