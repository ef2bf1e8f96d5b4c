//! The builtins `test` and `[`: texts, numbers and files, by the number of arguments as POSIX.1 XCU `test` has it.

use tree::{Kind, Node, TreePath};

use super::strange;
use crate::shell::{Eval, Shell};

pub(super) fn bracket(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    match argv {
        [_, args @ .., last] if last == b"]" => run(shell, argv, args),
        _ => Err(strange(shell, argv)),
    }
}

pub(super) fn test(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    run(shell, argv, argv.get(1..).unwrap_or_default())
}

fn run(shell: &mut Shell<'_>, argv: &[Vec<u8>], args: &[Vec<u8>]) -> Eval<i32> {
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    if args.len() > 64 {
        return Err(strange(shell, argv));
    }
    match judge(shell, &args)? {
        Some(truth) => Ok(i32::from(!truth)),
        None => match malformed_number(&args) {
            Some(text) => {
                shell.complain(&format!("[: Illegal number: {text}"))?;
                Ok(2)
            }
            None => Err(strange(shell, argv)),
        },
    }
}

/// The operand that makes a comparison of numbers fail, which is an error in the script's own terms.
fn malformed_number(args: &[&[u8]]) -> Option<String> {
    match args {
        [left, operator, right] if is_number_operator(operator) => {
            let wrong = [left, right].into_iter().find(|text| integer(text).is_none())?;
            Some(String::from_utf8_lossy(wrong).into_owned())
        }
        _ => None,
    }
}

fn judge(shell: &Shell<'_>, args: &[&[u8]]) -> Eval<Option<bool>> {
    Ok(match args {
        [] => Some(false),
        [text] => Some(!text.is_empty()),
        [b"!", text] => Some(text.is_empty()),
        [operator, operand] => unary(shell, operator, operand)?,
        [left, operator, right] if is_binary(operator) => binary(shell, left, operator, right),
        [left, b"-a", right] => Some(!left.is_empty() && !right.is_empty()),
        [left, b"-o", right] => Some(!left.is_empty() || !right.is_empty()),
        [b"!", rest @ ..] if rest.len() < 4 => judge(shell, rest)?.map(|truth| !truth),
        [b"(", rest @ .., b")"] if rest.len() < 3 => judge(shell, rest)?,
        _ => {
            let mut rest = args;
            let truth = either(shell, &mut rest)?;
            truth.filter(|_| rest.is_empty())
        }
    })
}

fn either(shell: &Shell<'_>, rest: &mut &[&[u8]]) -> Eval<Option<bool>> {
    let Some(mut truth) = both(shell, rest)? else { return Ok(None) };
    while let [b"-o", after @ ..] = *rest {
        *rest = after;
        let Some(right) = both(shell, rest)? else { return Ok(None) };
        truth |= right;
    }
    Ok(Some(truth))
}

fn both(shell: &Shell<'_>, rest: &mut &[&[u8]]) -> Eval<Option<bool>> {
    let Some(mut truth) = primary(shell, rest)? else { return Ok(None) };
    while let [b"-a", after @ ..] = *rest {
        *rest = after;
        let Some(right) = primary(shell, rest)? else { return Ok(None) };
        truth &= right;
    }
    Ok(Some(truth))
}

fn primary(shell: &Shell<'_>, rest: &mut &[&[u8]]) -> Eval<Option<bool>> {
    let (truth, used) = match *rest {
        [left, operator, right, ..] if is_binary(operator) => (binary(shell, left, operator, right), 3),
        [b"!", after @ ..] => {
            *rest = after;
            return Ok(primary(shell, rest)?.map(|truth| !truth));
        }
        [b"(", after @ ..] => {
            *rest = after;
            let truth = either(shell, rest)?;
            return Ok(match *rest {
                [b")", after @ ..] => {
                    *rest = after;
                    truth
                }
                _ => None,
            });
        }
        [operator @ [b'-', _], operand, ..] if *operator != b"-a" && *operator != b"-o" => {
            (unary(shell, operator, operand)?, 2)
        }
        [text, ..] => (Some(!text.is_empty()), 1),
        [] => (None, 0),
    };
    *rest = &rest[used..];
    Ok(truth)
}

