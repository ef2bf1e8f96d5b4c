//! The rules of the language: a [`Spec`] as written becomes an [`Appliance`], or everything that is wrong with it.

use std::collections::BTreeMap;

use crate::appliance::{Appliance, Arch};
use crate::base::BaseImage;
use crate::diagnostic::{Diagnostic, Label, settle};
use crate::item::Item;
use crate::merge::merge;
use crate::origin::Origins;
use crate::report::Report;
use crate::sections;
use crate::shape;
use crate::source::Sources;
use crate::spec::{Rejected, Spec};
use crate::value::Reading;
use crate::written::{self, Written};

/// What a check is made against.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The base images that exist, every release of each.
    pub bases: &'a [BaseImage],
    /// The architecture that is taken when the spec names none.
    pub host_arch: Arch,
    /// Whether files may be taken from outside the spec's folder.
    pub allow_outside: bool,
}

/// A checked appliance with what a user should know about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What was meant.
    pub appliance: Appliance,
    /// What has no effect yet or is worth a thought, sorted by place.
    pub warnings: Vec<Diagnostic>,
    /// Where each value came from.
    pub(crate) origins: Origins,
    /// Where each other thing is written.
    labels: BTreeMap<Written, Label>,
    /// Where each package is asked for or excluded, by its name.
    package_labels: BTreeMap<String, Label>,
    /// What the base brings that no section shows, in words.
    pub(crate) of_base: Vec<String>,
}

impl Checked {
    /// The place at which the spec says something, with what is to be said about it there. None for what is a default.
    pub fn label(&self, what: &Written, text: &str) -> Option<Label> {
        self.labels.get(what).map(|label| Label { text: text.to_owned(), ..label.clone() })
    }

    /// Adds what is known of the base and no section shows, in words: a line each.
    pub fn say_of_base(&mut self, lines: Vec<String>) {
        self.of_base.extend(lines);
    }

    /// The place at which the spec asks for this package or excludes it, for what is found out later about it.
    pub fn package_label(&self, name: &str) -> Option<Label> {
        self.package_labels.get(name).cloned()
    }
}

/// Everything wrong with a text that could not be read to its end: what was found on reading it, and what a check finds
/// in the rest, sorted by place. That something is not there is not said: it may be in what could not be read.
pub fn check_rest(rejected: &Rejected, world: &World<'_>) -> Vec<Diagnostic> {
    let Some(spec) = &rejected.rest else { return rejected.diagnostics.clone() };
    let mut report = Report::new(&spec.sources);
    report.unread.parts = true;
    let (head, body) = shaped(spec, world, &mut report);
    sections::decode(&head, &body, world, &mut report);
    settle(report.found.into_iter().chain(rejected.diagnostics.iter().cloned()).collect())
}

/// Checks a spec. On failure, all errors and warnings come back, sorted by place, each once.
pub fn check(spec: &Spec, world: &World<'_>) -> Result<Checked, Vec<Diagnostic>> {
    let mut report = Report::new(&spec.sources);
    let (head, body) = shaped(spec, world, &mut report);
    let origins = Origins::of(&head, &body, &spec.sources);
    let package_labels = package_labels(&body, &spec.sources);
    let labels = written::labels(&body, &spec.sources);
    let appliance = sections::decode(&head, &body, world, &mut report);
    let found = settle(report.found);
    match appliance {
        Some(appliance) if !found.iter().any(Diagnostic::is_error) => {
            let of_base = sections::of_base(&appliance, world);
            Ok(Checked { appliance, warnings: found, origins, labels, package_labels, of_base })
        }
        _ => Err(found),
    }
}

pub(crate) fn shaped(spec: &Spec, world: &World<'_>, report: &mut Report<'_>) -> (Item, Vec<Item>) {
    let reading = Reading { allow_outside: world.allow_outside, folders: &spec.folders };
    let head = shape::item(&spec.head, &sections::APPLIANCE, reading, report);
    let body = shape::shape(&spec.body, sections::BODY, "an appliance", reading, report);
    (head, merge(body, report))
}

fn package_labels(body: &[Item], sources: &Sources) -> BTreeMap<String, Label> {
    let nodes = [("kernel", "asked for here"), ("exclude", "excluded here"), ("packages", "asked for here")];
    let texts = nodes.into_iter().flat_map(|(node, label)| {
        let items = body.iter().filter(move |item| item.rule.name == node);
        items.flat_map(|item| item.texts_from(0)).map(move |(text, place)| (text, place, label))
    });
    let name = |text: &str| text.split(['<', '=', '>', '~', '@']).next().unwrap_or_default().trim().to_owned();
    texts.map(|(text, place, label)| (name(text), sources.label(place, label))).collect()
}
