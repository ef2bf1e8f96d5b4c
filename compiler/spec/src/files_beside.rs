//! The files beside a spec that it names, held against those that are there.

use std::borrow::Cow;

use crate::appliance::Arch;
use crate::check::{World, shaped};
use crate::diagnostic::Diagnostic;
use crate::image_reference::{ImageReference, LocalImage};
use crate::item::Item;
use crate::machines::{self, Of};
use crate::overlap;
use crate::report::Report;
use crate::sections::{Body, files};
use crate::source::Place;
use crate::spec::Spec;
use crate::suggest::nearest;

/// How a path that a spec names stands on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It can be taken; what it is will be seen later.
    There,
    /// A file that can be taken.
    File,
    /// A folder that can be taken.
    Folder,
    /// Nothing stands there.
    Missing,
    /// Links lead from it out of the spec's folder.
    Outside,
    /// It, or something in it, cannot be read.
    Unreadable {
        /// What cannot be read.
        path: String,
        /// Why, in the host's words.
        reason: String,
    },
    /// It is, or holds, something that no appliance can hold.
    Special {
        /// What it is about.
        path: String,
        /// What it is: `a named pipe`.
        kind: &'static str,
    },
}

/// The beginning of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its first bytes: twenty, or all where it has less.
    pub bytes: Vec<u8>,
    /// Whether somebody may run it.
    pub can_run: bool,
}

/// The files beside a spec; paths are relative to its folder.
pub trait Beside {
    /// How a path stands.
    fn standing(&self, path: &str) -> Standing;

    /// The paths of all files and links in a folder, relative to it; none where that is not known.
    fn files_in(&self, folder: &str) -> Vec<String>;

    /// The beginning of a file; none where it is no file that can be read, or that is not known.
    fn head(&self, path: &str) -> Option<Head>;
}

/// An error for each file or folder that the spec takes something from and that cannot be taken, or that links lead to
/// from the spec's folder although it lies outside; and what is wrong or worth a thought with where they are put.
pub fn file_problems(spec: &Spec, world: &World<'_>, beside: &dyn Beside) -> Vec<Diagnostic> {
    let mut read = Report::new(&spec.sources);
    let (_, body) = shaped(spec, world, &mut read);
    // What else is wrong is for the check to say.
    let mut report = Report::new(&spec.sources);
    let arches = machines::arches(Body(&body), world);
    let named = body.iter().filter_map(|item| Some((item, named(item)?)));
    for (item, (path, place)) in named.flat_map(|(item, (path, place))| filled(item, &path, place, &arches)) {
        let standing = beside.standing(&path);
        if standing == Standing::File {
            files::refuse_slash(item, &mut report);
        }
        match standing {
            Standing::File | Standing::Folder if item.rule.name == "base" => {
                let mistaken = item.arg(1).and_then(|text| ImageReference::parse(text).ok());
                let mistaken = mistaken.and_then(|reference| other_kind(&reference, standing == Standing::Folder));
                if let Some((message, help)) = mistaken {
                    report.error("file-unusable", place, message, "not such an image").help(help);
                }
            }
            Standing::There | Standing::File | Standing::Folder => {}
            Standing::Outside if world.allow_outside => {}
            Standing::Missing => missing(&path, place, beside, &mut report),
            Standing::Outside => outside(&path, place, &mut report),
            Standing::Unreadable { path, reason } => unreadable(&path, &reason, place, &mut report),
            Standing::Special { path, kind } => special(&path, kind, place, &mut report),
        }
    }
    arches.iter().for_each(|arch| overlap::check(&body, &Of(*arch, beside), &mut report));
    machines::check(Body(&body), &arches, beside, &mut report);
    report.found
}

/// A path as each architecture takes it, each once; only those of files differ.
fn filled<'a>(item: &'a Item, path: &str, place: Place, arches: &[Arch]) -> Vec<(&'a Item, (String, Place))> {
    let mut paths: Vec<String> = match item.rule.name {
        "file" => arches.iter().map(|arch| arch.fill(path)).collect(),
        _ => vec![path.to_owned()],
    };
    paths.dedup();
    paths.into_iter().map(|path| (item, (path, place))).collect()
}

/// What to say of an image that is a folder where a file is named, or a file where a folder is.
fn other_kind(reference: &ImageReference, is_folder: bool) -> Option<(String, String)> {
    let named = |local: &LocalImage, scheme: &str| format!("\"{scheme}:{local}\"");
    match reference {
        ImageReference::Layout(local) if !is_folder => Some((
            format!("\"{}\" is a file, and `oci:` names a folder that is an image layout", local.path),
            format!("write {} or {}", named(local, "oci-archive"), named(local, "docker-archive")),
        )),
        ImageReference::OciArchive(local) | ImageReference::Archive(local) if is_folder => Some((
            format!("\"{}\" is a folder, and the reference names a tar file", local.path),
            format!("write {} where it is an image layout", named(local, "oci")),
        )),
        _ => None,
    }
}

fn missing(path: &str, place: Place, beside: &dyn Beside, report: &mut Report<'_>) {
    let message = format!("there is no \"{path}\" beside the spec");
    let error = report.error("file-missing", place, message, "not there");
    error.help(match near(path, beside) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if path.contains(['{', '$', '%']) => {
            "the name of each architecture is written so: from=\"bin/{arch}/tool\"".to_owned()
        }
        None => "make it, or correct the path, which is relative to the file that names it".to_owned(),
    });
}

/// A file or folder in the same folder whose name is nearly this one.
fn near(path: &str, beside: &dyn Beside) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
    let files = beside.files_in(folder);
    let near = nearest(name, files.iter().map(|file| file.split('/').next().unwrap_or(file)))?;
    Some(if folder == "." { near.to_owned() } else { format!("{folder}/{near}") })
}

fn unreadable(path: &str, reason: &str, place: Place, report: &mut Report<'_>) {
    let error = report.error("file-unusable", place, format!("\"{path}\" cannot be read: {reason}"), "cannot be taken");
    error.help(format!("let yourself read it, as with: chmod -R u+rX {path}"));
}

fn special(path: &str, kind: &str, place: Place, report: &mut Report<'_>) {
    let error = report.error("file-unusable", place, format!("\"{path}\" is {kind}"), "cannot be taken");
    error.help("only files, folders and links can be put into an appliance; move it elsewhere");
}

fn outside(path: &str, place: Place, report: &mut Report<'_>) {
    let message = format!("\"{path}\" must lie inside the spec's folder; a link leads out of it");
    let error = report.error("path-outside", place, message, "leads out of the spec's folder");
    error.help("copy what is needed beside the spec, or allow it with `--allow-outside`");
}

fn named(item: &Item) -> Option<(Cow<'_, str>, Place)> {
    let prop = |name| item.text(name).map(|text| (Cow::Borrowed(text), item.prop_place(name)));
    match item.rule.name {
        "base" if item.arg(0) == Some("oci") => {
            let reference = ImageReference::parse(item.arg(1)?).ok()?;
            Some((Cow::Owned(reference.local_path()?.to_owned()), item.arg_place(1)))
        }
        "file" => prop("from"),
        "repository" => prop("key"),
        "isolation" => {
            let profile = item.child("seccomp")?;
            // A plain word is one of the filters that the language knows, or a slip.
            let path = profile.arg(0).filter(|text| text.contains(['/', '.']))?;
            Some((Cow::Borrowed(path), profile.arg_place(0)))
        }
        _ => None,
    }
}
