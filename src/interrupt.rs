//! Ctrl-C during a build: what is unfinished goes away at once. A build that is killed in any other way leaves
//! the same things, and the next one sweeps them.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use host::{Interest, SignalPipe, poll};

use crate::exit::Exit;

/// Interrupt and terminate, by their numbers on every Unix.
const SIGNALS: [i32; 2] = [2, 15];

/// Folders and files that no one should find after an interruption.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// While it lives, an interruption removes what is unfinished and ends the program.
pub struct Interrupt {
    stop: UnixStream,
    watcher: Option<JoinHandle<()>>,
}

impl Interrupt {
    /// Starts to watch for interruptions.
    ///
    /// # Errors
    /// When the kernel gives no descriptors.
    pub fn watch() -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let signals = SignalPipe::catch(&SIGNALS)?;
        let watcher = std::thread::spawn(move || {
            if let Some(signal) = wait(&signals, &stopped) {
                // Held until the end: what is being removed can no longer be finished.
                let unfinished = unfinished();
                unfinished.iter().for_each(|unfinished| remove(unfinished));
                let _ = writeln!(io::stderr(), "\ninterrupted; nothing unfinished is left");
                std::process::exit(Exit::Signal(signal).code().into());
            }
        });
        Ok(Self { stop, watcher: Some(watcher) })
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        let _ = self.stop.shutdown(std::net::Shutdown::Both);
        if let Some(watcher) = self.watcher.take() {
            let _ = watcher.join();
        }
    }
}

/// Removes a folder or file that other threads may still write into, for which it needs some tries.
fn remove(unfinished: &Path) {
    // What cannot be removed now is swept by the next build.
    for _ in 0..100 {
        let _ = std::fs::remove_dir_all(unfinished).or_else(|_| std::fs::remove_file(unfinished));
        if !unfinished.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Makes something that is unfinished as long as nobody says [`end`]; an interruption happens before that or removes it.
///
/// # Errors
/// What `make` reports; then nothing is noted.
pub fn begin<T>(unfinished_path: &Path, make: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let mut unfinished = unfinished();
    let made = make()?;
    unfinished.push(unfinished_path.to_owned());
    Ok(made)
}

/// Notes that a folder is finished or gone.
pub fn end(folder: &Path) {
    unfinished().retain(|other| other != folder);
}

/// Takes the step that gives what is unfinished its final name; an interruption happens before it or after it.
///
/// # Errors
/// What the step reports.
pub fn finish<T>(step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let _held = unfinished();
    step()
}

fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of the signal that came, or `None` when the watch was ended.
fn wait(signals: &SignalPipe, stopped: &UnixStream) -> Option<u8> {
    loop {
        let read = |fd| Interest { fd, read: true, write: false };
        let ready = poll(&[read(signals.as_fd()), read(stopped.as_fd())], None).ok()?;
        if let Some(signal) = signals.next() {
            return u8::try_from(signal).ok();
        }
        if ready.get(1).is_some_and(|one| one.read) {
            return None;
        }
    }
}
