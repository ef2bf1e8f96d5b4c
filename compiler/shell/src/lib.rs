//! A POSIX shell evaluated over a [`tree::Tree`], so that maintainer scripts take effect without any process.
//!
//! Input: the text of a script, a tree and the commands that the caller adds. Output: status, outputs and changes.
//! What is not understood to the last detail ends the evaluation as [`Outcome::Unknown`], with the tree as it was.

mod arithmetic;
mod ast;
mod builtins;
mod call;
mod eval;
mod expand;
mod fs;
mod journal;
mod md5;
mod parse;
mod pattern;
mod redirect;
mod regex;
mod session;
mod shell;
mod stream;
mod utilities;
mod variables;

pub use ast::Script;
pub use call::{Call, Command, Commands};
pub use fs::{Errno, Fs};
pub use journal::Changes;
pub use parse::{SyntaxError, parse};
pub use pattern::text_matches as matches;
pub use session::{Done, Limits, Outcome, Session, Unknown, run, run_program};
