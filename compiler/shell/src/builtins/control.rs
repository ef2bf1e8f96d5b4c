//! Builtins that decide what runs next, and where: `exit`, `eval`, `.`, `exec`, `trap`, `cd` and their like.

use super::{number, strange};
use crate::shell::{Eval, Shell, Stop};

pub(super) fn nothing_to_do(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    match argv {
        [_] => Ok(0),
        [_, option] if option == b"-r" => Ok(0),
        _ => Err(strange(shell, argv)),
    }
}

fn status(shell: &Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    match argv {
        [_] => Ok(shell.state.status),
        [_, text] => number::<u8>(text).map(i32::from).ok_or_else(|| strange(shell, argv)),
        _ => Err(strange(shell, argv)),
    }
}

pub(super) fn exit(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    Err(Stop::Exit(status(shell, argv)?))
}

pub(super) fn return_from(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    Err(Stop::Return(status(shell, argv)?))
}

fn levels(shell: &Shell<'_>, argv: &[Vec<u8>]) -> Eval<u32> {
    let levels = match argv {
        [_] => 1,
        [_, text] => number::<u32>(text).filter(|levels| *levels > 0).ok_or_else(|| strange(shell, argv))?,
        _ => return Err(strange(shell, argv)),
    };
    Ok(levels.min(shell.state.loops))
}

pub(super) fn break_loop(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    match levels(shell, argv)? {
        0 => Ok(0),
        levels => Err(Stop::Break(levels)),
    }
}

pub(super) fn continue_loop(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    match levels(shell, argv)? {
        0 => Ok(0),
        levels => Err(Stop::Continue(levels)),
    }
}

pub(super) fn eval(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let text = argv.get(1..).unwrap_or_default().join(&b' ');
    shell.eval_text(&text)
}

pub(super) fn exec(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    if argv.len() == 1 {
        return Ok(0);
    }
    let status = shell.external(argv[1..].to_vec())?;
    shell.state.exit_trap = None;
    Err(Stop::Exit(status))
}

pub(super) fn dot(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let [_, path, ..] = argv else { return Err(strange(shell, argv)) };
    if let Some(text) = shell.commands.source(path) {
        return source(shell, text);
    }
    if !path.contains(&b'/') {
        return Err(shell.unknown("`.` of a file that is looked for in PATH").into());
    }
    let shown = String::from_utf8_lossy(path).into_owned();
    let found = shell.fs.resolve(&shell.state.cwd, path).map(|path| shell.fs.read(&path));
    match found {
        Ok(Ok(Ok(text))) => source(shell, &text),
        Ok(Err(what)) => Err(shell.unknown(what).into()),
        Ok(Ok(Err(_))) => Err(strange(shell, argv)),
        Err(_) => {
            shell.complain(&format!(".: cannot open {shown}: No such file"))?;
            Err(Stop::Exit(2))
        }
    }
}

fn source(shell: &mut Shell<'_>, text: &[u8]) -> Eval<i32> {
    let loops = std::mem::take(&mut shell.state.loops);
    let result = shell.eval_text(text);
    shell.state.loops = loops;
    match result {
        Err(Stop::Return(status)) => Ok(status),
        other => other,
    }
}

const SIGNALS: [&[u8]; 16] = [
    b"HUP", b"INT", b"QUIT", b"PIPE", b"TERM", b"USR1", b"USR2", b"ALRM", b"ABRT", b"CHLD", b"1", b"2", b"3", b"6",
    b"13", b"15",
];

/// Only the end of the shell happens here; no signal ever arrives.
pub(super) fn trap(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let args: Vec<&[u8]> = argv.iter().skip(1).map(Vec::as_slice).skip_while(|arg| *arg == b"--").collect();
    let (action, conditions) = match &args[..] {
        [] => return Err(strange(shell, argv)),
        all @ [first, ..] if first.iter().all(u8::is_ascii_digit) && !first.is_empty() => (&b"-"[..], all),
        [_] => return Err(strange(shell, argv)),
        [action, conditions @ ..] => (*action, conditions),
    };
    for condition in conditions {
        if *condition == b"EXIT" || *condition == b"0" {
            shell.state.exit_trap = (action != b"-" && !action.is_empty()).then(|| action.to_vec());
        } else if !SIGNALS.contains(condition) {
            return Err(strange(shell, argv));
        }
    }
    Ok(0)
}

pub(super) fn cd(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let args: Vec<&Vec<u8>> = argv.iter().skip(1).filter(|arg| *arg != b"--").collect();
    let target = match &args[..] {
        [] => shell.state.vars.get(b"HOME").map(<[u8]>::to_vec),
        [dash] if *dash == b"-" => return Err(strange(shell, argv)),
        [option, ..] if option.starts_with(b"-") => return Err(strange(shell, argv)),
        [target] => Some(target.to_vec()),
        _ => None,
    };
    let Some(target) = target else { return Err(strange(shell, argv)) };
    if target.is_empty() || shell.state.vars.get(b"CDPATH").is_some() {
        return Err(strange(shell, argv));
    }
    let logical = logical_path(shell.state.vars.get(b"PWD").unwrap_or(b"/"), &target);
    match shell.fs.resolve(&shell.state.cwd, &logical) {
        Ok(path) if shell.fs.is_dir(&path) => {
            let old = shell.state.vars.get(b"PWD").unwrap_or(b"/").to_vec();
            shell.state.cwd = path;
            shell.assign(b"OLDPWD", old)?;
            shell.assign(b"PWD", logical)?;
            Ok(0)
        }
        _ => {
            shell.complain(&format!("cd: can't cd to {}", String::from_utf8_lossy(&target)))?;
            Ok(2)
        }
    }
}

/// The path that `cd` goes to, where `..` takes back the part before it, link or not.
fn logical_path(from: &[u8], target: &[u8]) -> Vec<u8> {
    let full = if target.starts_with(b"/") { target.to_vec() } else { [from, b"/", target].concat() };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in full.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    [b"/", &parts.join(&b'/')[..]].concat()
}

pub(super) fn pwd(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let path = match argv {
        [_] => shell.state.vars.get(b"PWD").unwrap_or(b"/").to_vec(),
        [_, option] if option == b"-P" => [b"/", shell.state.cwd.as_bytes()].concat(),
        _ => return Err(strange(shell, argv)),
    };
    shell.write(1, &[&path[..], b"\n"].concat())?;
    Ok(0)
}

pub(super) fn umask(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    match argv {
        [_] => {
            let text = format!("{:04o}\n", shell.state.umask);
            shell.write(1, text.as_bytes())?;
        }
        [_, text] => {
            let text = String::from_utf8_lossy(text);
            let mask = u16::from_str_radix(&text, 8).ok().filter(|mask| *mask <= 0o777 && !text.starts_with('+'));
            shell.state.umask = mask.ok_or_else(|| strange(shell, argv))?;
        }
        _ => return Err(strange(shell, argv)),
    }
    Ok(0)
}
