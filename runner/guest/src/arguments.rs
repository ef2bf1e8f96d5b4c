//! The guest's command line: `guest [--settings PATH] [--user USER[:GROUP]] [-- COMMAND ARGUMENTS…]`, and where systemd is
//! process 1 `guest agent`, `guest unit SERVICE` and `guest ended SERVICE`.

use bundle::guest::{AGENT_WORD, ENDED_WORD, SETTINGS_PATH, UNIT_WORD};

/// What this process is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// To start services or a command itself, as process 1.
    Init,
    /// To decide about services that are units of systemd.
    Agent,
    /// To become this service.
    Unit(String),
    /// To tell how this service ended.
    Ended(String),
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// What it is there for.
    pub role: Role,
    /// Where the settings are.
    pub settings: String,
    /// Who the command runs as.
    pub user: Option<String>,
    /// The command that runs instead of the services; empty for the services.
    pub command: Vec<String>,
}

impl Arguments {
    /// Reads the arguments after the program's name; the error is a fragment after "failed to".
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self { role: Role::Init, settings: SETTINGS_PATH.to_owned(), user: None, command: Vec::new() };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("read the command line: {arg} needs a value"));
            match arg.as_str() {
                "--settings" => parsed.settings = value()?,
                "--user" => parsed.user = Some(value()?),
                AGENT_WORD => parsed.role = Role::Agent,
                UNIT_WORD => parsed.role = Role::Unit(value()?),
                ENDED_WORD => parsed.role = Role::Ended(value()?),
                "--" => {
                    parsed.command = args.collect();
                    if parsed.command.is_empty() {
                        return Err("read the command line: no command follows --".to_owned());
                    }
                    return Ok(parsed);
                }
                _ => return Err(format!("read the command line: {arg:?} is not known; a command comes after --")),
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let check = |line: &str, expected: Result<(&str, Option<&str>, usize), &str>| {
            let parsed = Arguments::parse(line.split_whitespace().map(str::to_owned));
            let parsed = parsed.as_ref().map(|args| (args.settings.as_str(), args.user.as_deref(), args.command.len()));
            assert_eq!(parsed.map_err(String::as_str), expected);
        };
        check("", Ok((SETTINGS_PATH, None, 0)));
        check("--settings /x --user luna -- sh -c --user", Ok(("/x", Some("luna"), 3)));
        check("--user", Err("read the command line: --user needs a value"));
        check("--", Err("read the command line: no command follows --"));
        check("unit", Err("read the command line: unit needs a value"));
        check("sh", Err("read the command line: \"sh\" is not known; a command comes after --"));
    }

    #[test]
    fn the_words_of_units_are_read() {
        let role = |line: &str| Arguments::parse(line.split_whitespace().map(str::to_owned)).map(|args| args.role);
        assert_eq!(role(""), Ok(Role::Init));
        assert_eq!(role("agent"), Ok(Role::Agent));
        assert_eq!(role("--settings /x unit web"), Ok(Role::Unit("web".to_owned())));
        assert_eq!(role("ended web"), Ok(Role::Ended("web".to_owned())));
    }
}
