//! `appliance fmt`: specs in one format, comments kept.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use spec::{Rejected, Source, Sources};

use crate::cli::Fmt;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;
use crate::replace_file::replace_file;
use crate::spec_file::{STDIN_NAME, stdin_bytes, unreadable};
use crate::ui::Ui;

/// Formats specs in place; with `--check` only says which would change. `-` goes from standard input to standard output.
pub fn fmt(args: &Fmt, ui: &Ui) -> Result<Exit, Failure> {
    if args.specs.iter().any(|path| path == Path::new("-")) {
        return fmt_stdin(args, ui);
    }
    let mut changed = Vec::new();
    for path in args.specs.iter().map(|path| places::spec(path)) {
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, error))?;
        let (text, formatted) = formatted(&path, bytes)?;
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

fn fmt_stdin(args: &Fmt, ui: &Ui) -> Result<Exit, Failure> {
    if args.specs.len() > 1 {
        return Err(Failure::new(Exit::Usage, "format standard input and files at once")
            .help("give `-` alone: it is written to standard output"));
    }
    let (text, formatted) = formatted(&PathBuf::from(STDIN_NAME), stdin_bytes()?)?;
    let is_same = text == formatted;
    let ok = !args.check || is_same;
    if ui.json {
        let changed: Vec<&str> = if is_same { Vec::new() } else { vec![STDIN_NAME] };
        ui.json(&json!({ "ok": ok, "changed": changed, "text": formatted }));
    } else if !args.check {
        ui.result(&formatted);
    } else if !ok {
        ui.note(format!("would format {STDIN_NAME}"));
    }
    Ok(if ok { Exit::Success } else { Exit::Failure })
}

/// The text as it is, and as it should be.
fn formatted(path: &Path, bytes: Vec<u8>) -> Result<(String, String), Failure> {
    let name = path.to_string_lossy();
    let rejected =
        |found: Rejected| Failure::Spec { found: found.diagnostics, sources: found.sources, exit: Exit::Spec };
    let text = spec::read_text(spec::Language::Spec, &name, &bytes).map_err(rejected)?.text;
    match spec::format(&name, &text) {
        Ok(formatted) => Ok((text, formatted)),
        Err(found) => {
            let sources = Sources::of(Source { name: path.display().to_string(), text });
            Err(Failure::Spec { found, sources, exit: Exit::Spec })
        }
    }
}
