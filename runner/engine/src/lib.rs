//! Runs a bundle on this host: probe, bind, execute, supervise, undo.
//!
//! [`facts`] says what the host offers, [`bind`] decides everything from that and the bundle, [`run`] does it in a
//! helper process with a single thread, and [`reconcile`] cleans up after helpers that were killed.

mod bind;
mod bundle_boot;
mod bundle_folder;
mod connection;
mod control;
mod detach;
mod ended;
mod ending;
mod facts;
mod handed;
mod helper;
mod id_namespace;
mod inside;
mod instances;
mod journal;
pub mod layers;
mod look;
mod machine;
mod memory;
pub mod oci;
mod options;
mod outbound;
mod overlay;
mod ports;
mod reconcile;
mod run;
pub mod seccomp;
mod steps;
mod stopping;
mod supervise;
mod unpacked;
mod volume_facts;
mod volumes;
mod wire;

pub use bind::{
    Body, Bound, BoundPort, Container, Held, Ids, Machine, Proof, Reach, Unmet, Verdict, bind, why_machine,
};
pub use bundle_boot::{BootFiles, Checked, Direct, DiskFile};
pub use bundle_folder::{Bundle, BundleError, Compression, Layer};
pub use connection::{Connection, ConnectionError, Said};
pub use control::{About, Ask, EndedInstance, Info, Killed, LogsFrom, MachineLost, OpenPort, State, Stop, WAS_SO};
pub use detach::start;
pub use ended::{forget as forget_ended, list as ended_instances, printed as ended_output};
pub use facts::{
    CgroupFacts, CgroupLayout, Controller, ControllerFact, Facts, MachineFacts, NoQemu, NoSubordinateIds, Probe, Qemu,
    SubordinateIds, System, Tun, facts, facts_for,
};
pub use helper::helper_main;
pub use instances::{Found, NAME_RULE, find as find_instance, free_name, is_name, list as live_instances};
pub use layers::RootsTally;
pub use machine::QmpLines;
pub use memory::{OutOfMemory, memory_limit};
pub use options::{PortChoice, RunOptions, default_state_folder};
pub use ports::{PortState, look_at_port};
pub use reconcile::{Reconciled, reconcile};
pub use run::{Outcome, RunError, run};
pub use steps::{FileValue, Step};
pub use unpacked::{collect_roots, roots_usage};
pub use volumes::{HeldVolume, Removed, VolumeError, VolumeKind, remove_volumes, volumes};
pub use wire::{ForeignVolume, Moved, Refused, Report};

/// The first argument by which a program must recognise that it is started as the helper process: it then
/// calls [`helper_main`] with the arguments after it, before anything else, and exits with the result.
pub const HELPER_ARG: &str = "__engine-helper";

/// A name for a new instance of an appliance, unlike that of any other that runs.
pub fn instance_name(appliance: &str) -> String {
    let pid = std::process::id();
    let started = i32::try_from(pid).ok().and_then(|pid| host::start_time(pid).ok()).unwrap_or(0);
    format!("{appliance}-{pid}-{started}")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
