//! The other end of an instance's wire.
//!
//! [`Rules`] decides what may be reached; [`serve`] speaks Ethernet with the inside, ends every connection in memory of
//! its own, and opens a socket of the host in its place if the rules say so. See `docs/decisions/0021-outbound-networks.md`.

mod addresses;
mod event;
mod rules;
mod serve;
mod wire;

pub use addresses::{ADDRESSES, Addresses, MTU};
pub use event::{Counts, Event, Protocol};
pub use rules::{BadEntry, Rules};
pub use serve::serve;
pub use wire::Wire;
