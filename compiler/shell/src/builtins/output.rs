//! Builtins that print: `echo` with dash's escapes, and `printf`.

use super::strange;
use crate::shell::{Eval, Shell};

pub(super) fn echo(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let mut args = &argv[1..];
    let newline = args.first().is_none_or(|arg| arg != b"-n");
    if !newline {
        args = &args[1..];
    }
    let (mut text, stopped) = unescape(&args.join(&b' '), Escapes::Echo);
    if newline && !stopped {
        text.push(b'\n');
    }
    shell.write(1, &text)?;
    Ok(0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// Octal after `\0`, and `\c` ends the output: `echo` and `%b`.
    Echo,
    /// Octal after a plain backslash: the format of `printf`.
    Format,
}

fn unescape(text: &[u8], escapes: Escapes) -> (Vec<u8>, bool) {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let next = text.get(at).copied();
        at += 1;
        match next {
            Some(b'a') => out.push(7),
            Some(b'b') => out.push(8),
            Some(b'c') if escapes == Escapes::Echo => return (out, true),
            Some(b'e') => out.push(27),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'v') => out.push(11),
            Some(b'\\') => out.push(b'\\'),
            Some(digit @ b'0'..=b'7') if escapes == Escapes::Format || digit == b'0' => {
                let start = if escapes == Escapes::Format { at - 1 } else { at };
                let digits = text[start.min(text.len())..]
                    .iter()
                    .take(3)
                    .take_while(|byte| (b'0'..=b'7').contains(byte))
                    .count();
                let value =
                    text[start..start + digits].iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                out.push(value as u8);
                at = start + digits;
            }
            Some(other) => out.extend([b'\\', other]),
            None => out.push(b'\\'),
        }
    }
    (out, false)
}

pub(super) fn printf(shell: &mut Shell<'_>, argv: &[Vec<u8>]) -> Eval<i32> {
    let args = match argv {
        [_, dashes, rest @ ..] if dashes == b"--" => rest,
        [_, option, ..] if option.starts_with(b"-") && option.len() > 1 => return Err(strange(shell, argv)),
        [_, rest @ ..] => rest,
        [] => &[],
    };
    match args.split_first().and_then(|(format_text, args)| format(format_text, args)) {
        Some(text) => {
            shell.write(1, &text)?;
            Ok(0)
        }
        None => Err(strange(shell, argv)),
    }
}

/// One conversion of a format, such as `%-5s`.
#[derive(Default)]
struct Conversion {
    minus: bool,
    zero: bool,
    plus: bool,
    space: bool,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

/// Formats as printf(1); none for anything out of the ordinary.
fn format(format: &[u8], args: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut args = args.iter();
    loop {
        let before = args.len();
        let mut rest = format;
        while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
            out.extend(unescape(&rest[..at], Escapes::Format).0);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(b"%") {
                out.push(b'%');
                rest = after;
                continue;
            }
            let (conversion, after) = Conversion::parse(rest)?;
            let (&letter, after) = after.split_first()?;
            let arg = args.next();
            match letter {
                b'b' => {
                    let (text, stopped) = unescape(arg.map(Vec::as_slice).unwrap_or_default(), Escapes::Echo);
                    out.extend(conversion.pad(text));
                    if stopped {
                        return Some(out);
                    }
                }
                _ => out.extend(conversion.apply(letter, arg)?),
            }
            rest = after;
            if out.len() > 16 << 20 {
                return None;
            }
        }
        out.extend(unescape(rest, Escapes::Format).0);
        if args.len() == 0 || args.len() == before {
            return Some(out);
        }
    }
}

impl Conversion {
    fn parse(mut text: &[u8]) -> Option<(Self, &[u8])> {
        let mut conversion = Self::default();
        loop {
            let flag = match text.first()? {
                b'-' => &mut conversion.minus,
                b'0' => &mut conversion.zero,
                b'+' => &mut conversion.plus,
                b' ' => &mut conversion.space,
                b'#' => &mut conversion.alternate,
                _ => break,
            };
            *flag = true;
            text = &text[1..];
        }
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = |text: &[u8]| {
            if text.is_empty() { Some(0) } else { super::number::<usize>(text).filter(|value| *value < 4096) }
        };
        let count = digits(text);
        conversion.width = value(&text[..count])?;
        text = &text[count..];
        if let Some(after) = text.strip_prefix(b".") {
            let count = digits(after);
            conversion.precision = Some(value(&after[..count])?);
            text = &after[count..];
        }
        Some((conversion, text))
    }

    fn apply(&self, letter: u8, arg: Option<&Vec<u8>>) -> Option<Vec<u8>> {
        let text = arg.map(Vec::as_slice).unwrap_or_default();
        if letter == b's' {
            let length = self.precision.unwrap_or(text.len()).min(text.len());
            return Some(self.pad(text[..length].to_vec()));
        }
        if letter == b'c' {
            return Some(self.pad(text.iter().take(1).copied().collect()));
        }
        let number = integer(text)?;
        let (digits, sign) = match letter {
            b'd' | b'i' => (
                number.unsigned_abs().to_string(),
                if number < 0 {
                    "-"
                } else if self.plus {
                    "+"
                } else if self.space {
                    " "
                } else {
                    ""
                },
            ),
            b'u' => ((number as u64).to_string(), ""),
            b'x' => (format!("{number:x}"), if self.alternate && number != 0 { "0x" } else { "" }),
            b'X' => (format!("{number:X}"), if self.alternate && number != 0 { "0X" } else { "" }),
            b'o' => (format!("{number:o}"), if self.alternate { "0" } else { "" }),
            _ => return None,
        };
        let mut least = self.precision.unwrap_or(1);
        if self.zero && !self.minus && self.precision.is_none() {
            least = self.width.saturating_sub(sign.len());
        }
        let zeros = "0".repeat(least.saturating_sub(digits.len()));
        Some(self.pad(format!("{sign}{zeros}{digits}").into_bytes()))
    }

    fn pad(&self, mut text: Vec<u8>) -> Vec<u8> {
        let missing = self.width.saturating_sub(text.len());
        let padding = vec![b' '; missing];
        if self.minus {
            text.extend(padding);
            text
        } else {
            [padding, text].concat()
        }
    }
}

fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    if text.is_empty() {
        return Some(0);
    }
    if let Some(quoted) = text.strip_prefix(['\'', '"']) {
        return quoted.bytes().next().map(i64::from);
    }
    let (digits, negative) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8).ok()?,
        None if digits.starts_with('+') => return None,
        None => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}
