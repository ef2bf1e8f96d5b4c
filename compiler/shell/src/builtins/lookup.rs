//! Builtins that look for commands: `command` and `type`.

use super::strange;
use crate::shell::{Eval, Meaning, Shell};

pub(super) fn command(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    match argv {
        [_] => Ok(0),
        [_, option, name] if option == b"-v" => match shell.found_as(name) {
            Some(found) => {
                shell.write(1, &[&found[..], b"\n"].concat())?;
                Ok(0)
            }
            None => Ok(127),
        },
        [_, option, ..] if option.starts_with(b"-") => Err(strange(shell, argv)),
        [_, rest @ ..] => match super::find(&rest[0]) {
            Some(builtin) => (builtin.run)(shell, rest),
            None => shell.external(rest.to_vec()),
        },
        [] => Ok(0),
    }
}

pub(super) fn kind(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let mut status = 0;
    for name in argv.iter().skip(1) {
        let shown = String::from_utf8_lossy(name).into_owned();
        let found = shell.found_as(name).map(|found| String::from_utf8_lossy(&found).into_owned());
        let line = match (shell.meaning(name), found) {
            (Meaning::Function(_), _) => format!("{shown} is a shell function\n"),
            (Meaning::Builtin(builtin), _) if builtin.special => format!("{shown} is a special shell builtin\n"),
            (Meaning::Builtin(_), _) => format!("{shown} is a shell builtin\n"),
            (_, Some(found)) => format!("{shown} is {found}\n"),
            (_, None) => {
                status = 127;
                format!("{shown}: not found\n")
            }
        };
        shell.write(1, line.as_bytes())?;
    }
    Ok(status)
}
