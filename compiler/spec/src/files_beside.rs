//! The files beside a spec that it names, held against those that are there.

use crate::check::{World, shaped};
use crate::diagnostic::Diagnostic;
use crate::item::Item;
use crate::report::Report;
use crate::source::Place;
use crate::spec::Spec;

/// How a path that a spec names stands on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can be taken.
    There,
    /// Nothing stands there.
    Missing,
    /// Links lead from it out of the spec's folder.
    Outside,
}

/// An error for each file or folder that the spec takes something from and that is not there, or that links lead to
/// from the spec's folder although it lies outside. `standing` is asked with paths relative to the spec's folder.
pub fn file_problems(spec: &Spec, world: &World<'_>, standing: &dyn Fn(&str) -> Standing) -> Vec<Diagnostic> {
    let mut read = Report::new(&spec.sources);
    let (_, body) = shaped(spec, world, &mut read);
    // What else is wrong is for the check to say.
    let mut report = Report::new(&spec.sources);
    for (path, place) in body.iter().filter_map(named) {
        match standing(path) {
            Standing::There => {}
            Standing::Outside if world.allow_outside => {}
            Standing::Missing => missing(path, place, &mut report),
            Standing::Outside => outside(path, place, &mut report),
        }
    }
    report.found
}

fn missing(path: &str, place: Place, report: &mut Report<'_>) {
    let message = format!("there is no \"{path}\" beside the spec");
    let error = report.error("file-missing", place, message, "not there");
    error.help("make it, or correct the path, which is relative to the file that names it");
}

fn outside(path: &str, place: Place, report: &mut Report<'_>) {
    let message = format!("\"{path}\" must lie inside the spec's folder; a link leads out of it");
    let error = report.error("path-outside", place, message, "leads out of the spec's folder");
    error.help("copy what is needed beside the spec, or allow it with `--allow-outside`");
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
