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
#[path = "../support/image_tree.rs"]
mod image_tree;
#[path = "../support/internet.rs"]
mod internet;
#[path = "../../compiler/formats/tests/kernel_support/mod.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod kernel_support;
#[path = "../support/layout.rs"]
mod layout;
#[path = "../support/live_world.rs"]
mod live_world;
#[path = "../../compiler/packages/tests/support/minirootfs.rs"]
mod minirootfs;
#[path = "../support/package.rs"]
mod package;
#[path = "../support/registry.rs"]
mod registry;
#[path = "../support/server.rs"]
mod server;
#[path = "../../compiler/packages/tests/support/signer.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod signer;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/toy_kernel.rs"]
mod toy_kernel;
#[path = "../support/toys.rs"]
mod toys;
#[path = "../support/world.rs"]
mod world;

mod alpine;
mod alpine_images;
mod alpine_real;
mod bad_archives;
mod bad_disks;
mod bad_images;
mod bad_packages;
mod bad_specs;
mod bases;
mod channel;
mod conformance;
mod disks;
mod emulation;
mod faults;
mod first_hour;
mod foreign;
mod golden;
mod images;
mod instances;
mod kernels;
mod listed;
mod live;
mod local_images;
mod lock;
mod memory;
mod networks;
mod on_images;
mod own_bases;
mod places;
mod registry_words;
mod releases;
mod run;
mod run_words;
mod slim_images;
mod tls;
mod trust;
mod two_architectures;
mod upgrades;
mod words;
mod wsl;
