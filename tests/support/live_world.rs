//! The command on live Debian, where the host's own package manager names a mirror and that answers. One cache for all runs
//! of the tests, so that packages are fetched once.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::world::Done;

/// The command on the spec of a folder, with the live mirror and a cache of all live tests.
pub fn live_command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_appliance"));
    command
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", folder)
        .env("APPLIANCE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-cache"))
        .env("APPLIANCE_STATE", folder.join("state"))
        .env("APPLIANCE_DATA", folder.join("data"))
        .env("APPLIANCE_BASE_IMAGES", folder)
        .env("APPLIANCE_PATIENCE_MS", "5000")
        .current_dir(folder.join("spec"))
        .stdin(Stdio::null());
    for name in ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Why there are no packages; asked once for all tests.
pub fn unreachable() -> Option<&'static str> {
    static WHY: OnceLock<Option<String>> = OnceLock::new();
    let why = WHY.get_or_init(|| {
        if !fs::read_to_string("/etc/os-release").unwrap_or_default().contains("ID=debian") {
            return Some("the host's apt is not configured for Debian".to_owned());
        }
        let folder = copy("hello");
        let done = Done::of(live_command(folder.path(), &["lock"]).output().unwrap());
        match done.code {
            Some(0) => None,
            Some(5) => Some(done.text().lines().take(2).collect::<Vec<_>>().join("; ")),
            _ => panic!("{}", done.text()),
        }
    });
    why.as_deref()
}

/// Why nothing can be built for an architecture.
pub fn no_guest(arch: &str) -> Option<String> {
    let guest = Path::new(env!("CARGO_BIN_EXE_appliance")).with_file_name(format!("appliance-guest-{arch}"));
    let cpu = if arch == "arm64" { "aarch64" } else { "x86_64" };
    (!guest.exists())
        .then(|| format!("there is no guest for {arch} beside the program (make debug, make guest ARCH={cpu})"))
}

/// A copy of an example in a folder `spec`.
pub fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs").join(name);
    let copied = Command::new("cp").arg("-r").arg(from).arg(folder.path().join("spec")).status().unwrap();
    assert!(copied.success());
    for made in ["out", "appliance.lock"] {
        let path: PathBuf = folder.path().join("spec").join(made);
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
    }
    folder
}
