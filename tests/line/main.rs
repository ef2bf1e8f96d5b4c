//! The whole line from a spec to a running appliance, by the command itself, on packages of a signed toy archive.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that cannot go on fails")]

#[path = "../support/apk_archive.rs"]
mod apk_archive;
#[path = "../../compiler/formats/tests/apks/mod.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod apks;
#[path = "../support/archive.rs"]
mod archive;
#[path = "../../compiler/formats/tests/debs/mod.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod debs;
#[path = "../support/package.rs"]
mod package;
#[path = "../support/server.rs"]
mod server;
#[path = "../../compiler/packages/tests/support/signer.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod signer;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/toys.rs"]
mod toys;
#[path = "../support/world.rs"]
mod world;

mod alpine;
mod alpine_real;
mod bad_archives;
mod bad_disks;
mod bad_packages;
mod bad_specs;
mod bases;
mod conformance;
mod faults;
mod first_hour;
mod golden;
mod images;
mod instances;
mod live;
mod lock;
mod run;
mod wsl;
