//! The unpacked layers of all kinds of ids in a cache: counted and removed by the helper process, with the ids of runs.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::bind::Ids;
use crate::facts;
use crate::helper::{Failure, causes};
use crate::id_namespace::IdNamespace;
use crate::layers::{RootsTally, collect, usage};

/// The helper's second argument for this; milliseconds follow when unused layers are to be removed.
pub const ROOTS_ARG: &str = "roots";

/// What the unpacked layers below the cache folder take. `helper` is the program that answers to [`crate::HELPER_ARG`].
///
/// # Errors
/// When the helper process does not start or does not answer.
pub fn roots_usage(cache_folder: &Path, helper: &Path) -> io::Result<RootsTally> {
    ask(cache_folder, helper, None)
}

/// Removes unpacked layers that no run has used for this long; never one that a running instance uses.
///
/// The next run unpacks again what it needs.
///
/// # Errors
/// When the helper process does not start or does not answer. What could not be removed is in the result.
pub fn collect_roots(cache_folder: &Path, unused_for: Duration, helper: &Path) -> io::Result<RootsTally> {
    ask(cache_folder, helper, Some(unused_for))
}

fn ask(cache_folder: &Path, helper: &Path, unused_for: Option<Duration>) -> io::Result<RootsTally> {
    if !Ids::ROOTS_NAMES.iter().any(|name| cache_folder.join(name).is_dir()) {
        return Ok(RootsTally::default());
    }
    let mut command = Command::new(helper);
    command.args([crate::HELPER_ARG, ROOTS_ARG]).args(unused_for.map(|time| time.as_millis().to_string()));
    let output = command.current_dir(cache_folder).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other("the helper process that looks after unpacked layers failed"));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The helper's side, in the cache folder: prints the tally. Where this user may map no ids now, it does what it can without.
pub fn roots_main(arguments: &[String]) -> i32 {
    let unused_for = match arguments.first().map(|text| text.parse().map(Duration::from_millis)) {
        Some(Err(_)) => return 64,
        Some(Ok(time)) => Some(time),
        None => None,
    };
    let ids = Ids::choose(facts::privileged(), facts::subordinate_ids());
    let (uid_mappings, gid_mappings) = ids.mappings(host::effective_uid(), host::effective_gid());
    let namespace = IdNamespace { ids: &ids, uid_mappings: &uid_mappings, gid_mappings: &gid_mappings };
    let work = || tally(unused_for);
    match namespace.inside(work).or_else(|_| work()) {
        Ok(answer) => io::Write::write_all(&mut io::stdout(), &answer).map_or(1, |()| 0),
        Err(failure) => {
            eprintln!("{}", causes(failure.as_ref()));
            1
        }
    }
}

fn tally(unused_for: Option<Duration>) -> Result<Vec<u8>, Failure> {
    let mut tally = RootsTally::default();
    for folder in Ids::ROOTS_NAMES.map(Path::new) {
        match unused_for {
            None => usage(folder, &mut tally),
            Some(time) => collect(folder, time, &mut tally),
        }
    }
    Ok(serde_json::to_vec(&tally)?)
}
