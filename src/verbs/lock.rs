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
    let count = new.packages().count();
    if ui.json {
        ui.json(&json!({ "ok": true, "lock": path, "packages": count, "changes": changes }));
    }
    changes.iter().for_each(|change| ui.note(change));
    let moved = match &old {
        None => "chosen",
        Some(_) if changes.is_empty() => "nothing moved",
        Some(_) => "moved",
    };
    ui.note(format!("{}: {}, {moved}", path.display(), counted(count, "package", "packages")));
    Ok(Exit::Success)
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

fn changes(old: Option<&Locked>, new: &Locked) -> Vec<String> {
    let versions = |lock: Option<&Locked>| -> BTreeMap<(String, String), String> {
        let roots = lock.map(|lock| lock.roots.as_slice()).unwrap_or_default();
        let of_root = |root: &packages::LockedRoot| [root.packages.clone(), root.boot.clone()].concat();
        let rows = roots.iter().flat_map(|root| of_root(root).into_iter().map(|package| (root.arch.name(), package)));
        rows.map(|(arch, package)| ((package.name.clone(), arch.to_owned()), package.version.clone())).collect()
    };
    let (before, after) = (versions(old), versions(Some(new)));
    if old.is_none() {
        return Vec::new();
    }
    let digest = |lock: &Locked| lock.base.digest.get(..19).unwrap_or(&lock.base.digest).to_owned();
    let was = old.filter(|old| old.base.name == "oci" && new.base.name == "oci" && old.base.digest != new.base.digest);
    let base = was.map(|old| format!("  {} {} → {}", new.base.release, digest(old), digest(new)));
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let change = |key: &&(String, String)| match (before.get(*key), after.get(*key)) {
        (Some(was), Some(now)) if was != now => Some(format!("  {} {was} → {now}", key.0)),
        (None, Some(now)) => Some(format!("+ {} {now}", key.0)),
        (Some(was), None) => Some(format!("- {} {was}", key.0)),
        _ => None,
    };
    base.into_iter().chain(keys.iter().filter_map(change)).collect()
}