fn is_number_operator(operator: &[u8]) -> bool {
    matches!(operator, b"-eq" | b"-ne" | b"-lt" | b"-le" | b"-gt" | b"-ge")
}

fn is_binary(operator: &[u8]) -> bool {
    is_number_operator(operator) || matches!(operator, b"=" | b"!=" | b"<" | b">" | b"-nt" | b"-ot" | b"-ef")
}

fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    text.strip_prefix('+').unwrap_or(text).parse().ok()
}

fn binary(shell: &Shell<'_>, left: &[u8], operator: &[u8], right: &[u8]) -> Option<bool> {
    match operator {
        b"=" => return Some(left == right),
        b"!=" => return Some(left != right),
        b"<" => return Some(left < right),
        b">" => return Some(left > right),
        b"-ef" => {
            let id = |path: &[u8]| shell.fs.resolve(&shell.state.cwd, path).ok().and_then(|path| shell.fs.id(&path));
            return Some(id(left).is_some() && id(left) == id(right));
        }
        // Times in the tree are not those that a running script would have seen.
        b"-nt" | b"-ot" => return None,
        _ => {}
    }
    let (left, right) = (integer(left)?, integer(right)?);
    Some(match operator {
        b"-eq" => left == right,
        b"-ne" => left != right,
        b"-lt" => left < right,
        b"-le" => left <= right,
        b"-gt" => left > right,
        _ => left >= right,
    })
}

fn unary(shell: &Shell<'_>, operator: &[u8], operand: &[u8]) -> Eval<Option<bool>> {
    match operator {
        b"-n" => return Ok(Some(!operand.is_empty())),
        b"-z" => return Ok(Some(operand.is_empty())),
        b"-t" => return Ok(Some(false)),
        _ => {}
    }
    if operand == b"/dev/null" {
        return Ok(Some(matches!(operator, b"-e" | b"-c" | b"-r" | b"-w")));
    }
    if operand.starts_with(b"/dev/") {
        return Err(shell.unknown(format!("a test of the device {}", String::from_utf8_lossy(operand))).into());
    }
    let link = matches!(operator, b"-h" | b"-L");
    let cwd = &shell.state.cwd;
    let path: Option<TreePath> =
        if link { shell.fs.resolve_link(cwd, operand) } else { shell.fs.resolve(cwd, operand) }.ok();
    let node = path.as_ref().and_then(|path| shell.fs.node(path));
    let is = |check: &dyn Fn(&Node) -> bool| Some(node.is_some_and(check));
    Ok(match operator {
        b"-e" | b"-r" | b"-w" => Some(node.is_some()),
        b"-h" | b"-L" => is(&|node| matches!(node.kind, Kind::Symlink(_))),
        b"-f" => is(&|node| matches!(node.kind, Kind::File(_))),
        b"-d" => is(&Node::is_dir),
        b"-s" => is(&|node| match &node.kind {
            Kind::File(content) => content.size_bytes() > 0,
            kind => matches!(kind, Kind::Dir),
        }),
        b"-x" => is(&|node| node.is_dir() || node.meta.mode & 0o111 != 0),
        b"-b" => is(&|node| matches!(node.kind, Kind::BlockDevice { .. })),
        b"-c" => is(&|node| matches!(node.kind, Kind::CharDevice { .. })),
        b"-p" => is(&|node| matches!(node.kind, Kind::Fifo)),
        b"-S" => is(&|node| matches!(node.kind, Kind::Socket)),
        b"-u" => is(&|node| node.meta.mode & 0o4000 != 0),
        b"-g" => is(&|node| node.meta.mode & 0o2000 != 0),
        b"-k" => is(&|node| node.meta.mode & 0o1000 != 0),
        b"-O" => is(&|node| node.meta.uid == 0),
        b"-G" => is(&|node| node.meta.gid == 0),
        _ => None,
    })
}
