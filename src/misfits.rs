//! Where a user is told of a suite, a component or a package that an archive does not have: at the line of the base image of
//! their own, or of the spec's repository, that asks for it.

use packages::{Catalog, ResolveError, unknown_excluded};
use spec::base::BaseImage;
use spec::{BasePlace, Diagnostic, InArchive, Label, Severity, Source, Written, nearest};
use store::{CatalogFetchError, Misfit, in_one_line};

use crate::catalogs::archive_name;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::spec_file::SpecFile;
use crate::ui::Ui;

/// The failure, where the suite or component stands in a text of the user's.
pub fn told(spec: &SpecFile, base: &BaseImage, misfit: &Misfit, error: &CatalogFetchError) -> Option<Failure> {
    let text = "the archive does not have it";
    let (label, source) = match in_base(spec, base, misfit) {
        Some((label, source)) => (Label { text: text.to_owned(), ..label }, Some(source)),
        None => (in_spec(spec, misfit, text)?, None),
    };
    let diagnostic = Diagnostic {
        code: "unknown-suite",
        severity: Severity::Error,
        message: format!("nothing can be taken from this archive: failed to {}", in_one_line(error)),
        labels: vec![label],
        help: Some(help(misfit)),
    };
    let sources = source.into_iter().fold(spec.sources.clone(), |sources, source| sources.with(source));
    Some(Failure::Spec { found: vec![diagnostic], sources, exit: Exit::Fetch })
}

fn in_base<'s>(spec: &'s SpecFile, base: &BaseImage, misfit: &Misfit) -> Option<(Label, &'s Source)> {
    let archive = || InArchive { release: base.release.clone(), archive: misfit.archive.clone() };
    let suite = BasePlace::Suite(archive(), misfit.suite.clone());
    let component = misfit.component.clone();
    let component = component.map(|name| BasePlace::Component(archive(), misfit.suite.clone(), name));
    let at = |place: &BasePlace| spec.bases.place(&base.name, place);
    component.and_then(|component| at(&component)).or_else(|| at(&suite)).or_else(|| at(&BasePlace::Archive(archive())))
}

fn in_spec(spec: &SpecFile, misfit: &Misfit, text: &str) -> Option<Label> {
    let is_it = |repository: &&spec::appliance::Repository| archive_name(repository) == misfit.archive;
    let repository = spec.appliance().repositories.iter().find(is_it)?;
    spec.checked.label(&Written::Repository(archive_name(repository)), text)
}

fn help(misfit: &Misfit) -> String {
    let wanted = misfit.component.as_ref().unwrap_or(&misfit.suite);
    let there: Vec<&str> = misfit.there.iter().map(String::as_str).filter(|there| !there.is_empty()).collect();
    let near = nearest(wanted, there.iter().copied());
    match (near, there.as_slice()) {
        (Some(near), _) => format!("did you mean \"{near}\"?"),
        (None, []) if misfit.component.is_none() => {
            "is the suite's name right? Correct it, or name a mirror that has it with --mirror".to_owned()
        }
        (None, []) => "correct it, or name a mirror that has it with --mirror".to_owned(),
        (None, there) => format!("write what it has: \"{}\"", there.join("\" or \"")),
    }
}

/// What a user is told where no packages fit: at the line of the spec that asks for one, else at that of the base of their own.
pub fn unsatisfiable(spec: &SpecFile, problems: &[ResolveError]) -> Failure {
    let bases = || [spec.base(), spec.other_boot_base()].into_iter().flatten();
    let in_bases = |name: &str| {
        let place = |base: &BaseImage| BasePlace::Package { release: base.release.clone(), name: name.to_owned() };
        bases().find_map(|base| spec.bases.place(&base.name, &place(base)))
    };
    let in_spec = |name: &str| spec.checked.package_label(name);
    let label = |name: &str| in_spec(name).or_else(|| in_bases(name).map(|(label, _)| label));
    let found = problems.iter().map(|problem| problem.diagnostic(label)).collect();
    let names = problems.iter().flat_map(ResolveError::packages);
    let texts = names.filter(|name| in_spec(name).is_none()).filter_map(in_bases).map(|(_, text)| text);
    let sources = texts.fold(spec.sources.clone(), spec::Sources::with);
    Failure::Spec { found, sources, exit: Exit::Unsatisfiable }
}

/// Says of each excluded package that no archive has, so that nothing comes of excluding it.
pub fn warn_of_excluded(spec: &SpecFile, catalogs: &[Catalog], ui: &Ui) {
    let warning = |(name, near): (&str, Option<String>)| Diagnostic {
        code: "unknown-package",
        severity: Severity::Warning,
        message: format!("nothing comes of excluding \"{name}\": no archive has a package of this name"),
        labels: spec.checked.package_label(name).into_iter().collect(),
        help: Some(near.map_or("remove it, or correct it".to_owned(), |near| format!("did you mean \"{near}\"?"))),
    };
    let found: Vec<Diagnostic> =
        unknown_excluded(&spec.appliance().excluded, catalogs).into_iter().map(warning).collect();
    ui.diagnostics(&found, &spec.sources);
}
