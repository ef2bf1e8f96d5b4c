//! The arguments of the verbs that work on instances: on what runs, and on what has ended.

use clap::{Args, ValueHint};

/// `ps`.
#[derive(Debug, Args)]
pub struct Ps {
    /// Also those that have ended
    #[arg(long, short)]
    pub all: bool,
    /// Only the names, one a line
    #[arg(long)]
    pub names: bool,
}

/// One instance.
#[derive(Debug, Args)]
pub struct One {
    /// The instance: its name, or its appliance's name where only one runs
    #[arg(value_name = "INSTANCE")]
    pub instance: String,
}

/// Instances.
#[derive(Debug, Args)]
pub struct Many {
    /// The instances: each by its name, or by its appliance's name where only one runs
    #[arg(required = true, value_name = "INSTANCE")]
    pub instances: Vec<String>,
}

/// `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The instance: its name, or its appliance's name where only one runs
    #[arg(value_name = "INSTANCE")]
    pub instance: String,
    /// Go on until the instance ends
    #[arg(long, short)]
    pub follow: bool,
    /// Only this many lines from the end
    #[arg(long, short = 'n', value_name = "LINES")]
    pub tail: Option<u64>,
}

/// `exec`.
#[derive(Debug, Args)]
pub struct Exec {
    /// The instance: its name, or its appliance's name where only one runs
    #[arg(value_name = "INSTANCE")]
    pub instance: String,
    /// The command; its exit code becomes ours
    #[arg(last = true, required = true, value_name = "COMMAND", value_hint = ValueHint::CommandName)]
    pub command: Vec<String>,
    /// Give it a terminal, as it gets anyway where standard input and output are one
    #[arg(long, short)]
    pub tty: bool,
    /// Give it standard input; without it or a terminal there is nothing to read for it
    #[arg(long, short)]
    pub interactive: bool,
    /// Run it as this user: a login name inside, UID or UID:GID [default: root]
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// Set a variable of its environment
    #[arg(long, short, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Its working folder
    #[arg(long, short, value_name = "PATH")]
    pub workdir: Option<String>,
}

/// `stop`.
#[derive(Debug, Args)]
pub struct Stop {
    /// The instances: each by its name, or by its appliance's name where only one runs
    #[arg(required = true, value_name = "INSTANCE")]
    pub instances: Vec<String>,
    /// Kill what is left after this time, such as 10, 1.5 or 500ms [default: as the spec has it]
    #[arg(long, value_name = "SECONDS", value_parser = milliseconds)]
    pub within: Option<u64>,
}

/// `kill`.
#[derive(Debug, Args)]
pub struct Kill {
    /// The instances: each by its name, or by its appliance's name where only one runs
    #[arg(required = true, value_name = "INSTANCE")]
    pub instances: Vec<String>,
    /// The signal, by name or number; PID 1 passes HUP, USR1, USR2 on to the services
    #[arg(long, short, default_value = "KILL", value_name = "SIGNAL")]
    pub signal: String,
}

/// `rm`.
#[derive(Debug, Args)]
pub struct Rm {
    /// The instances: each by its name, or by its appliance's name where only one runs; one that is not there is no error
    #[arg(required = true, value_name = "INSTANCE")]
    pub instances: Vec<String>,
    /// Kill those that run
    #[arg(long, short)]
    pub force: bool,
}

/// `port`.
#[derive(Debug, Args)]
pub struct Port {
    /// The instance: its name, or its appliance's name where only one runs
    #[arg(value_name = "INSTANCE")]
    pub instance: String,
    /// Only this port inside
    #[arg(value_name = "PORT")]
    pub port: Option<u16>,
}

/// `open`.
#[derive(Debug, Args)]
pub struct Open {
    /// The instance: its name, or its appliance's name where only one runs
    #[arg(value_name = "INSTANCE")]
    pub instance: String,
    /// What to open, by its name in the spec [default: the first]
    #[arg(value_name = "NAME")]
    pub what: Option<String>,
    /// Only print the address
    #[arg(long)]
    pub print: bool,
}

/// `cp`.
#[derive(Debug, Args)]
pub struct Cp {
    /// What to copy: a path of this host, or INSTANCE:PATH (by its name, or its appliance's where only one runs)
    #[arg(value_name = "FROM", value_hint = ValueHint::AnyPath)]
    pub from: String,
    /// Where to: a path of this host, or INSTANCE:PATH; into it if it is a folder
    #[arg(value_name = "TO", value_hint = ValueHint::AnyPath)]
    pub to: String,
    /// Keep owners by number where they can be, times and set-id bits; without it root owns what goes in, and you what comes
    /// out
    #[arg(long, short)]
    pub archive: bool,
}

/// `ls`.
#[derive(Debug, Args)]
pub struct Ls {
    /// The instance: its name, or its appliance's name where only one runs
    #[arg(value_name = "INSTANCE")]
    pub instance: String,
    /// The path in it
    #[arg(value_name = "PATH", default_value = "/")]
    pub path: String,
    /// The folder itself, not what stands in it
    #[arg(long, short = 'd', visible_alias = "directory")]
    pub itself: bool,
}

/// `watch`.
#[derive(Debug, Args)]
pub struct Watch {
    /// The instance: its name, or its appliance's name where only one runs
    #[arg(value_name = "INSTANCE")]
    pub instance: String,
    /// The path in it, with all folders below
    #[arg(value_name = "PATH")]
    pub path: String,
}

/// Milliseconds of a time: seconds, with a fraction or without, or a number with a unit.
fn milliseconds(text: &str) -> Result<u64, String> {
    let units = [("ms", 1.0), ("s", 1_000.0), ("m", 60_000.0), ("h", 3_600_000.0)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(ending, unit)| Some((text.strip_suffix(ending)?, unit)))
        .unwrap_or((text, 1_000.0));
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = number.parse::<f64>().ok().filter(|value| is_number && *value < 1e9);
    value.map(|value| (value * unit).round() as u64).ok_or_else(|| {
        "it is not a time: write seconds, such as 10 or 1.5, or a number with a unit, such as 500ms or 2m".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_or_has_a_unit() {
        let good = [
            ("10", 10_000),
            ("1.5", 1_500),
            ("0", 0),
            ("500ms", 500),
            ("2m", 120_000),
            (".5s", 500),
            ("1h", 3_600_000),
        ];
        for (text, expected) in good {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for text in ["", "s", "-1", "1e3", "ten", "1.2.3", "5d", "inf"] {
            assert!(milliseconds(text).is_err(), "{text}");
        }
    }
}
