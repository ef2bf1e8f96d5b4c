//! The guest's command line: `guest [--settings PATH] [--user USER[:GROUP]] [-- COMMAND ARGUMENTS…]`.

use bundle::guest::SETTINGS_PATH;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
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
        let mut parsed = Self { settings: SETTINGS_PATH.to_owned(), user: None, command: Vec::new() };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("read the command line: {arg} needs a value"));
            match arg.as_str() {
                "--settings" => parsed.settings = value()?,
                "--user" => parsed.user = Some(value()?),
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
        check("sh", Err("read the command line: \"sh\" is not known; a command comes after --"));
    }
}
