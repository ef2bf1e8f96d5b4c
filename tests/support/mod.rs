//! What several kinds of tests use: honest skipping and the tools of this host.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Says that a test was skipped and why; the test runner counts these lines.
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIP {test}: {reason}");
}

/// The first of these programs that exists.
pub fn program(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|place| place.exists())
}

/// A tool of this host by its name.
pub fn tool(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders.iter().map(|folder| PathBuf::from(folder).join(name)).find(|place| place.exists())
}

/// Copies a program that is run then. A process of its own does it: a file that this process had open for writing could
/// be inherited by what another test starts in that moment, and a file that is open for writing cannot be run.
pub fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").args([from, to]).status().unwrap();
    assert!(status.success(), "cp {from:?} {to:?}: {status}");
}

/// This host's busybox, if it is one that needs no library of the host.
pub fn static_busybox() -> Option<Vec<u8>> {
    let bytes = std::fs::read(program(&["/bin/busybox", "/usr/bin/busybox"])?).ok()?;
    let interpreter = |window: &[u8]| window == b"/ld-linu" || window == b"/ld-musl";
    (!bytes.windows(8).take(4096).any(interpreter)).then_some(bytes)
}

/// Whether this test runs as root.
pub fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// The command under test.
pub fn appliance() -> Command {
    Command::new(env!("CARGO_BIN_EXE_appliance"))
}
