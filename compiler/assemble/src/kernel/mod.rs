//! The kernel of an appliance that boots: its package taken apart, the drivers that platforms need, and the initial file
//! system that loads them.
//!
//! Input is what a kernel package installs; output is a [`KernelPackage`], then a [`ModulePlan`], then a tree for cpio.
//! The root of an appliance keeps no modules: what is needed is loaded before the root is there.

mod drivers;
mod error;
mod initramfs;
mod modules;
mod package;
mod stub;

pub use drivers::{Machines, Platform, RootType};
pub use error::KernelProblem;
pub use initramfs::{Initramfs, initramfs};
pub use modules::{ModulePlan, PlannedModule, plan_modules};
pub use package::KernelPackage;
pub use stub::efi_stub;
