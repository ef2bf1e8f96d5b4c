//! Utilities over lines: `cat`, `head`, `tail`, `wc`, `sort`, `uniq`, `tee`.

use super::{input, lines, options};
use crate::call::Call;
use crate::session::Unknown;

pub(super) fn cat(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "u")?;
    let (texts, status) = input(call, &parsed.operands)?;
    for (_, text) in texts {
        call.out(text)?;
    }
    Ok(status)
}

/// The old form of a count, `-5`, as `-n 5`.
fn counted(call: &Call<'_, '_>, specification: &str) -> Result<options::Parsed, Unknown> {
    let first = call.args().first().cloned().unwrap_or_default();
    match first.strip_prefix(b"-") {
        Some(digits) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            Err(call.unknown(format!("the option -{}", String::from_utf8_lossy(digits))))
        }
        _ => options::parse(call, specification),
    }
}

pub(super) fn head(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let args = call.args();
    let old = args
        .first()
        .and_then(|arg| arg.strip_prefix(b"-"))
        .filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    let (operands, parsed) = match old {
        Some(_) => (args[1..].to_vec(), None),
        None => {
            let parsed = counted(call, "n:|lines c:|bytes q|quiet")?;
            (parsed.operands.clone(), Some(parsed))
        }
    };
    let count = parsed.as_ref().and_then(|parsed| parsed.value('n')).or(old).unwrap_or(b"10");
    let count = options::number(call, count)?;
    let (texts, status) = input(call, &operands)?;
    if texts.len() > 1 || operands.iter().any(|operand| operand.starts_with(b"-") && operand != b"-") {
        return Err(call.unknown("several files"));
    }
    for (_, text) in texts {
        let end = match parsed.as_ref().and_then(|parsed| parsed.value('c')) {
            Some(bytes) => options::number(call, bytes)?.min(text.len()),
            None => text.split_inclusive(|&byte| byte == b'\n').take(count).map(<[u8]>::len).sum(),
        };
        call.out(&text[..end])?;
    }
    Ok(status)
}

pub(super) fn tail(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let args = call.args();
    let old = args
        .first()
        .and_then(|arg| arg.strip_prefix(b"-"))
        .filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    let (operands, given, bytes) = match old {
        Some(digits) => (args[1..].to_vec(), digits.to_vec(), None),
        None => {
            let parsed = counted(call, "n:|lines c:|bytes q|quiet")?;
            (
                parsed.operands.clone(),
                parsed.value('n').unwrap_or(b"10").to_vec(),
                parsed.value('c').map(<[u8]>::to_vec),
            )
        }
    };
    let (texts, status) = input(call, &operands)?;
    if texts.len() > 1 {
        return Err(call.unknown("several files"));
    }
    for (_, text) in texts {
        let (from_start, digits) = match bytes.as_ref().unwrap_or(&given).strip_prefix(b"+") {
            Some(digits) => (true, digits.to_vec()),
            None => (false, bytes.as_ref().unwrap_or(&given).clone()),
        };
        let count = options::number(call, &digits)?;
        let pieces: Vec<usize> = match bytes {
            Some(_) => vec![1; text.len()],
            None => text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::len).collect(),
        };
        let skipped = if from_start { count.saturating_sub(1) } else { pieces.len().saturating_sub(count) };
        let start: usize = pieces.iter().take(skipped).sum();
        call.out(&text[start..])?;
    }
    Ok(status)
}

pub(super) fn wc(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "l|lines c|bytes w|words")?;
    let (texts, status) = input(call, &parsed.operands)?;
    let one = parsed.last_of("lcw").filter(|letter| {
        ["l", "c", "w"].iter().filter(|other| parsed.has(other.chars().next().unwrap_or_default())).count() == 1
            && parsed.has(*letter)
    });
    let (Some(letter), [(name, text)]) = (one, &texts[..]) else {
        return Err(call.unknown("other than one count of one file"));
    };
    let count = match letter {
        'l' => text.iter().filter(|byte| **byte == b'\n').count(),
        'c' => text.len(),
        _ => text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count(),
    };
    let name = if parsed.operands.is_empty() { String::new() } else { format!(" {}", String::from_utf8_lossy(name)) };
    call.out(format!("{count}{name}\n"))?;
    Ok(status)
}

pub(super) fn sort(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "u|unique r|reverse n|numeric-sort o:|output")?;
    let (texts, status) = input(call, &parsed.operands)?;
    let mut all: Vec<&[u8]> = texts.iter().flat_map(|(_, text)| lines(text)).collect();
    call.work(all.len() as u64 * 4)?;
    let value = |line: &[u8]| {
        let text = std::str::from_utf8(line.trim_ascii_start()).unwrap_or_default();
        let end = text
            .bytes()
            .enumerate()
            .take_while(|(at, byte)| byte.is_ascii_digit() || (*at == 0 && *byte == b'-'))
            .count();
        text[..end].parse::<i64>().unwrap_or(0)
    };
    if parsed.has('n') {
        if all.iter().any(|line| line.contains(&b'.')) {
            return Err(call.unknown("fractions"));
        }
        all.sort_by(|left, right| value(left).cmp(&value(right)).then(left.cmp(right)));
        if parsed.has('u') {
            all.dedup_by_key(|line| value(line));
        }
    } else {
        all.sort();
        if parsed.has('u') {
            all.dedup();
        }
    }
    if parsed.has('r') {
        all.reverse();
    }
    let text: Vec<u8> = all.iter().flat_map(|line| line.iter().chain(b"\n")).copied().collect();
    match parsed.value('o').map(<[u8]>::to_vec) {
        None => call.out(text)?,
        Some(path) => {
            let mode = 0o666 & !call.umask();
            let written = call.place(&path, true).and_then(|place| call.fs_mut().write(&place, text, mode));
            if let Err(errno) = written {
                return call.fail_on("open failed:", &path, errno).map(|_| 2);
            }
        }
    }
    Ok(if status == 0 { 0 } else { 2 })
}

pub(super) fn uniq(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "c|count d|repeated u|unique")?;
    if parsed.operands.len() > 1 {
        return Err(call.unknown("an output file"));
    }
    let (texts, status) = input(call, &parsed.operands)?;
    for (_, text) in texts {
        for group in lines(&text).chunk_by(|left, right| left == right) {
            let shown = match (parsed.has('d'), parsed.has('u')) {
                (false, false) => true,
                (repeated, unique) => {
                    (group.len() > 1 && repeated && !unique) || (group.len() == 1 && unique && !repeated)
                }
            };
            if shown {
                let count = if parsed.has('c') { format!("{:7} ", group.len()) } else { String::new() };
                call.out([count.as_bytes(), group[0], b"\n"].concat())?;
            }
        }
    }
    Ok(status)
}

pub(super) fn tee(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "a|append")?;
    let text = call.stdin()?;
    call.out(&text)?;
    let mut status = 0;
    let mode = 0o666 & !call.umask();
    for path in &parsed.operands {
        match &path[..] {
            b"/dev/null" => continue,
            b"/dev/stderr" => {
                call.err(&text)?;
                continue;
            }
            path if path.starts_with(b"/dev/") => return Err(call.unknown("a device")),
            _ => {}
        }
        let mut bytes = if parsed.has('a') { call.read(path)?.unwrap_or_default() } else { Vec::new() };
        bytes.extend_from_slice(&text);
        let written = call.place(path, true).and_then(|place| call.fs_mut().write(&place, bytes, mode));
        if let Err(errno) = written {
            status = call.fail(format!("{}: {errno}", String::from_utf8_lossy(path)))?;
        }
    }
    Ok(status)
}
