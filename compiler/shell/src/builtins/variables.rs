//! Builtins that change variables, arguments and options: `export`, `local`, `set`, `shift`, `getopts` and their like.

use super::{number, strange};
use crate::shell::{Eval, Options, Shell, Stop};
use crate::variables::{Variable, is_name};

fn declare(shell: &mut Shell<'_>, argv: &[Vec<u8>], change: fn(&mut Variable)) -> Eval<i32> {
    let args: Vec<&Vec<u8>> = argv.iter().skip(1).filter(|arg| *arg != b"--").collect();
    if args.is_empty() {
        return Err(strange(shell, argv));
    }
    for arg in args {
        let (name, value) = split_assignment(arg);
        if !is_name(name) {
            return Err(strange(shell, argv));
        }
        if let Some(value) = value {
            shell.assign(name, value.to_vec())?;
        }
        shell.state.vars.mark(name, change);
    }
    Ok(0)
}

fn split_assignment(arg: &[u8]) -> (&[u8], Option<&[u8]>) {
    match arg.iter().position(|&byte| byte == b'=') {
        Some(at) => (&arg[..at], Some(&arg[at + 1..])),
        None => (arg, None),
    }
}

pub(super) fn export(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    declare(shell, argv, |variable| variable.exported = true)
}

pub(super) fn readonly(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    declare(shell, argv, |variable| variable.readonly = true)
}

pub(super) fn local(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    for arg in argv.iter().skip(1) {
        let (name, value) = split_assignment(arg);
        if !is_name(name) || !shell.state.vars.make_local(name) {
            return Err(strange(shell, argv));
        }
        if let Some(value) = value {
            shell.assign(name, value.to_vec())?;
        }
    }
    Ok(0)
}

pub(super) fn unset(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let functions = argv.get(1).is_some_and(|option| option == b"-f");
    for name in argv.iter().skip(1).filter(|arg| *arg != b"-f" && *arg != b"-v") {
        if functions {
            shell.state.functions.remove(name);
        } else if !is_name(name) {
            return Err(strange(shell, argv));
        } else if shell.state.vars.unset(name).is_err() {
            shell.complain(&format!("unset: {}: is read only", String::from_utf8_lossy(name)))?;
            return Err(Stop::Exit(2));
        }
    }
    Ok(0)
}

pub(super) fn shift(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let count = match argv {
        [_] => 1,
        [_, text] => number::<usize>(text).ok_or_else(|| strange(shell, argv))?,
        _ => return Err(strange(shell, argv)),
    };
    if count > shell.state.args.len() {
        shell.complain("shift: can't shift that many")?;
        return Err(Stop::Exit(2));
    }
    shell.state.args.drain(..count);
    Ok(0)
}

pub(super) fn set(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    if argv.len() == 1 {
        return Err(strange(shell, argv));
    }
    let mut args = argv[1..].iter();
    while let Some(arg) = args.as_slice().first() {
        let on = match arg.first() {
            Some(b'-') => true,
            Some(b'+') => false,
            _ => break,
        };
        args.next();
        match &arg[1..] {
            b"" => return Err(strange(shell, argv)),
            b"-" if on => {
                shell.state.args = args.cloned().collect();
                return Ok(0);
            }
            b"o" => {
                let Some(option) = args.next().and_then(|name| by_name(&mut shell.state.options, name)) else {
                    return Err(strange(shell, argv));
                };
                *option = on;
            }
            letters => {
                for letter in letters {
                    let Some(option) = by_letter(&mut shell.state.options, *letter) else {
                        return Err(strange(shell, argv));
                    };
                    *option = on;
                }
            }
        }
    }
    if !args.as_slice().is_empty() {
        shell.state.args = args.cloned().collect();
    }
    Ok(0)
}

fn by_letter(options: &mut Options, letter: u8) -> Option<&mut bool> {
    Some(match letter {
        b'e' => &mut options.errexit,
        b'u' => &mut options.nounset,
        b'f' => &mut options.noglob,
        b'x' => &mut options.xtrace,
        b'a' => &mut options.allexport,
        b'C' => &mut options.noclobber,
        _ => return None,
    })
}

fn by_name<'o>(options: &'o mut Options, name: &[u8]) -> Option<&'o mut bool> {
    let letter = match name {
        b"errexit" => b'e',
        b"nounset" => b'u',
        b"noglob" => b'f',
        b"xtrace" => b'x',
        b"allexport" => b'a',
        b"noclobber" => b'C',
        _ => return None,
    };
    by_letter(options, letter)
}

/// As POSIX.1 XCU `getopts`, with options that stand alone: `-a -b value`. Several letters after one dash are unknown.
pub(super) fn getopts(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let [_, letters, name, given @ ..] = argv else { return Err(strange(shell, argv)) };
    let args = if given.is_empty() { shell.state.args.clone() } else { given.to_vec() };
    let index = shell.state.vars.get(b"OPTIND").and_then(number::<usize>).filter(|index| *index > 0);
    let Some(index) = index else { return Err(strange(shell, argv)) };
    let letter = match args.get(index - 1).map(Vec::as_slice) {
        Some([b'-', letter]) if *letter != b'-' => *letter,
        Some([b'-', b'-', _, ..]) | Some([b'-', _, _, ..]) => return Err(strange(shell, argv)),
        other => {
            let next = if other == Some(b"--") { index + 1 } else { index };
            shell.assign(b"OPTIND", next.to_string().into_bytes())?;
            shell.assign(name, b"?".to_vec())?;
            return Ok(1);
        }
    };
    let at = letters.iter().position(|known| *known == letter && letter != b':');
    let Some(at) = at else { return Err(strange(shell, argv)) };
    let mut next = index + 1;
    if letters.get(at + 1) == Some(&b':') {
        let Some(value) = args.get(index) else { return Err(strange(shell, argv)) };
        shell.assign(b"OPTARG", value.clone())?;
        next += 1;
    }
    shell.assign(b"OPTIND", next.to_string().into_bytes())?;
    shell.assign(name, vec![letter])?;
    Ok(0)
}
