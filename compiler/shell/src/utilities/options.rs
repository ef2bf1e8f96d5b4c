//! Options of a utility, as getopt_long(3) reads them; one that is not listed is unknown.

use crate::call::Call;
use crate::session::Unknown;

/// The options that were given, in order, and what is left.
pub(super) struct Parsed {
    given: Vec<(char, Vec<u8>)>,
    pub operands: Vec<Vec<u8>>,
}

impl Parsed {
    pub fn has(&self, letter: char) -> bool {
        self.given.iter().any(|(given, _)| *given == letter)
    }

    /// The last value of an option.
    pub fn value(&self, letter: char) -> Option<&[u8]> {
        self.given.iter().rev().find(|(given, _)| *given == letter).map(|(_, value)| &value[..])
    }

    pub fn values(&self, letter: char) -> impl Iterator<Item = &[u8]> {
        self.given.iter().filter(move |(given, _)| *given == letter).map(|(_, value)| &value[..])
    }

    /// Which of these letters was given last.
    pub fn last_of(&self, letters: &str) -> Option<char> {
        self.given.iter().rev().map(|(given, _)| *given).find(|given| letters.contains(*given))
    }
}

/// Reads the arguments of a call. The specification has words such as `f|force` and, with a value, `m:|mode`;
/// a `+` as its first word ends the options at the first operand.
pub(super) fn parse(call: &Call<'_, '_>, specification: &str) -> Result<Parsed, Unknown> {
    let known: Vec<(char, bool, &str)> =
        specification.split(' ').filter(|word| !word.is_empty() && *word != "+").map(entry).collect();
    let ordered = specification.starts_with('+');
    let args = call.args();
    let mut parsed = Parsed { given: Vec::new(), operands: Vec::new() };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let strange = || call.unknown(format!("the option {}", String::from_utf8_lossy(&arg)));
        match &arg[..] {
            b"--" => break,
            [b'-', b'-', long @ ..] => {
                let (name, value) = match long.iter().position(|&byte| byte == b'=') {
                    Some(at) => (&long[..at], Some(long[at + 1..].to_vec())),
                    None => (long, None),
                };
                let (letter, takes, _) =
                    known.iter().find(|(_, _, known)| known.as_bytes() == name).ok_or_else(strange)?;
                let value = match (takes, value) {
                    (false, None) => Vec::new(),
                    (true, Some(value)) => value,
                    (true, None) => args.next().ok_or_else(strange)?,
                    (false, Some(_)) => return Err(strange()),
                };
                parsed.given.push((*letter, value));
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                let mut rest = letters;
                while let [letter, after @ ..] = rest {
                    let (letter, takes, _) =
                        known.iter().find(|(known, _, _)| *known == char::from(*letter)).ok_or_else(strange)?;
                    rest = after;
                    let mut value = Vec::new();
                    if *takes {
                        value = if rest.is_empty() { args.next().ok_or_else(strange)? } else { rest.to_vec() };
                        rest = &[];
                    }
                    parsed.given.push((*letter, value));
                }
            }
            _ => {
                parsed.operands.push(arg);
                if ordered {
                    break;
                }
            }
        }
    }
    parsed.operands.extend(args);
    Ok(parsed)
}

fn entry(word: &str) -> (char, bool, &str) {
    let (short, long) = word.split_once('|').unwrap_or((word, ""));
    (short.chars().next().unwrap_or('\0'), short.ends_with(':'), long)
}

/// A number that an option gives.
pub(super) fn number(call: &Call<'_, '_>, text: &[u8]) -> Result<usize, Unknown> {
    let value = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+')).and_then(|text| text.parse().ok());
    value.ok_or_else(|| call.unknown(format!("the number {}", String::from_utf8_lossy(text))))
}
