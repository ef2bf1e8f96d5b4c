//! The utility `grep`, with its names `egrep` and `fgrep`.

use super::options::{self, Parsed};
use super::{input, lines};
use crate::call::Call;
use crate::regex::{Flavor, Regex};
use crate::session::Unknown;

pub(super) fn grep(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(
        call,
        "q|quiet Q|silent s|no-messages v|invert-match E|extended-regexp F|fixed-strings G|basic-regexp i|ignore-case x|line-regexp w|word-regexp c|count o|only-matching n|line-number l|files-with-matches L|files-without-match h|no-filename H|with-filename m:|max-count e:|regexp",
    )?;
    let mut operands = parsed.operands.clone();
    let mut patterns: Vec<Vec<u8>> = parsed.values('e').map(<[u8]>::to_vec).collect();
    if patterns.is_empty() {
        if operands.is_empty() {
            return Err(call.unknown("no pattern"));
        }
        patterns.push(operands.remove(0));
    }
    let regexes = compile(call, &parsed, &patterns)?;
    let most = match parsed.value('m') {
        Some(text) => options::number(call, text)?,
        None => usize::MAX,
    };
    let mut status = 1;
    let mut missing = false;
    for name in if operands.is_empty() { vec![b"-".to_vec()] } else { operands.clone() } {
        if call.resolve(&name).is_ok_and(|path| call.fs().is_dir(&path)) {
            return Err(call.unknown("searching a folder"));
        }
        if name != b"-" && name != b"/dev/null" && call.resolve(&name).is_err() {
            missing = true;
            if !parsed.has('s') {
                call.fail(format!("{}: No such file or directory", String::from_utf8_lossy(&name)))?;
            }
            continue;
        }
        let (texts, _) = input(call, std::slice::from_ref(&name))?;
        let Some((_, text)) = texts.into_iter().next() else { continue };
        let titled = parsed.has('H') || (operands.len() > 1 && !parsed.has('h'));
        let title = if titled { [&name[..], b":"].concat() } else { Vec::new() };
        if search(call, &parsed, &regexes, &name, &title, &text, most)? {
            status = 0;
            if parsed.has('q') || parsed.has('Q') {
                return Ok(0);
            }
        }
    }
    Ok(if missing && !((parsed.has('q') || parsed.has('Q')) && status == 0) { 2 } else { status })
}

fn compile(call: &Call<'_, '_>, parsed: &Parsed, patterns: &[Vec<u8>]) -> Result<Vec<Regex>, Unknown> {
    let kind = parsed.last_of("EFG").or(match call.name().as_str() {
        "egrep" => Some('E'),
        "fgrep" => Some('F'),
        _ => None,
    });
    let flavor = Flavor { extended: kind == Some('E'), ignore_case: parsed.has('i') };
    let mut regexes = Vec::new();
    for pattern in patterns.iter().flat_map(|pattern| pattern.split(|&byte| byte == b'\n')) {
        let mut text = pattern.to_vec();
        if kind == Some('F') {
            text = pattern
                .iter()
                .flat_map(|&byte| if b"\\.[]*^$".contains(&byte) { vec![b'\\', byte] } else { vec![byte] })
                .collect();
        }
        let (open, close): (&[u8], &[u8]) = if flavor.extended { (b"(", b")") } else { (b"\\(", b"\\)") };
        if (parsed.has('x') || parsed.has('w'))
            && text.windows(2).any(|pair| pair[0] == b'\\' && pair[1].is_ascii_digit())
        {
            return Err(call.unknown("back references with -x or -w"));
        }
        if parsed.has('x') {
            text = [b"^", open, &text, close, b"$"].concat();
        } else if parsed.has('w') {
            let edges = |byte: Option<&u8>| byte.is_some_and(|byte| *byte == b'_' || byte.is_ascii_alphanumeric());
            if !pattern.iter().all(|byte| edges(Some(byte)) || b"-.".contains(byte))
                || !edges(pattern.first())
                || !edges(pattern.last())
            {
                return Err(call.unknown("-w with such a pattern"));
            }
            text = [b"\\<", open, &text, close, b"\\>"].concat();
        }
        regexes.push(Regex::new(&text, flavor).map_err(|error| call.unknown(error.0))?);
    }
    Ok(regexes)
}

fn search(
    call: &mut Call<'_, '_>,
    parsed: &Parsed,
    regexes: &[Regex],
    name: &[u8],
    title: &[u8],
    text: &[u8],
    most: usize,
) -> Result<bool, Unknown> {
    if text.contains(&0) {
        return Err(call.unknown("a binary file"));
    }
    let silent = ["q", "Q", "l", "L", "c"].iter().any(|option| parsed.has(option.chars().next().unwrap_or_default()));
    let mut count = 0;
    for (index, line) in lines(text).into_iter().enumerate() {
        if count >= most {
            break;
        }
        call.work(1 + line.len() as u64 / 16)?;
        let mut found = false;
        for regex in regexes {
            found |= regex.is_match(line).map_err(|error| call.unknown(error.0))?;
        }
        if found == parsed.has('v') {
            continue;
        }
        count += 1;
        if silent {
            continue;
        }
        let mut prefix = title.to_vec();
        if parsed.has('n') {
            prefix.extend(format!("{}:", index + 1).bytes());
        }
        if parsed.has('o') {
            only_matching(call, parsed, regexes, &prefix, line)?;
        } else {
            call.out([&prefix, line, b"\n"].concat())?;
        }
    }
    if parsed.has('c') && !parsed.has('q') {
        call.out([title, count.to_string().as_bytes(), b"\n"].concat())?;
    }
    if (parsed.has('l') && count > 0) || (parsed.has('L') && count == 0) {
        call.out([name, b"\n"].concat())?;
    }
    Ok(if parsed.has('L') { count == 0 } else { count > 0 })
}

fn only_matching(
    call: &mut Call<'_, '_>,
    parsed: &Parsed,
    regexes: &[Regex],
    prefix: &[u8],
    line: &[u8],
) -> Result<(), Unknown> {
    let [regex] = regexes else { return Err(call.unknown("-o with several patterns")) };
    if parsed.has('v') {
        return Ok(());
    }
    let mut at = 0;
    while let Some((start, end)) =
        regex.find(line, at).map_err(|error| call.unknown(error.0))?.and_then(|captures| captures[0])
    {
        if end > start {
            call.out([prefix, &line[start..end], b"\n"].concat())?;
        }
        at = end.max(start + usize::from(end == start));
        if at > line.len() {
            break;
        }
    }
    Ok(())
}
