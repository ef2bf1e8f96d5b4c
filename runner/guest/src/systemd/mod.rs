//! Where systemd is process 1: the guest is the agent of the appliance, and systemd holds the processes of its services.
//!
//! The agent decides, as always: order, readiness, restarts and the end come from the same state machine. What a unit of
//! systemd runs is this program too. It asks at the agent's door, waits until its service is to start, and becomes it, so
//! that user, environment and capabilities come from the same code as well. How it ended is told by systemd's
//! `ExecStopPost=`.
//!
//! ```text
//!  systemd ──starts──▶ guest unit web ──"unit web"──▶ agent        waits for what web comes after
//!                      becomes web ◀──"go", streams── agent
//!  systemd ◀────────────"READY=1" when probed──────── agent
//!  systemd ──starts──▶ guest ended web ──"ended 0 web"──▶ agent    restart, or the end of the appliance
//! ```

mod agent;
mod directing;
mod door;
mod notify;
mod unit;
mod units;

pub use agent::{become_agent, end_machine, own_environment, speak_on_console};
pub use unit::{ended, run};
pub use units::Units;
