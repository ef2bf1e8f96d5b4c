//! A build, from a spec to a published bundle: [`build`] reads as its stages, top to bottom.

use std::path::PathBuf;

use bundle::manifest::Manifest;
use image::Identity;
use packages::Lock;

use crate::bundle_folder::BundleFolder;
use crate::cli::Build;
use crate::clock::Clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::layer_cache::StoredLayers;
use crate::materials::Materials;
use crate::roots::{self, Root};
use crate::spec_file::SpecFile;
use crate::ui::Ui;
use crate::workshop::Workshop;
use crate::{boot_files, boot_mistakes, lock_file, manifest_file, output_folder, turn, unchanged};

/// A published bundle and how it came about.
pub struct Built {
    /// Its folder.
    pub folder: PathBuf,
    /// What it holds.
    pub manifest: Manifest,
    /// The lock, with the ledger of scripts.
    pub lock: Lock,
    /// Whether it was there already and nothing had to be done.
    pub unchanged: bool,
    /// How long each stage took.
    pub clock: Clock,
}

/// Builds a spec. Nothing appears under the bundle's name before all of it is complete.
///
/// # Errors
/// The first stage that fails.
pub fn build(args: &Build, ui: &Ui) -> Result<Built, Failure> {
    let mut clock = Clock::start();
    let _interrupt = Interrupt::watch().map_err(|error| Failure::doing(Exit::Failure, "watch for Ctrl-C", error))?;
    let spec = SpecFile::read_with_files(&args.spec, ui)?;
    let folder = output_folder::choose(args.output.as_deref(), &spec.path, &spec.folder())?;
    clock.stage("check");

    let shop = Workshop::open(&args.sources, ui)?;
    let _turn = turn::take(&shop.store, &folder, ui).map_err(|error| {
        Failure::doing(Exit::Build, format!("wait for other builds of {}", folder.display()), error)
    })?;
    let (lock, moves) = lock_file::current(&spec, &shop, args.locked)?;
    let images = shop.images(&spec, &lock)?;
    let spec = shop.standing_on(spec, &images)?;
    clock.stage("resolve");

    let materials = Materials::gather(&spec, lock.epoch_secs, &folder, args)?;
    let inputs = unchanged::digest(&spec, &lock, &materials, args);
    if let Some((manifest, lock)) = unchanged::find(&shop.store, &inputs, &folder) {
        lock_file::write(&spec, &lock)?;
        moves.iter().for_each(|what| ui.note(what));
        clock.stage("compare");
        return Ok(Built { folder, manifest, lock, unchanged: true, clock });
    }

    let lock = shop.fetch(&spec, lock)?;
    shop.fetch_layers(&spec, &images)?;
    clock.stage("fetch");

    let roots = roots::assemble(&spec, &lock, &images, &materials, &shop, args)?;
    let lock = roots::record(lock, &roots);
    clock.stage("assemble");

    let manifest = write_bundle(&spec, &lock, roots, &materials, &shop, &folder)?;
    lock_file::write(&spec, &lock)?;
    moves.iter().for_each(|what| ui.note(what));
    // The lock has its ledger and ids now; the next build reads it so.
    unchanged::remember(&shop.store, &unchanged::digest(&spec, &lock, &materials, args), &folder);
    clock.stage("write");
    Ok(Built { folder, manifest, lock, unchanged: false, clock })
}

/// Plans and writes every artifact, then lets the bundle appear.
fn write_bundle(
    spec: &SpecFile,
    lock: &Lock,
    roots: Vec<Root>,
    materials: &Materials,
    shop: &Workshop<'_>,
    folder: &std::path::Path,
) -> Result<Manifest, Failure> {
    let cannot = |error: std::io::Error| {
        let denied = error.kind() == std::io::ErrorKind::PermissionDenied;
        let failure = Failure::doing(Exit::Build, format!("write {}", folder.display()), error);
        if denied {
            failure.help("build into a folder of yours with --output DIR, then: appliance run DIR")
        } else {
            failure
        }
    };
    let identity = Identity {
        lock_core: lock.core_digest(),
        epoch_secs: lock.epoch_secs,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let launch = launch::plan(spec.appliance(), materials.seccomp_profile.as_deref())
        .map_err(|error| Failure::new(Exit::Build, error))?;
    let process = launch.process.clone();
    let roots = roots.into_iter().map(Root::into_input).collect();
    let boot = boot_files::gather(spec, lock, &launch, &identity, materials, shop)?;
    let programs = boot_files::programs(&boot, spec.appliance(), materials.signer.as_ref(), &identity);
    let plan = image::plan(spec.appliance(), process.args, process.env, roots, identity.clone())
        .map_err(|error| Failure::new(Exit::Build, error))?;
    shop.ui.detail(plan.dump().trim_end());

    let making = BundleFolder::start(folder, &shop.store).map_err(cannot)?;
    let contents = materials.with_store(&shop.store);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let layers = StoredLayers(&shop.store);
    let written = image::write(spec.appliance(), &plan, &programs, &contents, &layers, &making, workers)
        .map_err(|error| boot_mistakes::of_writing(spec, error))?;
    drop(programs);
    let mut artifacts = written.artifacts;
    artifacts.extend(boot_files::write(boot, &written.root_hashes, &making).map_err(cannot)?);
    let manifest = manifest_file::write(spec, lock, &launch, artifacts, &making).map_err(cannot)?;
    for path in making.publish().map_err(cannot)? {
        shop.ui.note(format!("kept {}, which is not of a build", folder.join(path).display()));
    }
    Ok(manifest)
}
