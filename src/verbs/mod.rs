//! The verbs, one file each. A verb reads its arguments, calls the stages and says what came of it.

pub mod build;
pub mod check;
pub mod completion;
pub mod cp;
pub mod exec;
pub mod explain;
pub mod fmt;
pub mod kill;
pub mod lock;
pub mod logs;
pub mod ls;
pub mod new;
pub mod open;
pub mod pause;
pub mod plan;
pub mod port;
pub mod ps;
pub mod rm;
pub mod run;
pub mod stats;
pub mod stop;
pub mod store;
pub mod volume;
pub mod wait;
pub mod watch;
