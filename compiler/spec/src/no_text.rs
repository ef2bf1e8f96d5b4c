//! What the bytes of a file are that are no UTF-8 text, as far as they show it: another encoding, or no text at all.

use crate::diagnostic::Diagnostic;
use crate::source::{Place, Sources};

/// What bytes are instead of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoText {
    /// Text of two bytes a character.
    Utf16,
    /// Text up to a byte that UTF-8 does not have there, as in the older encodings of one byte a character.
    OtherEncoding {
        /// Its offset.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// Something that no text holds.
    Binary {
        /// The offset of the first byte that shows it.
        at: usize,
    },
}

/// How far is looked for the zero bytes of UTF-16 without its mark.
const UTF16_SAMPLE_BYTES: usize = 64;

/// Why these bytes are no UTF-8 text; `None` for those that are. `shown` may be the beginning of `whole_bytes`.
pub(crate) fn no_text(shown: &[u8], whole_bytes: usize) -> Option<NoText> {
    let error = std::str::from_utf8(shown).err();
    // A character that the cut goes through is no mistake.
    let bad = error.filter(|error| error.error_len().is_some() || shown.len() == whole_bytes);
    if is_utf16(shown) {
        return Some(NoText::Utf16);
    }
    let control = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
    let zero = shown.iter().position(|byte| *byte == 0);
    let bad = bad.map(|error| error.valid_up_to());
    match (bad, zero) {
        (None, zero) => zero.map(|at| NoText::Binary { at }),
        (Some(bad), Some(zero)) => Some(NoText::Binary { at: bad.min(zero) }),
        (Some(bad), None) if shown.iter().any(control) => Some(NoText::Binary { at: bad }),
        (Some(at), None) => Some(NoText::OtherEncoding { at, byte: shown.get(at).copied().unwrap_or_default() }),
    }
}

/// Its byte order mark (RFC 2781, section 3.2), or a zero in every other byte as Latin letters have.
fn is_utf16(bytes: &[u8]) -> bool {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        // Followed by text of whole units, and not by more bytes that only such a mark has.
        return bytes.get(2..4).is_some_and(|next| next.contains(&0));
    }
    let sample = bytes.get(..bytes.len().min(UTF16_SAMPLE_BYTES)).unwrap_or_default();
    let zeros = |odd: usize| sample.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let half = sample.len() / 2;
    half >= 4 && ((zeros(0) == 0 && zeros(1) * 10 >= half * 9) || (zeros(1) == 0 && zeros(0) * 10 >= half * 9))
}

/// The error for it.
pub(crate) fn not_utf8(sources: &Sources, number: usize, bad: &NoText) -> Diagnostic {
    let language = sources.language();
    let (at, message, label, help) = match *bad {
        NoText::Utf16 => (
            0,
            format!("the file is UTF-16 text, and {} is UTF-8", language.name()),
            "from the first byte on".to_owned(),
            "save it as UTF-8, in the editor or with: iconv -f UTF-16 -t UTF-8 FILE".to_owned(),
        ),
        NoText::OtherEncoding { at, byte } => (
            at,
            format!("the file is not UTF-8 text: byte {at} (0x{byte:02X}) cannot be read"),
            "readable up to here".to_owned(),
            "save it as UTF-8; if it is of an old editor: iconv -f WINDOWS-1252 -t UTF-8 FILE".to_owned(),
        ),
        NoText::Binary { at } => (
            0,
            format!("the file is no text but something else: byte {at} cannot be one of UTF-8 text"),
            format!("not {}", language.name()),
            format!("{} is a text file that begins with: {}", language.name(), language.begins()),
        ),
    };
    Diagnostic::error("not-utf8", message).at(sources.label(Place::new(number, at, 0), label)).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: Option<NoText>) {
        assert_eq!(no_text(bytes, bytes.len()), expected, "{bytes:02x?}");
    }

    #[test]
    fn what_bytes_are() {
        let text = "appliance \"x\"\n";
        let low: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let high: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        check(text.as_bytes(), None);
        check("\u{feff}été \u{1b}".as_bytes(), None);
        check(&low, Some(NoText::Utf16));
        check(&high, Some(NoText::Utf16));
        check(&[&[0xff, 0xfe][..], &low].concat(), Some(NoText::Utf16));
        check(&[&[0xfe, 0xff][..], &high].concat(), Some(NoText::Utf16));
        check(b"summary \"\xe9t\xe9\"", Some(NoText::OtherEncoding { at: 9, byte: 0xe9 }));
        check(b"\x7fELF\x02\x01\x01\0\0", Some(NoText::Binary { at: 7 }));
        check(b"\x1f\x8b\x08\x99", Some(NoText::Binary { at: 1 }));
        assert_eq!(no_text("é".as_bytes().get(..1).unwrap(), 2), None, "a cut is no mistake");
    }
}
