//! The files beside a spec that it names, held against those that are there.

use crate::check::{World, shaped};
use crate::diagnostic::Diagnostic;
use crate::item::Item;
use crate::report::Report;
use crate::source::Place;
use crate::spec::Spec;

/// An error for each file or folder that the spec takes something from and that is not there. `exists` is asked with
/// paths relative to the spec's folder.
pub fn missing_files(spec: &Spec, world: &World<'_>, exists: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
    let mut read = Report::new(&spec.sources);
    let (_, body) = shaped(spec, world, &mut read);
    // What else is wrong is for the check to say.
    let mut report = Report::new(&spec.sources);
    for (path, place) in body.iter().filter_map(named).filter(|(path, _)| !exists(path)) {
        let message = format!("there is no \"{path}\" beside the spec");
        let error = report.error("file-missing", place, message, "not there");
        error.help("make it, or correct the path, which is relative to the file that names it");
    }
    report.found
}

fn named(item: &Item) -> Option<(&str, Place)> {
    let prop = |name| item.text(name).map(|text| (text, item.prop_place(name)));
    match item.rule.name {
        "file" => prop("from"),
        "repository" => prop("key"),
        "isolation" => {
            let profile = item.child("seccomp")?;
            // A plain word is one of the filters that the language knows, or a slip.
            profile.arg(0).filter(|text| text.contains(['/', '.'])).map(|text| (text, profile.arg_place(0)))
        }
        _ => None,
    }
}
