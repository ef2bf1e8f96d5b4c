//! Reading a spec and its fragments from this host: stages 1 and 2 of a build.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use assemble::Mistake;
use spec::appliance::Arch;
use spec::base::BaseImage;
use spec::{Appliance, Checked, Diagnostic, Fragments, Severity, Sources, Spec, World};

use crate::base_images::BaseImages;
use crate::cli::SpecArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files_beside::{self, FilesBeside};
use crate::places;
use crate::ui::Ui;
use crate::user_files::Own;

/// A spec that was read and checked.
pub struct SpecFile {
    /// Where it stands.
    pub path: PathBuf,
    /// What was meant, with its warnings and origins.
    pub checked: Checked,
    /// The texts it was read from.
    pub sources: Sources,
    /// All base images that exist.
    pub bases: BaseImages,
    /// The distribution in the image that the spec stands on, once it is known and where packages come from it.
    pub image_base: Option<BaseImage>,
}

/// When the files that a spec names beside it must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// Now, with all that folders hold: what cannot be taken is a mistake like any other.
    Whole,
    /// Now: what is missing is a mistake like any other. What folders hold is read later.
    Now,
    /// When they are needed.
    Later,
}

/// No more of a spec is read than shows that it is too large; the parser says so.
const READ_LIMIT_BYTES: u64 = 16 << 20;

impl SpecFile {
    /// Reads and checks the spec that the user means; its warnings are printed.
    ///
    /// # Errors
    /// When it cannot be read, or everything that is wrong with it.
    pub fn read(args: &SpecArgs, ui: &Ui) -> Result<Self, Failure> {
        Self::read_and(args, Files::Later, ui)
    }

    /// The same, and what the spec names beside it is there.
    ///
    /// # Errors
    /// When it cannot be read, or everything that is wrong with it.
    pub fn read_with_files(args: &SpecArgs, ui: &Ui) -> Result<Self, Failure> {
        Self::read_and(args, Files::Now, ui)
    }

    fn read_and(args: &SpecArgs, files: Files, ui: &Ui) -> Result<Self, Failure> {
        let path = places::spec(&args.spec);
        let bytes = read_limited(&path).map_err(|error| unreadable(&path, error))?;
        Self::of(path, &bytes, args, ui, files)
    }

    /// The same, for verbs that make nothing beside the spec: `-` is standard input, whose paths are relative to the
    /// working folder.
    ///
    /// # Errors
    /// When it cannot be read, or everything that is wrong with it.
    pub fn read_or_stdin(args: &SpecArgs, files: Files, ui: &Ui) -> Result<Self, Failure> {
        match args.spec == Path::new("-") {
            true => Self::of(PathBuf::from(STDIN_NAME), &stdin_bytes()?, args, ui, files),
            false => Self::read_and(args, files, ui),
        }
    }

    fn of(path: PathBuf, bytes: &[u8], args: &SpecArgs, ui: &Ui, files: Files) -> Result<Self, Failure> {
        let bases = BaseImages::of_host(ui);
        let world = World { bases: &bases.all, host_arch: host_arch()?, allow_outside: args.allow_outside };
        let folder = folder_of(&path);
        let lock = path.with_extension("lock");
        let own = Own::new(&folder.join("out"), &lock);
        let there = FilesBeside { folder: &folder, allow_outside: args.allow_outside, files, own };
        let missing = |spec: &Spec| spec::file_problems(spec, &world, &there);
        let rejected = |found: Vec<Diagnostic>, sources: &Sources| Failure::Spec {
            found: spec::settle(found),
            sources: sources.clone(),
            exit: Exit::Spec,
        };
        let read = spec::parse_bytes(
            &path.to_string_lossy(),
            bytes,
            &Beside { folder: folder.clone(), allow_outside: args.allow_outside },
        );
        let readable = read.as_ref().map_or_else(|text| text.rest.as_deref(), Some);
        let names = readable.map(Spec::base_names).unwrap_or_default();
        if let Some(broken) = bases.broken(names.iter().map(String::as_str)) {
            return Err(broken);
        }
        let spec = read.map_err(|text| {
            let beside = text.rest.as_deref().map(missing).unwrap_or_default();
            rejected([spec::check_rest(&text, &world), beside].concat(), &text.sources)
        })?;
        let beside = missing(&spec);
        match spec::check(&spec, &world) {
            Ok(mut checked) if !beside.iter().any(Diagnostic::is_error) => {
                let sources = spec.sources().clone();
                checked.warnings = spec::settle([checked.warnings, beside].concat());
                ui.diagnostics(&checked.warnings, &sources);
                Ok(Self { path, checked, sources, bases, image_base: None })
            }
            Ok(checked) => Err(rejected([checked.warnings, beside].concat(), spec.sources())),
            Err(found) => Err(rejected([found, beside].concat(), spec.sources())),
        }
    }

