//! `appliance fmt`: specs in one format, comments kept.

use std::fs;
use std::path::Path;

use serde_json::json;
use spec::{Source, Sources};

use crate::cli::Fmt;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;
use crate::replace_file::replace_file;
use crate::ui::Ui;

/// Formats specs in place; with `--check` only says which would change.
pub fn fmt(args: &Fmt, ui: &Ui) -> Result<Exit, Failure> {
    let mut changed = Vec::new();
    for path in args.specs.iter().map(|path| places::spec(path)) {
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::doing(Exit::Spec, format!("read {}", path.display()), error))?;
        let formatted = formatted(&path, &text)?;
        if formatted == text {
            continue;
        }
        if !args.check {
            replace_file(&path, formatted.as_bytes())
                .map_err(|error| Failure::doing(Exit::Failure, format!("write {}", path.display()), error))?;
        }
        ui.note(format!("{} {}", if args.check { "would format" } else { "formatted" }, path.display()));
        changed.push(path.display().to_string());
    }
    let ok = !args.check || changed.is_empty();
    if ui.json {
        ui.json(&json!({ "ok": ok, "changed": changed }));
    }
    Ok(if ok { Exit::Success } else { Exit::Failure })
}

fn formatted(path: &Path, text: &str) -> Result<String, Failure> {
    spec::format(&path.to_string_lossy(), text).map_err(|found| Failure::Spec {
        found,
        sources: Sources::of(Source { name: path.display().to_string(), text: text.to_owned() }),
        exit: Exit::Spec,
    })
}
