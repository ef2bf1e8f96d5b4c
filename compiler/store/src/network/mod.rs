//! Files from mirrors: several at once, resumed, retried, bounded and verified.
//!
//! In go jobs (URLs in order, a file to fill, what is known of the bytes), out come their sizes and digests.
//! The runtime and the HTTP client are made when first needed, so that a build without downloads pays nothing.

mod answer;
mod certificates;
mod client;
mod error;
mod local;
mod partial;
mod transfer;
mod vouching;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use packages::{ArchiveDigest, Sha256};
use tree::Digest;

use crate::Progress;

pub(crate) use self::answer::{Answer, Question};
pub(crate) use self::certificates::BadCertificates;
use self::certificates::Certificates;
use self::client::Client;
pub(crate) use self::client::is_on_this_machine;
pub use self::error::{FetchError, TransferError, in_one_line};
pub(crate) use self::error::{UNTRUSTED, asked_to_wait, listed};

/// How patient the network code is.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To connect.
    pub connect: Duration,
    /// Without a single byte, before and within an answer.
    pub stall: Duration,
    /// Tries without progress before the next mirror is asked.
    pub tries: u32,
    /// Before the second try; doubled for each further one, up to 16 times.
    pub backoff: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            tries: 4,
            backoff: Duration::from_millis(500),
        }
    }
}

impl Patience {
    /// How long to wait before the next try, after so many failures in a row of which this is the last; `None` where
    /// there is none. A server that asks for patience gets that of two silences; what asks for more is given up.
    fn before_next_try(&self, failures: u32, error: &TransferError) -> Option<Duration> {
        let (own, asked) = (self.backoff * (1 << failures.saturating_sub(1).min(4)), error.asked_wait());
        let goes_on = error.is_transient() && failures < self.tries && asked <= self.stall * 2;
        goes_on.then(|| own.max(asked))
    }
}

/// Downloads at once: enough to fill a line with small files, few enough to be polite.
const PARALLEL: usize = 8;

/// A file to fetch.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// What it is, for people.
    pub(crate) what: String,
    /// Where it may be, tried in this order: `http:`, `https:`, `file:` or an absolute path.
    pub(crate) urls: Vec<String>,
    /// The file to fill. What it already holds is taken as the beginning, if a digest can confirm it.
    pub(crate) partial: PathBuf,
    /// Its size, where it is known.
    pub(crate) size_bytes: Option<u64>,
    /// More than this is refused.
    pub(crate) limit_bytes: u64,
    /// What is known of its bytes.
    pub(crate) digest: Option<ArchiveDigest>,
    /// Further headers of the request (`authorization`); one that names the asker goes to the first host only.
    pub(crate) headers: Vec<(&'static str, String)>,
    /// A copy that is at hand: the URL it came from and what tells whether it is still the same there.
    pub(crate) copy: Option<(String, Validators)>,
}

/// What a server said about the version of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Validators {
    pub(crate) etag: String,
    pub(crate) last_modified: String,
}

/// A file that has been fetched and is what it should be.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    /// The URL that gave it.
    pub(crate) url: String,
    /// Whether the copy at hand is still good; nothing was fetched then.
    pub(crate) not_modified: bool,
    pub(crate) sha256: Sha256,
    pub(crate) blake3: Digest,
    pub(crate) validators: Validators,
}

/// The network as one store uses it.
#[derive(Debug, Default)]
pub(crate) struct Network {
    patience: Patience,
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
    client: OnceLock<Arc<Client>>,
    /// Clients for the hosts that other authorities vouch for too, by `HOST[:PORT]`.
    trusting: Mutex<BTreeMap<String, Arc<Client>>>,
    /// What was said of places that were passed over: one place fails for many files in the same way.
    told: Mutex<BTreeSet<String>>,
}

