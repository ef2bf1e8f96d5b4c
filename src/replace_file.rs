//! Replacing a file in one step, so that a reader sees the old or the new one and never half of it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::interrupt;

/// Writes a file beside its final place and moves it there.
///
/// # Errors
/// What the file system reports; then the old file is untouched.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("the path has no file name"))?;
    let making = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let mut file = interrupt::begin(&making, || File::create(&making))?;
    let written = file.write_all(bytes).and_then(|()| {
        file.sync_all()?;
        fs::rename(&making, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&making);
    }
    interrupt::end(&making);
    written
}

/// Removes what processes left that were killed while they replaced this file.
pub fn sweep_beside(path: &Path) {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let prefix = format!(".{}.", name.to_string_lossy());
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_string_lossy().strip_prefix(&prefix).and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid| kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
