//! `appliance explain`: the spec with every default filled in, and where each value came from.

use serde_json::json;

use crate::cli::SpecArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_image;
use crate::spec_file::{Files, SpecFile};
use crate::ui::Ui;

/// Prints the expanded spec.
pub fn explain(args: &SpecArgs, ui: &Ui) -> Result<Exit, Failure> {
    let mut spec = SpecFile::read_or_stdin(args, Files::Later, ui)?;
    known_image::add(&mut spec, ui)?;
    let text = spec::explain(&spec.checked);
    if ui.json {
        ui.json(&json!({ "ok": true, "spec": text }));
    } else {
        ui.result(&text);
    }
    Ok(Exit::Success)
}
