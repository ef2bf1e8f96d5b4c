//! The bodies of the fuzz targets, for the targets themselves. `tests/fuzz_smoke.rs` of the command's package includes
//! the same files by path, so that a stable toolchain runs them too.

pub mod targets;
