//! Stage 4 for every architecture: locked packages and the spec's own entries become finished trees.

use std::collections::BTreeMap;
use std::thread;

use assemble::{AssembleError, Assembled, Inputs, Origin, ScriptPolicy};
use image::{BaseLayers, Part, RootInput};
use packages::{Lock, LockedPackage, LockedRoot, Rules, Unpacked};
use spec::Severity;
use spec::appliance::Arch;
use spec::base::BaseImage;
use store::Image;
use tree::TreePath;

use crate::blocked::{self, Blocked};
use crate::cli::{Build, Scripts};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::materials::Materials;
use crate::script_runner::OnDemand;
use crate::spec_file::{SpecFile, host_arch};
use crate::workshop::Workshop;

/// The finished tree of one architecture.
pub struct Root {
    arch: Arch,
    assembled: Assembled,
    image: Option<BaseLayers>,
}

/// Assembles the root of every architecture of a spec.
///
/// # Errors
/// When a package cannot be taken apart, a script is refused or fails, or an entry cannot be placed.
pub fn assemble(
    spec: &SpecFile,
    lock: &Lock,
    images: &[Image],
    materials: &Materials,
    shop: &Workshop<'_>,
    args: &Build,
) -> Result<Vec<Root>, Failure> {
    let policy = policy(args);
    let one = |locked: &LockedRoot, unpacked: Vec<Unpacked>| {
        let image = images.iter().find(|image| image.arch == locked.arch);
        let image = image.map(|image| shop.base_layers(image)).transpose()?;
        are_what_they_are_called(spec.base(), &locked.packages, &unpacked)?;
        assemble_one(spec, lock, (locked, unpacked), image, materials, shop, policy)
    };
    let (one, unpacked) = (&one, unpack(lock, shop)?);
    let roots: Vec<Result<Root, Trouble>> = thread::scope(|scope| {
        let roots = lock.roots.iter().zip(unpacked);
        let roots: Vec<_> = roots.map(|(locked, unpacked)| scope.spawn(move || one(locked, unpacked))).collect();
        roots.into_iter().map(|root| root.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let roots = all_of(spec, lock, roots)?;
    warn(spec, shop, &roots);
    Ok(roots)
}

/// Why there is no root for an architecture.
enum Trouble {
    /// Something beside it failed.
    Failure(Failure),
    /// It cannot be assembled.
    Assemble(Arch, AssembleError),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// All roots, or what there is to say of all that failed: mistakes of the spec and scripts in the way are told of every
/// architecture at once, of other errors the first.
fn all_of(spec: &SpecFile, lock: &Lock, roots: Vec<Result<Root, Trouble>>) -> Result<Vec<Root>, Failure> {
    let (mut good, mut blocked, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
    for root in roots {
        match root {
            Ok(root) => good.push(root),
            Err(Trouble::Assemble(arch, AssembleError::Blocked { scripts, source })) => {
                blocked.push(Blocked { arch, scripts, problem: source });
            }
            Err(Trouble::Assemble(_, AssembleError::Mistakes(found))) => mistakes.extend(found),
            Err(Trouble::Assemble(arch, error)) => return Err(failed(error, lock, arch)),
            Err(Trouble::Failure(failure)) => return Err(failure),
        }
    }
    match (mistakes.is_empty(), blocked.is_empty()) {
        (true, true) => Ok(good),
        (false, _) => Err(spec.mistakes(Exit::Build, &mistakes)),
        (true, false) => Err(blocked::failure(&blocked, lock.roots.len() > 1)),
    }
}

/// Tells what is doubtful in the finished trees; what holds for every architecture only once.
fn warn(spec: &SpecFile, shop: &Workshop<'_>, roots: &[Root]) {
    let mut told = Vec::new();
    for warning in roots.iter().flat_map(|root| &root.assembled.warnings) {
        if !told.contains(&warning) {
            told.push(warning);
        }
    }
    let told: Vec<_> = told.iter().map(|warning| warning.diagnostic(Severity::Warning, &spec.checked)).collect();
    shop.ui.diagnostics(&told, &spec.sources);
}

/// The packages of every architecture, unpacked as one: cores are busy with the largest first, whichever root has them.
fn unpack(lock: &Lock, shop: &Workshop<'_>) -> Result<Vec<Vec<Unpacked>>, Failure> {
    let all: Vec<LockedPackage> = lock.roots.iter().flat_map(|root| root.packages.clone()).collect();
    let unpacked = shop.store.unpack(&all, &shop.bar).map_err(|error| Failure::new(Exit::Build, error))?;
    shop.bar.clear();
    let mut rest = unpacked.into_iter();
    Ok(lock.roots.iter().map(|root| rest.by_ref().take(root.packages.len()).collect()).collect())
}

/// The lock with what assembling decided: the ledger of scripts and the ids that were given out.
pub fn record(mut lock: Lock, roots: &[Root]) -> Lock {
    for locked in &mut lock.roots {
        if let Some(root) = roots.iter().find(|root| root.arch == locked.arch) {
            locked.ledger.clone_from(&root.assembled.ledger);
            locked.ids.clone_from(&root.assembled.ids);
        }
    }
    lock
}

impl Root {
    /// What the image is made from.
    pub fn into_input(self) -> RootInput {
        let part = |origin| match origin {
            Origin::Base(_) => Part::Base,
            Origin::Package(_) => Part::Packages,
            // What was changed of an image is state; the rest of it is in its own layers.
            Origin::Image => Part::State,
            Origin::Appliance => Part::Appliance,
        };
        let part_of: BTreeMap<TreePath, Part> =
            self.assembled.origins.into_iter().map(|(path, origin)| (path, part(origin))).collect();
        RootInput { arch: self.arch, tree: self.assembled.tree, part_of, image: self.image }
    }
}

fn policy(args: &Build) -> ScriptPolicy {
    match args.scripts {
        _ if args.strict => ScriptPolicy::Strict,
        Scripts::Auto => ScriptPolicy::Auto,
        Scripts::EmulateOnly => ScriptPolicy::EmulateOnly,
        Scripts::Strict => ScriptPolicy::Strict,
        Scripts::Run => ScriptPolicy::Run,
    }
}

fn assemble_one(
    spec: &SpecFile,
    lock: &Lock,
    (locked, unpacked): (&LockedRoot, Vec<Unpacked>),
    image: Option<BaseLayers>,
    materials: &Materials,
    shop: &Workshop<'_>,
    scripts: ScriptPolicy,
) -> Result<Root, Trouble> {
    let contents = materials.with_store(&shop.store);
    let work = shop.store.root().join("sandbox");
    let mut runner = OnDemand::new(locked.arch, &contents, work);
    let inputs = Inputs {
        appliance: spec.appliance(),
        arch: locked.arch,
        base: spec.base(),
        image: image.as_ref().map(|image| image.tree.clone()),
        packages: unpacked,
        ids: &locked.ids,
        blobs: &contents,
        sources: &materials.files.sources,
        guest: materials.guests.get(&locked.arch).cloned(),
        epoch_secs: lock.epoch_secs,
        scripts,
        runner: Some(&mut runner),
    };
    let assembled = assemble::assemble(inputs).map_err(|error| Trouble::Assemble(locked.arch, error))?;
    Ok(Root { arch: locked.arch, assembled, image })
}

/// Compares packages of a base with what the lock says of them.
///
/// # Errors
/// When one of them is another package, or another version.
pub fn are_what_they_are_called(
    base: Option<&BaseImage>,
    locked: &[LockedPackage],
    unpacked: &[Unpacked],
) -> Result<(), Failure> {
    let Some(rules) = base.and_then(|base| packages::rules_of(base.family)) else { return Ok(()) };
    locked.iter().zip(unpacked).try_for_each(|(package, unpacked)| is_what_it_is_called(rules, package, unpacked))
}

/// What a lock says of a package is what people read and scanners look up, so the package must say the same.
fn is_what_it_is_called(rules: &dyn Rules, package: &LockedPackage, unpacked: &Unpacked) -> Result<(), Failure> {
    let (name, version) = rules.stated(unpacked);
    if (&name, &version) == (&package.name, &package.version) {
        return Ok(());
    }
    let what = format!("use {} {}: the package itself says that it is {name} {version}", package.name, package.version);
    Err(Failure::new(Exit::Build, what).help("the archive's index or a hand on the lock is wrong"))
}

/// An error; of several architectures, or of another one than this host's, it says which.
fn failed(error: AssembleError, lock: &Lock, arch: Arch) -> Failure {
    let foreign = host_arch().is_ok_and(|host| host != arch);
    match foreign || lock.roots.len() > 1 {
        true => Failure::doing(Exit::Build, format!("assemble the root for {}", arch.name()), error),
        false => Failure::new(Exit::Build, error),
    }
}
