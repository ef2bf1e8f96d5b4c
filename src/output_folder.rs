//! Where a build puts its bundle: a folder that a build may replace as a whole, and what lies in it that is not the
//! build's own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bundle::manifest::{self, ArtifactKind, Manifest};

use crate::exit::Exit;
use crate::failure::Failure;

/// The folder for the bundle of a spec: the one that was asked for, else `out` beside the spec.
///
/// # Errors
/// When what stands there must not be replaced; nothing was done yet then.
pub fn choose(asked: Option<&Path>, spec: &Path, beside: &Path) -> Result<PathBuf, Failure> {
    let folder = asked.map_or_else(|| beside.join("out"), Path::to_owned);
    let refuse = |exit, why: &str| {
        let other = if folder.ends_with("out") { "bundle" } else { "out" };
        let help = format!("a build replaces its folder as a whole: name one of its own, such as --output {other}");
        Err(Failure::new(exit, format!("build into {}: {why}", folder.display())).help(help))
    };
    if folder.file_name().is_none() {
        return refuse(Exit::Usage, "this is a folder that other things are in, or none");
    }
    let Ok(there) = folder.canonicalize() else { return Ok(folder) };
    if spec.canonicalize().is_ok_and(|spec| spec == there) {
        return refuse(Exit::Usage, "it is the spec");
    }
    if !there.is_dir() {
        return refuse(Exit::Usage, "a file of this name is there");
    }
    if spec.canonicalize().is_ok_and(|spec| spec.starts_with(&there)) {
        return refuse(Exit::Usage, "the spec is in it");
    }
    if !is_replaceable(&there) {
        return refuse(Exit::Build, "it holds other things and is no bundle");
    }
    Ok(folder)
}

/// Whether a folder is a bundle, or empty.
pub fn is_replaceable(folder: &Path) -> bool {
    let is_empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    folder.join(manifest::FILE_NAME).exists() || is_empty()
}

/// Gives everything in a bundle that no build put there to the bundle that replaces it, under the same path; both hold
/// it then, so that an interruption loses nothing. Gives the paths.
///
/// # Errors
/// What the file system reports; also when the new bundle has something of that name.
pub fn hand_over(old: &Path, new: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(manifest) = read_manifest(old) else { return Ok(Vec::new()) };
    let mut kept = Vec::new();
    for path in files_below(old, Path::new(""))? {
        if is_of_bundle(&path, &manifest) {
            continue;
        }
        let (from, to) = (old.join(&path), new.join(&path));
        let at = |error: io::Error| io::Error::new(error.kind(), format!("keep {}: {error}", from.display()));
        fs::create_dir_all(to.parent().unwrap_or(new)).map_err(at)?;
        if fs::symlink_metadata(&to).is_ok() {
            let why = "it is not of a build, and what is built has this name; move it away";
            return Err(at(io::Error::other(why)));
        }
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).map_err(at)?;
        kept.push(path);
    }
    Ok(kept)
}

fn read_manifest(folder: &Path) -> Option<Manifest> {
    serde_json::from_slice(&fs::read(folder.join(manifest::FILE_NAME)).ok()?).ok()
}

/// The paths of all that is not a folder, sorted, relative to `root`.
fn files_below(root: &Path, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            paths.extend(files_below(root, &path)?);
        } else {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a file is one that the build of this manifest wrote. Of an image layout those are the names that the OCI
/// Image Layout Specification 1.1 has.
fn is_of_bundle(path: &Path, manifest: &Manifest) -> bool {
    let is = |artifact: &bundle::manifest::Artifact| match artifact.kind {
        ArtifactKind::OciLayout => path.strip_prefix(&artifact.path).is_ok_and(is_of_layout),
        _ => path == Path::new(&artifact.path),
    };
    path == Path::new(manifest::FILE_NAME) || manifest.artifacts.iter().any(is)
}

fn is_of_layout(path: &Path) -> bool {
    let is_digest = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    path == Path::new("oci-layout")
        || path == Path::new("index.json")
        || path.strip_prefix("blobs/sha256").is_ok_and(|name| name.to_str().is_some_and(is_digest))
}