impl Network {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Runs all jobs, [`PARALLEL`] at once; results in the order of the jobs.
    pub(crate) fn fetch(&self, jobs: &[Job], progress: &dyn Progress) -> Vec<Result<Fetched, FetchError>> {
        let queue = Queue { jobs, next: AtomicUsize::new(0), done: Mutex::default() };
        let work = || queue.work(self, progress);
        let all = async { tokio::join!(work(), work(), work(), work(), work(), work(), work(), work()) };
        if let Err(error) = self.block_on(all) {
            return jobs.iter().map(|job| Err(FetchError::runtime(job, &error))).collect();
        }
        let mut done = queue.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    }

    /// Runs network work to its end, on a runtime that is made when first needed.
    fn block_on<T>(&self, work: impl Future<Output = T>) -> std::io::Result<T> {
        let mut guard = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = match &*guard {
            Some(runtime) => runtime,
            None => guard.insert(tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?),
        };
        Ok(runtime.block_on(work))
    }

    /// Says why places were passed over before one gave a file, once for each place and reason. What all places refuse is
    /// said by the error alone. A mirror has files at several paths and need not have them at each, and it need not have
    /// every archive: that it lacks a file is a detail.
    pub(crate) fn tell_passed_over(
        &self,
        what: &str,
        tried: &[(String, TransferError)],
        found: &str,
        progress: &dyn Progress,
    ) {
        let is_same = |url: &str| match (local::path(url), local::path(found)) {
            (None, None) => transfer::host(url) == transfer::host(found),
            (one, other) => one.is_some() && other.is_some(),
        };
        for (url, error) in tried {
            if error.is_absence() {
                progress.detail(&format!("{what} is not at {url}; it is at {found}"));
                continue;
            }
            let why = in_one_line(error);
            if !is_same(url) && self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(why.clone()) {
                let next = transfer::host(found);
                progress.message(&format!("{what} did not come from {url}: {why}; the next mirror gave it: {next}"));
            }
        }
    }

    /// From now on the certificates in the folder of a registry (`HOST[:PORT]`) count there, if there is one.
    pub(crate) fn trust(&self, registry: &str, folders: &[PathBuf]) -> Result<(), BadCertificates> {
        let at = transfer::host(&format!("https://{registry}"));
        let Some(folder) = certificates::folder(folders, registry).filter(|_| !self.trusting().contains_key(&at))
        else {
            return Ok(());
        };
        let Some(certificates) = Certificates::read(&folder)? else { return Ok(()) };
        let tls = vouching::tls(certificates).map_err(|error| BadCertificates::new(&folder, error))?;
        let client = Client::with_tls(self.patience, &tls);
        let client = client.map_err(|error| BadCertificates::new(&folder, in_one_line(&error)))?;
        self.trusting().insert(at, Arc::new(client));
        Ok(())
    }

    /// Who vouches for a registry vouches for the server that gives tokens for it, where nobody else does.
    pub(crate) fn trust_alike(&self, url: &str, registry: &str) {
        let mut trusting = self.trusting();
        if let Some(client) = trusting.get(&transfer::host(&format!("https://{registry}"))).cloned() {
            trusting.entry(transfer::host(url)).or_insert(client);
        }
    }

    fn trusting(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Client>>> {
        self.trusting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client for a URL.
    fn client(&self, url: &str) -> Arc<Client> {
        let known = self.trusting().get(&transfer::host(url)).cloned();
        known.unwrap_or_else(|| self.client.get_or_init(|| Arc::new(Client::new(self.patience))).clone())
    }
}

// The eight calls above are this many.
const _: () = assert!(PARALLEL == 8);

struct Queue<'a> {
    jobs: &'a [Job],
    next: AtomicUsize,
    done: Mutex<Vec<(usize, Result<Fetched, FetchError>)>>,
}

impl Queue<'_> {
    async fn work(&self, network: &Network, progress: &dyn Progress) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.get(index) else { return };
            let result = transfer::run(network, job, progress).await;
            self.done.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
        }
    }
}
