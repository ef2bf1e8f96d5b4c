//! The commands that are part of the shell itself, by name.

mod control;
mod lookup;
mod output;
mod read;
mod test;
mod variables;

use crate::shell::{Eval, Shell};

pub(crate) type Run = fn(&mut Shell<'_>, &[Vec<u8>]) -> Eval<i32>;

/// A command of the shell.
#[derive(Clone, Copy)]
pub(crate) struct Builtin {
    /// Whether it is one of POSIX.1 XCU 2.14, whose failure ends the shell and whose assignments last.
    pub special: bool,
    pub run: Run,
}

pub(crate) fn find(name: &[u8]) -> Option<Builtin> {
    let (special, run): (bool, Run) = match name {
        b":" => (true, |_, _| Ok(0)),
        b"." => (true, control::dot),
        b"break" => (true, control::break_loop),
        b"continue" => (true, control::continue_loop),
        b"eval" => (true, control::eval),
        b"exec" => (true, control::exec),
        b"exit" => (true, control::exit),
        b"return" => (true, control::return_from),
        b"trap" => (true, control::trap),
        b"export" => (true, variables::export),
        b"readonly" => (true, variables::readonly),
        b"set" => (true, variables::set),
        b"shift" => (true, variables::shift),
        b"unset" => (true, variables::unset),
        b"local" => (false, variables::local),
        b"getopts" => (false, variables::getopts),
        b"read" => (false, read::read),
        b"true" => (false, |_, _| Ok(0)),
        b"false" => (false, |_, _| Ok(1)),
        b"cd" | b"chdir" => (false, control::cd),
        b"pwd" => (false, control::pwd),
        b"umask" => (false, control::umask),
        b"wait" | b"hash" => (false, control::nothing_to_do),
        b"command" => (false, lookup::command),
        b"type" => (false, lookup::kind),
        b"echo" => (false, output::echo),
        b"printf" => (false, output::printf),
        b"test" => (false, test::test),
        b"[" => (false, test::bracket),
        b"alias" | b"unalias" | b"bg" | b"fg" | b"fc" | b"jobs" | b"kill" | b"times" | b"ulimit" => {
            (false, unsupported)
        }
        _ => return None,
    };
    Some(Builtin { special, run })
}

fn unsupported(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let name = String::from_utf8_lossy(argv.first().map(Vec::as_slice).unwrap_or_default()).into_owned();
    Err(shell.unknown(format!("the command {name} of the shell")).into())
}

/// That a builtin is used in a way that is not understood.
fn strange(shell: &Shell<'_>, argv: &[Vec<u8>]) -> crate::shell::Stop {
    let text = argv.join(&b' ');
    shell.unknown(format!("the use of `{}`", String::from_utf8_lossy(&text))).into()
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok())
}
