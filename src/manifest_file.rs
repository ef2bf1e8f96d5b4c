//! The last files of a bundle: the lock, the plan, and the manifest that lists everything.

use std::io;

use bundle::manifest::{self, Artifact, ArtifactKind, Manifest};
use bundle::plan::Plan;
use image::{FileDigests, Outputs};
use packages::Lock;

use crate::bundle_folder::BundleFolder;
use crate::spec_file::SpecFile;

/// The name of the lock inside a bundle.
pub const LOCK_NAME: &str = "appliance.lock";

/// Writes the lock, the plan and the manifest into a bundle that holds all other artifacts.
///
/// # Errors
/// What the file system reports.
pub fn write(
    spec: &SpecFile,
    lock: &Lock,
    plan: &Plan,
    mut artifacts: Vec<Artifact>,
    making: &BundleFolder<'_>,
) -> io::Result<Manifest> {
    let lock_text = packages::lock::render(lock);
    let lock_digests = put(making, LOCK_NAME, lock_text.as_bytes())?;
    let plan_digests = put(making, bundle::plan::FILE_NAME, &pretty(plan)?)?;
    artifacts.push(artifact(ArtifactKind::Lock, LOCK_NAME, &lock_digests));
    artifacts.push(artifact(ArtifactKind::Plan, bundle::plan::FILE_NAME, &plan_digests));
    artifacts.sort_by(|a, b| a.path.cmp(&b.path));
    let manifest = Manifest {
        schema: manifest::SCHEMA,
        name: spec.appliance().name.clone(),
        version: spec.appliance().version.clone(),
        arch: spec.appliance().arches.iter().map(|arch| arch.name().to_owned()).collect(),
        artifacts,
        lock_blake3: lock_digests.blake3,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    put(making, manifest::FILE_NAME, &pretty(&manifest)?)?;
    Ok(manifest)
}

fn put(making: &BundleFolder<'_>, path: &str, bytes: &[u8]) -> io::Result<FileDigests> {
    making.file(path, &mut |file| file.write_all(bytes))?;
    Ok(FileDigests::of(bytes))
}

fn artifact(kind: ArtifactKind, path: &str, digests: &FileDigests) -> Artifact {
    let FileDigests { size_bytes, blake3, sha256 } = digests.clone();
    Artifact { kind, arch: None, path: path.to_owned(), size_bytes, blake3, sha256 }
}

/// Indented JSON with a line break at its end. The types behind it are structs and sorted maps, so the order is fixed.
fn pretty(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}