    /// Mistakes of the spec that only a later stage can know, each at its place.
    pub fn mistakes(&self, exit: Exit, mistakes: &[Mistake]) -> Failure {
        self.wrong(exit, mistakes.iter().map(|mistake| mistake.diagnostic(Severity::Error, &self.checked)).collect())
    }

    /// Mistakes of the spec that were found by something else than its check.
    pub fn wrong(&self, exit: Exit, found: Vec<Diagnostic>) -> Failure {
        Failure::Spec { found: spec::settle(found), sources: self.sources.clone(), exit }
    }

    /// What was meant.
    pub fn appliance(&self) -> &Appliance {
        &self.checked.appliance
    }

    /// The folder that the spec's paths are relative to.
    pub fn folder(&self) -> PathBuf {
        folder_of(&self.path)
    }

    /// The base image that the spec stands on; `None` for a root without packages.
    pub fn base(&self) -> Option<&BaseImage> {
        let spec::appliance::Base::Distro { name, release } = &self.appliance().base else {
            return self.image_base.as_ref();
        };
        self.bases.all.iter().find(|base| base.name == *name && base.release == *release)
    }

    /// Another base image that what boots comes from, where the spec names one.
    pub fn other_boot_base(&self) -> Option<&BaseImage> {
        let from = self.appliance().kernel.as_ref()?.base.as_ref()?;
        self.bases.all.iter().find(|base| base.name == from.name && base.release == from.release)
    }

    /// The base image that what boots comes from; `None` where there is no such thing.
    pub fn boot_base(&self) -> Option<&BaseImage> {
        self.other_boot_base().or_else(|| self.base())
    }

    /// The lock that belongs to the spec: beside it, `appliance.lock` for `appliance.kdl`.
    pub fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }
}

/// This host's architecture.
///
/// # Errors
/// When it is none that appliances are built for.
pub fn host_arch() -> Result<Arch, Failure> {
    match std::env::consts::ARCH {
        "x86_64" => Ok(Arch::Amd64),
        "aarch64" => Ok(Arch::Arm64),
        other => {
            Err(Failure::new(Exit::Usage, format!("choose an architecture: this host's, {other}, is not supported"))
                .help("write `arch \"amd64\"` into the spec"))
        }
    }
}

/// Fragments are files beside the spec.
struct Beside {
    folder: PathBuf,
    allow_outside: bool,
}

impl Fragments for Beside {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        read_limited(&self.folder.join(path)).map_err(|error| error.to_string())
    }

    fn leads_outside(&self, path: &str) -> bool {
        !self.allow_outside && files_beside::leads_outside(&self.folder, path)
    }
}

/// What standard input is called in messages.
pub const STDIN_NAME: &str = "<stdin>";

/// The spec on standard input.
///
/// # Errors
/// When it cannot be read.
pub fn stdin_bytes() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .take(READ_LIMIT_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::doing(Exit::Spec, "read standard input", error))?;
    Ok(bytes)
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(READ_LIMIT_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The failure of a spec that cannot be read, with what is near.
pub fn unreadable(path: &Path, error: io::Error) -> Failure {
    let missing = error.kind() == io::ErrorKind::NotFound && path != Path::new("-");
    if path.is_dir() {
        let what = format!("read {}: it is a folder, and a spec is a text file", path.display());
        return Failure::new(Exit::Spec, what).help("move the folder away, or name the spec itself");
    }
    if !missing {
        let failure = Failure::doing(Exit::Spec, format!("read {}", path.display()), error);
        return if path == Path::new("-") { failure.help(NO_STDIN) } else { failure };
    }
    let (folder, name) = (folder_of(path), path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let place = if folder == Path::new(".") { "this folder".to_owned() } else { folder.display().to_string() };
    let what = match folder.is_dir() {
        true => format!("read {}: there is no {name} in {place}", path.display()),
        false => format!("read {}: there is no folder {place}", path.display()),
    };
    let help = match specs_near(path).as_slice() {
        [] => "name a spec or its folder, or start one with: appliance new NAME".to_owned(),
        [only] => format!("there is {only}: name it behind the verb"),
        all => format!("there are {}: name one behind the verb", all.join(", ")),
    };
    Failure::new(Exit::Spec, what).help(help)
}

/// What to do where a spec on standard input is no help.
const NO_STDIN: &str =
    "`check`, `explain` and `fmt` read standard input; this verb needs a file, for the lock and the bundle beside it";

/// Specs in the folder where one was looked for.
fn specs_near(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder_of(path)).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "kdl"))
        .map(|path| path.strip_prefix("./").unwrap_or(&path).display().to_string())
        .collect();
    found.sort();
    found
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
