//! A machine on this host: QEMU started as it was bound, what it and its guest print, and how it ended.

mod balloon;
mod command;
mod console;
mod outlets;
mod qmp;
mod qmp_words;
mod running;
mod start;

pub use command::Command;
pub use console::Console;
pub use qmp::{Heard, Order};
pub use qmp_words::{Happened, Lines as QmpLines};
pub use running::Running;
pub use start::start;
