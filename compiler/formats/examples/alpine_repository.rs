//! Makes the repository of published Alpine packages that `tools/bench` measures with: `alpine_repository FOLDER` prints
//! where below FOLDER it is, and the minirootfs for this machine that has the real `apk`.
#![expect(clippy::disallowed_methods, reason = "a measurement needs files")]
#![expect(clippy::unwrap_used, reason = "it ends by panicking, as the tests do that it shares its parts with")]

use std::path::Path;

#[path = "../tests/apks/mod.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for tests, which use all of it")]
mod apks;
#[path = "../../packages/tests/support/minirootfs.rs"]
mod minirootfs;

fn main() -> Result<(), String> {
    let folder = std::env::args().nth(1).ok_or("usage: alpine_repository FOLDER")?;
    let rootfs = minirootfs::minirootfs(std::env::consts::ARCH)?;
    println!("{} {}", apks::published::published(Path::new(&folder))?.display(), rootfs.display());
    Ok(())
}
