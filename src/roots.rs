//! Stage 4 for every architecture: locked packages and the spec's own entries become finished trees.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::path::PathBuf;

use assemble::{
    AssembleError, Assembled, Inputs, Origin, ScriptPolicy, ScriptRequest, ScriptRun, ScriptRunError, ScriptRunner,
};
use image::{BaseLayers, Part, RootInput};
use nix::fcntl::{Flock, FlockArg};
use packages::{Lock, LockedPackage, LockedRoot, Rules, Unpacked};
use sandbox::{Emulator, NoEmulator, Sandbox};
use spec::appliance::Arch;
use store::Image;
use tree::{Blobs, TreePath};

use crate::cli::{Build, Scripts};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::materials::Materials;
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
    let one = |locked: &LockedRoot| {
        let image = images.iter().find(|image| image.arch == locked.arch);
        let image = image.map(|image| shop.base_layers(image)).transpose()?;
        assemble_one(spec, lock, locked, image, materials, shop, policy)
    };
    lock.roots.iter().map(one).collect()
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
    locked: &LockedRoot,
    image: Option<BaseLayers>,
    materials: &Materials,
    shop: &Workshop<'_>,
    scripts: ScriptPolicy,
) -> Result<Root, Failure> {
    let unpacked = shop.store.unpack(&locked.packages, &shop.bar).map_err(|error| Failure::new(Exit::Build, error))?;
    shop.bar.clear();
    are_what_they_are_called(spec, &locked.packages, &unpacked)?;
    let contents = materials.with_store(&shop.store);
    let work = shop.store.root().join("sandbox");
    let mut runner = OnDemand { arch: locked.arch, blobs: &contents, work, running: None };
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
    let assembled = assemble::assemble(inputs).map_err(|error| failed(error, lock, locked.arch))?;
    Ok(Root { arch: locked.arch, assembled, image })
}

/// Compares packages with what the lock says of them.
///
/// # Errors
/// When one of them is another package, or another version.
pub fn are_what_they_are_called(
    spec: &SpecFile,
    locked: &[LockedPackage],
    unpacked: &[Unpacked],
) -> Result<(), Failure> {
    let Some(rules) = spec.base().and_then(|base| packages::rules_of(base.family)) else { return Ok(()) };
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

/// An error with what to do about it; of several architectures, or of another one than this host's, it says which.
fn failed(error: AssembleError, lock: &Lock, arch: Arch) -> Failure {
    let foreign = host_arch().is_ok_and(|host| host != arch);
    let help = match &error {
        AssembleError::Blocked { source: None, .. } => {
            Some("--scripts auto runs such a script in a sandbox and takes up what it changed".to_owned())
        }
        AssembleError::Blocked { .. } if foreign => Some(format!(
            "with qemu's user mode emulator, linked statically (on Debian the package qemu-user-static), and Linux 6.7 or \
             newer such scripts run here; or build on a machine of {arch}, or leave these packages out",
            arch = arch.name()
        )),
        _ => None,
    };
    let failure = match foreign || lock.roots.len() > 1 {
        true => Failure::doing(Exit::Build, format!("assemble the root for {}", arch.name()), error),
        false => Failure::new(Exit::Build, error),
    };
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}

/// A sandbox that starts with the first script that needs one: most builds need none.
struct OnDemand<'a> {
    arch: Arch,
    blobs: &'a dyn Blobs,
    work: PathBuf,
    running: Option<Running<'a>>,
}

struct Running<'a> {
    sandbox: Sandbox<'a>,
    /// One sandbox works in the folder at a time; others wait.
    _alone: Flock<File>,
}

impl<'a> OnDemand<'a> {
    fn start(&self) -> Result<Running<'a>, Box<dyn Error + Send + Sync>> {
        let emulator = emulator(self.arch)?;
        fs::create_dir_all(&self.work)?;
        let lock = File::create(self.work.with_extension("lock"))?;
        let alone = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        let sandbox = Sandbox::start(&std::env::current_exe()?, &self.work, self.blobs, emulator.as_ref())?;
        Ok(Running { sandbox, _alone: alone })
    }
}

/// What runs programs of an architecture here; nothing where this host does.
fn emulator(arch: Arch) -> Result<Option<Emulator>, NoEmulator> {
    let machine = match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    (std::env::consts::ARCH != machine).then(|| Emulator::find(machine, &path)).transpose()
}

impl ScriptRunner for OnDemand<'_> {
    fn ready(&mut self) -> Result<(), ScriptRunError> {
        let started = self
            .start()
            .map_err(|source| ScriptRunError { what: "it cannot start".to_owned(), source: Some(source) })?;
        self.running = Some(started);
        Ok(())
    }

    fn run(&mut self, request: &ScriptRequest<'_>) -> Result<ScriptRun, ScriptRunError> {
        match &mut self.running {
            Some(running) => running.sandbox.run(request),
            None => Err(ScriptRunError { what: request.name.clone(), source: None }),
        }
    }
}
