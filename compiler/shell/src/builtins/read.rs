//! The builtin `read`: one line, split at `IFS` into variables.

use super::strange;
use crate::shell::{Eval, Shell};
use crate::variables::is_name;

/// A byte of the line and whether a backslash protects it.
type Line = Vec<(u8, bool)>;

pub(super) fn read(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let mut names = &argv[1..];
    let mut raw = false;
    while let [option, rest @ ..] = names {
        match &option[..] {
            b"-r" => raw = true,
            b"--" => {}
            option if option.starts_with(b"-") => return Err(strange(shell, argv)),
            _ => break,
        }
        names = rest;
    }
    if names.is_empty() || !names.iter().all(|name| is_name(name)) {
        return Err(strange(shell, argv));
    }
    let (line, complete) = line(shell, raw)?;
    let ifs = shell.state.vars.get(b"IFS").unwrap_or(b" \t\n").to_vec();
    for (name, value) in names.iter().zip(fields(&line, &ifs, names.len())) {
        shell.assign(name, value)?;
    }
    Ok(i32::from(!complete))
}

fn line(shell: &mut Shell<'_>, raw: bool) -> Eval<(Line, bool)> {
    let mut line = Line::new();
    loop {
        let bytes = shell.read_until(0, |byte| byte == b'\n')?;
        let complete = bytes.last() == Some(&b'\n');
        let text = if complete { &bytes[..bytes.len() - 1] } else { &bytes[..] };
        let mut escaped = false;
        for &byte in text {
            match byte {
                _ if escaped => {
                    line.push((byte, true));
                    escaped = false;
                }
                b'\\' if !raw => escaped = true,
                _ => line.push((byte, false)),
            }
        }
        if !(escaped && complete) {
            return Ok((line, complete));
        }
    }
}

fn fields(line: &Line, ifs: &[u8], count: usize) -> Vec<Vec<u8>> {
    let separates = |(byte, escaped): &(u8, bool)| !escaped && ifs.contains(byte);
    let blank = |item: &(u8, bool)| separates(item) && b" \t\n".contains(&item.0);
    let skip = |rest: &mut &[(u8, bool)]| *rest = &rest[rest.iter().take_while(|item| blank(item)).count()..];
    let text = |part: &[(u8, bool)]| part.iter().map(|(byte, _)| *byte).collect::<Vec<u8>>();
    let mut rest = &line[..];
    let mut fields = Vec::new();
    skip(&mut rest);
    while fields.len() + 1 < count {
        let end = rest.iter().position(&separates).unwrap_or(rest.len());
        fields.push(text(&rest[..end]));
        rest = &rest[end..];
        skip(&mut rest);
        if rest.first().is_some_and(&separates) && end < line.len() {
            rest = &rest[1..];
            skip(&mut rest);
        }
    }
    let trimmed = |rest: &[(u8, bool)]| rest.len() - rest.iter().rev().take_while(|item| blank(item)).count();
    rest = &rest[..trimmed(rest)];
    if let Some((last, before)) = rest.split_last()
        && separates(last)
        && !before.iter().any(separates)
    {
        rest = before;
    }
    fields.push(text(rest));
    fields
}
