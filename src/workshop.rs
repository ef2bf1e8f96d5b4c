//! What the stages between a spec and a bundle work with: the store, the mirrors, the way to talk.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use packages::Lock;
use store::mirrors::{Known, host_sources};
use store::{FetchPackagesError, Patience, Store};

use crate::cli::Sources;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;
use crate::progress::Bar;
use crate::spec_file::SpecFile;
use crate::ui::Ui;

/// The open store with everything that says where packages come from.
pub struct Workshop<'a> {
    /// The cache.
    pub store: Store,
    /// What was said about mirrors.
    pub known: Known,
    /// Whether only the cache may be used.
    pub offline: bool,
    /// Shows how far long work has come.
    pub bar: Bar,
    /// The way to talk.
    pub ui: &'a Ui,
}

impl<'a> Workshop<'a> {
    /// Opens the store and reads what the command line, the user's settings and the host say about mirrors.
    ///
    /// # Errors
    /// When the cache folder cannot be used or the user's settings are wrong.
    pub fn open(sources: &Sources, ui: &'a Ui) -> Result<Self, Failure> {
        let known = Known {
            given: sources.mirror.iter().filter(|mirror| !mirror.is_empty()).cloned().collect(),
            configured: crate::settings::mirrors(&places::config_file())?,
            host: host_sources(Path::new("/etc/apt")),
        };
        Ok(Self { store: open_store()?, known, offline: sources.offline, bar: Bar::new(ui), ui })
    }

    /// Brings every package of a lock into the store; gives the lock with the digest of each.
    ///
    /// # Errors
    /// When a package cannot be had or is not what the lock says.
    pub fn fetch(&self, spec: &SpecFile, mut lock: Lock) -> Result<Lock, Failure> {
        let mirrors = self.mirrors(spec);
        for root in &mut lock.roots {
            for packages in [&mut root.packages, &mut root.boot] {
                let digests = self
                    .store
                    .fetch(packages, &mirrors, self.offline, &self.bar)
                    .map_err(|error| not_fetched(error, spec))?;
                for (package, digest) in packages.iter_mut().zip(digests) {
                    package.blake3 = Some(digest);
                }
            }
        }
        self.bar.clear();
        Ok(lock)
    }
}

fn not_fetched(error: FetchPackagesError, spec: &SpecFile) -> Failure {
    let help = match &error {
        FetchPackagesError::Offline { .. } => Some(format!("fetch them with: appliance build {}", spec.path.display())),
        FetchPackagesError::Fetch(error) if !error.tried.is_empty() => {
            Some(error.help().unwrap_or(crate::catalogs::OTHER_MIRROR).to_owned())
        }
        _ => None,
    };
    let failure = Failure::new(Exit::Fetch, error);
    help.into_iter().fold(failure, Failure::help)
}

/// Opens the cache.
///
/// # Errors
/// When its folder cannot be made or used.
pub fn open_store() -> Result<Store, Failure> {
    let folder = places::cache();
    Store::open_with(&folder, patience()).map_err(|error| {
        Failure::doing(Exit::Failure, format!("open the cache {}", folder.display()), error)
            .help("APPLIANCE_CACHE names another folder")
    })
}

/// How long a mirror may be silent: `APPLIANCE_PATIENCE_MS`, for who knows the line to it, else the store's own choice.
fn patience() -> Patience {
    let usual = Patience::default();
    match std::env::var("APPLIANCE_PATIENCE_MS").ok().and_then(|text| text.parse().ok()).map(Duration::from_millis) {
        Some(stall) => Patience { stall, backoff: usual.backoff.min(stall / 60), ..usual },
        None => usual,
    }
}

/// Seconds since 1970, for judging signatures; no artifact ever holds it.
pub fn now_secs() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs() as i64)
}
