//! `appliance lock`: decides exact packages, keeps what need not move, moves what was asked.

use std::collections::{BTreeMap, BTreeSet};

use packages::{Lock as Locked, Update};
use serde_json::json;
use spec::appliance::Base;

use crate::cli::Lock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::lock_file::{self, Tag};
use crate::spec_file::SpecFile;
use crate::ui::{Ui, counted};
use crate::workshop::Workshop;

/// Makes or moves the lock and says what changed.
pub fn lock(args: &Lock, ui: &Ui) -> Result<Exit, Failure> {
    let spec = SpecFile::read(&args.spec, ui)?;
    let shop = Workshop::open(&args.sources, ui)?;
    let old = lock_file::read(&spec)?;
    let new = match &args.update {
        None => lock_file::current(&spec, &shop, false)?.0,
        Some(names) if names.is_empty() => {
            lock_file::resolve(&spec, &shop, old.as_ref(), &Update::Everything, Tag::Moved)?
        }
        Some(names) => {
            let (image, names): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| is_image(name, &spec));
            known(&names, old.as_ref(), &spec)?;
            let tag = if image.is_empty() { Tag::Kept } else { Tag::Moved };
            let names: BTreeSet<String> = names.into_iter().cloned().collect();
            lock_file::resolve(&spec, &shop, old.as_ref(), &Update::Names(names), tag)?
        }
    };
    lock_file::write(&spec, &new)?;
    let changes = changes(old.as_ref(), &new);
    let path = spec.lock_path();
    if ui.json {
        ui.json(&json!({ "ok": true, "lock": path, "packages": new.packages().count(), "changes": changes }));
    }
    changes.iter().for_each(|change| ui.note(change));
    ui.note(format!("{}: {}", path.display(), outcome(old.as_ref(), &new, &changes)));
    Ok(Exit::Success)
}

/// How many packages a lock has, and what became of them.
fn outcome(old: Option<&Locked>, new: &Locked, changes: &[String]) -> String {
    let packages = match new.packages().count() {
        0 => "no packages".to_owned(),
        count => counted(count, "package", "packages"),
    };
    let image = old.and_then(|old| moved_image(old, new)).is_some();
    let moved = match (old, changes.len()) {
        (None, _) => return format!("{packages}, chosen"),
        (_, 0) => "nothing moved",
        (_, 1) if image => "the image moved",
        _ if image => "moved with the image",
        _ => "moved",
    };
    format!("{packages}, {moved}")
}

/// The name by which `--update` moves the image that a spec stands on, besides its reference.
const IMAGE: &str = "base";

/// Whether a name is that of the image that the spec stands on.
fn is_image(name: &str, spec: &SpecFile) -> bool {
    match &spec.appliance().base {
        Base::Oci(reference) => name == IMAGE || name == reference.to_string(),
        Base::Distro { .. } | Base::Scratch => false,
    }
}

/// A name that the lock lacks is a mistake, not nothing to do.
fn known(names: &[&String], old: Option<&Locked>, spec: &SpecFile) -> Result<(), Failure> {
    let Some(old) = old else { return Ok(()) };
    let locked: BTreeSet<&str> = old.packages().map(|package| package.name.as_str()).collect();
    let missing: Vec<&str> = names.iter().map(|name| name.as_str()).filter(|name| !locked.contains(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let help = match &spec.appliance().base {
        Base::Oci(_) => format!(
            "what the image brought moves with it: `--update {IMAGE}` takes what its tag means now; put a new package into \
             the spec instead"
        ),
        Base::Distro { .. } | Base::Scratch => "put a new package into the spec instead".to_owned(),
    };
    Err(Failure::new(Exit::Usage, format!("update {}: the lock holds no such package", missing.join(", "))).help(help))
}

/// What is different in a lock, a line each; the architectures are named where it is not the same for all.
fn changes(old: Option<&Locked>, new: &Locked) -> Vec<String> {
    let Some(old) = old else { return Vec::new() };
    let (before, after) = (versions(old), versions(new));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for key in keys {
        let (name, arch) = (&key.0, key.1);
        let line = match (before.get(key), after.get(key)) {
            (Some(was), Some(now)) if was != now => format!("  {name} {was} → {now}"),
            (None, Some(now)) => format!("+ {name} {now}"),
            (Some(was), None) => format!("- {name} {was}"),
            _ => continue,
        };
        match lines.iter_mut().find(|(known, _)| *known == line) {
            Some((_, arches)) => arches.push(arch),
            None => lines.push((line, vec![arch])),
        }
    }
    let all: BTreeSet<&str> = [old, new].iter().flat_map(|lock| &lock.roots).map(|root| root.arch.name()).collect();
    let shown = |(line, arches): (String, Vec<&str>)| match arches.len() == all.len() {
        true => line,
        false => format!("{line} ({})", arches.join(", ")),
    };
    moved_image(old, new).into_iter().chain(lines.into_iter().map(shown)).collect()
}

/// The versions of a lock, by name and architecture.
fn versions(lock: &Locked) -> BTreeMap<(String, &str), String> {
    let of_root = |root: &packages::LockedRoot| [root.packages.clone(), root.boot.clone()].concat();
    let rows = lock.roots.iter().flat_map(|root| of_root(root).into_iter().map(|package| (root.arch.name(), package)));
    rows.map(|(arch, package)| ((package.name, arch), package.version)).collect()
}

/// That the tag of the image means another one, where it does.
fn moved_image(old: &Locked, new: &Locked) -> Option<String> {
    let digest = |lock: &Locked| lock.base.digest.get(..19).unwrap_or(&lock.base.digest).to_owned();
    let is_other = old.base.name == "oci" && new.base.name == "oci" && old.base.digest != new.base.digest;
    is_other.then(|| format!("  {} {} → {}", new.base.release, digest(old), digest(new)))
}
