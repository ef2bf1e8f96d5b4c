//! The `appliance` command. This is the only place that prints, colours or chooses exit codes.

mod base_images;
mod blocked;
mod boot_files;
mod boot_mistakes;
mod boot_platforms;
mod build;
mod bundle_folder;
mod catalogs;
mod cli;
mod cli_instances;
mod clock;
mod command_line;
mod copy;
mod detached;
mod each;
mod exit;
mod failed_service;
mod failure;
mod files_beside;
mod image_packages;
mod image_refusals;
mod images;
mod instances;
mod interrupt;
mod known_image;
mod last_words;
mod layer_cache;
mod listener;
mod lock_file;
mod manifest_file;
mod materials;
mod mirror;
mod misfits;
mod output_folder;
mod places;
mod printer;
mod progress;
mod replace_file;
mod roots;
mod script_runner;
mod secure_boot;
mod settings;
mod shown;
mod spec_file;
mod tail;
mod trust;
mod turn;
mod ui;
mod unchanged;
mod user_files;
mod verbs;
mod workshop;

use std::process::ExitCode;

use cli::Verb;
use exit::Exit;
use failure::Failure;
use ui::Ui;

fn main() -> ExitCode {
    // Helpers are this program started again: they come first, before anything is read or printed.
    let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match args.get(1).map(String::as_str) {
        Some(sandbox::HELPER_ARG) => sandbox::helper_main(&args[2..]).into(),
        Some(engine::HELPER_ARG) => u8::try_from(engine::helper_main(&args[2..])).unwrap_or(u8::MAX).into(),
        _ => command().into(),
    }
}

fn command() -> Exit {
    let args: Vec<_> = std::env::args_os().collect();
    let cli = match command_line::parse(&args) {
        Ok(cli) => cli,
        Err(exit) => return exit,
    };
    let ui = Ui::new(&cli.common);
    act(&cli.verb, &ui).unwrap_or_else(|failure| {
        ui.failure(&failure);
        failure.exit()
    })
}

fn act(verb: &Verb, ui: &Ui) -> Result<Exit, Failure> {
    match verb {
        Verb::New(args) => verbs::new::new(args, ui),
        Verb::Check(args) => verbs::check::check(args, ui),
        Verb::Explain(args) => verbs::explain::explain(args, ui),
        Verb::Fmt(args) => verbs::fmt::fmt(args, ui),
        Verb::Lock(args) => verbs::lock::lock(args, ui),
        Verb::Build(args) => verbs::build::build(args, ui),
        Verb::Run(args) => verbs::run::run(args, ui),
        Verb::Ps(args) => verbs::ps::ps(args, ui),
        Verb::Logs(args) => verbs::logs::logs(args, ui),
        Verb::Exec(args) => verbs::exec::exec(args, ui),
        Verb::Cp(args) => verbs::cp::cp(args, ui),
        Verb::Ls(args) => verbs::ls::ls(args, ui),
        Verb::Watch(args) => verbs::watch::watch(args, ui),
        Verb::Stop(args) => verbs::stop::stop(args, ui),
        Verb::Kill(args) => verbs::kill::kill(args, ui),
        Verb::Wait(args) => verbs::wait::wait(args, ui),
        Verb::Rm(args) => verbs::rm::rm(args, ui),
        Verb::Port(args) => verbs::port::port(args, ui),
        Verb::Stats(args) => verbs::stats::stats(args, ui),
        Verb::Pause(args) => verbs::pause::pause(args, ui),
        Verb::Resume(args) => verbs::pause::resume(args, ui),
        Verb::Open(args) => verbs::open::open(args, ui),
        Verb::Plan(args) => verbs::plan::plan(args, ui),
        Verb::Store(args) => verbs::store::store(args, ui),
        Verb::Volume(args) => verbs::volume::volume(&args.verb, ui),
        Verb::Completion { shell } => Ok(verbs::completion::completion(*shell, ui)),
    }
}
