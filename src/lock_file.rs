//! The lock beside a spec: read, judged, made anew where that is allowed, and written.

use std::fs;
use std::io;

use packages::{Lock, Requests, Update};
use spec::appliance::Base;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::misfits::{self, unsatisfiable};
use crate::replace_file::{replace_file, sweep_beside};
use crate::spec_file::SpecFile;
use crate::workshop::Workshop;

/// The lock that a build uses: the one on disk where it is current, else a new one, which is not written yet, with what
/// is to be said of it when it is.
///
/// # Errors
/// With `locked`, when it is missing or stale, saying what changed; otherwise when no packages fit.
pub fn current(spec: &SpecFile, shop: &Workshop<'_>, locked: bool) -> Result<(Lock, Vec<String>), Failure> {
    let old = read(spec)?;
    let requests = requests(spec, shop, old.as_ref(), locked)?;
    let changes = match &old {
        None => vec!["there is no lock yet".to_owned()],
        Some(old) => staleness(spec, old, &requests),
    };
    match old {
        Some(lock) if changes.is_empty() => Ok((lock, Vec::new())),
        _ if locked => Err(stale(spec, &changes)),
        old => {
            let new = resolve_requests(spec, shop, old.as_ref(), &Update::Nothing, &requests)?;
            let what = old.as_ref().and_then(|old| what_moves(old, &new));
            let moves = what.map(|what| changes.iter().map(|change| format!("{what}: {change}")).collect());
            Ok((new, moves.unwrap_or_default()))
        }
    }
}

/// How to call what became of a lock; nothing where it says the same as before.
fn what_moves(old: &Lock, new: &Lock) -> Option<&'static str> {
    let bytes = |lock: &Lock| -> Vec<_> {
        lock.packages().map(|package| (package.name.clone(), package.version.clone(), package.digest)).collect()
    };
    if bytes(old) != bytes(new) || old.base.digest != new.base.digest {
        return Some("the lock moves");
    }
    (old.requests != new.requests || old.encoders != new.encoders)
        .then_some("the lock is written anew, and no package moves")
}

/// What becomes of the tag of an image that the lock has a digest for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// It means what it meant.
    Kept,
    /// It means what the registry says now.
    Moved,
}

/// Decides packages anew. Nothing is written.
///
/// # Errors
/// When no packages fit or the network fails.
pub fn resolve(
    spec: &SpecFile,
    shop: &Workshop<'_>,
    old: Option<&Lock>,
    update: &Update,
    tag: Tag,
) -> Result<Lock, Failure> {
    let keep = old.filter(|_| tag == Tag::Kept);
    resolve_requests(spec, shop, old, update, &requests(spec, shop, keep, false)?)
}

fn resolve_requests(
    spec: &SpecFile,
    shop: &Workshop<'_>,
    old: Option<&Lock>,
    update: &Update,
    requests: &Requests,
) -> Result<Lock, Failure> {
    let previous = old.map(|lock| (lock, update));
    let lock = match spec.base() {
        None => shop.resolve_on_images(spec, requests, old, update)?,
        Some(base) => {
            let (catalogs, indexes) = shop.catalogs(spec, base, old)?;
            misfits::warn_of_excluded(spec, &catalogs, shop.ui);
            packages::resolve(requests, &catalogs, indexes, image::encoders(&spec.appliance().outputs), previous)
                .map_err(|problems| unsatisfiable(spec, &problems))?
        }
    };
    let Some(base) = spec.other_boot_base().filter(|_| requests.boot_base.is_some()) else { return Ok(lock) };
    let (catalogs, indexes) = shop.boot_catalogs(spec, base, old)?;
    packages::resolve_boot(requests, &catalogs, indexes, lock, previous)
        .map_err(|problems| unsatisfiable(spec, &problems))
}

/// The lock on disk; `None` where there is none.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn read(spec: &SpecFile) -> Result<Option<Lock>, Failure> {
    let path = spec.lock_path();
    let doing = || format!("read the lock {}", path.display());
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| Failure::doing(Exit::Stale, doing(), error))?,
    };
    packages::lock::parse(&text).map(Some).map_err(|error| {
        Failure::doing(Exit::Stale, doing(), error)
            .help("restore it from version control, or remove it and build again")
    })
}

/// Writes the lock if it differs from what stands there.
///
/// # Errors
/// What the file system reports.
pub fn write(spec: &SpecFile, lock: &Lock) -> Result<(), Failure> {
    let path = spec.lock_path();
    let text = packages::lock::render(lock);
    sweep_beside(&path);
    if fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    replace_file(&path, text.as_bytes())
        .map_err(|error| Failure::doing(Exit::Build, format!("write the lock {}", path.display()), error))
}

/// What the packages of a spec depend on. What `old` says of a tag stays; with `locked` nothing is asked of a network.
///
/// # Errors
/// When the spec stands on a distribution that does not exist here, or an image cannot be found.
fn requests(spec: &SpecFile, shop: &Workshop<'_>, old: Option<&Lock>, locked: bool) -> Result<Requests, Failure> {
    let none = || Failure::new(Exit::Build, "find the base image of this spec");
    let requests = match &spec.appliance().base {
        Base::Distro { .. } => Requests::of(spec.appliance(), spec.base().ok_or_else(none)?),
        Base::Oci(reference) => {
            let digest = shop.base_digest(spec, reference, old, locked)?;
            Requests::without_packages(spec.appliance(), "oci", &reference.to_string(), &digest)
        }
        Base::Scratch => Requests::without_packages(spec.appliance(), "scratch", "", ""),
    };
    Ok(match spec.other_boot_base() {
        Some(base) => requests.booting_from(spec.appliance(), base),
        None => requests,
    })
}

/// Why a lock does not fit, in words; empty where it does.
fn staleness(spec: &SpecFile, lock: &Lock, requests: &Requests) -> Vec<String> {
    let mut changes = lock.staleness(requests);
    for (name, version) in image::encoders(&spec.appliance().outputs) {
        match lock.encoders.get(&name) {
            Some(locked) if *locked == version => {}
            Some(_) => changes.push(format!("this version writes {name} in another way")),
            None => changes.push(format!("it was made for outputs without {name}")),
        }
    }
    changes
}

fn stale(spec: &SpecFile, changes: &[String]) -> Failure {
    let what = format!("use the lock {}: {}", spec.lock_path().display(), changes.join("; "));
    Failure::new(Exit::Stale, what).help(format!("make it current with: appliance lock {}", spec.path.display()))
}
