//! The script sandbox: runs a maintainer script that could not be emulated, over a tree laid out on disk,
//! and takes up only the difference.
//!
//! [`Sandbox`] is the compiler's side. It starts this program again as a helper ([`helper_main`]) in a user,
//! mount, network, IPC and UTS namespace of its own; the helper starts each script in a further PID and mount
//! namespace, over an overlay of the tree, without a network. As root the user namespace maps every id to
//! itself; as an ordinary user it maps the subordinate ids of `/etc/subuid` and `/etc/subgid`, by
//! `newuidmap` and `newgidmap`. Programs of another architecture run by an [`Emulator`] that only the kernel of that
//! namespace is told of. Nothing of it outlives the helper but a folder that its owner removes.

mod binfmt;
mod changes;
mod emulator;
mod helper;
mod ids;
mod layout;
mod sandbox;
mod stage;
mod wire;

pub use emulator::{Emulator, NoEmulator};
pub use helper::{HELPER_ARG, helper_main};
pub use sandbox::{Sandbox, StartError};
