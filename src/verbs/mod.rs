//! The verbs, one file each. A verb reads its arguments, calls the stages and says what came of it.

pub mod build;
pub mod check;
pub mod completion;
pub mod explain;
pub mod fmt;
pub mod lock;
pub mod new;
pub mod plan;
pub mod run;
pub mod store;
pub mod volume;
