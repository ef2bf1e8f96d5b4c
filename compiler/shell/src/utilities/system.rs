//! Utilities about the system and numbers: `id`, `whoami`, `uname`, `date`, `expr`, `seq`.

use super::{options, owner};
use crate::call::Call;
use crate::regex::{Flavor, Regex};
use crate::session::Unknown;
use crate::stream::Stream;

pub(super) fn whoami(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    call.out("root\n")?;
    Ok(0)
}

pub(super) fn id(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "u|user g|group n|name")?;
    let found = match &parsed.operands[..] {
        [] => Some((0, 0)),
        [name] => owner::user(call, name)?,
        _ => return Err(call.unknown("several users")),
    };
    let Some((uid, gid)) = found else {
        let name = String::from_utf8_lossy(&parsed.operands[0]).into_owned();
        return call.fail(format!("'{name}': no such user"));
    };
    let silent = matches!(call.shell.state.fds.get(&1), Some(Stream::Null));
    let (file, number): (&[u8], u32) = match (parsed.has('u'), parsed.has('g')) {
        (true, false) => (b"/etc/passwd", uid),
        (false, true) => (b"/etc/group", gid),
        _ if silent => return Ok(0),
        _ => return Err(call.unknown("all ids of a user")),
    };
    let text = match parsed.has('n') {
        false => number.to_string().into_bytes(),
        true => owner::name_of(call, file, number)?.ok_or_else(|| call.unknown("an id without a name"))?,
    };
    call.out([&text[..], b"\n"].concat())?;
    Ok(0)
}

pub(super) fn uname(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "s|kernel-name m|machine r|kernel-release")?;
    if parsed.has('r') && !parsed.has('s') && !parsed.has('m') {
        call.out(format!("{KERNEL}\n"))?;
        return Ok(0);
    }
    if parsed.has('r') {
        return Err(call.unknown("the options"));
    }
    let machine = call.shell.machine.clone();
    let text = match (parsed.has('s'), parsed.has('m'), machine) {
        (_, false, _) => "Linux".to_owned(),
        (false, true, Some(machine)) => machine,
        (true, true, Some(machine)) => format!("Linux {machine}"),
        (_, true, None) => return Err(call.unknown("the machine's name")),
    };
    call.out(format!("{text}\n"))?;
    Ok(0)
}

/// From the day of the epoch, which was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A moment as `date` prints it in the POSIX locale.
fn long_form(now: i64) -> String {
    let (year, month, day) = civil(now.div_euclid(86_400));
    let (hour, minute, second) = (now.rem_euclid(86_400) / 3600, now.rem_euclid(3600) / 60, now.rem_euclid(60));
    let weekday = WEEKDAYS[usize::try_from(now.div_euclid(86_400).rem_euclid(7)).unwrap_or(0)];
    let month = MONTHS[usize::try_from(month - 1).unwrap_or(0) % 12];
    format!("{weekday} {month} {day:2} {hour:02}:{minute:02}:{second:02} UTC {year:04}")
}

/// The release that `uname -r` gives. An image has no kernel of its own; scripts only ask whether it is new enough, so
/// this is the oldest long-term release that the supported distributions came with.
const KERNEL: &str = "5.15.0";

/// The clock stands at the epoch of the session.
pub(super) fn date(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "u|utc d:|date")?;
    let now = call.fs().mtime_secs;
    let format: &[u8] = match &parsed.operands[..] {
        [] => b"%a %b %e %H:%M:%S UTC %Y",
        [format] => format.strip_prefix(b"+").ok_or_else(|| call.unknown("the operand"))?,
        _ => return Err(call.unknown("the operands")),
    };
    // Another moment than now is understood only when it is now, as `date` itself has printed it.
    if let Some(moment) = parsed.value('d').map(<[u8]>::to_vec) {
        let printed = String::from_utf8_lossy(&moment).trim().to_owned();
        if printed != long_form(now) {
            return Err(call.unknown("the moment"));
        }
    }
    let (year, month, day) = civil(now.div_euclid(86_400));
    let (hour, minute, second) = (now.rem_euclid(86_400) / 3600, now.rem_euclid(3600) / 60, now.rem_euclid(60));
    let mut out = String::new();
    let mut letters = format.iter().copied().map(char::from);
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('s') => out.push_str(&now.to_string()),
            Some('Y') => out.push_str(&format!("{year:04}")),
            Some('m') => out.push_str(&format!("{month:02}")),
            Some('d') => out.push_str(&format!("{day:02}")),
            Some('H') => out.push_str(&format!("{hour:02}")),
            Some('M') => out.push_str(&format!("{minute:02}")),
            Some('S') => out.push_str(&format!("{second:02}")),
            Some('F') => out.push_str(&format!("{year:04}-{month:02}-{day:02}")),
            Some('a') => out.push_str(WEEKDAYS[usize::try_from(now.div_euclid(86_400).rem_euclid(7)).unwrap_or(0)]),
            Some('b') => out.push_str(MONTHS[usize::try_from(month - 1).unwrap_or(0) % 12]),
            Some('e') => out.push_str(&format!("{day:2}")),
            Some('T') => out.push_str(&format!("{hour:02}:{minute:02}:{second:02}")),
            _ => return Err(call.unknown("the format")),
        }
    }
    out.push('\n');
    call.out(out)?;
    Ok(0)
}

