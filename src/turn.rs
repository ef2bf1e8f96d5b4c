//! One build of an output at a time: a second one would do the same work, and finds it done when its turn comes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use store::Store;
use tree::Digest;

use crate::ui::Ui;

/// How often it is asked again before it is said that this waits, and the time between: a second in all.
const QUIET_TRIES: usize = 10;
const BETWEEN: Duration = Duration::from_millis(100);

/// Waits until no other build makes the bundle in this folder; none begins before what is given is dropped.
///
/// # Errors
/// When the cache cannot be written.
pub fn take(store: &Store, folder: &Path, ui: &Ui) -> io::Result<Flock<File>> {
    let path =
        store.root().join("locks").join(format!("output-{}", Digest::of(place(folder).as_os_str().as_encoded_bytes())));
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    for _ in 0..QUIET_TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(turn) => return Ok(turn),
            Err((back, Errno::EWOULDBLOCK)) => file = back,
            Err((_, error)) => return Err(error.into()),
        }
        sleep(BETWEEN);
    }
    ui.note(format!("waits for another build of {}", folder.display()));
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
}

/// The folder's path, the same however it is reached; it need not exist.
fn place(folder: &Path) -> PathBuf {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent =
        fs::canonicalize(parent).or_else(|_| std::path::absolute(parent)).unwrap_or_else(|_| parent.to_owned());
    parent.join(folder.file_name().unwrap_or_default())
}
