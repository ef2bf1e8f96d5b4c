//! What goes into an appliance beside packages: the user's files, the guest binaries, a seccomp profile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assemble::Mistake;
use formats::pe::Signer;
use spec::Written;
use spec::appliance::{Arch, EntryKind, Seccomp};
use store::Store;
use tree::{Blobs, Content, Digest};

use crate::cli::Build;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;
use crate::secure_boot;
use crate::spec_file::SpecFile;
use crate::user_files::{Own, UserFiles};

/// A guest binary is far smaller; what is larger is something else.
const GUEST_LIMIT_BYTES: u64 = 64 << 20;

/// Everything beside packages, read once.
pub struct Materials {
    /// What the spec takes from its folder.
    pub files: UserFiles,
    /// The guest binary of each architecture.
    pub guests: BTreeMap<Arch, Content>,
    /// The text of the seccomp profile that the spec names.
    pub seccomp_profile: Option<String>,
    /// What signs the programs that firmware starts.
    pub signer: Option<Signer>,
}

impl Materials {
    /// Reads everything that a spec and the command line name; `bundle` is the folder that is built.
    ///
    /// # Errors
    /// When something is missing or cannot be read, by its path.
    pub fn gather(spec: &SpecFile, epoch_secs: i64, bundle: &Path, args: &Build) -> Result<Self, Failure> {
        let folder = spec.folder();
        let mut files = UserFiles::new(epoch_secs, Own::new(bundle, &spec.lock_path()));
        let mut mistakes = Vec::new();
        let mut read = |at: Written, from: &str| {
            mistakes.extend(files.read(&folder, from).err().map(|error| unusable(at, &error)));
        };
        for entry in &spec.appliance().entries {
            if let EntryKind::From(from) = &entry.kind {
                let paths: BTreeSet<String> = spec.appliance().arches.iter().map(|arch| arch.fill(from)).collect();
                paths.iter().for_each(|from| read(Written::Source(entry.path.clone()), from));
            }
        }
        // What is built may come with the keys of the spec's own repositories, so that packages can be added inside.
        for repository in &spec.appliance().repositories {
            read(Written::Key(repository.url.clone()), &repository.key);
        }
        let seccomp_profile = match &spec.appliance().isolation.seccomp {
            Seccomp::File(path) => match fs::read_to_string(folder.join(path)) {
                Ok(text) => Some(text),
                Err(error) => {
                    mistakes
                        .push(unusable(Written::Seccomp, &io::Error::new(error.kind(), format!("{path}: {error}"))));
                    None
                }
            },
            Seccomp::Default | Seccomp::Strict => None,
        };
        if !mistakes.is_empty() {
            return Err(spec.mistakes(Exit::Build, &mistakes));
        }
        let guests =
            spec.appliance().arches.iter().map(|arch| Ok((*arch, guest(*arch)?))).collect::<Result<_, Failure>>()?;
        let signer = secure_boot::signer(&args.secure_boot)?;
        Ok(Self { files, guests, seccomp_profile, signer })
    }

    /// All contents that a tree of this build can name.
    pub fn with_store<'a>(&'a self, store: &'a Store) -> impl Blobs + 'a {
        AllContents { files: &self.files, store }
    }
}

/// That something beside the spec cannot be taken; the error names it.
fn unusable(at: Written, error: &io::Error) -> Mistake {
    let help = match error.kind() {
        io::ErrorKind::PermissionDenied => "let yourself read it: chmod -R u+rX PATH",
        io::ErrorKind::NotFound => "make it, or correct the path, which is relative to the file that names it",
        _ => "only files, folders and links can be put into an appliance; move it elsewhere",
    };
    // The number of the error tells a user nothing.
    let text = error.to_string();
    let message =
        format!("what stands beside the spec cannot be taken: {}", text.split(" (os error").next().unwrap_or(&text));
    Mistake { at, code: "file-unusable", message, label: "cannot be taken", help: help.to_owned() }
}

fn guest(arch: Arch) -> Result<Content, Failure> {
    let places = places::guest(arch.name());
    let path = places.iter().find(|path| path.is_file()).ok_or_else(|| no_guest(arch, &places))?;
    // Read to where it stays: each build does this, also one that finds everything done.
    let read = || -> io::Result<Arc<[u8]>> {
        let mut file = fs::File::open(path)?;
        let size_bytes = file.metadata()?.len().min(GUEST_LIMIT_BYTES) as usize;
        let mut bytes: Arc<[u8]> = iter::repeat_n(0, size_bytes).collect();
        if let Some(room) = Arc::get_mut(&mut bytes) {
            file.read_exact(room)?;
        }
        Ok(bytes)
    };
    let bytes = read().map_err(|error| Failure::doing(Exit::Build, format!("read {}", path.display()), error))?;
    Ok(Content::Inline(bytes))
}

/// Every build needs one; how it is made depends on whether this host's compiler makes programs of that architecture.
fn no_guest(arch: Arch, places: &[PathBuf]) -> Failure {
    let name = arch.name();
    let looked: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
    let what = format!("find the guest for {name}, PID 1 of every appliance: there is no {}", looked.join(", no "));
    let cpu = match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    };
    let make = format!("make guest ARCH={cpu}");
    let help = if std::env::consts::ARCH == cpu {
        "in the folder of the sources, `make release` builds it beside target/release/appliance".to_owned()
    } else {
        format!(
            "in the folder of the sources, `{make}` builds target/guest/appliance-guest-{name}, with the Rust target \
             {cpu}-unknown-linux-gnu and a C compiler for it; put it into one of these folders"
        )
    };
    Failure::new(Exit::Build, what).help(format!("{help}; APPLIANCE_GUEST_DIR names another folder"))
}

/// The user's files where they stand, and all else in the store.
struct AllContents<'a> {
    files: &'a UserFiles,
    store: &'a Store,
}

impl Blobs for AllContents<'_> {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.files.open(digest) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.store.open(digest),
            found => found,
        }
    }

    fn open_at(&self, digest: &Digest, offset_bytes: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.files.open_at(digest, offset_bytes) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.store.open_at(digest, offset_bytes),
            found => found,
        }
    }
}
