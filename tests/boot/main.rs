//! The same appliance boots: built by the command, started by QEMU without hardware help, and talked to.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that cannot go on fails")]

#[path = "../../compiler/formats/tests/apks/mod.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod apks;
#[path = "../support/archive.rs"]
mod archive;
#[path = "../../compiler/formats/tests/debs/mod.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod debs;
#[path = "../support/internet.rs"]
mod internet;
#[path = "../support/layout.rs"]
mod layout;
#[path = "../support/live_world.rs"]
mod live_world;
#[path = "../../compiler/packages/tests/support/minirootfs.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod minirootfs;
#[path = "../support/package.rs"]
mod package;
#[path = "../../compiler/packages/tests/support/signer.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod signer;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/toys.rs"]
mod toys;
#[path = "../support/world.rs"]
mod world;

mod arm64;
mod commands;
mod disks;
mod every_hypervisor;
mod kernel;
mod machine;
mod matrix;
mod microvm;
mod modules;
mod networks;
mod other_kernels;
mod run;
mod secure_boot;
mod slots;
mod systemd;
mod verbs;
