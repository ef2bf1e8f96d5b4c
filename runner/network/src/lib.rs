//! The other end of an instance's wire.
//!
//! [`Rules`] decides what may be reached; [`serve`] speaks Ethernet with the inside, ends every connection in memory of
//! its own, and opens a socket of the host in its place if the rules say so. See `docs/decisions/0021-outbound-networks.md`.

mod addresses;
mod dial;
mod dns;
mod entry;
mod event;
mod names;
mod outbox;
mod packets;
mod ranges;
mod resolver;
mod rules;
mod serve;
mod stack;
mod tcp;
mod udp;
mod wire;
mod world;

pub use addresses::{ADDRESSES, Addresses, MTU};
pub use dial::Line;
pub use entry::BadEntry;
pub use event::{Counts, Event, Protocol};
pub use rules::{Known, Permit, Refusal, Rules};
pub use serve::{serve, serve_in};
pub use stack::Stack;
pub use wire::Wire;
pub use world::{Host, Resolve, World};
