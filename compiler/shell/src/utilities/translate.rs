//! Utilities over bytes and columns: `tr` and `cut`.

use super::{input, lines, options};
use crate::call::Call;
use crate::pattern::in_class;
use crate::session::Unknown;

pub(super) fn tr(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "+ d|delete s|squeeze-repeats c|complement C")?;
    let sets = parsed
        .operands
        .iter()
        .map(|text| set(text).ok_or_else(|| call.unknown("such a set")))
        .collect::<Result<Vec<_>, _>>()?;
    let complement = parsed.has('c') || parsed.has('C');
    let (Some(first), second) = (sets.first(), sets.get(1)) else { return Err(call.unknown("the operands")) };
    let first: Vec<u8> =
        if complement { (0..=255).filter(|byte| !first.contains(byte)).collect() } else { first.clone() };
    if sets.len() > 2
        || (parsed.has('d') && (second.is_some() || parsed.has('s')))
        || (second.is_none() && !parsed.has('d') && !parsed.has('s'))
    {
        return Err(call.unknown("the operands"));
    }
    let text = call.stdin()?;
    call.work(text.len() as u64 / 16)?;
    let mut out = Vec::with_capacity(text.len());
    let squeezed = parsed.has('s').then(|| second.unwrap_or(&first));
    for byte in text {
        let place = first.iter().rposition(|&from| from == byte);
        let byte = match (place, second) {
            (Some(_), None) if parsed.has('d') => continue,
            (Some(at), Some(second)) => match second.get(at).or(second.last()) {
                Some(to) => *to,
                None => return Err(call.unknown("an empty second set")),
            },
            _ => byte,
        };
        if squeezed.is_some_and(|set| set.contains(&byte)) && out.last() == Some(&byte) {
            continue;
        }
        out.push(byte);
    }
    call.out(out)?;
    Ok(0)
}

/// The bytes of a set such as `a-z`, `[:upper:]` or `\n`; none for what is rarer.
fn set(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if let Some(after) = rest.strip_prefix(b"[:") {
            let end = after.windows(2).position(|pair| pair == b":]")?;
            for byte in 0..=255 {
                if in_class(&after[..end], byte)? {
                    out.push(byte);
                }
            }
            at += end + 4;
            continue;
        }
        if rest.starts_with(b"[=") || (rest.starts_with(b"[") && rest.get(2) == Some(&b'*')) {
            return None;
        }
        let (low, used) = set_byte(rest)?;
        at += used;
        match &text[at..] {
            [b'-', after @ ..] if !after.is_empty() => {
                let (high, used) = set_byte(after)?;
                if high < low {
                    return None;
                }
                out.extend(low..=high);
                at += used + 1;
            }
            _ => out.push(low),
        }
    }
    Some(out)
}

fn set_byte(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'\\', b'n', ..] => Some((b'\n', 2)),
        [b'\\', b't', ..] => Some((b'\t', 2)),
        [b'\\', b'r', ..] => Some((b'\r', 2)),
        [b'\\', b'\\', ..] => Some((b'\\', 2)),
        [b'\\', digits @ ..] => {
            let count = digits.iter().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let value = u8::from_str_radix(std::str::from_utf8(&digits[..count]).ok()?, 8).ok()?;
            Some((value, count + 1))
        }
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

pub(super) fn cut(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "d:|delimiter f:|fields c:|characters b:|bytes s|only-delimited")?;
    let list = parsed.value('f').or(parsed.value('c')).or(parsed.value('b'));
    let ranges = list.and_then(ranges).ok_or_else(|| call.unknown("such a list"))?;
    let wanted = |number: usize| ranges.iter().any(|(low, high)| (*low..=*high).contains(&number));
    let delimiter = match parsed.value('d') {
        None => b'\t',
        Some([byte]) => *byte,
        Some(_) => return Err(call.unknown("such a delimiter")),
    };
    let (texts, status) = input(call, &parsed.operands)?;
    for line in texts.iter().flat_map(|(_, text)| lines(text)) {
        let out: Vec<u8> = if !parsed.has('f') {
            line.iter().enumerate().filter(|(at, _)| wanted(at + 1)).map(|(_, byte)| *byte).collect()
        } else if !line.contains(&delimiter) {
            if parsed.has('s') {
                continue;
            }
            line.to_vec()
        } else {
            let fields = line.split(|&byte| byte == delimiter).enumerate();
            fields.filter(|(at, _)| wanted(at + 1)).map(|(_, field)| field).collect::<Vec<_>>().join(&delimiter)
        };
        call.out([&out[..], b"\n"].concat())?;
    }
    Ok(status)
}

fn ranges(text: &[u8]) -> Option<Vec<(usize, usize)>> {
    let number = |text: &str| text.parse::<usize>().ok().filter(|number| *number > 0);
    let range = |part: &str| match part.split_once('-') {
        None => number(part).map(|one| (one, one)),
        Some(("", high)) => Some((1, number(high)?)),
        Some((low, "")) => Some((number(low)?, usize::MAX)),
        Some((low, high)) => Some((number(low)?, number(high)?)),
    };
    std::str::from_utf8(text).ok()?.split(',').map(range).collect()
}
