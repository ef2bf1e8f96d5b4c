//! What is said at the lines of a spec about packages that its image cannot have, or has already.

use std::collections::BTreeMap;

use packages::Installed;
use spec::appliance::{Arch, Init};
use spec::{Diagnostic, Severity, Written};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec_file::SpecFile;

/// Whether a spec asks for packages, by name or by an init that comes with some.
pub fn asks_for_packages(spec: &SpecFile) -> bool {
    !spec.appliance().packages.is_empty() || spec.appliance().init != Init::Builtin
}

/// The sections of a spec that are about packages; an init of the image's own needs some.
fn sections(spec: &SpecFile) -> Vec<&'static str> {
    let init = (spec.appliance().init != Init::Builtin).then_some("init");
    ["packages", "exclude", "repository"]
        .into_iter()
        .chain(init)
        .filter(|section| spec.checked.label(&Written::Section(section), "").is_some())
        .collect()
}

/// Whether a spec says anything about packages, so that it matters what its image has.
pub fn is_about_packages(spec: &SpecFile) -> bool {
    !sections(spec).is_empty()
}

/// That the image is none that packages can be added to, at each section that is about packages.
pub fn refuse(spec: &SpecFile, what: &str, help: &str) -> Failure {
    let one = |section: &'static str| {
        let label = spec.checked.label(&Written::Section(section), "needs packages in the image")?;
        Some(Diagnostic {
            code: "no-packages",
            severity: Severity::Error,
            message: format!("`{section}` has no meaning on this image: {what}"),
            labels: vec![label],
            help: Some(help.to_owned()),
        })
    };
    spec.wrong(Exit::Build, sections(spec).into_iter().filter_map(one).collect())
}

/// Which bases and images packages can be added to, as advice.
pub fn other_image(spec: &SpecFile) -> String {
    let mut known: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for base in &spec.bases.all {
        known.entry(&base.name).or_default().push(&base.release);
    }
    let one = |(name, releases): (&&str, &Vec<&str>)| format!("{name} ({})", releases.join(", "));
    let all: Vec<String> = known.iter().map(one).collect();
    format!("take one of these bases, or an image of one: {}", all.join(", "))
}

/// Looks for excluded packages in what images have: their layers stay as they are, so nothing can leave one.
///
/// # Errors
/// At the line of each excluded package that is in an image.
pub fn excluded(spec: &SpecFile, there: &[(Arch, Installed)]) -> Result<(), Failure> {
    let found: Vec<Diagnostic> =
        spec.appliance().excluded.iter().filter_map(|name| in_image(spec, name, there)).collect();
    if found.is_empty() { Ok(()) } else { Err(spec.wrong(Exit::Unsatisfiable, found)) }
}

fn in_image(spec: &SpecFile, name: &str, there: &[(Arch, Installed)]) -> Option<Diagnostic> {
    let has = there.iter().filter_map(|(arch, installed)| Some((*arch, installed.version_of(name)?)));
    let has: Vec<(Arch, &str)> = has.collect();
    let (_, first) = has.first()?;
    let versions = match has.len() == there.len() && has.iter().all(|(_, version)| version == first) {
        true => (*first).to_owned(),
        false => {
            has.iter().map(|(arch, version)| format!("{version} for {}", arch.name())).collect::<Vec<_>>().join(", ")
        }
    };
    Some(Diagnostic {
        code: "excluded-package",
        severity: Severity::Error,
        message: format!("\"{name}\" is excluded, and the image has {name} {versions}"),
        labels: spec.checked.package_label(name).into_iter().collect(),
        help: Some(
            "remove it from `exclude`, or take an image without it: the layers of an image stay as they are".to_owned(),
        ),
    })
}
