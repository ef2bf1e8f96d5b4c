//! Reading the command line. What is wrong with it is told like every other error, also as JSON.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use serde_json::json;

use crate::cli::{Cli, Verb};
use crate::exit::Exit;

/// The command line as its types have it.
///
/// # Errors
/// How the command ends where there is nothing to do: help was asked for and printed, or something is wrong and was told.
pub fn parse(args: &[OsString]) -> Result<Cli, Exit> {
    match read(args) {
        Ok(cli) => Ok(cli),
        Err(error) if !error.use_stderr() => {
            let _ = error.print();
            Err(Exit::Success)
        }
        Err(error) => {
            if wants_json(args) {
                println!("{:#}", as_json(&error));
            } else {
                let _ = error.print();
            }
            Err(Exit::Usage)
        }
    }
}

fn read(args: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(args).and_then(|cli| complete(cli, args)).map_err(|error| announced(error, args))
}

/// A command that nothing announces is the commonest mistake of those who know other container tools.
fn announced(mut error: clap::Error, args: &[OsString]) -> clap::Error {
    let takes_command = args.get(1).is_some_and(|verb| verb == "exec" || verb == "run");
    let is_option = |value: &ContextValue| matches!(value, ContextValue::String(text) if text.starts_with('-'));
    let is_word = error.get(ContextKind::InvalidArg).is_some_and(|value| !is_option(value));
    if takes_command && is_word && error.kind() == ErrorKind::UnknownArgument && args.iter().all(|arg| arg != "--") {
        let tip = "a command stands behind `--`, as in `-- /bin/sh -c 'ls /'`";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// `--` announces a command: with nothing behind it, something else was meant than to start the services.
fn complete(mut cli: Cli, args: &[OsString]) -> Result<Cli, clap::Error> {
    let announced = args.iter().any(|arg| arg == "--");
    match &mut cli.verb {
        Verb::Run(run) if announced && run.command.is_empty() => {
            let mut command = Cli::command();
            command.build();
            let message = "a command is missing behind `--`\n\n  tip: write one, as in `-- /bin/sh -c 'ls /'`, or leave `--` out to start the services";
            let verb =
                command.find_subcommand_mut("run").map(|verb| verb.error(ErrorKind::MissingRequiredArgument, message));
            Err(verb.unwrap_or_else(|| Cli::command().error(ErrorKind::MissingRequiredArgument, message)))
        }
        _ => Ok(cli),
    }
}

/// Looked for by hand: a command line that is wrong was not read to its end.
fn wants_json(args: &[OsString]) -> bool {
    args.iter().skip(1).take_while(|arg| *arg != "--").any(|arg| arg == "--json")
}

/// The same object as of every other error: its text, and the tip or the usage as help.
fn as_json(error: &clap::Error) -> serde_json::Value {
    let rendered = error.render().to_string();
    let mut parts = rendered.split("\n\n").map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = parts.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(&first).to_owned();
    let rest: Vec<String> = parts.collect();
    let tip = rest.iter().find_map(|part| part.strip_prefix("tip: ").map(str::to_owned));
    let usage = rest.into_iter().find(|part| part.starts_with("Usage: "));
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    json!({ "ok": false, "exit": Exit::Usage.code(), "error": [message], "help": tip.or(usage), "argument": argument })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    fn json_of(line: &str) -> serde_json::Value {
        let args = args(line);
        as_json(&read(&args).err().unwrap())
    }

    #[test]
    fn what_is_wrong_is_the_same_object_as_other_errors() {
        let value = json_of("appliance bild --json");
        assert_eq!(value["exit"], 2);
        assert_eq!(value["error"][0], "unrecognized subcommand 'bild'");
        assert!(value["help"].as_str().unwrap().contains("build"), "{value}");
        assert!(json_of("appliance --json")["error"][0].as_str().unwrap().contains("requires a subcommand"));
        let value = json_of("appliance build --lockd --json");
        assert_eq!(
            (&value["argument"], value["help"].as_str().unwrap().contains("--locked")),
            (&json!("--lockd"), true)
        );
    }

    #[test]
    fn a_command_is_announced_or_it_is_not() {
        let read = |line: &str| super::read(&args(line));
        assert!(read("appliance run out --").is_err() && read("appliance run --").is_err());
        assert!(read("appliance run out").is_ok() && read("appliance run out -- true --").is_ok());
        assert!(json_of("appliance run --")["error"][0].as_str().unwrap().contains("missing behind `--`"));
        assert!(json_of("appliance run --")["help"].as_str().unwrap().contains("/bin/sh"));
        let help = |line: &str| json_of(line)["help"].as_str().unwrap_or_default().to_owned();
        for line in ["appliance exec web ls", "appliance run out ls", "appliance exec -t web ls -l"] {
            assert!(help(line).contains("behind `--`"), "{line}: {}", help(line));
        }
        assert!(!help("appliance exec --no web -- ls").contains("behind `--`"));
    }

    #[test]
    fn json_behind_the_dashes_belongs_to_the_command() {
        assert!(wants_json(&args("appliance run --json")) && !wants_json(&args("appliance run -- echo --json")));
    }
}
