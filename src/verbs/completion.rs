//! `appliance completion SHELL`: a completion script.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::ui::Ui;

/// Prints the completion script of a shell.
pub fn completion(shell: Shell, ui: &Ui) -> Exit {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "appliance", &mut script);
    ui.result(&String::from_utf8_lossy(&script));
    Exit::Success
}
