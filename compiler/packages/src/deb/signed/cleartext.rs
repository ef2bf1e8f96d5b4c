//! The cleartext signature framework (RFC 9580 section 7): one signed text and its armoured signature, and nothing
//! before, between or after them that somebody could mistake for signed.

const HEADER: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// A cleartext message taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cleartext<'a> {
    /// What is signed: without dash escapes and space at ends of lines, lines joined by CR LF (section 7.2).
    pub(super) text: String,
    /// The armoured signature.
    pub(super) armour: &'a str,
}

/// Whether the bytes claim to be a cleartext message.
pub(super) fn is_cleartext(bytes: &[u8]) -> bool {
    bytes.starts_with(HEADER.as_bytes())
}

/// Takes a message apart.
pub(super) fn split(message: &str) -> Result<Cleartext<'_>, &'static str> {
    let mut rest = message;
    if next_line(&mut rest) != Some(HEADER) {
        return Err("its first line has more on it than belongs there");
    }
    loop {
        match next_line(&mut rest).ok_or("it ends before the signed text")? {
            "" => break,
            line if line.starts_with("Hash: ") => {}
            _ => return Err("it has a header that says something else than the digest"),
        }
    }
    let mut lines: Vec<&str> = Vec::new();
    let armour = loop {
        let before = rest;
        let line = next_line(&mut rest).ok_or("it ends before the signature")?;
        match line.strip_prefix("- ") {
            Some(escaped) => lines.push(escaped.trim_end_matches([' ', '\t'])),
            None if line == SIGNATURE => break before,
            None if line.starts_with('-') => return Err("a line of its text starts with a dash that is not escaped"),
            None => lines.push(line),
        }
    };
    let is_control = |line: &&str| line.bytes().any(|c| c.is_ascii_control() && c != b'\t');
    if lines.iter().any(is_control) {
        return Err("its text has control characters");
    }
    check_armour(armour)?;
    Ok(Cleartext { text: lines.join("\r\n"), armour })
}

/// The armour must end, and nothing may follow.
fn check_armour(armour: &str) -> Result<(), &'static str> {
    let mut rest = armour;
    while let Some(line) = next_line(&mut rest) {
        if line == END {
            return if rest.trim().is_empty() { Ok(()) } else { Err("there is text after the signature") };
        }
    }
    Err("it ends within the signature")
}

/// Takes a line off the text; space at its end is not signed and not part of it.
fn next_line<'a>(rest: &mut &'a str) -> Option<&'a str> {
    if rest.is_empty() {
        return None;
    }
    let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
    *rest = after;
    Some(line.strip_suffix('\r').unwrap_or(line).trim_end_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: Result<&str, &str>) {
        let message =
            message.replace('|', "\n").replace("BEGIN", HEADER).replace("SIGNATURE", SIGNATURE).replace("END", END);
        assert_eq!(split(&message).as_ref().map(|c| c.text.as_str()).map_err(|e| *e), expected, "{message:?}");
    }

    #[test]
    fn messages() {
        check("BEGIN|Hash: SHA256||a|b|SIGNATURE|x|END|", Ok("a\r\nb"));
        check("BEGIN\r|\r|a \t\r|- -b  |- - c|SIGNATURE\r|x|END\r| \r|", Ok("a\r\n-b\r\n- c"));
        check("BEGIN||SIGNATURE|END", Ok(""));
        check("BEGIN||||SIGNATURE|END", Ok("\r\n"));
        check("BEGIN x||a|SIGNATURE|END", Err("its first line has more on it than belongs there"));
        check("BEGIN|Comment: x||a|SIGNATURE|END", Err("it has a header that says something else than the digest"));
        check("BEGIN|", Err("it ends before the signed text"));
        check("BEGIN||a|", Err("it ends before the signature"));
        check("BEGIN||a|SIGNATURE|x", Err("it ends within the signature"));
        check("BEGIN||-a|SIGNATURE|END", Err("a line of its text starts with a dash that is not escaped"));
        check("BEGIN||a|SIGNATURE|END|b", Err("there is text after the signature"));
        check("BEGIN||a\rb|SIGNATURE|END", Err("its text has control characters"));
    }
}
