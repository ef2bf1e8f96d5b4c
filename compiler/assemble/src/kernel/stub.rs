//! systemd's EFI stub in the packages that bring it: the program that firmware starts, around which a kernel is put.

use spec::appliance::Arch;
use tree::{Blobs, Kind, Tree, TreePath};

use super::KernelProblem;
use super::package::read;

/// The largest stub; real ones have some ten thousand bytes.
const MAX_STUB_BYTES: u64 = 16 << 20;

/// The stub for an architecture, from the first package that has it.
///
/// # Errors
/// When none has it, or it cannot be read.
pub fn efi_stub(packages: &[&Tree], arch: Arch, blobs: &dyn Blobs) -> Result<Vec<u8>, KernelProblem> {
    let cpu = match arch {
        Arch::Amd64 => "x64",
        Arch::Arm64 => "aa64",
    };
    let name = format!("usr/lib/systemd/boot/efi/linux{cpu}.efi.stub");
    let path = TreePath::new(&name).map_err(|_| KernelProblem::NoStub(name.clone()))?;
    let found = packages.iter().find_map(|tree| match &tree.get(&path)?.kind {
        Kind::File(content) => Some(content),
        _ => None,
    });
    read(blobs, &path, found.ok_or(KernelProblem::NoStub(name))?, MAX_STUB_BYTES)
}