/// Year, month and day of a count of days since 1970, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

pub(super) fn seq(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let numbers = call.text_args()?.iter().map(|text| text.parse::<i64>().ok()).collect::<Option<Vec<_>>>();
    let (first, step, last) = match numbers.as_deref() {
        Some([last]) => (1, 1, *last),
        Some([first, last]) => (*first, 1, *last),
        Some([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => return Err(call.unknown("the operands")),
    };
    let mut at = first;
    while if step > 0 { at <= last } else { at >= last } {
        call.work(1)?;
        call.out(format!("{at}\n"))?;
        match at.checked_add(step) {
            Some(next) => at = next,
            None => break,
        }
    }
    Ok(0)
}

pub(super) fn expr(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let args = call.args();
    let mut rest = &args[..];
    let value = level(call, &mut rest, 0, 0)?;
    if !rest.is_empty() {
        return Err(call.unknown("the expression"));
    }
    call.out([&value[..], b"\n"].concat())?;
    Ok(i32::from(is_null(&value)))
}

fn is_null(value: &[u8]) -> bool {
    value.is_empty() || integer(value) == Some(0)
}

fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok())
}

const LEVELS: [&[&[u8]]; 6] =
    [&[b"|"], &[b"&"], &[b"=", b"==", b"!=", b"<", b"<=", b">", b">="], &[b"+", b"-"], &[b"*", b"/", b"%"], &[b":"]];

fn level(call: &Call<'_, '_>, rest: &mut &[Vec<u8>], at: usize, depth: u32) -> Result<Vec<u8>, Unknown> {
    let Some(operators) = LEVELS.get(at) else { return operand(call, rest, depth) };
    let mut left = level(call, rest, at + 1, depth)?;
    while let Some(operator) = rest.first().filter(|word| operators.contains(&&word[..])).cloned() {
        *rest = &rest[1..];
        let right = level(call, rest, at + 1, depth)?;
        left = apply(call, &left, &operator, &right)?;
    }
    Ok(left)
}

fn operand(call: &Call<'_, '_>, rest: &mut &[Vec<u8>], depth: u32) -> Result<Vec<u8>, Unknown> {
    let Some((word, after)) = rest.split_first() else { return Err(call.unknown("the expression")) };
    *rest = after;
    match &word[..] {
        b"(" if depth < 20 => {
            let value = level(call, rest, 0, depth + 1)?;
            let Some((b")", after)) = rest.split_first().map(|(word, after)| (&word[..], after)) else {
                return Err(call.unknown("the expression"));
            };
            *rest = after;
            Ok(value)
        }
        b"length" if !rest.is_empty() => {
            let value = operand(call, rest, depth + 1)?;
            Ok(value.len().to_string().into_bytes())
        }
        b"match" | b"substr" | b"index" | b"+" | b"(" if !rest.is_empty() => Err(call.unknown("a keyword")),
        _ => Ok(word.clone()),
    }
}

fn apply(call: &Call<'_, '_>, left: &[u8], operator: &[u8], right: &[u8]) -> Result<Vec<u8>, Unknown> {
    let strange = || call.unknown(format!("{} of such operands", String::from_utf8_lossy(operator)));
    let truth = |truth: bool| Ok(if truth { b"1".to_vec() } else { b"0".to_vec() });
    match operator {
        b"|" => {
            return Ok(if is_null(left) {
                if is_null(right) { b"0".to_vec() } else { right.to_vec() }
            } else {
                left.to_vec()
            });
        }
        b"&" => return Ok(if is_null(left) || is_null(right) { b"0".to_vec() } else { left.to_vec() }),
        b":" => return matched(call, left, right),
        _ => {}
    }
    let order = match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => left.cmp(right),
    };
    match operator {
        b"=" | b"==" => return truth(order.is_eq()),
        b"!=" => return truth(order.is_ne()),
        b"<" => return truth(order.is_lt()),
        b"<=" => return truth(order.is_le()),
        b">" => return truth(order.is_gt()),
        b">=" => return truth(order.is_ge()),
        _ => {}
    }
    let (Some(left), Some(right)) = (integer(left), integer(right)) else { return Err(strange()) };
    let value = match operator {
        b"+" => left.checked_add(right),
        b"-" => left.checked_sub(right),
        b"*" => left.checked_mul(right),
        b"/" => left.checked_div(right),
        _ => left.checked_rem(right),
    };
    Ok(value.ok_or_else(strange)?.to_string().into_bytes())
}

fn matched(call: &Call<'_, '_>, text: &[u8], pattern: &[u8]) -> Result<Vec<u8>, Unknown> {
    if pattern.starts_with(b"^") || pattern.windows(2).any(|pair| pair == b"\\|") {
        return Err(call.unknown("such a pattern"));
    }
    let anchored = [b"^", pattern].concat();
    let regex = Regex::new(&anchored, Flavor::default()).map_err(|error| call.unknown(error.0))?;
    let found = regex.find(text, 0).map_err(|error| call.unknown(error.0))?;
    Ok(match (found, regex.groups()) {
        (Some(captures), 0) => captures[0].map_or(0, |(start, end)| end - start).to_string().into_bytes(),
        (Some(captures), _) => captures[1].map(|(start, end)| text[start..end].to_vec()).unwrap_or_default(),
        (None, 0) => b"0".to_vec(),
        (None, _) => Vec::new(),
    })
}
